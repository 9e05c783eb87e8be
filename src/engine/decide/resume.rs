//! After a stop or a crash: what was at work is begun again, unless it must not be; what a cut decision left undone is
//! decided again.

use super::{Command, Deciding};
use crate::base::{Effect, Json};
use crate::engine::event::{Place, RunStatus};
use crate::engine::frame::{Found, Frame, Phase, StepState};
use crate::engine::ports::{Failure, OK, Port};
use crate::engine::state::IllegalEvent;
use crate::engine::waiting::Waiting;

/// What stands in a block, found before anything changes.
#[derive(Default)]
struct Standing {
    settled: Vec<Place>,
    for_each: Vec<Place>,
    /// Blocks of items, by their number and path.
    blocks: Vec<(usize, Vec<u32>)>,
}

impl Deciding<'_> {
    pub(super) fn resume(&mut self) -> Result<(), IllegalEvent> {
        // Nothing is begun again for a run whose time is over.
        self.stop_in_time()?;
        for Found { place, slot } in self.found(|slot| matches!(slot, Phase::Running)) {
            if self.planned(&place).effect == Effect::AtMostOnce {
                let failure = Failure::new(
                    "outcome.unknown",
                    "the daemon stopped between the intention and its outcome; it may or may not have happened",
                );
                self.unknown(&place, failure)?;
            } else if self.is_paused() {
                self.put_off(&place)?;
            } else if self.state.ending.is_none() {
                self.command(Command::Execute { place, attempt: slot.attempt, started_at: slot.started_at });
            }
        }
        let called = |phase: &Phase| matches!(phase, Phase::Waiting { why: Waiting::Call { .. }, .. });
        for Found { place, slot } in self.found(called) {
            match slot.phase {
                Phase::Waiting { why: Waiting::Call { child, .. }, .. } if self.state.ending.is_some() => {
                    self.command(Command::CancelCalled { child });
                }
                _ => self.command(Command::Call { place }),
            }
        }
        self.stand_up()
    }

    /// Begins whatever may begin, wherever the run stands.
    pub(super) fn stand_up(&mut self) -> Result<(), IllegalEvent> {
        let mut standing = Standing::default();
        self.stand(&self.state.root, &mut Vec::new(), &mut standing);
        self.settled.extend(standing.settled);
        for (block, path) in standing.blocks {
            self.begin_block(block, &path)?;
        }
        for place in standing.for_each {
            self.fill(&place)?;
        }
        self.begin()?;
        self.wake()
    }

    fn stand(&self, frame: &Frame, path: &mut Vec<u32>, standing: &mut Standing) {
        for (step, state) in (frame.first..).zip(&frame.steps) {
            let place = || Place { step, items: path.clone() };
            match state {
                StepState::Items(items) => {
                    standing.for_each.push(place());
                    let block = self.plan.steps[step as usize].for_each.as_ref().map(|each| each.block);
                    for (item, frame) in &items.active {
                        path.push(*item);
                        standing.blocks.extend(block.map(|block| (block, path.clone())));
                        self.stand(frame, path, standing);
                        path.pop();
                    }
                }
                state if state.is_settled() => standing.settled.push(place()),
                _ => {}
            }
        }
    }

    /// The attempts whose phase is like this.
    fn found(&self, like: impl Fn(&Phase) -> bool) -> Vec<Found> {
        let mut found = Vec::new();
        self.state.visit(&mut |step, items, slot| {
            if like(&slot.phase) {
                found.push(Found { place: Place { step, items: items.to_vec() }, slot: slot.clone() });
            }
        });
        found
    }

    /// Stops the run if its time is over.
    pub(super) fn stop_in_time(&mut self) -> Result<(), IllegalEvent> {
        if self.state.deadline(self.plan).is_none_or(|deadline| deadline > self.now) {
            return Ok(());
        }
        let ms = self.plan.timeout_ms.unwrap_or_default();
        let failure = Failure::new("run.timeout", format!("the run was not over within {ms} ms"));
        self.stop(RunStatus::Failed, failure)
    }

    /// What is due goes on.
    pub(super) fn wake(&mut self) -> Result<(), IllegalEvent> {
        self.stop_in_time()?;
        if self.state.ending.is_some() || self.is_paused() {
            return Ok(());
        }
        let now = self.now;
        let due = |phase: &Phase| matches!(phase, Phase::Waiting { due: Some(due), .. } if *due <= now);
        for Found { place, slot } in self.found(due) {
            let Phase::Waiting { why, .. } = slot.phase else { continue };
            match why {
                Waiting::Retry { .. } => self.start(place, slot.attempt + 1)?,
                Waiting::Later { .. } => self.start(place, slot.attempt)?,
                Waiting::Sleep => self.succeed(&place, OK, Json::Null, None, 0)?,
                Waiting::Event { .. } | Waiting::Approval { .. } => {
                    self.succeed(&place, Port::Borrowed("timeout"), Json::Null, None, 0)?;
                }
                // Its time is that of the called run.
                Waiting::Call { .. } => {}
            }
        }
        Ok(())
    }
}
