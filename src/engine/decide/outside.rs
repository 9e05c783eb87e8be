//! What comes from outside to a step that waits: people, events, called runs.

use std::sync::Arc;

use serde_json::json;

use super::{Approval, Deciding, Refused, Resolution};
use crate::base::{Json, RunId};
use crate::engine::event::{Event, Place, SkipReason};
use crate::engine::frame::Phase;
use crate::engine::ports::{Failure, OK, Port};
use crate::engine::state::IllegalEvent;
use crate::engine::waiting::Waiting;

impl Deciding<'_> {
    pub(super) fn resolve(&mut self, place: &Place, resolution: Resolution) -> Result<(), Refused> {
        let held = self.state.attempt(self.plan, place).filter(|slot| matches!(slot.phase, Phase::Held { .. }));
        let attempt = held.ok_or_else(|| Refused::NotHeld(place.clone()))?.attempt;
        if let (Resolution::NotSent, Some((status, _))) = (resolution, &self.state.ending) {
            // Nothing is begun any more; it stays held, for a retry.
            return Err(Refused::Ended(*status));
        }
        match resolution {
            Resolution::Sent => self.succeed(place, OK, json!({"resolved": "sent"}), None, 0)?,
            Resolution::NotSent if self.is_paused() => self.again_after_pause(place)?,
            Resolution::NotSent => self.start(place.clone(), attempt + 1)?,
            Resolution::Skip => self.skip(place, SkipReason::Resolved)?,
        }
        Ok(())
    }

    fn waits_for(&self, place: &Place) -> Option<&Waiting> {
        match &self.state.attempt(self.plan, place)?.phase {
            Phase::Waiting { why, .. } => Some(why),
            _ => None,
        }
    }

    pub(super) fn approve(&mut self, place: &Place, approval: Approval) -> Result<(), Refused> {
        if !matches!(self.waits_for(place), Some(Waiting::Approval { .. })) {
            return Err(Refused::NoApproval(place.clone()));
        }
        let Approval { approved, by, comment } = approval;
        let port = if approved { OK } else { Port::Borrowed("rejected") };
        Ok(self.succeed(place, port, json!({"by": by, "comment": comment}), None, 0)?)
    }

    pub(super) fn deliver(&mut self, place: &Place, key: String, event: Arc<Json>) -> Result<(), Refused> {
        let listening = matches!(self.waits_for(place), Some(Waiting::Event { .. }));
        if !listening || self.state.taken.contains(&key) {
            return Err(Refused::NotListening(place.clone()));
        }
        let Place { step, items } = place.clone();
        self.emit(Event::EventTaken { at: self.now, step, items, key })?;
        Ok(self.succeed(place, OK, Json::clone(&event), None, 0)?)
    }

    pub(super) fn returned(
        &mut self,
        place: &Place,
        child: RunId,
        result: Result<Json, Failure>,
    ) -> Result<(), IllegalEvent> {
        // It may be told twice: when the called run ends, and after a restart of the caller.
        if !matches!(self.waits_for(place), Some(Waiting::Call { child: called, .. }) if *called == child) {
            return Ok(());
        }
        match result {
            Ok(output) => self.succeed(place, OK, output, None, 0),
            Err(failure) => self.fail(place, failure, 0),
        }
    }
}
