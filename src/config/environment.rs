//! What the environment says: `MOLTRUN_*` over the file, `${NAME}` and `${file:…}` within it.

use std::collections::BTreeMap;
use std::path::Path;

use super::Need;
use crate::base::limits;
use crate::lang::Span;
use crate::lang::diagnostic::{Diagnostics, Source};
use crate::lang::file::read_bounded;
use crate::lang::yaml::{self, Entry, Node, Origin, Value};

/// Variables by name. Taken once, so that tests need not touch the process's own.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

const PREFIX: &str = "MOLTRUN_";

/// Keys of the top level that are no mappings, so that their variable has no `__`. Other variables without one
/// (`MOLTRUN_TOKEN`) are the user's own, for `${MOLTRUN_TOKEN}`.
const PLAIN_KEYS: [&str; 3] = ["workflows", "plugins", "database"];

impl Environment {
    /// The process's own. Variables that are not UTF-8 cannot be meant.
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(variables.into_iter().collect())
    }

    fn overrides(&self) -> impl Iterator<Item = (&str, Vec<String>, &str)> {
        self.0.iter().filter_map(|(name, value)| {
            let path: Vec<_> = name.strip_prefix(PREFIX)?.split("__").map(str::to_ascii_lowercase).collect();
            let meant = path.len() > 1 || PLAIN_KEYS.contains(&path[0].as_str());
            meant.then_some((name.as_str(), path, value.as_str()))
        })
    }

    /// The file's text and a line for each variable that stands over it, so that a finding has a place to point at. The
    /// values are not in it: they may be secrets.
    pub fn appended(&self, mut text: String) -> String {
        for (name, _, _) in self.overrides() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&format!("# {name} is set in the environment\n"));
        }
        text
    }

    /// Puts the variables over the tree.
    pub fn overlay(&self, tree: &mut Node, found: &Diagnostics<'_>) {
        for (name, path, value) in self.overrides() {
            let marker = format!("# {name} is set");
            let at = found.source().text.rfind(&marker).map_or(0, |at| at + 2);
            let span = at..at + name.len();
            put(tree, &path, respan(parse(name, value), &span), &span);
        }
    }

    /// Replaces `${NAME}` and `${file:PATH}` in every text of the file. What a variable stands over the file with is
    /// its last word: a secret may hold a `${`.
    pub fn expand(&self, tree: &mut Node, need: Need, found: &mut Diagnostics<'_>) {
        if tree.origin == Origin::Variable {
            return;
        }
        match &mut tree.value {
            Value::String(text) if text.contains("${") => match self.expanded(text) {
                Ok(expanded) => *text = expanded,
                Err(_) if need == Need::Shape => tree.value = Value::Null,
                Err(Missing { what, help }) => {
                    found.error("missing-value", tree.span.clone(), what).help(help);
                    tree.value = Value::Null;
                }
            },
            Value::List(items) => items.iter_mut().for_each(|item| self.expand(item, need, found)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.expand(&mut entry.value, need, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn expanded(&self, text: &str) -> Result<String, Missing> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            out.push_str(&rest[..start]);
            let Some(length) = rest[start..].find('}') else {
                return Err(Missing::new("`${` without its `}`".to_string(), "write ${NAME} or ${file:/path}"));
            };
            out.push_str(&self.value(&rest[start + 2..start + length])?);
            rest = &rest[start + length + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, name: &str) -> Result<String, Missing> {
        if let Some(path) = name.strip_prefix("file:") {
            let bytes = read_bounded(Path::new(path), limits::SOURCE_FILE).map_err(|error| {
                Missing::new(format!("the file {path} cannot be read: {error}"), "create it, or correct the path")
            })?;
            let text = String::from_utf8(bytes).map_err(|_| {
                Missing::new(format!("the file {path} is not UTF-8"), "a value is text; name a file that holds one")
            })?;
            // Files of secrets end with a line end that is no part of the secret.
            return Ok(text.trim_end_matches(['\r', '\n']).to_string());
        }
        self.0.get(name).cloned().ok_or_else(|| {
            Missing::new(
                format!("the environment variable {name} is not set"),
                "set it, or write the value another way",
            )
        })
    }
}

struct Missing {
    what: String,
    help: &'static str,
}

impl Missing {
    fn new(what: String, help: &'static str) -> Self {
        Self { what, help }
    }
}

/// The value of a variable: a list or mapping where it is written like one (`[…]`, `{…}`) and can be read as YAML, nothing
/// where it is empty, else the text as it is.
fn parse(name: &str, value: &str) -> Node {
    let collection = || {
        let source = Source { path: name.to_string(), text: value.to_string() };
        let (node, found) = yaml::parse(&source);
        node.filter(|_| value.trim_start().starts_with(['[', '{']) && found.is_empty())
    };
    let value = match value {
        "" => Value::Null,
        text => collection().map_or_else(|| Value::String(text.to_string()), |node| node.value),
    };
    Node { value, span: 0..0, origin: Origin::Variable }
}

/// The same value, at the place of its variable.
fn respan(node: Node, span: &Span) -> Node {
    let value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(|item| respan(item, span)).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|entry| Entry { key: entry.key, key_span: span.clone(), value: respan(entry.value, span) })
                .collect(),
        ),
        plain => plain,
    };
    Node { value, span: span.clone(), origin: node.origin }
}

fn put(tree: &mut Node, path: &[String], value: Node, span: &Span) {
    let Some((key, rest)) = path.split_first() else {
        *tree = value;
        return;
    };
    if !matches!(tree.value, Value::Map(_)) {
        tree.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut tree.value else { return };
    let index = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
        let empty = Node { value: Value::Null, span: span.clone(), origin: Origin::File };
        entries.push(Entry { key: key.clone(), key_span: span.clone(), value: empty });
        entries.len() - 1
    });
    put(&mut entries[index].value, rest, value, span);
}
