//! How a run ends, and how a person has it go on after its end.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Command, Deciding, Refused};
use crate::base::{Effect, Json};
use crate::engine::event::{Event, RunStatus};
use crate::engine::frame::{Phase, StepState};
use crate::engine::ports::Failure;
use crate::engine::state::IllegalEvent;
use crate::engine::waiting::Waiting;

impl Deciding<'_> {
    /// Nothing new starts from now on.
    pub(super) fn stop(&mut self, status: RunStatus, failure: Failure) -> Result<(), IllegalEvent> {
        if self.state.ending.is_some() {
            return Ok(());
        }
        self.emit(Event::RunEnding { at: self.now, status, failure })?;
        let mut called = Vec::new();
        self.state.visit(&mut |_, _, slot| {
            if let Phase::Waiting { why: Waiting::Call { child, .. }, .. } = slot.phase {
                called.push(child);
            }
        });
        called.into_iter().for_each(|child| self.command(Command::CancelCalled { child }));
        Ok(())
    }

    /// Ends the run if nothing of it is left to do.
    pub(super) fn finish(&mut self) -> Result<(), IllegalEvent> {
        if self.state.ended.is_some() {
            return Ok(());
        }
        let Some(status) = self.over() else { return Ok(()) };
        let follows = match status {
            RunStatus::Failed => self.plan.on_failure.is_some(),
            RunStatus::Succeeded => self.plan.output.is_some(),
            _ => false,
        };
        if follows {
            self.command(Command::Finish { status });
            return Ok(());
        }
        self.end(status, None)
    }

    pub(super) fn finished(
        &mut self,
        status: RunStatus,
        output: Result<Option<Json>, Failure>,
    ) -> Result<(), IllegalEvent> {
        // It may be about an end that has become another meanwhile; what that one needs is asked for then.
        if self.over() != Some(status) {
            return Ok(());
        }
        match output {
            Ok(output) => self.end(status, output),
            // A failed `output` is a failure of the run, which `on_failure` may want to know.
            Err(failure) if self.state.ending.is_none() => self.stop(RunStatus::Failed, failure),
            Err(_) => self.end(status, None),
        }
    }

    /// The status to end with, when nothing is left to do.
    fn over(&self) -> Option<RunStatus> {
        if let Some((status, _)) = &self.state.ending {
            // An attempt that must not be cut off is waited for: its outcome would be unknown for nothing.
            let steps = &self.plan.steps;
            let critical = self.state.root.any(&mut |step, slot| {
                slot.phase == Phase::Running && steps[step as usize].effect == Effect::AtMostOnce
            });
            return (!critical).then_some(*status);
        }
        if self.state.root.open > 0 {
            return None;
        }
        let steps = &self.plan.steps;
        let failed = self.state.root.failure(|step| steps[step as usize].handles_error).is_some();
        Some(if failed { RunStatus::Failed } else { RunStatus::Succeeded })
    }

    fn end(&mut self, status: RunStatus, output: Option<Json>) -> Result<(), IllegalEvent> {
        // Written down, null and nothing are the same.
        let output = output.filter(|output| !output.is_null());
        let failure = self.state.ending.as_ref().map(|(_, failure)| failure.clone());
        self.emit(Event::RunEnded { at: self.now, status, output: output.map(Arc::new), failure })
    }

    /// An ended run goes on: `from` and what needs it is done again, or what failed and what needs that.
    pub(super) fn retried(&mut self, from: Option<u32>) -> Result<(), Refused> {
        let Some(ended) = self.state.ended else { return Err(Refused::NotEnded(self.state.status())) };
        let mut steps = BTreeSet::new();
        let root = &self.state.root;
        // What comes after them may be about other values now, so that its items cannot be told from each other.
        let mut after_failed_items = BTreeSet::new();
        for (step, state) in root.steps.iter().enumerate() {
            if matches!(state, StepState::Succeeded { items: Some(items), .. } if !items.failed.is_empty()) {
                let mut below = BTreeSet::new();
                root.with_dependents(self.plan, step, &mut below, |_| true);
                below.remove(&step);
                after_failed_items.extend(below);
            }
        }
        for (step, state) in root.steps.iter().enumerate() {
            let unfinished = match state {
                StepState::Failed { .. } => !self.plan.steps[step].handles_error,
                // A `for_each` that went on past failed items: they are what there is to retry.
                StepState::Succeeded { items: Some(items), .. } => {
                    ended == RunStatus::Succeeded
                        && from.is_none()
                        && !items.failed.is_empty()
                        && !after_failed_items.contains(&step)
                }
                StepState::Pending | StepState::Active(_) | StepState::Items(_) => true,
                StepState::Succeeded { .. } | StepState::Skipped { .. } => false,
            };
            if from == Some(step as u32) {
                root.with_dependents(self.plan, step, &mut steps, |_| true);
            } else if unfinished {
                // What succeeded by another way stays: a person who is not asked must not get a second message.
                root.with_dependents(self.plan, step, &mut steps, |state| !state.stays());
            }
        }
        if steps.is_empty() && ended == RunStatus::Succeeded {
            return Err(Refused::NothingToRetry);
        }
        let steps = steps.into_iter().map(|step| step as u32).collect();
        self.emit(Event::RunRetried { at: self.now, steps, from })?;
        Ok(self.resume()?)
    }
}
