//! Reading mappings strictly: every key is asked for or reported, with the nearest known one.
//!
//! A reader returns `None` for what is absent or wrong; what is wrong is among the findings, so callers go on with what
//! is good. A key with nothing after its `:` counts as absent.
//!
//! ```text
//! let mut fields = Fields::open(node, "`server`", &mut found)?;
//! let listen = fields.optional("listen").and_then(|entry| reader::text(&entry.value, &mut found));
//! let token = fields.required("token", &mut found).and_then(|entry| reader::text(&entry.value, &mut found));
//! fields.finish(&mut found);
//! ```

use super::diagnostic::Diagnostics;
use super::yaml::{Entry, Node, Value};
use crate::base::Json;
use crate::base::duration;

/// A mapping whose keys are being asked for.
#[derive(Debug)]
pub struct Fields<'n> {
    /// What the mapping is, for messages: `` `retry` ``, `the workflow`.
    what: String,
    node: &'n Node,
    entries: &'n [Entry],
    asked: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// `node` as a mapping. Nothing at all is an empty one.
    pub fn open(node: &'n Node, what: impl Into<String>, found: &mut Diagnostics<'_>) -> Option<Self> {
        let what = what.into();
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                found.error("wrong-type", node.span.clone(), format!("{what} is a mapping, not {}", node.kind()));
                return None;
            }
        };
        Some(Self { what, node, entries, asked: Vec::new() })
    }

    /// The entry of `key`, if it is there and not empty.
    pub fn optional(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.asked.push(key);
        self.entries.iter().find(|entry| entry.key == key && !entry.value.is_null())
    }

    /// The entry of `key`, even with nothing after it.
    pub fn present(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.asked.push(key);
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The entry of `key`; its absence is an error.
    pub fn required(&mut self, key: &'static str, found: &mut Diagnostics<'_>) -> Option<&'n Entry> {
        let entry = self.optional(key);
        if entry.is_none() {
            let empty = self.entries.iter().find(|entry| entry.key == key);
            let span = empty.map_or_else(|| self.place(), |entry| entry.key_span.clone());
            found.error("missing-key", span, format!("{} needs `{key}`", self.what));
        }
        entry
    }

    /// Where to say that something is missing: the first key, which names the mapping better than all of it.
    fn place(&self) -> super::Span {
        self.entries.first().map_or_else(|| self.node.span.clone(), |entry| entry.key_span.clone())
    }

    /// Reports `key` as one that means nothing here, if it is there.
    pub fn misplaced(&mut self, key: &'static str, why: &str, help: &str, found: &mut Diagnostics<'_>) {
        self.asked.push(key);
        if let Some(entry) = self.entries.iter().find(|entry| entry.key == key) {
            found.error("misplaced-key", entry.key_span.clone(), format!("`{key}` {why}")).help(help);
        }
    }

    /// Reports every key that was not asked for.
    pub fn finish(self, found: &mut Diagnostics<'_>) {
        for entry in self.entries {
            if !self.asked.contains(&entry.key.as_str()) {
                found
                    .error("unknown-key", entry.key_span.clone(), format!("{} has no key `{}`", self.what, entry.key))
                    .known(&entry.key, "keys", self.asked.iter().copied());
            }
        }
    }
}

fn wrong(node: &Node, expected: &str, found: &mut Diagnostics<'_>) {
    let message = format!("expected {expected}, found {}", node.kind());
    let diagnostic = found.error("wrong-type", node.span.clone(), message);
    match (&node.value, expected) {
        (Value::Bool(_) | Value::Number(_), "text") => diagnostic.help("quotes make it a text"),
        (Value::Number(number), DURATION) if number.is_u64() => diagnostic.help(format!("write {number}s")),
        (Value::Map(_), "a list") => diagnostic.help("begin each item with `- `, on a line of its own"),
        _ => {}
    }
}

/// What a duration is, for messages.
const DURATION: &str = "a duration such as 30s";

/// A text.
pub fn text(node: &Node, found: &mut Diagnostics<'_>) -> Option<String> {
    match &node.value {
        Value::String(text) => Some(text.clone()),
        _ => {
            wrong(node, "text", found);
            None
        }
    }
}

/// A text that `is` accepts; `form` says what it must look like.
pub fn name(node: &Node, is: fn(&str) -> bool, form: &str, found: &mut Diagnostics<'_>) -> Option<String> {
    let text = text(node, found)?;
    if !is(&text) {
        found.error("bad-name", node.span.clone(), format!("`{}` is no {form}", shown(&text)));
        return None;
    }
    Some(text)
}

/// A bare expression: a text, or a constant that is written like one.
pub fn expression(node: &Node, found: &mut Diagnostics<'_>) -> Option<String> {
    match &node.value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => {
            wrong(node, "an expression", found);
            None
        }
    }
}

pub fn boolean(node: &Node, found: &mut Diagnostics<'_>) -> Option<bool> {
    match *node.unquoted() {
        Value::Bool(flag) => Some(flag),
        _ => {
            wrong(node, "true or false", found);
            None
        }
    }
}

/// A whole number from `min` to `max`, both included.
pub fn integer(node: &Node, min: u64, max: u64, found: &mut Diagnostics<'_>) -> Option<u64> {
    if let Value::Number(number) = node.unquoted().as_ref() {
        if let Some(number) = number.as_u64().filter(|number| (min..=max).contains(number)) {
            return Some(number);
        }
        found.error("out-of-range", node.span.clone(), format!("`{number}` is no whole number from {min} to {max}"));
        return None;
    }
    wrong(node, "a whole number", found);
    None
}

/// A number from `min` to `max`, both included.
pub fn number(node: &Node, min: f64, max: f64, found: &mut Diagnostics<'_>) -> Option<f64> {
    if let Value::Number(number) = node.unquoted().as_ref() {
        if let Some(number) = number.as_f64().filter(|number| (min..=max).contains(number)) {
            return Some(number);
        }
        found.error("out-of-range", node.span.clone(), format!("`{number}` is no number from {min} to {max}"));
        return None;
    }
    wrong(node, "a number", found);
    None
}

/// A duration such as `30s`, in milliseconds.
pub fn duration_ms(node: &Node, found: &mut Diagnostics<'_>) -> Option<u64> {
    if let Value::String(text) = &node.value {
        return match duration::parse_ms(text) {
            Ok(ms) => Some(ms),
            Err(error) => {
                found.error("bad-duration", node.span.clone(), error.to_string());
                None
            }
        };
    }
    wrong(node, DURATION, found);
    None
}

/// A duration that is longer than nothing, in milliseconds. `what` names it: `a timeout`.
pub fn positive_ms(node: &Node, what: &str, found: &mut Diagnostics<'_>) -> Option<u64> {
    let ms = duration_ms(node, found)?;
    if ms == 0 {
        found.error("out-of-range", node.span.clone(), format!("{what} of nothing leaves no time"));
        return None;
    }
    Some(ms)
}

/// One of `words`, as the value beside it.
pub fn word<T: Copy>(node: &Node, words: &[(&'static str, T)], found: &mut Diagnostics<'_>) -> Option<T> {
    let text = text(node, found)?;
    let known = words.iter().find(|(word, _)| *word == text);
    if known.is_none() {
        found.error("bad-value", node.span.clone(), format!("`{}` is none of its values", shown(&text))).known(
            &text,
            "values",
            words.iter().map(|(word, _)| *word),
        );
    }
    known.map(|(_, value)| *value)
}

/// The items of a list.
pub fn list<'n>(node: &'n Node, found: &mut Diagnostics<'_>) -> Option<&'n [Node]> {
    match &node.value {
        Value::List(items) => Some(items),
        Value::Null => Some(&[]),
        _ => {
            wrong(node, "a list", found);
            None
        }
    }
}

/// The entries of a mapping whose keys are free.
pub fn entries<'n>(node: &'n Node, found: &mut Diagnostics<'_>) -> Option<&'n [Entry]> {
    match &node.value {
        Value::Map(entries) => Some(entries),
        Value::Null => Some(&[]),
        _ => {
            wrong(node, "a mapping", found);
            None
        }
    }
}

/// A mapping of identifiers to any values; keys that are none are reported and left out.
pub fn constants(node: &Node, what: &str, found: &mut Diagnostics<'_>) -> Vec<(String, Json)> {
    let mut constants = Vec::new();
    for entry in entries(node, found).unwrap_or_default() {
        if identifier_key(entry, what, found) {
            constants.push((entry.key.clone(), entry.value.to_json()));
        }
    }
    constants
}

/// Is the key an identifier? If not, it is reported as no `what`.
pub fn identifier_key(entry: &Entry, what: &str, found: &mut Diagnostics<'_>) -> bool {
    let good = super::is_identifier(&entry.key);
    if !good {
        let message = format!("`{}` is no name of {what}; write a-z, 0-9 and _, a letter first", shown(&entry.key));
        found.error("bad-name", entry.key_span.clone(), message);
    }
    good
}

/// Enough of a text to recognise it in a message.
pub fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(80).is_some() {
        short.push('…');
    }
    short
}
