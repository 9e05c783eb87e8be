//! What steps told people, in lines: of a run as the daemon reports it, of a run in the foreground, and all of it page by page.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::json;

use super::client::Client;
use super::{Failed, out};
use crate::base::{Json, RunId};
use crate::engine::ports::LogLine;

/// Lines of a step that `runs show` prints: the latest.
const SHOWN: usize = 20;

/// `warn   the number is not known`, safe to print.
pub fn line(level: &str, text: &str) -> String {
    format!("{level:<5}  {}", out::shown(text))
}

/// A line of a run in the foreground.
pub fn of_step(label: &str, told: &LogLine) -> String {
    format!("· {label:<14}   {}", line(told.level.as_str(), &told.text))
}

/// What `told` of the API says, after the step that it is of.
fn labelled(told: &Json) -> String {
    of_label(&label(told), told)
}

fn of_label(label: &str, told: &Json) -> String {
    let text = |name: &str| told[name].as_str().unwrap_or_default();
    format!("{label}{}", line(text("level"), text("text")))
}

/// `send[41]#2  `: the second attempt for item 41.
fn label(told: &Json) -> String {
    let items: Vec<_> = told["items"].as_array().into_iter().flatten().map(Json::to_string).collect();
    let items = if items.is_empty() { String::new() } else { format!("[{}]", items.join(".")) };
    let attempt = told["attempt"].as_u64().filter(|attempt| *attempt > 1).map(|attempt| format!("#{attempt}"));
    format!("{}{items}{}  ", told["step"].as_str().unwrap_or_default(), attempt.unwrap_or_default())
}

/// The latest lines of a step as `runs show` prints them below it, and how to see the rest.
pub fn below(run: &str, id: &str, step: &Json) -> Vec<String> {
    let log = step["log"].as_array().map(Vec::as_slice).unwrap_or_default();
    let latest = &log[log.len().saturating_sub(SHOWN)..];
    // Its own first attempt needs no name below it.
    let own = |told: &Json| told["step"] == id && told["items"].is_null() && told["attempt"] == 1;
    let mut lines: Vec<_> =
        latest.iter().map(|told| if own(told) { of_label("", told) } else { labelled(told) }).collect();
    let more = step["log_lines"].as_u64().unwrap_or(0).saturating_sub(latest.len() as u64);
    if more > 0 {
        lines.insert(0, format!("({more} earlier lines: moltrun runs log {run} --step {id})"));
    }
    lines
}

/// What is new of the lines of a run that is looked at again and again.
#[derive(Debug, Default)]
pub struct News {
    /// By step: the latest event that was told of, and all lines until then.
    seen: BTreeMap<String, (Option<u64>, u64)>,
}

impl News {
    /// The lines of `report` that were not told yet, and a word on those that went by between two looks. With `briefly` items
    /// tell only what somebody should look at.
    pub fn of(&mut self, report: &Json, briefly: bool) -> Vec<String> {
        let mut news = Vec::new();
        for (id, step) in report["steps"].as_object().into_iter().flatten() {
            let Some(log) = step["log"].as_array() else { continue };
            let all = step["log_lines"].as_u64().unwrap_or(0);
            let (last, before) = self.seen.get(id).copied().unwrap_or_default();
            let fresh: Vec<_> = log.iter().filter(|told| told["event"].as_u64() > last).collect();
            let missed = all.saturating_sub(before).saturating_sub(fresh.len() as u64);
            let shown = |told: &&&Json| {
                let is_routine = !told["items"].is_null() && (told["level"] == "debug" || told["level"] == "info");
                !(briefly && is_routine)
            };
            news.extend(
                fresh.iter().filter(shown).map(|told| (told["event"].as_u64(), format!("· {}", labelled(told)))),
            );
            if missed > 0 && !briefly {
                news.push((None, format!("· {id}  ({missed} lines more)")));
            }
            let last = log.last().and_then(|told| told["event"].as_u64()).or(last);
            self.seen.insert(id.clone(), (last, all));
        }
        // As they came; what went by came before.
        news.sort_by_key(|(event, _)| *event);
        news.into_iter().map(|(_, line)| line).collect()
    }
}

/// `runs log`: all of it, as it is in the journal.
pub async fn all(client: &Client, run: RunId, step: Option<&str>, as_json: bool) -> Result<(), Failed> {
    let mut from = Some(0);
    while let Some(next) = from {
        // The id of a step has no character that a query would not take as it is; another one is no step.
        let of = match step {
            Some(id) if !crate::lang::is_identifier(id) => {
                return Err(Failed::invalid(format!("`{id}` is no id of a step")));
            }
            Some(id) => format!("&step={id}"),
            None => String::new(),
        };
        let page = client.get(&format!("/api/v1/runs/{run}/log?from={next}{of}")).await?;
        for told in page["lines"].as_array().into_iter().flatten() {
            let shown: &dyn Display = if as_json { &json!(told) } else { &labelled(told) };
            out::line(shown);
        }
        from = page["next"].as_u64();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(event: u64, items: Json, level: &str) -> Json {
        let mut told = json!({"event": event, "at": 1, "step": "in", "attempt": 1, "level": level, "text": "a\nb"});
        if !items.is_null() {
            told["items"] = items;
        }
        told
    }

    #[test]
    fn a_step_shows_its_latest_lines_and_how_to_see_the_rest() {
        let log: Vec<_> = (0..30).map(|event| told(event, json!([event, 2]), "info")).collect();
        let lines = below("R", "each", &json!({"log": log, "log_lines": 90}));
        assert_eq!(lines.len(), SHOWN + 1);
        assert_eq!(lines[0], "(70 earlier lines: moltrun runs log R --step each)");
        assert_eq!(lines[SHOWN], "in[29.2]  info   a\\nb");
        assert_eq!(below("R", "in", &json!({"log": [told(1, Json::Null, "warn")], "log_lines": 1})), ["warn   a\\nb"]);
        assert!(below("R", "in", &json!({})).is_empty());
    }

    #[test]
    fn what_was_told_is_not_told_again_and_what_went_by_is_counted() {
        let report = |log: &[Json], all: u64| json!({"steps": {"each": {"log": log, "log_lines": all}}});
        let (first, second) = (told(3, json!([0]), "info"), told(9, json!([7]), "error"));
        let mut news = News::default();
        assert_eq!(news.of(&report(std::slice::from_ref(&first), 1), false), ["· in[0]  info   a\\nb"]);
        let later = report(&[first, second], 8);
        assert_eq!(news.of(&later, false), ["· each  (6 lines more)", "· in[7]  error  a\\nb"]);
        assert!(news.of(&later, false).is_empty());
        assert_eq!(News::default().of(&later, true), ["· in[7]  error  a\\nb"]);
    }
}
