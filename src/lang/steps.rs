//! `steps:` and `defaults:`

use super::diagnostic::Diagnostics;
use super::reader::{self, Fields};
use super::workflow::{ForEach, Join, Need, OnItemError, OnUnknown, Once, Retry, StepDef};
use super::yaml::{Entry, Node, Value};
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
    let timeout_ms = fields.optional("timeout").and_then(|entry| reader::positive_ms(&entry.value, "a timeout", found));
    fields.finish(found);
    Defaults { retry, timeout_ms }
}

/// The steps of the workflow, each in its place.
pub(super) fn read(node: &Node, defaults: &Defaults, found: &mut Diagnostics<'_>) -> Vec<StepDef> {
    Reader { defaults, count: 0, found }.list(node, 0)
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
        once: None,
        steps: Vec::new(),
    }
}

/// Reads lists of steps, and those within them.
struct Reader<'a, 's, 'd> {
    defaults: &'a Defaults,
    /// Steps of all lists so far.
    count: usize,
    found: &'d mut Diagnostics<'s>,
}

impl Reader<'_, '_, '_> {
    /// The steps of one list, `depth` blocks deep.
    fn list(&mut self, node: &Node, depth: usize) -> Vec<StepDef> {
        let Some(items) = reader::list(node, self.found) else { return Vec::new() };
        if items.is_empty() {
            let whose = if depth == 0 { "the workflow" } else { "the block" };
            self.found.error("no-steps", node.span.clone(), format!("{whose} has no steps"));
        }
        let mut steps = Vec::new();
        for item in items {
            self.count += 1;
            if self.count > limits::WORKFLOW_STEPS {
                // Said once, at the first that is too many.
                if self.count == limits::WORKFLOW_STEPS + 1 {
                    let message = format!("the workflow has more than the {} steps allowed", limits::WORKFLOW_STEPS);
                    self.found.error("too-many-steps", item.span.clone(), message);
                }
                break;
            }
            steps.push(self.step(item, depth).unwrap_or_else(unreadable));
        }
        steps
    }

    fn step(&mut self, node: &Node, depth: usize) -> Option<StepDef> {
        let mut fields = Fields::open(node, "a step", self.found)?;
        let found = &mut *self.found;
        let id = fields.required("id", found).and_then(|entry| {
            reader::name(&entry.value, is_identifier, "id; write a-z, 0-9 and _, a letter first", found)
        });
        let name = fields.optional("name").and_then(|entry| reader::text(&entry.value, found));
        let condition = fields.optional("if").and_then(|entry| reader::expression(&entry.value, found));
        let needs = fields.optional("needs").and_then(|entry| needs(&entry.value, found));
        let join = fields
            .optional("join")
            .and_then(|entry| reader::word(&entry.value, &[("all", Join::All), ("any", Join::Any)], found));
        let for_each_key = fields.optional("for_each");
        let for_each = for_each_key.and_then(|entry| for_each(&entry.value, found));
        if let Some(entry) = for_each_key.filter(|_| depth >= limits::FOR_EACH_DEPTH) {
            let message = format!("`for_each` is nested deeper than the {} levels allowed", limits::FOR_EACH_DEPTH);
            found.error("too-deep", entry.key_span.clone(), message);
        }
        let block = fields.present("steps");
        let mut step = StepDef {
            id: id.unwrap_or_default(),
            name,
            condition,
            needs,
            join: join.unwrap_or_default(),
            for_each,
            ..unreadable()
        };
        match block {
            Some(entry) => {
                if for_each_key.is_none() {
                    found
                        .error("missing-key", entry.key_span.clone(), "a step with `steps` needs `for_each`")
                        .help("add `for_each: { in: … }`, or write the steps in the list around it");
                }
                for (key, help) in NOT_OF_A_BLOCK {
                    fields.misplaced(key, "means nothing beside `steps`", help, found);
                }
                fields.finish(found);
                step.uses = StepDef::BLOCK.to_string();
                step.for_each.get_or_insert_with(|| ForEach::over("[]"));
                step.steps = self.block(entry, depth + 1);
            }
            None => {
                self.single(&mut fields, &mut step);
                fields.finish(self.found);
            }
        }
        Some(step)
    }

    /// The steps of a block; at least one, so that it is seen to be a block.
    fn block(&mut self, entry: &Entry, depth: usize) -> Vec<StepDef> {
        // Reported already.
        if depth > limits::FOR_EACH_DEPTH {
            return vec![unreadable()];
        }
        let steps = self.list(&entry.value, depth);
        if steps.is_empty() { vec![unreadable()] } else { steps }
    }

    /// The keys of a step that does something itself.
    fn single(&mut self, fields: &mut Fields<'_>, step: &mut StepDef) {
        let found = &mut *self.found;
        let uses = fields.required("uses", found).and_then(|entry| reader::text(&entry.value, found));
        step.uses = uses.unwrap_or_default();
        step.with = fields.optional("with").and_then(|entry| with(&entry.value, found)).unwrap_or_default();
        step.retry = match fields.optional("retry") {
            Some(entry) => retry(&entry.value, self.defaults.retry.as_ref(), found),
            None => self.defaults.retry.clone(),
        };
        let timeout = fields.optional("timeout");
        step.timeout_ms = timeout
            .and_then(|entry| reader::positive_ms(&entry.value, "a timeout", found))
            .or(self.defaults.timeout_ms);
        let on_unknown = fields.optional("on_unknown").and_then(|entry| {
            let words = [("hold", OnUnknown::Hold), ("resend", OnUnknown::Resend), ("skip", OnUnknown::Skip)];
            reader::word(&entry.value, &words, found)
        });
        step.on_unknown = on_unknown.unwrap_or_default();
        step.once = fields.optional("once").and_then(|entry| once(&entry.value, found));
    }
}

/// What only a step that does something itself has, and what to do instead.
const NOT_OF_A_BLOCK: [(&str, &str); 6] = [
    ("uses", "a step either does something itself or runs a block: write it as a step of the block"),
    ("with", "only a step that `uses` something has fields"),
    ("retry", "a block is not tried again: say it of its steps, or under `defaults`"),
    ("timeout", "say it of the block's steps, or of the workflow"),
    ("on_unknown", "say it of the block's steps"),
    ("once", "say it of the block's steps"),
];

fn once(node: &Node, found: &mut Diagnostics<'_>) -> Option<Once> {
    let mut fields = Fields::open(node, "`once`", found)?;
    let key = fields.required("key", found).and_then(|entry| reader::text(&entry.value, found));
    let ttl_ms = fields.optional("ttl").and_then(|entry| reader::positive_ms(&entry.value, "a `ttl`", found));
    fields.finish(found);
    Some(Once { key: key?, ttl_ms })
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
    let name = fields.optional("as").and_then(|entry| {
        reader::name(&entry.value, is_identifier, "name; write a-z, 0-9 and _, a letter first", found)
    });
    let concurrency = fields
        .optional("concurrency")
        .and_then(|entry| reader::integer(&entry.value, 1, u64::from(limits::FOR_EACH_CONCURRENCY), found));
    let on_item_error = fields.optional("on_item_error").and_then(|entry| {
        reader::word(&entry.value, &[("continue", OnItemError::Continue), ("stop", OnItemError::Stop)], found)
    });
    let collect = fields.optional("collect").and_then(|entry| reader::expression(&entry.value, found));
    fields.finish(found);
    let whole = ForEach::over(items.as_deref().unwrap_or("[]"));
    Some(ForEach {
        name: name.unwrap_or(whole.name),
        concurrency: concurrency.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        on_item_error: on_item_error.unwrap_or_default(),
        collect,
        ..whole
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
