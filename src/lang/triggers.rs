//! `triggers:`

mod after;
mod sessions;
mod webhook;

use super::cron::{self, Cron, CronError};
use super::diagnostic::{Diagnostics, suggestion};
use super::reader::{self, Fields};
use super::workflow::{CatchUp, From, Overlap, Trigger};
use super::yaml::{Entry, Node, Value};
use crate::base::limits;

const KINDS: &[&str] =
    &["message", "session_status", "group_join", "session_events", "webhook", "schedule", "manual", "workflow"];

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
        "session_status" => sessions::status(&body, found),
        "group_join" => sessions::group_join(&body, found),
        "session_events" => sessions::events(&body, found),
        "webhook" => webhook::read(&body, found),
        "workflow" => after::read(&body, found),
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
    let overlap = fields.optional("overlap").and_then(|entry| {
        let words = [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("allow", Overlap::Allow)];
        reader::word(&entry.value, &words, found)
    });
    let jitter_ms = fields.optional("jitter").and_then(|entry| jitter(entry, found));
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
    Some(Trigger::Schedule {
        cron,
        timezone,
        catch_up: catch_up.unwrap_or_default(),
        catch_up_window_ms,
        overlap: overlap.unwrap_or_default(),
        jitter_ms: jitter_ms.unwrap_or_default(),
    })
}

fn jitter(entry: &Entry, found: &mut Diagnostics<'_>) -> Option<u64> {
    let jitter_ms = reader::duration_ms(&entry.value, found)?;
    if jitter_ms > limits::SCHEDULE_JITTER_MS {
        found
            .error("too-long", entry.value.span.clone(), "a schedule's `jitter` is a day at most")
            .help("name later times in `cron`, or write a shorter one, such as `30s`");
        return None;
    }
    Some(jitter_ms)
}

fn nearest_zone(name: &str) -> Option<String> {
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let near = crate::base::nearest::nearest(name, names.iter().map(String::as_str))?;
    Some(format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod samples {
    use super::*;
    use crate::lang::Source;

    /// The triggers of a file with this one, and what is wrong with it as `message (help)`.
    pub fn triggers(trigger: &str) -> (Vec<Trigger>, Vec<String>) {
        let text = format!("triggers: [{{ {trigger} }}]\nsteps: [{{ id: s, uses: set }}]\n");
        let source = Source { path: "w.yaml".to_string(), text };
        let mut found = Diagnostics::new(&source);
        let parsed = crate::lang::parse(std::path::Path::new("."), &Default::default(), &mut found);
        let mistakes = found.finish().into_iter();
        let mistakes = mistakes.map(|one| format!("{} ({})", one.message, one.help.unwrap_or_default())).collect();
        (parsed.map(|parsed| parsed.workflow.triggers).unwrap_or_default(), mistakes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Source;

    /// The triggers of a file with one schedule of these fields, and the codes of what is wrong.
    fn schedule_of(fields: &str) -> (Vec<Trigger>, Vec<&'static str>) {
        let text = format!("triggers: [{{ schedule: {{ {fields} }} }}]\nsteps: [{{ id: s, uses: set }}]\n");
        let source = Source { path: "w.yaml".to_string(), text };
        let mut found = Diagnostics::new(&source);
        let parsed = crate::lang::parse(std::path::Path::new("."), &Default::default(), &mut found);
        let codes = found.finish().iter().map(|found| found.code).collect();
        (parsed.map(|parsed| parsed.workflow.triggers).unwrap_or_default(), codes)
    }

    #[test]
    fn overlap_and_jitter_are_read_and_bounded() {
        let of = |fields: &str| match &schedule_of(fields).0[..] {
            [Trigger::Schedule { overlap, jitter_ms, .. }] => (*overlap, *jitter_ms),
            other => panic!("{other:?}"),
        };
        assert_eq!(of("cron: '@daily'"), (Overlap::Allow, 0));
        assert_eq!(of("cron: '@daily', overlap: skip, jitter: 30s"), (Overlap::Skip, 30_000));
        assert_eq!(of("cron: '@daily', overlap: queue, jitter: 24h"), (Overlap::Queue, limits::SCHEDULE_JITTER_MS));
        assert_eq!(schedule_of("cron: '@daily', jitter: 25h").1, ["too-long"]);
        assert_eq!(schedule_of("cron: '@daily', overlap: maybe").1.len(), 1);
    }

    #[test]
    fn what_a_file_does_not_say_is_not_stored() {
        let (triggers, _) = schedule_of("cron: '@daily'");
        let stored = serde_json::to_value(&triggers[0]).unwrap();
        assert!(stored.get("overlap").is_none() && stored.get("jitter_ms").is_none(), "{stored}");
        assert_eq!(serde_json::from_value::<Trigger>(stored).unwrap(), triggers[0]);
    }
}
