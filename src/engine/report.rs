//! A run as people and scripts see it: the fold of its journal with the plan's names. Part of the external contract
//! (`run --json`, `runs show --json`, `GET /api/v1/runs/{id}`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::event::{RunStatus, SkipReason};
use super::frame::{Phase, Ran, StepState};
use super::items::Items;
use super::ports::{Failure, LogLine};
use super::state::{Paused, RunState};
use super::waiting::Waiting;
use crate::base::json::JsonMap;
use crate::base::{Json, Millis, RunId};
use crate::plan::Plan;

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub status: RunStatus,
    /// From creation to the latest event, in milliseconds.
    pub duration_ms: u64,
    /// The trigger's payload.
    pub event: Json,
    pub inputs: Json,
    /// By id, in the order they are written.
    pub steps: JsonMap,
    /// What the workflow's `output` gave; else null.
    pub output: Json,
    /// Why the run as a whole ended so, where no step says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// A person has it stand still: since when, and why. It is also there while what was at work ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called_by: Option<RunId>,
}

/// One step of a report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StepReport {
    pub status: &'static str,
    pub port: Option<String>,
    pub output: Option<Json>,
    /// Of a failed or held step, and of one that waits for its next attempt.
    pub error: Option<Failure>,
    pub attempts: u32,
    /// When its last attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Millis>,
    /// Time of its last attempt, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// When a waiting step is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Millis>,
    /// What a step that waits for neither time nor a retry waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Json>,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<SkipReason>,
    /// Progress of a `for_each` that is not done, or that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Json>,
}

impl Report {
    /// The report of a run in this state.
    pub fn of(plan: &Plan, state: &RunState) -> Self {
        let root = plan.blocks.first().map_or(0, |root| root.len);
        let named = plan.steps[..root].iter().zip(0..).zip(&state.root.steps);
        let steps =
            named.map(|((planned, step), state)| (planned.id.to_string(), json!(step_report(plan, step, state))));
        Self {
            status: state.status(),
            duration_ms: state.latest_at.saturating_sub(state.created_at).max(0) as u64,
            event: Json::clone(&state.event),
            inputs: Json::clone(&state.inputs),
            steps: steps.collect(),
            output: state.output.as_deref().cloned().unwrap_or(Json::Null),
            failure: state.failure.clone(),
            paused: state.paused.clone(),
            called_by: state.parent.as_ref().map(|parent| parent.run),
        }
    }

    /// With `lines`, the latest of each step of the workflow's own: `steps.<id>.log`, and how many there are in all,
    /// `steps.<id>.log_lines`, where there are any.
    pub fn with_lines(mut self, plan: &Plan, state: &RunState, mut lines: BTreeMap<u32, Vec<RunLine>>) -> Self {
        for (number, logged) in &state.logged {
            let id = plan.steps.get(*number as usize).map_or("", |step| &*step.id);
            let Some(Json::Object(step)) = self.steps.get_mut(id) else { continue };
            step.insert("log".to_string(), json!(lines.remove(number).unwrap_or_default()));
            step.insert("log_lines".to_string(), json!(logged.lines));
        }
        self
    }
}

/// A line that a step wrote for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunLine {
    /// The number of the journal's event that has it.
    pub event: u64,
    /// When its attempt ended.
    pub at: Millis,
    pub step: Arc<str>,
    /// The item of each `for_each` around the step, the outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<u32>,
    pub attempt: u32,
    #[serde(flatten)]
    pub line: LogLine,
}

/// What a step asks a person.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    pub step: String,
    /// The item of each `for_each` around the step, the outermost first.
    pub items: Vec<u32>,
    /// When its attempt began.
    pub since: Millis,
    /// After that the step no longer asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Millis>,
    #[serde(flatten)]
    pub question: Question,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Question {
    /// What became of it? `error` says why nobody knows.
    Held { error: Failure },
    /// Yes or no?
    Approval { title: String, details: Json },
}

/// What a run asks people, in the order of its steps.
pub fn asked(plan: &Plan, state: &RunState) -> Vec<Asked> {
    let mut asked = Vec::new();
    state.visit(&mut |step, items, slot| {
        let (due_at, question) = match &slot.phase {
            Phase::Held { failure } => (None, Question::Held { error: failure.clone() }),
            Phase::Waiting { due, why: Waiting::Approval { title, details } } => {
                (*due, Question::Approval { title: title.clone(), details: details.clone() })
            }
            _ => return,
        };
        let step = plan.steps[step as usize].id.to_string();
        asked.push(Asked { step, items: items.to_vec(), since: slot.started_at, due_at, question });
    });
    asked
}

/// `send`, or `send[41.0]` for the items around it.
pub fn label(plan: &Plan, step: u32, items: &[u32]) -> String {
    let id = &plan.steps[step as usize].id;
    if items.is_empty() {
        return id.to_string();
    }
    format!("{id}[{}]", items.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
}

fn step_report(plan: &Plan, step: u32, state: &StepState) -> StepReport {
    let mut report = StepReport::default();
    match state {
        StepState::Pending => report.status = "pending",
        StepState::Active(slot) => {
            report.attempts = slot.attempt;
            report.started_at = Some(slot.started_at);
            phase_report(&slot.phase, &mut report);
        }
        StepState::Items(items) => items_report(plan, step, items, &mut report),
        StepState::Succeeded { port, output, rows, ran, .. } => {
            report.status = "succeeded";
            report.port = Some(port.to_string());
            report.output = Some(rows.map_or_else(|| Json::clone(output), |rows| json!({"rows": rows})));
            report.ran(ran);
        }
        StepState::Failed { failure, ran, items } => {
            report.status = "failed";
            report.items = items.as_ref().map(|items| items.output());
            report.port = Some("error".to_string());
            report.error = Some(failure.clone());
            report.ran(ran);
        }
        StepState::Skipped { reason, why } => {
            report.status = "skipped";
            report.reason = Some(*reason);
            report.error = why.clone();
        }
    }
    report
}

fn phase_report(phase: &Phase, report: &mut StepReport) {
    match phase {
        Phase::Running => report.status = "running",
        Phase::Waiting { due, why } => {
            report.status = "waiting";
            report.due_at = *due;
            match why {
                Waiting::Retry { failure } | Waiting::Later { failure } => report.error = Some(failure.clone()),
                Waiting::Sleep => {}
                Waiting::Event { on } => {
                    report.waits_for = on.first().map(|listen| json!({"event": listen.event}));
                }
                Waiting::Approval { title, details } => {
                    report.waits_for = Some(json!({"approval": {"title": title, "details": details}}));
                }
                Waiting::Call { child, workflow, .. } => {
                    report.waits_for = Some(json!({"run": child, "workflow": workflow}));
                }
            }
        }
        Phase::Held { failure } => {
            report.status = "held";
            report.error = Some(failure.clone());
        }
    }
}

/// A `for_each` at work: its counts, and what of it waits for a person.
fn items_report(plan: &Plan, step: u32, items: &Items, report: &mut StepReport) {
    let (mut held, mut approvals, mut others) = (Vec::new(), Vec::new(), items.next_item().is_some());
    for (item, frame) in &items.active {
        frame.visit(&mut vec![*item], &mut |step, items, slot| {
            let named = || json!({"step": *plan.steps[step as usize].id, "items": items});
            match &slot.phase {
                Phase::Held { failure } => {
                    report.error.get_or_insert_with(|| failure.clone());
                    held.push(named());
                }
                Phase::Waiting { why: Waiting::Approval { .. }, .. } => approvals.push(named()),
                _ => others = true,
            }
        });
    }
    debug_assert!(plan.steps[step as usize].for_each.is_some());
    report.status = if others || held.is_empty() { "running" } else { "held" };
    report.attempts = items.began.attempt;
    report.started_at = Some(items.began.started_at);
    let mut progress = items.output();
    progress["held"] = Json::Array(held);
    progress["approvals"] = Json::Array(approvals);
    report.items = Some(progress);
}

impl StepReport {
    fn ran(&mut self, ran: &Ran) {
        self.attempts = ran.attempts;
        self.started_at = Some(ran.started_at);
        self.took_us = Some(ran.took_us);
    }
}
