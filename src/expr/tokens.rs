//! The words of an expression, just fine enough to find names: identifiers, strings, numbers, operators.

use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identifier or keyword.
    Word,
    /// A string literal.
    Text,
    Number,
    /// One character of punctuation, `==`, or something that MiniJinja will refuse.
    Mark,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    /// Bytes of the source.
    pub span: Range<usize>,
}

impl Token {
    pub fn text<'a>(&self, source: &'a str) -> &'a str {
        source.get(self.span.clone()).unwrap_or_default()
    }
}

/// The token that starts at or after byte `from`, skipping blanks; None at the end.
pub(super) fn next(source: &str, from: usize) -> Option<Token> {
    let bytes = source.as_bytes();
    let mut start = from;
    while bytes.get(start).is_some_and(u8::is_ascii_whitespace) {
        start += 1;
    }
    let first = *bytes.get(start)?;
    let run = |mut end: usize, more: fn(u8) -> bool| {
        while bytes.get(end).is_some_and(|&b| more(b)) {
            end += 1;
        }
        end
    };
    let (kind, end) = match first {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => (Kind::Word, run(start, |b| b.is_ascii_alphanumeric() || b == b'_')),
        b'0'..=b'9' => (Kind::Number, number_end(bytes, start)),
        b'"' | b'\'' => (Kind::Text, text_end(bytes, start, first)),
        b'=' | b'!' | b'<' | b'>' if bytes.get(start + 1) == Some(&b'=') => (Kind::Mark, start + 2),
        _ => {
            let width = source.get(start..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
            (Kind::Mark, start + width)
        }
    };
    Some(Token { kind, span: start..end })
}

/// All tokens of `source`.
pub(super) fn all(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(token) = next(source, at) {
        at = token.span.end;
        tokens.push(token);
    }
    tokens
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let mut end = start;
    let mut dot = false;
    while let Some(&byte) = bytes.get(end) {
        let part = match byte {
            // Digits, `_`, and the letters of `0x1f` and `1e5`.
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
            b'.' if !dot && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) => {
                dot = true;
                true
            }
            b'+' | b'-' => matches!(bytes.get(end - 1), Some(b'e' | b'E')) && !bytes[start..].starts_with(b"0x"),
            _ => false,
        };
        if !part {
            break;
        }
        end += 1;
    }
    end
}

/// Past the closing quote, or the end of an unclosed string.
fn text_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut end = start + 1;
    while let Some(&byte) = bytes.get(end) {
        match byte {
            b'\\' => end += 2,
            _ if byte == quote => return end + 1,
            _ => end += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_strings_numbers_and_marks() {
        let source = r#"a.b|join("}} \" x") == 1.5e-3 and 'ü'[0] ~ é"#;
        let words: Vec<_> = all(source).iter().map(|t| t.text(source)).collect();
        assert_eq!(
            words,
            [
                "a",
                ".",
                "b",
                "|",
                "join",
                "(",
                r#""}} \" x""#,
                ")",
                "==",
                "1.5e-3",
                "and",
                "'ü'",
                "[",
                "0",
                "]",
                "~",
                "é"
            ]
        );
    }

    #[test]
    fn an_unclosed_string_ends_at_the_end() {
        for source in ["'", "\"abc\\", "'é\\"] {
            assert_eq!(all(source).last().map(|t| t.span.end), Some(source.len()), "{source}");
        }
    }
}
