//! A run's place in its lane: taken before it begins, given back when it ends.

use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use super::lanes::{Arrival, lane};
use super::mail::Mail;
use super::{Job, Shared};
use crate::base::{Json, RunId};
use crate::engine::decide::Input;
use crate::engine::event::RunStatus;
use crate::engine::ports::Failure;
use crate::expr::{Context, ExprError, Scope};
use crate::lang::workflow::Overflow;
use crate::plan::Plan;

/// Runs that are bounded together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    pub name: Arc<str>,
    /// Runs that go on at once.
    pub limit: u32,
    pub overflow: Overflow,
}

impl Lane {
    /// The lane in which a workflow's scheduled runs go one at a time.
    pub fn of_schedules(workflow: &str, overflow: Overflow) -> Self {
        // No workflow's name has a colon, so no key of another lane reads like this.
        let word = if overflow == Overflow::Skip { SKIPS } else { "queue" };
        Self { name: format!("::{word}:{workflow}").into(), limit: 1, overflow }
    }

    /// The lane of a run that was accepted by an earlier process.
    pub(super) fn restored(name: &str, plan: Option<&Plan>) -> Self {
        let (limit, overflow) = match name.strip_prefix("::") {
            Some(rest) if rest.starts_with(SKIPS) => (1, Overflow::Skip),
            Some(_) => (1, Overflow::Queue),
            None => {
                let concurrency = plan.and_then(|plan| plan.concurrency.as_ref());
                concurrency.map_or((1, Overflow::Queue), |concurrency| (concurrency.limit, concurrency.overflow))
            }
        };
        Self { name: name.into(), limit, overflow }
    }
}

const SKIPS: &str = "skip";

/// The lane of a run, as its workflow's `concurrency` says.
pub fn lane_of(plan: &Plan, event: &Arc<Json>, inputs: &Arc<Json>, now: i64) -> Result<Option<Lane>, Failure> {
    let Some(concurrency) = &plan.concurrency else { return Ok(None) };
    let scope =
        Scope { event: event.clone(), inputs: inputs.clone(), vars: plan.vars.clone(), now, ..Scope::default() };
    let failed = |error: ExprError| Failure::new("expression", format!("concurrency.key: {error}"));
    let key = match concurrency.key.render(&Context::new(&scope)).map_err(failed)? {
        Json::String(text) => text,
        other => other.to_string(),
    };
    let (limit, overflow) = (concurrency.limit, concurrency.overflow);
    Ok(Some(Lane { name: lane(&plan.name, &key), limit, overflow }))
}

impl Shared {
    /// Puts a new run to work, or where it waits for a slot of its lane.
    pub(super) fn arrive(self: &Arc<Self>, job: Job, lane: Option<&Lane>) {
        let Some(lane) = lane else { return self.enqueue(job) };
        let run = job.run;
        // Before the lane knows it: its turn may come at once.
        self.in_lane.lock().unwrap_or_else(PoisonError::into_inner).insert(run, job);
        let (arrival, go) = self.lanes.arrive(&lane.name, lane.limit, lane.overflow, run, false);
        match arrival {
            Arrival::Go => self.go(vec![run]),
            Arrival::Queued => {}
            Arrival::Skip { running } => {
                let by = running.first().map_or_else(String::new, |run| format!(" ({run})"));
                let failure = Failure::new("concurrency.skipped", format!("another run of its key is at work{by}"));
                self.end_by(run, RunStatus::Cancelled, failure);
            }
            Arrival::GoAfter { cancel } => {
                for other in cancel {
                    let failure = Failure::new("concurrency.replaced", format!("a later run of its key came ({run})"));
                    self.end_by(other, RunStatus::Cancelled, failure);
                }
            }
        }
        self.go(go);
    }

    /// Has a run end before anything more of it begins.
    pub(super) fn end_by(self: &Arc<Self>, run: RunId, status: RunStatus, failure: Failure) {
        let (answer, _) = oneshot::channel();
        self.post(run, Mail::Input { input: Input::Stop { status, failure }, answer });
    }

    /// Runs whose turn in their lane has come.
    pub(super) fn go(&self, runs: Vec<RunId>) {
        for run in runs {
            let job = self.in_lane.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
            self.enqueue(job.unwrap_or_else(|| Job::stored(run, Arc::from(""), None)));
        }
    }

    /// A run has ended: its slot is another's.
    pub(super) fn ended(&self, run: RunId, lane: Option<&str>) {
        self.timers.forget(run);
        let Some(lane) = lane else { return };
        if self.in_lane.lock().unwrap_or_else(PoisonError::into_inner).remove(&run).is_some() {
            self.heard(run);
        }
        self.go(self.lanes.end(lane, run));
    }

    /// An ended run that is to go on takes a slot again; None: there is none free.
    pub(super) fn take_again(&self, run: RunId, lane: &str, limit: u32) -> Option<()> {
        let (arrival, go) = self.lanes.arrive(lane, limit, Overflow::Queue, run, false);
        let taken = match arrival {
            Arrival::Go => Some(()),
            _ => {
                self.lanes.remove_queued(lane, run);
                None
            }
        };
        self.go(go);
        taken
    }
}
