//! The whole of one workflow file.

use std::collections::BTreeMap;
use std::path::Path;

use super::diagnostic::Diagnostics;
use super::reader::{self, Fields};
use super::workflow::{Concurrency, InputDef, InputKind, Overflow, Workflow};
use super::yaml::{self, Entry, Node, Value};
use super::{Spans, is_workflow_name, steps, triggers};
use crate::base::json::JsonMap;
use crate::base::{Json, limits};

/// A workflow as far as it could be read, and where its parts stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    pub workflow: Workflow,
    pub spans: Spans,
}

/// Reads the file of `found`. What is wrong is among the findings, and the workflow holds what is good: a step that
/// could not be read keeps its place, with an empty `uses`. None when there is no mapping at all. `folder` is the
/// file's; `vars` are those of `moltrun.yaml`, under the workflow's own.
pub fn parse(folder: &Path, vars: &JsonMap, found: &mut Diagnostics<'_>) -> Option<Parsed> {
    let root = yaml::read(found)?;
    if root.is_null() {
        found.error("no-steps", 0..0, "the file is empty").help("a workflow has `steps:`");
        return None;
    }
    let mut fields = Fields::open(&root, "the workflow", found)?;
    let name = read_name(&mut fields, found);
    let description = fields.optional("description").and_then(|entry| reader::text(&entry.value, found));
    let enabled = fields.optional("enabled").and_then(|entry| reader::boolean(&entry.value, found)).unwrap_or(true);
    let triggers = fields.optional("triggers").map(|entry| triggers::read(&entry.value, found)).unwrap_or_default();
    let mut all_vars = vars.clone();
    if let Some(entry) = fields.optional("vars") {
        all_vars.extend(reader::constants(&entry.value, "a variable", found));
    }
    let inputs = fields.optional("inputs").map(|entry| read_inputs(&entry.value, found)).unwrap_or_default();
    let concurrency = fields.optional("concurrency").and_then(|entry| read_concurrency(&entry.value, found));
    let timeout_ms = fields.optional("timeout").and_then(|entry| reader::positive_ms(&entry.value, "a timeout", found));
    let on_failure =
        fields.optional("on_failure").and_then(|entry| reader::name(&entry.value, is_workflow_name, NAME_FORM, found));
    let retention_ms =
        fields.optional("retention").and_then(|entry| reader::positive_ms(&entry.value, "a retention", found));
    let output = fields.optional("output").and_then(|entry| read_output(&entry.value, found));
    let defaults = fields.optional("defaults").map(|entry| steps::defaults(&entry.value, found)).unwrap_or_default();
    let list = fields.present("steps");
    let steps = list.map(|entry| steps::read(&entry.value, &defaults, found)).unwrap_or_default();
    if list.is_none() {
        found.error("no-steps", root_place(&root), "the workflow has no `steps`");
    }
    fields.finish(found);
    let workflow = Workflow {
        name,
        description,
        enabled,
        folder: folder.to_path_buf(),
        triggers,
        vars: all_vars,
        inputs,
        concurrency,
        timeout_ms,
        on_failure,
        retention_ms,
        steps,
        output,
        code: BTreeMap::new(),
    };
    Some(Parsed { workflow, spans: Spans::new(root) })
}

/// Where to point for what the whole file lacks: its first key.
fn root_place(root: &Node) -> super::Span {
    match &root.value {
        Value::Map(entries) => entries.first().map_or(0..0, |entry| entry.key_span.clone()),
        _ => root.span.clone(),
    }
}

const NAME_FORM: &str = "name of a workflow; write a-z, 0-9, - and _, a letter or digit first";

/// `name:`, or else the file's stem.
fn read_name(fields: &mut Fields<'_>, found: &mut Diagnostics<'_>) -> String {
    let path = found.source().path.clone();
    let stem = Path::new(&path).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    match fields.optional("name") {
        Some(entry) => reader::name(&entry.value, is_workflow_name, NAME_FORM, found).unwrap_or(stem),
        None => {
            if !is_workflow_name(&stem) {
                found
                    .error("bad-name", 0..0, format!("the file's name `{}` is no {NAME_FORM}", reader::shown(&stem)))
                    .help("rename the file, or give the workflow a `name:`");
            }
            stem
        }
    }
}

fn read_concurrency(node: &Node, found: &mut Diagnostics<'_>) -> Option<Concurrency> {
    let mut fields = Fields::open(node, "`concurrency`", found)?;
    let key = fields.required("key", found).and_then(|entry| reader::text(&entry.value, found));
    let limit = fields
        .optional("limit")
        .and_then(|entry| reader::integer(&entry.value, 1, u64::from(limits::CONCURRENCY_LIMIT), found));
    let overflow = fields.optional("overflow").and_then(|entry| {
        let words = [("queue", Overflow::Queue), ("skip", Overflow::Skip), ("cancel_running", Overflow::CancelRunning)];
        reader::word(&entry.value, &words, found)
    });
    fields.finish(found);
    let limit = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(1);
    Some(Concurrency { key: key?, limit, overflow: overflow.unwrap_or_default() })
}

/// `output: { name: value }`.
fn read_output(node: &Node, found: &mut Diagnostics<'_>) -> Option<Json> {
    reader::entries(node, found)?;
    Some(node.to_json())
}

/// `inputs: { name: { type, default, description } }`, or `name: type`.
fn read_inputs(node: &Node, found: &mut Diagnostics<'_>) -> Vec<InputDef> {
    let entries = reader::entries(node, found).unwrap_or_default();
    entries.iter().filter_map(|entry| read_input(entry, found)).collect()
}

fn read_input(entry: &Entry, found: &mut Diagnostics<'_>) -> Option<InputDef> {
    let good = reader::identifier_key(entry, "an input", found);
    if matches!(entry.value.value, Value::String(_)) {
        let kind = reader::word(&entry.value, &InputKind::WORDS, found)?;
        return good.then(|| InputDef { name: entry.key.clone(), kind, default: None, description: None });
    }
    let mut fields = Fields::open(&entry.value, format!("the input `{}`", reader::shown(&entry.key)), found)?;
    let kind = match fields.optional("type") {
        Some(kind) => reader::word(&kind.value, &InputKind::WORDS, found),
        None => Some(InputKind::String),
    };
    let default = fields.optional("default").map(|entry| (entry.value.to_json(), entry.value.span.clone()));
    let description = fields.optional("description").and_then(|entry| reader::text(&entry.value, found));
    fields.finish(found);
    let kind = kind?;
    if let Some((value, span)) = &default
        && !kind.fits(value)
    {
        found.error("wrong-type", span.clone(), format!("the default is no {}", kind.as_str()));
    }
    let default = default.map(|(value, _)| value);
    good.then(|| InputDef { name: entry.key.clone(), kind, default, description })
}
