//! Findings as text: for people, with the line and a mark under the place; for GitHub, as annotations; as JSON.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource};

use super::diagnostic::{Diagnostic, Severity, Source};

/// Each finding with its place drawn, and a count below. `sources` are the files they are in; a finding in a file that
/// is not among them is told without a drawing. Colours only if asked for.
pub fn human(found: &[Diagnostic], sources: &[Source], colour: bool) -> String {
    let mut out = String::new();
    for diagnostic in found {
        let source = sources.iter().find(|source| source.path == diagnostic.file);
        out.push_str(&one(diagnostic, source, colour));
        out.push('\n');
    }
    let errors = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let warnings = found.len() - errors;
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => {}
        (_, 0) => out.push_str(&format!("{}\n", count(errors, "error"))),
        (0, _) => out.push_str(&format!("{}\n", count(warnings, "warning"))),
        _ => out.push_str(&format!("{}, {}\n", count(errors, "error"), count(warnings, "warning"))),
    }
    out
}

/// A line longer than this was not written by a person, and a drawing of it helps nobody.
const DRAWN_LINE: usize = 1000;

fn one(diagnostic: &Diagnostic, source: Option<&Source>, colour: bool) -> String {
    let drawable = source.filter(|source| {
        let lines = source.text.lines().skip(diagnostic.line.saturating_sub(2)).take(3);
        !source.text.is_empty() && lines.map(str::len).max().unwrap_or(0) <= DRAWN_LINE
    });
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(120).with_links(false);
    let Some(source) = drawable else { return line(diagnostic) };
    let report = Report { diagnostic, source: NamedSource::new(&source.path, source.text.as_str().to_owned()) };
    struct Shown<'a>(&'a GraphicalReportHandler, &'a Report<'a>);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.render_report(f, self.1)
        }
    }
    let mut text = String::new();
    match fmt::write(&mut text, format_args!("{}", Shown(&handler, &report))) {
        Ok(()) => text,
        Err(fmt::Error) => line(diagnostic),
    }
}

/// `file:line:column: error[code]: message (help)`.
fn line(diagnostic: &Diagnostic) -> String {
    let Diagnostic { file, line, column, code, message, .. } = diagnostic;
    let word = word(diagnostic.severity);
    let help = diagnostic.help.as_ref().map(|help| format!("\n  help: {help}")).unwrap_or_default();
    format!("{file}:{line}:{column}: {word}[{code}]: {message}{help}\n")
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// miette's form of a finding.
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    source: NamedSource<String>,
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.diagnostic, f)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.diagnostic.span.clone();
        // A place of several lines is told by its first: the drawing stays small.
        let text = self.source.inner().get(span.clone()).unwrap_or_default();
        let length = text.lines().next().map_or(0, |line| line.trim_end().len());
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(
            Some("here".to_string()),
            (span.start, length),
        ))))
    }
}

/// One `::error` line for each finding, which GitHub shows beside the changed lines.
pub fn github(found: &[Diagnostic]) -> String {
    let mut out = String::new();
    for diagnostic in found {
        let message = match &diagnostic.help {
            Some(help) => format!("{}\n{help}", diagnostic.message),
            None => diagnostic.message.clone(),
        };
        out.push_str(&format!(
            "::{} file={},line={},col={},endLine={},endColumn={},title={}::{}\n",
            word(diagnostic.severity),
            escaped(&diagnostic.file, true),
            diagnostic.line,
            diagnostic.column,
            diagnostic.end_line,
            diagnostic.end_column,
            escaped(diagnostic.code, true),
            escaped(&message, false),
        ));
    }
    out
}

/// Workflow commands escape line ends, and in properties also what separates them.
fn escaped(text: &str, property: bool) -> String {
    let mut out = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if property {
        out = out.replace(':', "%3A").replace(',', "%2C");
    }
    out
}

/// The list as `validate --format json` prints it.
pub fn json(found: &[Diagnostic]) -> String {
    // Plain strings and numbers: it cannot fail.
    serde_json::to_string_pretty(found).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Diagnostics;

    fn one_found(text: &str, word: &str) -> (Vec<Diagnostic>, Source) {
        let source = Source { path: "flows/a.yaml".to_string(), text: text.to_string() };
        let at = text.find(word).unwrap();
        let mut found = Diagnostics::new(&source);
        found
            .error("unknown-key", at..at + word.len(), "the workflow has no key `stepz`")
            .help("did you mean `steps`?");
        (found.finish(), source)
    }

    #[test]
    fn people_see_the_place() {
        let (found, source) = one_found("name: \"🙂 é\" # note\r\nstepz: []\r\n", "stepz");
        insta::assert_snapshot!(human(&found, &[source], false));
    }

    #[test]
    fn github_sees_one_line() {
        let (found, _) = one_found("stepz: []", "stepz");
        assert_eq!(
            github(&found),
            "::error file=flows/a.yaml,line=1,col=1,endLine=1,endColumn=6,title=unknown-key::\
             the workflow has no key `stepz`%0Adid you mean `steps`?\n"
        );
    }

    #[test]
    fn json_is_the_contract() {
        let (found, _) = one_found("stepz: []", "stepz");
        let value: serde_json::Value = serde_json::from_str(&json(&found)).unwrap();
        assert_eq!(
            value,
            serde_json::json!([{"code": "unknown-key", "severity": "error", "message": "the workflow has no key `stepz`",
                "help": "did you mean `steps`?", "file": "flows/a.yaml", "line": 1, "column": 1, "end_line": 1,
                "end_column": 6}])
        );
    }

    #[test]
    fn a_line_of_a_megabyte_is_not_drawn() {
        let (found, source) = one_found(&format!("stepz: {}", "[".repeat(1 << 20)), "stepz");
        assert!(human(&found, &[source], false).len() < 500);
    }
}
