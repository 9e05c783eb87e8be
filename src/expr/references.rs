//! Which names an expression uses, found without evaluating it.
//!
//! MiniJinja's own analysis overlooks the base of a slice and has no positions, so the words are walked here: a word
//! that is no attribute, filter, test, keyword or argument name is a root, and the attributes after it are its path.

use std::ops::Range;

use super::tokens::{self, Kind, Token};
use super::{SyntaxError, env};
use crate::base::limits;
use crate::base::nearest::nearest;

/// One use of a name: `steps.intent.score` is the root `steps` with the path `intent`, `score`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub root: String,
    pub path: Vec<String>,
    /// Bytes of the source: the root and its path.
    pub span: Range<usize>,
    /// How the expression goes on into the value, from the first bracket: the `[0]` and `name` of `steps.x.rows[0].name`.
    pub beyond: Box<[Beyond]>,
}

/// A step into a value that is no plain name, or comes after one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    pub part: Part,
    /// Bytes of the source: what is between the brackets, or the name.
    pub span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Name(String),
    Index(usize),
    /// Nobody knows before it is evaluated.
    Computed,
}

impl Reference {
    /// The first name after the root: the `intent` of `steps.intent.score`.
    pub fn first(&self) -> Option<&str> {
        self.path.first().map(String::as_str)
    }

    /// The bytes of the name at `index` of the path; the whole where blanks stand between the names.
    pub fn name_span(&self, index: usize) -> Range<usize> {
        let names = self.path.iter().take(index + 1).map(|name| name.len() + 1);
        let (whole, end) = (self.dotted().len(), self.root.len() + names.sum::<usize>());
        match self.path.get(index) {
            Some(name) if whole == self.span.len() => self.span.start + end - name.len()..self.span.start + end,
            _ => self.span.clone(),
        }
    }

    /// As it is written: `steps.intent.score`.
    pub fn dotted(&self) -> String {
        let mut text = self.root.clone();
        for part in &self.path {
            text.push('.');
            text.push_str(part);
        }
        text
    }
}

/// The names of one expression or template, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References(Vec<Reference>);

/// MiniJinja takes some of them for names where a value is due (`in not in x`); nothing is ever known by them.
pub(super) const KEYWORDS: &[&str] =
    &["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None"];

impl References {
    pub fn iter(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter()
    }

    /// `(steps|errors, id)` of every step whose output or error is read.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|r| matches!(r.root.as_str(), "steps" | "errors")).filter_map(Reference::first)
    }

    /// Without room for more.
    pub(super) fn settled(mut self) -> Self {
        for reference in &mut self.0 {
            reference.path.shrink_to_fit();
        }
        self.0.shrink_to_fit();
        self
    }

    pub(super) fn of_expression(source: &str) -> Result<Self, SyntaxError> {
        let mut found = Self::default();
        found.walk(source, &tokens::all(source), 0, &[])?;
        Ok(found)
    }

    /// Adds the names of the tokens of `source`, which starts `offset` bytes into the whole text, except `locals`.
    pub(super) fn walk(
        &mut self,
        source: &str,
        words: &[Token],
        offset: usize,
        locals: &[String],
    ) -> Result<(), SyntaxError> {
        if words.len() > limits::EXPRESSION_TOKENS {
            let message = format!("it has more than the {} words and marks allowed", limits::EXPRESSION_TOKENS);
            return Err(SyntaxError::new(message, 0..source.len()).shifted(offset));
        }
        let text = |index: usize| words.get(index).map_or("", |t: &Token| t.text(source));
        let mut index = 0;
        while index < words.len() {
            let word = &words[index];
            let here = index;
            index += 1;
            if word.kind != Kind::Word {
                punctuation(word, source).map_err(|error| error.shifted(offset))?;
                continue;
            }
            let before = here.checked_sub(1).map_or("", text);
            if before == "." {
                continue;
            }
            if before == "|" {
                known(text(here), "filter", env::is_filter, env::filter_names(), word, offset)?;
                continue;
            }
            let negated = before == "not" && here.checked_sub(2).map_or("", text) == "is";
            if before == "is" && text(here) != "not" || negated {
                known(text(here), "test", env::is_test, env::TESTS, word, offset)?;
                continue;
            }
            let name = text(here);
            if KEYWORDS.contains(&name) || text(here + 1) == "=" || locals.iter().any(|local| local == name) {
                continue;
            }
            let mut path = Vec::new();
            let mut end = word.span.end;
            while text(index) == "." && words.get(index + 1).is_some_and(|t| t.kind == Kind::Word) {
                path.push(text(index + 1).to_string());
                end = words[index + 1].span.end;
                index += 2;
            }
            let span = word.span.start + offset..end + offset;
            callable(name, &path, text(index) == "(", span.clone())?;
            let beyond = beyond(source, &words[index..], offset).into();
            self.0.push(Reference { root: name.to_string(), path, span, beyond });
        }
        Ok(())
    }
}

/// What follows a path: brackets and names, as far as they are plain. A slice ends it.
fn beyond(source: &str, words: &[Token], offset: usize) -> Vec<Beyond> {
    let text = |index: usize| words.get(index).map_or("", |t: &Token| t.text(source));
    let kind = |index: usize| words.get(index).map(|t: &Token| t.kind);
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let word = at + 1;
        let part = match (text(at), kind(word)) {
            (".", Some(Kind::Word)) if !found.is_empty() => Part::Name(text(word).to_string()),
            (".", Some(Kind::Number)) => match text(word).parse() {
                Ok(index) => Part::Index(index),
                Err(_) => return found,
            },
            ("[", Some(kind)) => {
                let Some(close) = closing(source, &words[at..]).map(|close| at + close) else { return found };
                let inside = word..close;
                if inside.clone().any(|index| text(index) == ":") || inside.is_empty() {
                    return found;
                }
                let span = words[word].span.start + offset..words[close - 1].span.end + offset;
                let written = text(word);
                let part = match kind {
                    Kind::Text if inside.len() == 1 && !written.contains('\\') => {
                        match written.get(1..written.len().saturating_sub(1)) {
                            Some(name) => Part::Name(name.to_string()),
                            None => return found,
                        }
                    }
                    Kind::Number if inside.len() == 1 => written.parse().map_or(Part::Computed, Part::Index),
                    _ => Part::Computed,
                };
                found.push(Beyond { part, span });
                at = close + 1;
                continue;
            }
            _ => return found,
        };
        let span = words[word].span.start + offset..words[word].span.end + offset;
        found.push(Beyond { part, span });
        at += 2;
    }
}

/// The index of the bracket that closes the first of `words`.
fn closing(source: &str, words: &[Token]) -> Option<usize> {
    let mut depth = 0usize;
    for (index, word) in words.iter().enumerate().filter(|(_, word)| word.kind == Kind::Mark) {
        match word.text(source) {
            "[" | "(" | "{" => depth += 1,
            "]" | ")" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// MiniJinja overlooks what it cannot read at the end of an expression.
fn punctuation(word: &Token, source: &str) -> Result<(), SyntaxError> {
    let text = word.text(source);
    if word.kind != Kind::Mark || text.starts_with(|c| "+-*/%~|.,:()[]{}=!<>".contains(c)) {
        return Ok(());
    }
    Err(SyntaxError::new(format!("`{}` means nothing here", text.escape_debug()), word.span.clone()))
}

/// Values have no methods, and `now` alone is no value.
fn callable(name: &str, path: &[String], called: bool, span: Range<usize>) -> Result<(), SyntaxError> {
    match path.last() {
        Some(method) if called => {
            let mut error = SyntaxError::new(format!("`{method}` is no function"), span);
            error.help = env::is_filter(method).then(|| format!("it is a filter: write `… | {method}`"));
            Err(error)
        }
        None if !called && super::FUNCTIONS.contains(&name) => {
            let mut error = SyntaxError::new(format!("`{name}` is a function"), span);
            error.help = Some(format!("call it: `{name}()`"));
            Err(error)
        }
        _ => Ok(()),
    }
}

fn known(
    name: &str,
    what: &str,
    is: fn(&str) -> bool,
    names: &[&str],
    word: &Token,
    offset: usize,
) -> Result<(), SyntaxError> {
    if is(name) {
        return Ok(());
    }
    let mut error = SyntaxError::new(format!("there is no {what} `{name}`"), word.span.clone()).shifted(offset);
    error.help = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Vec<String> {
        References::of_expression(source).unwrap().iter().map(Reference::dotted).collect()
    }

    #[test]
    fn finds_every_name_and_nothing_else() {
        for (source, expected) in [
            ("steps.intent.score >= 2", vec!["steps.intent.score"]),
            ("steps.x.text[1:inputs.n]", vec!["steps.x.text", "inputs.n"]),
            ("'steps.no' in event.data.body", vec!["event.data.body"]),
            ("items_of(vars.a, sep=vars.b)", vec!["items_of", "vars.a", "vars.b"]),
            ("a is divisibleby(b) and c is not none", vec!["a", "b", "c"]),
            ("steps[x].y", vec!["steps", "x"]),
            ("event.data.items | selectattr('a') | map(attribute=vars.k) | list", vec!["event.data.items", "vars.k"]),
            ("{'k': v.w, z: 1}", vec!["v.w", "z"]),
            ("a.0.b", vec!["a"]),
            ("x if y else z", vec!["x", "y", "z"]),
            ("now() - 1", vec!["now"]),
        ] {
            assert_eq!(names(source), expected, "{source}");
        }
    }

    #[test]
    fn what_comes_after_the_names() {
        let cases: &[(&str, &[&str])] = &[
            ("steps.x.rows[0].name", &["[0]", "name"]),
            ("steps.x['a b'].c[1]", &["a b", "c", "[1]"]),
            ("steps.x.rows.0.name", &["[0]", "name"]),
            ("steps.x.rows[vars.n].name", &["?", "name"]),
            ("steps.x.rows[-1].name", &["?", "name"]),
            ("steps.x.rows[{'a': 1}.a]", &[]),
            ("steps.x.rows[1:].name", &[]),
            ("steps.x.rows[", &[]),
            ("steps.x.rows | first", &[]),
            ("steps.x.rows[0][\"k\"] + 1", &["[0]", "k"]),
        ];
        for (source, expected) in cases {
            let found = References::of_expression(source).unwrap();
            let shown = |beyond: &Beyond| match &beyond.part {
                Part::Name(name) => name.clone(),
                Part::Index(index) => format!("[{index}]"),
                Part::Computed => "?".to_string(),
            };
            let reference = found.iter().next().unwrap();
            assert_eq!(reference.beyond.iter().map(shown).collect::<Vec<_>>(), *expected, "{source}");
            for beyond in reference.beyond.iter() {
                if let Part::Name(name) = &beyond.part {
                    assert_eq!(source[beyond.span.clone()].trim_matches(['\'', '"']), name);
                }
            }
            assert_eq!(&source[reference.name_span(0)], "x");
        }
    }

    #[test]
    fn values_have_no_methods() {
        let error = References::of_expression("event.data.body.upper() == 'X'").unwrap_err();
        assert_eq!(error.help.as_deref(), Some("it is a filter: write `… | upper`"));
        assert_eq!(error.span, 0..21);
        assert!(References::of_expression("now > 5").is_err());
    }

    #[test]
    fn unknown_filters_and_tests_are_named() {
        let error = References::of_expression("a | uper").unwrap_err();
        assert_eq!(error.message, "there is no filter `uper`");
        assert_eq!(error.help.as_deref(), Some("did you mean `upper`?"));
        assert_eq!(error.span, 4..8);
        assert!(References::of_expression("a is not defind").is_err());
    }
}
