//! What a run waits for, and the command that a person answers it with.

use super::out;
use crate::base::Json;

/// Items of one kind that are shown of one step.
const SHOWN: usize = 5;

/// Of the run `id`, whose report this is: a line for each thing that it waits for from outside.
pub fn of_run(id: &str, report: &Json) -> Vec<String> {
    let steps = report["steps"].as_object().into_iter().flatten();
    steps.flat_map(|(step, shown)| of_step(id, step, shown)).collect()
}

/// Of one step of it.
pub fn of_step(id: &str, step: &str, shown: &Json) -> Vec<String> {
    let mut lines = Vec::new();
    let items = &shown["items"];
    if shown["status"] == "held" && items.is_null() {
        lines.push(resolve(id, step, ""));
    }
    listed(&mut lines, &items["held"], "held", |step, item| resolve(id, step, item));
    let waits = &shown["waits_for"];
    if let Some(approval) = waits["approval"].as_object() {
        let title = approval.get("title").and_then(Json::as_str).unwrap_or_default();
        lines.push(format!("asks: {}", out::shown(title)));
        lines.push(approve(id, step, ""));
    }
    listed(&mut lines, &items["approvals"], "to approve", |step, item| approve(id, step, item));
    if let Some(event) = waits["event"].as_str() {
        lines.push(format!("waits for an event `{}`", out::shown(event)));
    }
    if let Some(run) = waits["run"].as_str() {
        let workflow = waits["workflow"].as_str().unwrap_or_default();
        lines.push(format!("waits for the run {run} of {}", out::shown(workflow)));
    }
    lines
}

fn resolve(id: &str, step: &str, item: &str) -> String {
    format!("moltrun runs resolve {id} --step {step}{item} sent|not-sent|skip")
}

fn approve(id: &str, step: &str, item: &str) -> String {
    format!("moltrun runs approve {id} --step {step}{item} [--reject]")
}

fn listed(lines: &mut Vec<String>, places: &Json, what: &str, line: impl Fn(&str, &str) -> String) {
    let places: Vec<_> = places.as_array().into_iter().flatten().collect();
    for place in places.iter().take(SHOWN) {
        let numbers = place["items"].as_array().into_iter().flatten().map(Json::to_string);
        let item = format!(" --item {}", numbers.collect::<Vec<_>>().join("."));
        lines.push(line(place["step"].as_str().unwrap_or_default(), &item));
    }
    if places.len() > SHOWN {
        lines.push(format!("and {} more items {what}", places.len() - SHOWN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_line_is_a_command_to_paste_or_what_is_waited_for() {
        let approvals = [1, 2, 3, 4, 5, 6, 7].map(|item| json!({"step": "ask", "items": [item]}));
        let steps = json!({"steps": {
            "reply": {"status": "held"},
            "ok": {"status": "waiting", "waits_for": {"approval": {"title": "Go\non?", "details": null}}},
            "answer": {"status": "waiting", "waits_for": {"event": "message"}},
            "all": {"status": "held", "items": {
                "held": [{"step": "send", "items": [4, 2]}],
                "approvals": approvals,
            }},
            "pause": {"status": "waiting"},
        }});
        let lines = of_run("R", &steps);
        let expected = [
            "moltrun runs resolve R --step reply sent|not-sent|skip",
            "asks: Go\\non?",
            "moltrun runs approve R --step ok [--reject]",
            "waits for an event `message`",
            "moltrun runs resolve R --step send --item 4.2 sent|not-sent|skip",
            "moltrun runs approve R --step ask --item 1 [--reject]",
        ];
        for line in expected {
            assert!(lines.iter().any(|found| found == line), "{line}: {lines:#?}");
        }
        assert_eq!(lines.last().unwrap(), "and 2 more items to approve");
        assert_eq!(lines.len(), 11);
    }
}
