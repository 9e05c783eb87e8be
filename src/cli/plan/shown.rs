//! The plan of a broadcast as a short report for people.

use super::broadcast::{Broadcast, DUPLICATE, ONCE};
use crate::base::time::rfc3339;
use crate::cli::out;
use crate::steps::dry::PLACEHOLDER;

/// A line that may hold what a list, a template or a far side wrote.
fn line(text: impl AsRef<str>) {
    out::line(out::shown(text.as_ref()));
}

pub fn print(plan: &Broadcast) {
    line(format!("{}: what a run begun now would do. Nothing was sent.", plan.workflow));
    out::line("");
    line(format!("recipients  {}", plan.recipients));
    let sessions: Vec<_> = plan.senders.iter().map(|sender| sender.session.as_str()).collect();
    let from = if sessions.is_empty() { String::new() } else { format!(" from {}", sessions.join(", ")) };
    line(format!("messages    {}{from}", plan.messages));
    line(format!("excluded    {}", plan.excluded.values().sum::<u64>()));
    for (code, count) in &plan.excluded {
        line(format!("  {count:>8}  {code:<24} {}", meaning(code)));
    }
    for example in &plan.examples {
        line(format!("            {}[{}]: {}: {}", example.step, example.item, example.code, example.message));
    }
    if plan.repeated > 0 {
        let of = plan.repeated_to.join(", ");
        line(format!("twice       {} messages go to somebody who gets one before (add `once:`): {of}", plan.repeated));
    }
    if !plan.samples.is_empty() {
        out::line("");
    }
    for sample in &plan.samples {
        line(format!("{} → {}", sample.step, sample.to));
        sample.text.lines().for_each(|text| line(format!("  {text}")));
    }
    out::line("");
    notes(plan);
    if let Some(failure) = &plan.failure {
        line(format!("failed      {}: {}", failure.code, failure.message));
    }
}

/// What the plan rests on, and when it ends.
fn notes(plan: &Broadcast) {
    for sender in &plan.senders {
        match sender.ends_at {
            Some(at) => line(format!("ends        {} under the policy of {}", rfc3339(at), sender.session)),
            None => line(format!(
                "ends        nothing paces {}: messages leave as fast as MoltFlow takes them",
                sender.session
            )),
        }
    }
    for call in &plan.calls {
        line(format!("would call  {} ({}) {} times", call.step, call.uses, call.count));
    }
    for prompt in &plan.prompts {
        line(format!("not asked   {}: its text stands as {PLACEHOLDER}", prompt.step));
    }
    for assumed in &plan.assumed {
        line(format!("not waited  {} ({}): taken as `{}`", assumed.step, assumed.uses, assumed.port));
    }
    if !plan.looked_up {
        line("no database  opt-outs and `once` keys of earlier runs are not known");
    }
}

/// A reason in words.
fn meaning(code: &str) -> &'static str {
    match code {
        ONCE => "has had it: its `once` key had its success",
        DUPLICATE => "comes twice in this broadcast: its `once` key was there before",
        "sender.opted_out" => "wants no more messages",
        "moltflow.invalid" | "moltflow.bad_recipient" => "no number, or nothing to send",
        "condition" => "an `if` is false",
        "not_reached" => "none of its steps applied",
        "for_each.stopped" => "not begun, because one failed",
        "expression" => "a template could not be evaluated",
        _ => "",
    }
}
