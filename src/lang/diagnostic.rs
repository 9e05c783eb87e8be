//! What is wrong with a file, where, and what to do about it.

use serde::Serialize;
use std::ops::Range;

use crate::base::limits;
use crate::base::nearest::nearest;

/// Bytes of the source text, half open.
pub type Span = Range<usize>;

/// A source file in memory.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the user named it.
    pub path: String,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

/// One finding. The JSON form is part of the external contract (`validate --format json`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnostic {
    /// Stable, kebab-case: `unknown-key`.
    pub code: &'static str,
    pub severity: Severity,
    /// A lowercase fragment that names the thing.
    pub message: String,
    /// What to do; the nearest known name where there is one.
    pub help: Option<String>,
    pub file: String,
    /// From 1, in characters; the end is exclusive.
    pub line: usize,
    pub column: usize,
    pub end_line: usize,
    pub end_column: usize,
    /// The same place in bytes, for drawing.
    #[serde(skip)]
    pub span: Span,
}

impl Diagnostic {
    /// An error of a whole file that has no text to point at (it cannot be read, for instance).
    pub fn of_file(file: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            help: None,
            file: file.into(),
            line: 1,
            column: 1,
            end_line: 1,
            end_column: 1,
            span: 0..0,
        }
    }
}

/// Collects the findings of one file.
#[derive(Debug)]
pub struct Diagnostics<'s> {
    source: &'s Source,
    /// The byte each line starts at.
    lines: Vec<usize>,
    found: Vec<Diagnostic>,
    /// Takes what comes after [`limits::DIAGNOSTICS`]; nobody sees it.
    beyond: Diagnostic,
}

impl<'s> Diagnostics<'s> {
    pub fn new(source: &'s Source) -> Self {
        let starts = source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self {
            source,
            lines: std::iter::once(0).chain(starts).collect(),
            found: Vec::new(),
            beyond: Diagnostic::of_file("", "", ""),
        }
    }

    pub fn source(&self) -> &'s Source {
        self.source
    }

    /// Adds an error and gives it back for its help. Those beyond [`limits::DIAGNOSTICS`] are dropped.
    pub fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Error, code, span, message.into())
    }

    pub fn warning(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, code, span, message.into())
    }

    fn add(&mut self, severity: Severity, code: &'static str, span: Span, message: String) -> &mut Diagnostic {
        if self.found.len() >= limits::DIAGNOSTICS {
            return &mut self.beyond;
        }
        let start = self.boundary(span.start);
        let end = self.boundary(span.end.max(span.start)).max(start);
        let ((line, column), (end_line, end_column)) = (self.position(start), self.position(end));
        let file = self.source.path.clone();
        self.found.push(Diagnostic {
            code,
            severity,
            message,
            help: None,
            file,
            line,
            column,
            end_line,
            end_column,
            span: start..end,
        });
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// The nearest byte at or before `at` that starts a character.
    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.source.text.len());
        while !self.source.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    /// Line and column from 1, in characters. A byte order mark is no character.
    fn position(&self, at: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let start = self.lines[line - 1];
        let text = self.source.text[start..at].trim_start_matches('\u{feff}');
        (line, text.chars().count() + 1)
    }

    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// How many there are: lets a reader see whether a part was read without a finding.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them, by position, each once (an alias repeats what is wrong with its anchor).
    pub fn finish(self) -> Vec<Diagnostic> {
        let mut found = self.found;
        found.sort_by(|a, b| {
            (a.span.start, a.span.end, a.code, &a.message).cmp(&(b.span.start, b.span.end, b.code, &b.message))
        });
        found.dedup();
        found
    }
}

impl Diagnostic {
    pub fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }

    /// Says which known name was likely meant, or else lists them all.
    pub fn known<'a>(&mut self, unknown: &str, what: &str, known: impl IntoIterator<Item = &'a str> + Clone) {
        self.help = suggestion(unknown, what, known);
    }
}

/// "did you mean `x`?", or the known names when none is near.
pub fn suggestion<'a>(unknown: &str, what: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(unknown, known.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    /// A list longer than this is no help.
    const LISTED: usize = 40;
    let names: Vec<_> = known.into_iter().take(LISTED + 1).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => None,
        1..=LISTED => Some(format!("known {what}: {}", names.join(", "))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { path: "w.yaml".to_string(), text: text.to_string() }
    }

    #[test]
    fn columns_count_characters() {
        let source = source("a: 1\r\n🙂é: x\n");
        let at = source.text.find('x').unwrap();
        let mut found = Diagnostics::new(&source);
        found.error("e", at..at + 1, "m");
        let found = found.finish();
        assert_eq!((found[0].line, found[0].column, found[0].end_column), (2, 5, 6));
    }

    #[test]
    fn any_span_has_a_position() {
        let source = source("\u{feff}é");
        for span in [0..0, 0..3, 1..2, 4..4, 99..100] {
            let mut found = Diagnostics::new(&source);
            found.error("e", span, "m");
            assert_eq!(found.finish()[0].line, 1);
        }
    }

    #[test]
    fn sorted_and_each_once() {
        let source = source("abc");
        let mut found = Diagnostics::new(&source);
        found.error("b", 2..3, "late");
        found.error("a", 0..1, "early");
        found.error("b", 2..3, "late");
        let messages: Vec<_> = found.finish().into_iter().map(|d| d.message).collect();
        assert_eq!(messages, ["early", "late"]);
    }
}
