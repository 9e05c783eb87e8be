//! `triggers:`

use super::cron::{self, Cron, CronError};
use super::diagnostic::{Diagnostics, suggestion};
use super::reader::{self, Fields};
use super::workflow::{CatchUp, From, Trigger};
use super::yaml::{Node, Value};

const KINDS: &[&str] = &["message", "schedule", "manual"];

/// How late a missed instant may be made up for when the schedule does not say, in milliseconds: one hour.
const CATCH_UP_WINDOW_MS: u64 = 3_600_000;

/// The triggers of the list; those that cannot be read are reported and stand as `manual`, so that the others keep
/// their places.
pub(super) fn read(node: &Node, found: &mut Diagnostics<'_>) -> Vec<Trigger> {
    let items = reader::list(node, found).unwrap_or_default();
    items.iter().map(|item| read_one(item, found).unwrap_or(Trigger::Manual)).collect()
}

fn read_one(node: &Node, found: &mut Diagnostics<'_>) -> Option<Trigger> {
    const NULL: Value = Value::Null;
    let (kind, kind_span, body) = match &node.value {
        Value::String(word) => {
            (word.as_str(), node.span.clone(), Node { value: NULL, span: node.span.clone(), origin: node.origin })
        }
        Value::Map(entries) if entries.len() == 1 => {
            (entries[0].key.as_str(), entries[0].key_span.clone(), entries[0].value.clone())
        }
        _ => {
            found
                .error("wrong-type", node.span.clone(), "a trigger is one word or a mapping with one key")
                .help("write `- message: { session: support }` or `- manual`");
            return None;
        }
    };
    match kind {
        "message" => message(&body, found),
        "schedule" => schedule(&body, found),
        "manual" => {
            Fields::open(&body, "a `manual` trigger", found)?.finish(found);
            Some(Trigger::Manual)
        }
        _ => {
            let diagnostic =
                found.error("unknown-trigger", kind_span, format!("there is no trigger `{}`", reader::shown(kind)));
            diagnostic.help = suggestion(kind, "triggers", KINDS.iter().copied());
            None
        }
    }
}

fn message(node: &Node, found: &mut Diagnostics<'_>) -> Option<Trigger> {
    let mut fields = Fields::open(node, "a `message` trigger", found)?;
    let session = fields.optional("session").and_then(|entry| reader::text(&entry.value, found));
    let from = fields.optional("from").and_then(|entry| {
        reader::word(&entry.value, &[("contacts", From::Contacts), ("groups", From::Groups), ("any", From::Any)], found)
    });
    let when = fields.optional("when").and_then(|entry| reader::expression(&entry.value, found));
    fields.finish(found);
    Some(Trigger::Message { session, from: from.unwrap_or_default(), when })
}

fn schedule(node: &Node, found: &mut Diagnostics<'_>) -> Option<Trigger> {
    let mut fields = Fields::open(node, "a `schedule` trigger", found)?;
    let pattern = fields.required("cron", found);
    let zone = fields.optional("timezone").map(|entry| (entry, reader::text(&entry.value, found)));
    let catch_up = fields.optional("catch_up").and_then(|entry| {
        reader::word(&entry.value, &[("none", CatchUp::None), ("last", CatchUp::Last), ("all", CatchUp::All)], found)
    });
    let window = fields.optional("catch_up_window").and_then(|entry| reader::duration_ms(&entry.value, found));
    fields.finish(found);
    let timezone = match zone {
        None => "UTC".to_string(),
        Some((_, None)) => return None,
        Some((entry, Some(name))) => {
            if !cron::is_timezone(&name) {
                let message = CronError::Zone(reader::shown(&name)).to_string();
                let diagnostic = found.error("unknown-timezone", entry.value.span.clone(), message);
                diagnostic.help = nearest_zone(&name);
                // The pattern is still checked.
                "UTC".to_string()
            } else {
                name
            }
        }
    };
    let pattern = pattern?;
    let cron = reader::text(&pattern.value, found)?;
    if let Err(error) = Cron::parse(&cron, &timezone) {
        found
            .error("bad-cron", pattern.value.span.clone(), error.to_string())
            .help("minute hour day month weekday, such as `0 9 * * 1` for Mondays at 9, or `@daily`");
    }
    let catch_up_window_ms = window.unwrap_or(CATCH_UP_WINDOW_MS);
    Some(Trigger::Schedule { cron, timezone, catch_up: catch_up.unwrap_or_default(), catch_up_window_ms })
}

fn nearest_zone(name: &str) -> Option<String> {
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let near = crate::base::nearest::nearest(name, names.iter().map(String::as_str))?;
    Some(format!("did you mean `{near}`?"))
}
