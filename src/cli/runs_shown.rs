//! Runs of the daemon as people read them.

use serde_json::json;

use super::progress::reasons;
use super::{asks, out, told};
use crate::base::{Json, Millis};

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or("–")
}

/// Always as wide, so that columns stay columns; out of jiff's range (no clock gives that) the bare number.
fn time(value: &Json) -> String {
    let shown = |at: Millis| {
        jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |timestamp| format!("{timestamp:.3}"))
    };
    value.as_i64().map_or_else(|| "–".to_string(), shown)
}

/// A line that may hold what customers, models and plugins wrote.
fn line(line: std::fmt::Arguments<'_>) {
    out::line(out::shown(&line.to_string()));
}

/// Characters of a value that are shown: a few lines. A list of recipients would be the only thing to be seen.
const SHOWN: usize = 600;

/// A value as JSON, or the beginning of it and how to see the rest.
fn short(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes; --json shows all)", &text[..end], text.len()),
        None => text,
    }
}

pub fn print_list(page: &Json) {
    line(format_args!("{:<26}  {:<10}  {:<24}  {:<8}  CREATED", "RUN", "STATUS", "WORKFLOW", "TRIGGER"));
    for run in page["runs"].as_array().into_iter().flatten() {
        let (id, status) = (text(&run["id"]), text(&run["status"]));
        let (workflow, trigger) = (text(&run["workflow"]), text(&run["trigger"]));
        line(format_args!("{id:<26}  {status:<10}  {workflow:<24}  {trigger:<8}  {}", time(&run["created_at"])));
    }
    if let Some(cursor) = page["next_cursor"].as_str() {
        line(format_args!("more: --cursor {cursor}"));
    }
}

pub fn print_run(run: &Json) {
    line(format_args!("{} {} {}", text(&run["id"]), text(&run["workflow"]), text(&run["status"])));
    let (created, trigger) = (time(&run["created_at"]), text(&run["trigger"]));
    line(format_args!("created {created} by {trigger}, took {} ms", run["duration_ms"]));
    if run["paused"].is_object() {
        let why = run["paused"]["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
        line(format_args!("paused since {}{why}", time(&run["paused"]["since"])));
        line(format_args!("  moltrun runs resume {}", text(&run["id"])));
    }
    if let Some(caller) = run["called_by"].as_str() {
        line(format_args!("called by {caller}"));
    }
    line(format_args!("event {}", short(&run["event"])));
    for (id, step) in run["steps"].as_object().into_iter().flatten() {
        let port = step["port"].as_str().map(|port| format!(" → {port}")).unwrap_or_default();
        line(format_args!("  {id:<16} {}{port}", text(&step["status"])));
        if let Some(message) = step["error"]["message"].as_str() {
            line(format_args!("    {}: {message}", text(&step["error"]["code"])));
        }
        if !step["error"]["details"].is_null() {
            line(format_args!("    details {}", short(&step["error"]["details"])));
        }
        if let Some(due_at) = step["due_at"].as_i64() {
            line(format_args!("    until {}", time(&json!(due_at))));
        }
        if let Some(items) = step["items"].as_object() {
            let counts = ["succeeded", "failed", "skipped", "unknown"].map(|key| format!("{} {key}", items[key]));
            line(format_args!("    of {} items: {}", items["total"], counts.join(", ")));
        }
        if let Some(reasons) = reasons(&step["items"]).or_else(|| reasons(&step["output"])) {
            line(format_args!("    why not: {reasons}"));
        }
        for asks in asks::of_step(text(&run["id"]), id, step) {
            line(format_args!("    {asks}"));
        }
        for told in told::below(text(&run["id"]), id, step) {
            line(format_args!("    {told}"));
        }
        if !step["output"].is_null() {
            line(format_args!("    {}", short(&step["output"])));
        }
    }
    if let Some(message) = run["failure"]["message"].as_str() {
        line(format_args!("failure {}: {message}", text(&run["failure"]["code"])));
    }
    if !run["output"].is_null() {
        line(format_args!("output {}", short(&run["output"])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_characters_and_says_so() {
        assert_eq!(short(&json!({"case": "else"})), r#"{"case":"else"}"#);
        let long = short(&json!("é".repeat(SHOWN)));
        assert!(long.ends_with("é… (1202 bytes; --json shows all)"), "{long}");
        assert_eq!(long.chars().filter(|c| *c == 'é').count(), SHOWN - 1);
    }

    #[test]
    fn times_are_as_wide_as_each_other() {
        for (at, shown) in [
            (json!(0), "1970-01-01T00:00:00.000Z"),
            (json!(1_769_356_800_120_i64), "2026-01-25T16:00:00.120Z"),
            (json!(i64::MAX), "9223372036854775807"),
            (json!(null), "–"),
        ] {
            assert_eq!(time(&at), shown);
        }
    }
}
