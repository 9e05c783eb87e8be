//! A run as people and scripts see it: the fold of its journal with the plan's names. Part of the external contract
//! (`run --json`, `runs show --json`, `GET /api/v1/runs/{id}`).

use serde::Serialize;
use serde_json::json;

use super::event::{Event, RunStatus, SkipReason, Waiting};
use super::ports::Failure;
use super::state::{IllegalEvent, Phase, RunState, StepState};
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
    /// What a workflow hands to its caller; null, since workflows cannot be called.
    pub output: Json,
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
    /// When its first attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Millis>,
    /// Time of its last attempt, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// When a waiting step is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Millis>,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<SkipReason>,
    /// Progress of a `for_each` that is not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Json>,
}

impl Report {
    /// The report of a run with this journal.
    pub fn of(plan: &Plan, run: RunId, journal: &[Event]) -> Result<Self, IllegalEvent> {
        let state = RunState::fold(run, plan.steps.len(), journal)?;
        let mut reports: Vec<_> = state.steps.iter().map(step_report).collect();
        for event in journal {
            match event {
                Event::StepStarted { at, step, item: None, attempt } => {
                    let report = &mut reports[*step as usize];
                    report.attempts = *attempt;
                    report.started_at.get_or_insert(*at);
                }
                Event::StepSucceeded { step, item: None, took_us, .. }
                | Event::StepFailed { step, item: None, took_us, .. } => {
                    reports[*step as usize].took_us = Some(*took_us);
                }
                _ => {}
            }
        }
        let named = plan.steps.iter().zip(reports);
        Ok(Self {
            status: state.status(),
            duration_ms: state.latest_at.saturating_sub(state.created_at).max(0) as u64,
            event: Json::clone(&state.event),
            inputs: Json::clone(&state.inputs),
            steps: named.map(|(planned, report)| (planned.id.to_string(), json!(report))).collect(),
            output: Json::Null,
        })
    }
}

fn step_report(state: &StepState) -> StepReport {
    let mut report = StepReport::default();
    match state {
        StepState::Pending => report.status = "pending",
        StepState::Active(slot) => match &slot.phase {
            Phase::Running => report.status = "running",
            Phase::Waiting { due, why } => {
                report.status = "waiting";
                report.due_at = Some(*due);
                report.error = match why {
                    Waiting::Retry { failure } | Waiting::Later { failure } => Some(failure.clone()),
                    Waiting::Sleep => None,
                };
            }
            Phase::Held { failure } => {
                report.status = "held";
                report.error = Some(failure.clone());
            }
        },
        StepState::Items(items) => {
            let held = items.active.iter().filter_map(|(item, slot)| match &slot.phase {
                Phase::Held { failure } => Some((*item, failure)),
                Phase::Running | Phase::Waiting { .. } => None,
            });
            let held: Vec<_> = held.collect();
            let at_work = items.active.len() > held.len() || items.next < items.total;
            report.status = if at_work { "running" } else { "held" };
            report.error = held.first().map(|(_, failure)| Failure::clone(failure));
            let mut progress = items.output();
            progress["held"] = json!(held.iter().map(|(item, _)| item).collect::<Vec<_>>());
            report.items = Some(progress);
        }
        StepState::Succeeded { port, output } => {
            report.status = "succeeded";
            report.port = Some(port.to_string());
            report.output = Some(Json::clone(output));
        }
        StepState::Failed { failure } => {
            report.status = "failed";
            report.port = Some("error".to_string());
            report.error = Some(failure.clone());
        }
        StepState::Skipped { reason } => {
            report.status = "skipped";
            report.reason = Some(*reason);
        }
    }
    report
}
