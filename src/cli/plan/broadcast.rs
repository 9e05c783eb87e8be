//! The account of a dry run. Its JSON form is documented in `docs/broadcasts.md`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::app::dry::DryRun;
use crate::base::{Json, Millis, limits};
use crate::engine::event::RunStatus;
use crate::engine::ports::Failure;
use crate::engine::report::Report;
use crate::plan::Plan;
use crate::steps::dry::Sample;

#[derive(Debug, Serialize)]
pub struct Broadcast {
    pub workflow: String,
    /// Of the dry run: `succeeded` or `failed`.
    pub status: RunStatus,
    /// Items of all its `for_each`.
    pub recipients: u64,
    /// Messages that would be sent.
    pub messages: u64,
    pub senders: Vec<SenderPlan>,
    /// Recipients who get nothing, by reason. `recipients` is these and those whose item would succeed.
    pub excluded: BTreeMap<String, u64>,
    /// The first of those who are excluded by a failure.
    pub examples: Vec<Example>,
    /// Messages to somebody who gets one before, and the first of them: no `once` keeps them from it.
    pub repeated: u64,
    pub repeated_to: Vec<String>,
    pub samples: Vec<Sample>,
    /// Steps that would change something.
    pub calls: Vec<Counted>,
    /// Steps whose text a model writes.
    pub prompts: Vec<Counted>,
    /// What was assumed of steps that wait.
    pub assumed: Vec<Assumed>,
    /// `once` keys and opt-outs were looked up in the database.
    pub looked_up: bool,
    /// When the last message would have left, in milliseconds since 1970; null where nothing paces one of the senders.
    pub ends_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

#[derive(Debug, Serialize)]
pub struct SenderPlan {
    pub session: String,
    pub messages: u64,
    /// Behind the messages that wait already; null where nothing paces it.
    pub ends_at: Option<Millis>,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Example {
    pub step: String,
    pub item: u64,
    pub code: String,
    pub message: String,
}

#[derive(Debug, Serialize)]
pub struct Counted {
    pub workflow: Option<String>,
    pub step: String,
    pub uses: String,
    pub count: u64,
}

#[derive(Debug, Serialize)]
pub struct Assumed {
    pub step: String,
    pub uses: String,
    pub port: &'static str,
}

/// The reason of those whose `once` key had its success in an earlier run.
pub const ONCE: &str = "once";

/// The reason of those whose `once` key another recipient of this broadcast has.
pub const DUPLICATE: &str = "duplicate";

impl Broadcast {
    pub fn of(plan: &Plan, report: &Report, dry: &DryRun) -> Self {
        let recorded = dry.recorder.recorded();
        let mut items = Items::default();
        for step in plan.steps.iter().filter(|step| step.for_each.is_some() && step.block == 0) {
            items.add(&step.id, &report.steps[&*step.id]);
        }
        items.tell_apart(dry.store.known_once_keys());
        let senders = recorded.by_session.into_iter().map(|(session, messages)| SenderPlan {
            ends_at: dry.senders.forecast(&session, messages),
            session,
            messages,
        });
        let senders: Vec<_> = senders.collect();
        let ends = senders.iter().map(|sender| sender.ends_at).collect::<Option<Vec<_>>>();
        let counted = |((workflow, step, uses), count)| Counted { workflow: Some(workflow), step, uses, count };
        let prompts = recorded.prompts.into_iter().map(|(step, count)| Counted {
            workflow: None,
            step,
            uses: "ai.prompt".to_string(),
            count,
        });
        let assumed = recorded.waits.into_iter().map(|((step, uses), port)| Assumed { step, uses, port });
        Self {
            workflow: plan.name.to_string(),
            status: report.status,
            recipients: items.total,
            messages: recorded.sends,
            excluded: items.excluded,
            examples: items.examples,
            repeated: recorded.again,
            repeated_to: recorded.again_to,
            samples: recorded.samples,
            calls: recorded.calls.into_iter().map(counted).collect(),
            prompts: prompts.collect(),
            assumed: assumed.collect(),
            looked_up: dry.has_database,
            ends_at: ends.and_then(|ends| ends.into_iter().max()).filter(|_| recorded.other_sessions == 0),
            senders,
            failure: failure(report),
        }
    }
}

/// Why the dry run failed.
fn failure(report: &Report) -> Option<Failure> {
    if report.status == RunStatus::Succeeded {
        return None;
    }
    let of_step = || {
        let (step, error) = report.steps.iter().find_map(|(id, step)| Some((id, step["error"].as_object()?)))?;
        let text = |name: &str| error.get(name).and_then(Json::as_str).unwrap_or_default().to_string();
        Some(Failure::new(text("code"), format!("step `{step}`: {}", text("message"))))
    };
    report.failure.clone().or_else(of_step)
}

/// The items of every `for_each` together.
#[derive(Debug, Default)]
struct Items {
    total: u64,
    excluded: BTreeMap<String, u64>,
    examples: Vec<Example>,
}

impl Items {
    /// `shown` is the step's report.
    fn add(&mut self, step: &str, shown: &Json) {
        // One that failed with all its items still has them as its progress.
        let counts = if shown["output"].is_object() { &shown["output"] } else { &shown["items"] };
        self.total += counts["total"].as_u64().unwrap_or(0);
        for (code, count) in counts["reasons"].as_object().into_iter().flatten() {
            *self.excluded.entry(code.clone()).or_default() += count.as_u64().unwrap_or(0);
        }
        let text = |failure: &Json, name: &str| failure[name].as_str().unwrap_or_default().to_string();
        let failures = counts["failures"].as_array().into_iter().flatten().map(|failure| Example {
            step: step.to_string(),
            item: failure["item"].as_u64().unwrap_or(0),
            code: text(failure, "code"),
            message: text(failure, "message"),
        });
        let room = limits::PLAN_EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(failures.take(room));
    }

    /// Of the repeated `once` keys, `known` were in the database; the others came twice in this broadcast.
    fn tell_apart(&mut self, known: u64) {
        let Some(all) = self.excluded.remove(ONCE) else { return };
        let before = known.min(all);
        for (code, count) in [(ONCE, before), (DUPLICATE, all - before)] {
            if count > 0 {
                self.excluded.insert(code.to_string(), count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reasons_are_added_up_and_once_is_told_from_twice() {
        let mut items = Items::default();
        let failure = |item: u64| json!({"item": item, "code": "moltflow.invalid", "message": "no number"});
        let failures: Vec<_> = (0..9).map(failure).collect();
        let reasons = json!({"once": 5, "moltflow.invalid": 9});
        items.add("a", &json!({"output": {"total": 20, "reasons": reasons, "failures": failures}}));
        items.add("b", &json!({"output": null, "items": {"total": 2, "reasons": {"once": 1}}}));
        items.tell_apart(4);
        assert_eq!(items.total, 22);
        assert_eq!(json!(items.excluded), json!({"moltflow.invalid": 9, "once": 4, "duplicate": 2}));
        assert_eq!(items.examples.len(), limits::PLAN_EXAMPLES);
        items.tell_apart(0);
        assert_eq!(items.excluded[DUPLICATE], 4, "without a database all of them");
    }
}
