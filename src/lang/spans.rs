//! Where the parts of a workflow stand in its file.

use super::yaml::{Node, Value};
use super::{CodePlace, Span};

/// The positions of a file's keys and values, by path. They are looked up in the tree itself: a table of all paths
/// could be far larger than the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Spans(Node);

impl Spans {
    pub(super) fn new(root: Node) -> Self {
        Self(root)
    }

    /// The value at `path` (`steps`, `2`, `with`, `text`), or what encloses it.
    pub fn value(&self, path: &[&str]) -> Span {
        self.find(path).1
    }

    /// Is there something at `path`?
    pub fn has(&self, path: &[&str]) -> bool {
        self.node(path).is_some()
    }

    /// The last key of `path`; the value where the last step is an index.
    pub fn key(&self, path: &[&str]) -> Span {
        let (key, value) = self.find(path);
        key.unwrap_or(value)
    }

    /// Where the lines of the code at `path` stand in the file, if they are lines of it.
    pub fn code(&self, path: &[&str], source: &str) -> Option<CodePlace> {
        let node = self.node(path)?;
        let Value::String(text) = &node.value else { return None };
        CodePlace::of(text, source, &node.span)
    }

    /// The place of the bytes `word` of the value at `path`, when that is a text: its escapes, folds and indentation
    /// are stepped over by counting how often the word stands before it. Else the whole value.
    pub fn word(&self, path: &[&str], source: &str, word: std::ops::Range<usize>) -> Span {
        let whole = self.value(path);
        let Some(Value::String(text)) = self.node(path).map(|node| &node.value) else { return whole };
        let (Some(needle), Some(before), Some(written)) =
            (text.get(word.clone()), text.get(..word.start), source.get(whole.clone()))
        else {
            return whole;
        };
        if needle.is_empty() {
            return whole;
        }
        // Overlaps matter not: the needle is a name or an expression and both texts are counted alike.
        let nth = before.matches(needle).count();
        match written.match_indices(needle).nth(nth) {
            Some((at, _)) => whole.start + at..whole.start + at + needle.len(),
            None => whole,
        }
    }

    fn node(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(&self.0, |node, part| match &node.value {
            Value::Map(_) => node.get(part).map(|entry| &entry.value),
            Value::List(items) => items.get(part.parse::<usize>().ok()?),
            _ => None,
        })
    }

    fn find(&self, path: &[&str]) -> (Option<Span>, Span) {
        let mut node = &self.0;
        let mut key = None;
        for part in path {
            match &node.value {
                Value::Map(_) => match node.get(part) {
                    Some(entry) => {
                        key = Some(entry.key_span.clone());
                        node = &entry.value;
                    }
                    None => return (key, node.span.clone()),
                },
                Value::List(items) => match part.parse::<usize>().ok().and_then(|index| items.get(index)) {
                    Some(item) => {
                        key = None;
                        node = item;
                    }
                    None => return (key, node.span.clone()),
                },
                _ => return (key, node.span.clone()),
            }
        }
        (key, node.span.clone())
    }
}
