//! A run that a person has stand still, and that goes on.
//!
//! While it is paused nothing of it begins: no attempt, no item, no retry whose time has come, no step after a wait. What is
//! at work ends and is journaled; events, approvals and ends of called runs are taken, so that nothing is lost; the
//! workflow's `timeout` goes on. Whatever would have begun is found again when the run is resumed, as after a crash.

use super::{Deciding, Refused};
use crate::engine::event::{Event, Place};
use crate::engine::ports::Failure;
use crate::engine::state::IllegalEvent;
use crate::engine::waiting::Waiting;

/// The code of what a pause put off.
pub const PAUSED: &str = "run.paused";

impl Deciding<'_> {
    pub(super) fn pause(&mut self, reason: Option<String>) -> Result<(), Refused> {
        if let Some((status, _)) = &self.state.ending {
            return Err(Refused::Ended(*status));
        }
        if self.state.version == 1 {
            return Err(Refused::NotBegun);
        }
        if self.state.paused.is_some() {
            return Err(Refused::Paused);
        }
        Ok(self.emit(Event::RunPaused { at: self.now, reason })?)
    }

    pub(super) fn unpause(&mut self) -> Result<(), Refused> {
        if self.state.paused.is_none() {
            return Err(Refused::NotPaused(self.state.status()));
        }
        self.emit(Event::RunResumed { at: self.now })?;
        self.stop_in_time()?;
        Ok(self.stand_up()?)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state.paused.is_some()
    }

    /// An attempt that a crash cut off and that may be made again: the same one, when the run is resumed.
    pub(super) fn put_off(&mut self, place: &Place) -> Result<(), IllegalEvent> {
        let failure = Failure::new(PAUSED, "the daemon stopped in the middle of it, and the run is paused");
        self.waits_for_resume(place, Waiting::Later { failure })
    }

    /// A person says of a held attempt that nothing happened: the next one, when the run is resumed.
    pub(super) fn again_after_pause(&mut self, place: &Place) -> Result<(), IllegalEvent> {
        let failure = Failure::new(PAUSED, "it did not happen, a person says, and the run is paused");
        self.waits_for_resume(place, Waiting::Retry { failure })
    }

    fn waits_for_resume(&mut self, place: &Place, why: Waiting) -> Result<(), IllegalEvent> {
        let Place { step, items } = place.clone();
        self.emit(Event::StepWaiting { at: self.now, step, items, due: Some(self.now), why })
    }
}
