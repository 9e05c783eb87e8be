//! A text cut at `{{ … }}` and `{% … %}`.

use std::ops::Range;

use super::SyntaxError;
use super::tokens::{self, Kind};

/// One piece of a text, by its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(Range<usize>),
    /// What is between `{{` and `}}`.
    Expression(Range<usize>),
    /// What is between `{%` and `%}`.
    Tag(Range<usize>),
}

/// Cuts `text`. Blanks are trimmed where `{{-` or `-}}` asks for it. Comments vanish.
pub(super) fn cut(text: &str) -> Result<Vec<Segment>, SyntaxError> {
    let mut segments = Vec::new();
    let mut at = 0;
    while let Some(open) = find_open(text, at) {
        let mut literal = at..open;
        let kind = text.as_bytes()[open + 1];
        if text[open + 2..].starts_with('-') {
            literal.end = at + text[literal.clone()].trim_end().len();
        }
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal));
        }
        let signed = usize::from(text[open + 2..].starts_with(['-', '+']));
        let inner = open + 2 + signed;
        let (close, end) = match kind {
            b'#' => {
                let close = text[inner..].find("#}").ok_or_else(|| unclosed("{#", "#}", open))?;
                (inner + close, inner + close + 2)
            }
            b'%' => find_close(text, inner, b'%').ok_or_else(|| unclosed("{%", "%}", open))?,
            _ => find_close(text, inner, b'}').ok_or_else(|| unclosed("{{", "}}", open))?,
        };
        let trims =
            text[..end - 2].ends_with('-') && close < end - 2 || kind == b'#' && text[inner..close].ends_with('-');
        match kind {
            b'%' => segments.push(Segment::Tag(inner..close)),
            b'{' => segments.push(Segment::Expression(inner..close)),
            _ => {}
        }
        at = end;
        if kind == b'%' && text[inner..close].trim() == "raw" {
            let (body, after) = raw_body(text, at).ok_or_else(|| unclosed("{% raw %}", "{% endraw %}", open))?;
            segments.push(Segment::Literal(body));
            segments.push(Segment::Tag(after.clone()));
            at = after.end + text[after.end..].find("%}").map_or(0, |offset| offset + 2);
        } else if trims {
            at += text[at..].len() - text[at..].trim_start().len();
        }
    }
    if at < text.len() {
        segments.push(Segment::Literal(at..text.len()));
    }
    Ok(segments)
}

fn find_open(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (from..bytes.len().saturating_sub(1)).find(|&at| bytes[at] == b'{' && matches!(bytes[at + 1], b'{' | b'%' | b'#'))
}

/// Where the inside of an expression or tag ends, and where the text goes on. Strings and brackets are stepped over.
fn find_close(text: &str, from: usize, mark: u8) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = from;
    while let Some(token) = tokens::next(text, at) {
        at = token.span.end;
        if token.kind != Kind::Mark {
            continue;
        }
        let start = token.span.start;
        let ends = |at: usize| bytes.get(at) == Some(&mark) && bytes.get(at + 1) == Some(&b'}');
        match bytes[start] {
            _ if depth == 0 && ends(start) => return Some((start, start + 2)),
            b'-' | b'+' if depth == 0 && ends(start + 1) => return Some((start, start + 3)),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// The literal inside `{% raw %}` and the inside of its `{% endraw %}`.
fn raw_body(text: &str, from: usize) -> Option<(Range<usize>, Range<usize>)> {
    let mut at = from;
    loop {
        let open = at + text[at..].find("{%")?;
        let inner = open + 2;
        let close = inner + text[inner..].find("%}")?;
        if text[inner..close].trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+') == "endraw" {
            return Some((from..open, inner..close));
        }
        at = inner;
    }
}

fn unclosed(open: &str, close: &str, at: usize) -> SyntaxError {
    SyntaxError::new(format!("`{open}` has no `{close}`"), at..at + 2)
}
