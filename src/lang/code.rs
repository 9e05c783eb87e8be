//! Where code that a step runs stands in its file, so that an error of a run can point there.

use serde::{Deserialize, Serialize};

use super::Span;

/// The place of a code whose lines are lines of the file: what stands before the first line, and before each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodePlace {
    /// The line of the file that the first line is in, from 1.
    pub line: u32,
    /// Characters before the code in each of its lines.
    pub indent: u32,
}

impl CodePlace {
    /// A line and a column of the code as those of the file; all from 1, columns in characters.
    pub fn in_file(self, line: u32, column: u32) -> (u32, u32) {
        (self.line.saturating_add(line).saturating_sub(1), self.indent.saturating_add(column))
    }

    /// The place of the value `text` that is written at `span` of `source`; None where its lines are not those of the
    /// file: folded and quoted texts of several lines, escapes, aliases.
    pub fn of(text: &str, source: &str, span: &Span) -> Option<Self> {
        let before = source.get(..span.start)?;
        let line = before.matches('\n').count();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let lead = before[start..].trim_start_matches('\u{feff}');
        let place = |line: usize, indent: usize| {
            Some(Self { line: u32::try_from(line + 1).ok()?, indent: u32::try_from(indent).ok()? })
        };
        // The span of a block begins at its first line that is not empty, after the indentation.
        let empty = text.bytes().take_while(|byte| *byte == b'\n').count();
        let mut lines = text[empty..].lines().zip(source.get(start..)?.lines());
        let is_written = |(code, written): (&str, &str)| {
            code.trim().is_empty() || written.strip_prefix(lead).is_some_and(|rest| rest == code)
        };
        if lead.bytes().all(|byte| byte == b' ') && lines.all(is_written) {
            return place(line.checked_sub(empty)?, lead.len());
        }
        let written = source.get(span.clone())?;
        let quote = usize::from(written.starts_with(['"', '\'']));
        let is_same = !text.contains('\n') && written.get(quote..written.len().saturating_sub(quote)) == Some(text);
        if is_same { place(line, lead.chars().count() + quote) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Source;
    use crate::lang::yaml::{self, Value};

    /// Where the value of `code` stands.
    fn place(text: &str) -> Option<(u32, u32)> {
        let source = Source { path: "w.yaml".into(), text: text.into() };
        let (node, found) = yaml::parse(&source);
        assert_eq!(found, []);
        let node = node.unwrap();
        let value = &node.get("code").unwrap().value;
        let Value::String(code) = &value.value else { panic!("{value:?}") };
        CodePlace::of(code, text, &value.span).map(|place| (place.line, place.indent))
    }

    #[test]
    fn exact_or_not_at_all() {
        for (text, expected) in [
            ("a: 1\ncode: |\n  one\n    two\n", Some((3, 2))),
            ("code: |-\n\n\n    one\n\n    two", Some((2, 4))),
            ("code: |2\n    one\n  two\n", Some((2, 2))),
            ("code: |  # what it does\n  one\n", Some((2, 2))),
            ("code: |\r\n  one\r\n  two\r\n", Some((2, 2))),
            ("code: return 1\n", Some((1, 6))),
            ("é: 1\ncode: 'return 1'", Some((2, 7))),
            ("code: \"return 1\"", Some((1, 7))),
            ("{é: 1, code: 'return 1'}", Some((1, 14))),
            ("code: \"return \\\"a\\\"\"", None),
            ("code: 'return ''a'''", None),
            ("code: >\n  one\n  two\n", None),
            ("code: return\n  1\n", None),
            ("a: &a return 1\ncode: *a", None),
        ] {
            assert_eq!(place(text), expected, "{text:?}");
        }
    }

    #[test]
    fn places_of_the_code_are_moved() {
        assert_eq!(CodePlace { line: 12, indent: 10 }.in_file(1, 1), (12, 11));
        assert_eq!(CodePlace { line: 12, indent: 10 }.in_file(3, 5), (14, 15));
    }
}
