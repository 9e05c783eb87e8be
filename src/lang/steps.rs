//! `steps:` and `defaults:`

use super::diagnostic::Diagnostics;
use super::reader::{self, Fields};
use super::workflow::{ForEach, Join, Need, OnItemError, OnUnknown, Retry, StepDef};
use super::yaml::{Node, Value};
use super::{is_identifier, workflow};
use crate::base::json::JsonMap;
use crate::base::limits;

/// What steps inherit.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    retry: Option<Retry>,
    timeout_ms: Option<u64>,
}

pub(super) fn defaults(node: &Node, found: &mut Diagnostics<'_>) -> Defaults {
    let Some(mut fields) = Fields::open(node, "`defaults`", found) else { return Defaults::default() };
    let retry = fields.optional("retry").and_then(|entry| retry(&entry.value, None, found));
    let timeout_ms = fields.optional("timeout").and_then(|entry| timeout_ms(&entry.value, found));
    fields.finish(found);
    Defaults { retry, timeout_ms }
}

/// The steps of the list, each in its place.
pub(super) fn read(node: &Node, defaults: &Defaults, found: &mut Diagnostics<'_>) -> Vec<StepDef> {
    let Some(items) = reader::list(node, found) else { return Vec::new() };
    if items.is_empty() {
        found.error("no-steps", node.span.clone(), "the workflow has no steps");
    }
    if items.len() > limits::WORKFLOW_STEPS {
        let message =
            format!("the workflow has {} steps, more than the {} allowed", items.len(), limits::WORKFLOW_STEPS);
        found.error("too-many-steps", items[limits::WORKFLOW_STEPS].span.clone(), message);
    }
    let items = items.iter().take(limits::WORKFLOW_STEPS);
    items.map(|item| step(item, defaults, found).unwrap_or_else(unreadable)).collect()
}

/// Keeps the place of a step that could not be read. Its empty `id` and `uses` say so to the checker.
fn unreadable() -> StepDef {
    StepDef {
        id: String::new(),
        name: None,
        uses: String::new(),
        with: JsonMap::new(),
        condition: None,
        needs: None,
        join: Join::default(),
        for_each: None,
        retry: None,
        timeout_ms: None,
        on_unknown: OnUnknown::default(),
    }
}

fn step(node: &Node, defaults: &Defaults, found: &mut Diagnostics<'_>) -> Option<StepDef> {
    let mut fields = Fields::open(node, "a step", found)?;
    let id = fields
        .required("id", found)
        .and_then(|entry| reader::name(&entry.value, is_identifier, "id; write a-z, 0-9 and _, a letter first", found));
    let name = fields.optional("name").and_then(|entry| reader::text(&entry.value, found));
    let uses = fields.required("uses", found).and_then(|entry| reader::text(&entry.value, found));
    let with = fields.optional("with").and_then(|entry| with(&entry.value, found)).unwrap_or_default();
    let condition = fields.optional("if").and_then(|entry| reader::expression(&entry.value, found));
    let needs = fields.optional("needs").and_then(|entry| needs(&entry.value, found));
    let join = fields
        .optional("join")
        .and_then(|entry| reader::word(&entry.value, &[("all", Join::All), ("any", Join::Any)], found));
    let for_each = fields.optional("for_each").and_then(|entry| for_each(&entry.value, found));
    let retry = match fields.optional("retry") {
        Some(entry) => retry(&entry.value, defaults.retry.as_ref(), found),
        None => defaults.retry.clone(),
    };
    let timeout_ms =
        fields.optional("timeout").and_then(|entry| timeout_ms(&entry.value, found)).or(defaults.timeout_ms);
    let on_unknown = fields.optional("on_unknown").and_then(|entry| {
        let words = [("hold", OnUnknown::Hold), ("resend", OnUnknown::Resend), ("skip", OnUnknown::Skip)];
        reader::word(&entry.value, &words, found)
    });
    fields.finish(found);
    Some(StepDef {
        id: id.unwrap_or_default(),
        name,
        uses: uses.unwrap_or_default(),
        with,
        condition,
        needs,
        join: join.unwrap_or_default(),
        for_each,
        retry,
        timeout_ms,
        on_unknown: on_unknown.unwrap_or_default(),
    })
}

fn with(node: &Node, found: &mut Diagnostics<'_>) -> Option<JsonMap> {
    let entries = reader::entries(node, found)?;
    Some(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
}

/// `needs: [a, b.port]`, or one of them without brackets. An entry that is none keeps its place, empty.
fn needs(node: &Node, found: &mut Diagnostics<'_>) -> Option<Vec<Need>> {
    if let Value::String(_) = node.value {
        return Some(vec![need(node, found)]);
    }
    let items = reader::list(node, found)?;
    Some(items.iter().map(|item| need(item, found)).collect())
}

fn need(node: &Node, found: &mut Diagnostics<'_>) -> Need {
    let none = Need { step: String::new(), port: "ok".to_string() };
    let Some(text) = reader::text(node, found) else { return none };
    let (step, port) = text.split_once('.').unwrap_or((&text, "ok"));
    if !is_identifier(step) || !is_identifier(port) {
        found
            .error("bad-name", node.span.clone(), format!("`{}` is no step and no port", reader::shown(&text)))
            .help("write the id of a step, or `id.port`");
        return none;
    }
    Need { step: step.to_string(), port: port.to_string() }
}

fn for_each(node: &Node, found: &mut Diagnostics<'_>) -> Option<ForEach> {
    let mut fields = Fields::open(node, "`for_each`", found)?;
    let items = fields.required("in", found).and_then(|entry| reader::expression(&entry.value, found));
    let name = match fields.optional("as") {
        Some(entry) => reader::name(&entry.value, is_identifier, "name; write a-z, 0-9 and _, a letter first", found),
        None => Some("item".to_string()),
    };
    let concurrency = fields
        .optional("concurrency")
        .and_then(|entry| reader::integer(&entry.value, 1, u64::from(limits::FOR_EACH_CONCURRENCY), found));
    let on_item_error = fields.optional("on_item_error").and_then(|entry| {
        reader::word(&entry.value, &[("continue", OnItemError::Continue), ("stop", OnItemError::Stop)], found)
    });
    let collect = fields.optional("collect").and_then(|entry| reader::expression(&entry.value, found));
    fields.finish(found);
    Some(ForEach {
        items: items.unwrap_or_else(|| "[]".to_string()),
        name: name.unwrap_or_else(|| "item".to_string()),
        concurrency: concurrency.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        on_item_error: on_item_error.unwrap_or_default(),
        collect,
    })
}

/// A `retry` mapping over `base`, key by key.
fn retry(node: &Node, base: Option<&workflow::Retry>, found: &mut Diagnostics<'_>) -> Option<Retry> {
    let mut retry = base.cloned().unwrap_or_default();
    let mut fields = Fields::open(node, "`retry`", found)?;
    if let Some(attempts) = fields
        .optional("attempts")
        .and_then(|entry| reader::integer(&entry.value, 1, u64::from(limits::RETRY_ATTEMPTS), found))
    {
        retry.attempts = u32::try_from(attempts).unwrap_or(1);
    }
    if let Some(ms) = fields.optional("initial").and_then(|entry| reader::duration_ms(&entry.value, found)) {
        retry.initial_ms = ms;
    }
    // Arbitrary, well above what any pause grows by.
    if let Some(factor) = fields.optional("factor").and_then(|entry| reader::number(&entry.value, 1.0, 100.0, found)) {
        retry.factor = factor;
    }
    if let Some(ms) = fields.optional("max").and_then(|entry| reader::duration_ms(&entry.value, found)) {
        retry.max_ms = ms;
    }
    if let Some(jitter) = fields.optional("jitter").and_then(|entry| reader::boolean(&entry.value, found)) {
        retry.jitter = jitter;
    }
    fields.finish(found);
    Some(retry)
}

fn timeout_ms(node: &Node, found: &mut Diagnostics<'_>) -> Option<u64> {
    let ms = reader::duration_ms(node, found)?;
    if ms == 0 {
        found.error("out-of-range", node.span.clone(), "a timeout of nothing leaves no time to act");
        return None;
    }
    Some(ms)
}
