//! YAML text to a tree in which every key and value knows its bytes.
//!
//! YAML 1.2, core schema: `yes` is a text, `0o17` a number. Refused, each with its own message: a second document,
//! duplicate keys, merge keys, keys that are no scalars, tags other than `!!str`, directives, control characters,
//! numbers that JSON cannot hold and numbers whose leading zeros would be lost. Aliases are expanded, within
//! [`limits::YAML_NODES`] and [`limits::YAML_TEXT`].

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_saphyr::granit_parser::{self, ErrorKind, Event, Parser, ScalarStyle, StructureStyle};

use super::diagnostic::{Diagnostic, Diagnostics, Source, Span};
use super::scalar::{self, Scalar};
use crate::base::json::JsonMap;
use crate::base::{Json, limits};

/// One value of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: Value,
    /// The bytes it is written in; for an alias those of the alias.
    pub span: Span,
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    File,
    /// A variable of the environment, which has no quotes to tell a text from a number: what is wanted decides.
    Variable,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping, in the order they are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Node,
}

impl Node {
    /// The value of `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What it is, for messages: `a list`.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The value where no text is wanted: a text of the environment is then what it would be without quotes in a file.
    pub fn unquoted(&self) -> Cow<'_, Value> {
        if let (Origin::Variable, Value::String(text)) = (self.origin, &self.value) {
            match scalar::resolve(text.trim()) {
                Scalar::Bool(flag) => return Cow::Owned(Value::Bool(flag)),
                Scalar::Number(number) => return Cow::Owned(Value::Number(number)),
                Scalar::Null | Scalar::Text | Scalar::Bad(_) => {}
            }
        }
        Cow::Borrowed(&self.value)
    }

    /// The plain value.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(flag) => Json::Bool(*flag),
            Value::Number(number) => Json::Number(number.clone()),
            Value::String(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect::<JsonMap>(),
            ),
        }
    }
}

/// The tree of `source`, with what is wrong with it; None when there is no tree. An empty file is a null.
pub fn parse(source: &Source) -> (Option<Node>, Vec<Diagnostic>) {
    let mut found = Diagnostics::new(source);
    let node = read(&mut found);
    (node, found.finish())
}

/// Like [`parse`], into findings that go on to be collected.
pub fn read(found: &mut Diagnostics<'_>) -> Option<Node> {
    let text = &found.source().text;
    if text.len() > limits::SOURCE_FILE {
        let message = format!("the file is {} bytes, more than the {} allowed", text.len(), limits::SOURCE_FILE);
        found.error("file-too-large", 0..0, message);
        return None;
    }
    if let Some((at, bad)) = text.char_indices().find(|(at, c)| is_bad(*at, *c)) {
        let message = format!("the file holds the control character U+{:04X}", u32::from(bad));
        found.error("yaml-syntax", at..at + bad.len_utf8(), message);
        return None;
    }
    // The parser would count the mark as a character of the first line.
    let offset = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let builder = Builder { found, offset, stack: Vec::new(), anchors: HashMap::new(), nodes: 0, bytes: 0, root: None };
    builder.run(&text[offset..])
}

fn is_bad(at: usize, c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}') || c == '\u{feff}' && at > 0
}

/// A list or mapping that is still open.
struct Open {
    node: Node,
    block: bool,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<Key>,
    seen: HashSet<String>,
    /// Nodes and text bytes before it, so that an anchor knows its own.
    nodes_before: usize,
    bytes_before: usize,
}

struct Key {
    text: String,
    span: Span,
    /// The first of two equal keys counts; the second one is reported and its value left out.
    again: bool,
}

struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
    depth: usize,
}

struct Builder<'f, 's> {
    found: &'f mut Diagnostics<'s>,
    offset: usize,
    stack: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    bytes: usize,
    root: Option<Node>,
}

/// There is no tree; the reason is among the findings.
struct Stop;

impl Builder<'_, '_> {
    fn run(mut self, text: &str) -> Option<Node> {
        let mut options = granit_parser::options! {
            disallow_directives: true,
            emit_unresolved_aliases: true,
            flow_nesting_limit: limits::YAML_DEPTH,
            block_nesting_limit: limits::YAML_DEPTH,
        };
        options.set_emit_comments(false);
        let mut documents = 0;
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let at = error.marker().byte_offset().unwrap_or(text.len()) + self.offset;
                    match error.kind() {
                        ErrorKind::RecursionLimitExceeded => self.too_deep(at..at + 1),
                        _ => {
                            let before = text.get(..at - self.offset).unwrap_or_default();
                            let rest = text.get(at - self.offset..).unwrap_or_default();
                            let diagnostic = self.found.error("yaml-syntax", at..at + 1, lower(&error.info()));
                            // Within `{ }` and `[ ]`, YAML reads the brace of an unquoted `${` as its own.
                            if before.ends_with('$') && rest.starts_with('{') {
                                diagnostic.help("quote it: '${…}'");
                            }
                        }
                    }
                    return None;
                }
            };
            let tag_span = span.tag_span().map(|span| self.span(text, span));
            let span = self.span(text, span);
            if matches!(event, Event::DocumentStart(..)) {
                documents += 1;
                if documents > 1 {
                    self.found
                        .error("yaml-documents", span, "the file holds more than one document")
                        .help("one file is one document; remove the `---` or split the file");
                    return None;
                }
            }
            if self.event(event, span, tag_span).is_err() {
                return None;
            }
        }
        Some(self.root.unwrap_or(Node { value: Value::Null, span: 0..0, origin: Origin::File }))
    }

    fn span(&self, text: &str, span: granit_parser::Span) -> Span {
        let start = span.start.byte_offset().unwrap_or(0).min(text.len());
        let end = span.end.byte_offset().unwrap_or(start).clamp(start, text.len());
        let written = text.get(start..end).map_or(0, |text| text.trim_end().len());
        start + self.offset..start + written + self.offset
    }

    fn event(&mut self, event: Event<'_>, span: Span, tag_span: Option<Span>) -> Result<(), Stop> {
        let tag_span = tag_span.unwrap_or_else(|| span.clone());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted =
                    style != ScalarStyle::Plain || tag.as_ref().is_some_and(|tag| self.is_text_tag(tag, &tag_span));
                if self.is_key() {
                    return self.key(&text, style == ScalarStyle::Plain, span);
                }
                self.spend(1, text.len(), &span)?;
                let value = if quoted { Value::String(text.into_owned()) } else { self.plain(&text, &span) };
                let node = Node { value, span, origin: Origin::File };
                self.remember(anchor, &node, 1, 0);
                self.put(node)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", &tag_span);
                self.open(Value::List(Vec::new()), style, anchor, span)
            }
            Event::MappingStart(style, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", &tag_span);
                self.open(Value::Map(Vec::new()), style, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::UnresolvedAlias(name) => {
                self.found.error("yaml-alias", span.clone(), format!("there is no anchor `&{name}` before this alias"));
                if self.is_key() {
                    return Err(Stop);
                }
                self.put(Node { value: Value::Null, span, origin: Origin::File })
            }
            _ => Ok(()),
        }
    }

    fn is_key(&self) -> bool {
        self.stack.last().is_some_and(|open| matches!(open.node.value, Value::Map(_)) && open.key.is_none())
    }

    fn is_text_tag(&mut self, tag: &granit_parser::Tag, span: &Span) -> bool {
        if tag.is_yaml_core_schema_tag("str") || tag.parts() == ("", "!") || tag.parts() == ("!", "") {
            return true;
        }
        self.refuse_tag(tag, span);
        false
    }

    fn refuse_tag(&mut self, tag: &granit_parser::Tag, span: &Span) {
        let message = format!("the tag `{}` means nothing here", tag.original());
        self.found.error("yaml-tag", span.clone(), message).help("remove it; quotes make a text");
    }

    fn plain(&mut self, text: &str, span: &Span) -> Value {
        match scalar::resolve(text) {
            Scalar::Null => Value::Null,
            Scalar::Bool(flag) => Value::Bool(flag),
            Scalar::Number(number) => Value::Number(number),
            Scalar::Text => Value::String(text.to_string()),
            Scalar::Bad(why) => {
                self.found.error("yaml-number", span.clone(), format!("`{text}` {why}")).help("quotes make it a text");
                Value::String(text.to_string())
            }
        }
    }

    fn key(&mut self, text: &str, plain: bool, span: Span) -> Result<(), Stop> {
        self.spend(0, text.len(), &span)?;
        if plain && text == "<<" {
            self.found
                .error("yaml-merge", span.clone(), "merge keys (`<<`) are not supported")
                .help("write the keys out; an alias may stand for a whole value");
        }
        if plain && text.is_empty() {
            self.found.error("yaml-syntax", span.clone(), "a key is missing before the `:`");
        }
        if let Some(open) = self.stack.last_mut() {
            let again = !open.seen.insert(text.to_string());
            if again {
                let message = format!("the key `{}` is here twice", super::reader::shown(text));
                self.found.error("duplicate-key", span.clone(), message);
            }
            open.key = Some(Key { text: text.to_string(), span, again });
        }
        Ok(())
    }

    fn check_tag(&mut self, tag: Option<&granit_parser::Tag>, allowed: &str, span: &Span) {
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema_tag(allowed)
        {
            self.refuse_tag(tag, span);
        }
    }

    fn open(&mut self, value: Value, style: StructureStyle, anchor: usize, span: Span) -> Result<(), Stop> {
        if self.is_key() {
            self.found
                .error("yaml-key", span, "a key must be a name, not a list or mapping")
                .help("a text that starts with `{{` or `[` needs quotes");
            return Err(Stop);
        }
        if self.stack.len() >= limits::YAML_DEPTH {
            self.too_deep(span);
            return Err(Stop);
        }
        let (nodes_before, bytes_before) = (self.nodes, self.bytes);
        self.spend(1, 0, &span)?;
        self.stack.push(Open {
            node: Node { value, span, origin: Origin::File },
            block: style == StructureStyle::Block,
            anchor,
            key: None,
            seen: HashSet::new(),
            nodes_before,
            bytes_before,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Stop> {
        let Some(Open { mut node, block, anchor, nodes_before, bytes_before, .. }) = self.stack.pop() else {
            return Ok(());
        };
        // The events of a block collection carry no extent of their own.
        let inside = match &node.value {
            Value::List(items) => items.first().zip(items.last()).map(|(a, b)| a.span.start..b.span.end),
            Value::Map(entries) => entries.first().zip(entries.last()).map(|(a, b)| a.key_span.start..b.value.span.end),
            _ => None,
        };
        node.span = match inside {
            Some(inside) if block => node.span.start.min(inside.start)..inside.end.max(inside.start),
            _ => node.span.start..end.end.max(node.span.start),
        };
        let (nodes, bytes) = (self.nodes - nodes_before, self.bytes - bytes_before);
        if anchor != 0 {
            let depth = depth(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, bytes, depth });
        }
        self.put(node)
    }

    fn remember(&mut self, anchor: usize, node: &Node, nodes: usize, depth: usize) {
        if anchor != 0 {
            let bytes = if let Value::String(text) = &node.value { text.len() } else { 0 };
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, bytes, depth });
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            self.found.error("yaml-alias", span, "the alias stands inside its own anchor");
            return Err(Stop);
        };
        if self.is_key() {
            let Value::String(text) = anchored.node.value.clone() else {
                self.found.error("yaml-key", span, "a key must be a name");
                return Err(Stop);
            };
            return self.key(&text, false, span);
        }
        let (nodes, bytes, depth) = (anchored.nodes, anchored.bytes, anchored.depth);
        // Before the copy is made: a bomb must cost nothing.
        self.spend(nodes, bytes, &span)?;
        if self.stack.len() + depth > limits::YAML_DEPTH {
            self.too_deep(span);
            return Err(Stop);
        }
        let mut node = self.anchors[&anchor].node.clone();
        node.span = span;
        self.put(node)
    }

    fn too_deep(&mut self, span: Span) {
        let message = format!("the file is nested deeper than the {} levels allowed", limits::YAML_DEPTH);
        self.found.error("yaml-too-deep", span, message);
    }

    fn spend(&mut self, nodes: usize, bytes: usize, span: &Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.nodes <= limits::YAML_NODES && self.bytes <= limits::YAML_TEXT {
            return Ok(());
        }
        let (nodes, bytes) = (limits::YAML_NODES, limits::YAML_TEXT);
        let message =
            format!("with its aliases expanded the file holds more than {nodes} values or {bytes} bytes of text");
        self.found.error("yaml-too-large", span.clone(), message);
        Err(Stop)
    }

    fn put(&mut self, mut node: Node) -> Result<(), Stop> {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(open) => match (&mut open.node.value, open.key.take()) {
                (Value::List(items), _) => items.push(node),
                (Value::Map(entries), Some(key)) => {
                    // `key:` with nothing after it: the key is the place to point at.
                    if node.is_null() && node.span.is_empty() {
                        node.span = key.span.clone();
                    }
                    if !key.again {
                        entries.push(Entry { key: key.text, key_span: key.span, value: node });
                    }
                }
                _ => {}
            },
        }
        Ok(())
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.value)).max().unwrap_or(0),
        _ => 0,
    }
}

/// Our messages are lowercase fragments.
fn lower(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let mut chars = first.chars();
    match chars.next() {
        Some(c) => c.to_lowercase().chain(chars).collect(),
        None => "this is no YAML".to_string(),
    }
}
