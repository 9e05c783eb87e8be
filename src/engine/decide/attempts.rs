//! One attempt: how it begins, and what follows from its outcome.

use std::sync::Arc;

use super::{Command, Deciding, Ended};
use crate::base::{Effect, Json, limits};
use crate::engine::backoff;
use crate::engine::event::{Event, Place, SkipReason};
use crate::engine::frame::Phase;
use crate::engine::ports::{Failure, LogLine, Port, StepError};
use crate::engine::state::IllegalEvent;
use crate::engine::waiting::Waiting;
use crate::lang::workflow::OnUnknown;

/// Attempts that `on_unknown: resend` makes even where `retry` allows fewer; after them a person decides. Three: a far side
/// that loses three answers in a row needs a person more than a fourth copy.
const RESEND_ATTEMPTS: u32 = 3;

impl Deciding<'_> {
    /// Begins an attempt, unless the run is ending or paused.
    pub(super) fn start(&mut self, place: Place, attempt: u32) -> Result<(), IllegalEvent> {
        // The timer may be late, or the daemon was down.
        self.stop_in_time()?;
        if self.state.ending.is_some() || self.is_paused() {
            return Ok(());
        }
        let at = self.now;
        self.emit(Event::StepStarted { at, step: place.step, items: place.items.clone(), attempt })?;
        self.command(Command::Execute { place, attempt, started_at: at });
        Ok(())
    }

    pub(super) fn ended(
        &mut self,
        place: &Place,
        result: Result<Ended, StepError>,
        lines: Vec<LogLine>,
        took_us: u64,
    ) -> Result<(), IllegalEvent> {
        let at = self.now;
        let slot = self.state.attempt(self.plan, place).filter(|slot| slot.phase == Phase::Running);
        let Some(attempt) = slot.map(|slot| slot.attempt) else {
            return Err(self.illegal("an outcome of an attempt that does not run"));
        };
        // Before anything is told of it: what is refused changes nothing.
        if matches!(result, Ok(Ended::Items(_))) && self.planned(place).for_each.is_none() {
            return Err(self.illegal("items of a step that has none"));
        }
        if !lines.is_empty() {
            let Place { step, items } = place.clone();
            self.emit(Event::StepLogged { at, step, items, attempt, lines })?;
        }
        match result {
            Ok(Ended::Done { port, output, rows }) => self.succeed(place, port, output, rows, took_us),
            Ok(Ended::Waits { due, why }) => {
                let calls = matches!(why, Waiting::Call { .. });
                // Its time is that of the called run.
                let due = due.filter(|_| !calls);
                self.waits(place, due, why)?;
                if calls && self.state.ending.is_none() {
                    self.command(Command::Call { place: place.clone() });
                }
                // One that is due already.
                if due.is_some_and(|due| due <= at) { self.wake() } else { Ok(()) }
            }
            Ok(Ended::ConditionFalse) => self.skip(place, SkipReason::Condition),
            Ok(Ended::Repeated) => self.skip(place, SkipReason::Repeated),
            Ok(Ended::Declined(why)) => self.skip_for(place, SkipReason::Declined, Some(why)),
            Ok(Ended::Items(total)) => {
                self.emit(Event::ItemsStarted { at, step: place.step, items: place.items.clone(), total })?;
                self.fill(place)
            }
            Err(StepError::Permanent(failure)) => self.fail(place, failure, took_us),
            Err(StepError::Transient(failure)) => self.transient(place, failure, took_us),
            Err(StepError::Later { failure, .. }) if self.laters(place) >= limits::LATER_IN_A_ROW => {
                self.transient(place, failure, took_us)
            }
            Err(StepError::Later { failure, after_ms }) => {
                let due = at.saturating_add_unsigned(after_ms.max(backoff::LATER_AT_LEAST_MS));
                self.waits(place, Some(due), Waiting::Later { failure })
            }
            Err(StepError::Unknown(failure)) => match self.planned(place).effect {
                Effect::AtMostOnce => self.unknown(place, failure),
                Effect::Pure | Effect::Idempotent => self.transient(place, failure, took_us),
            },
        }
    }

    fn waits(&mut self, place: &Place, due: Option<i64>, why: Waiting) -> Result<(), IllegalEvent> {
        self.emit(Event::StepWaiting { at: self.now, step: place.step, items: place.items.clone(), due, why })
    }

    fn transient(&mut self, place: &Place, failure: Failure, took_us: u64) -> Result<(), IllegalEvent> {
        let attempt = self.attempt(place);
        if attempt < self.planned(place).retry.attempts {
            self.again(place, attempt, failure)
        } else {
            self.fail(place, failure, took_us)
        }
    }

    pub(super) fn unknown(&mut self, place: &Place, failure: Failure) -> Result<(), IllegalEvent> {
        let attempt = self.attempt(place);
        let planned = self.planned(place);
        match planned.on_unknown {
            OnUnknown::Resend if attempt < planned.retry.attempts.max(RESEND_ATTEMPTS) => {
                self.again(place, attempt, failure)
            }
            OnUnknown::Resend | OnUnknown::Hold => {
                self.emit(Event::StepHeld { at: self.now, step: place.step, items: place.items.clone(), failure })?;
                // A held item waits for a person; the others go on.
                self.fill_around(place)
            }
            OnUnknown::Skip => self.skip(place, SkipReason::Unknown),
        }
    }

    fn again(&mut self, place: &Place, attempt: u32, failure: Failure) -> Result<(), IllegalEvent> {
        let policy = &self.planned(place).retry;
        let items = place.items.iter().fold(0_u64, |hash, item| hash.wrapping_mul(1_000_003) ^ u64::from(*item));
        let salt = self.state.id.seed() ^ (u64::from(place.step) << 32 ^ items);
        let due = self.now.saturating_add_unsigned(backoff::pause_ms(policy, attempt, salt));
        self.waits(place, Some(due), Waiting::Retry { failure })
    }

    fn attempt(&self, place: &Place) -> u32 {
        self.state.attempt(self.plan, place).map_or(1, |slot| slot.attempt)
    }

    fn laters(&self, place: &Place) -> u32 {
        self.state.attempt(self.plan, place).map_or(0, |slot| slot.laters)
    }

    pub(super) fn succeed(
        &mut self,
        place: &Place,
        port: Port,
        output: Json,
        rows: Option<u32>,
        took_us: u64,
    ) -> Result<(), IllegalEvent> {
        let (at, output) = (self.now, Arc::new(output));
        let Place { step, items } = place.clone();
        self.emit(Event::StepSucceeded { at, step, items, port, output, rows, took_us })?;
        self.settled.push(place.clone());
        Ok(())
    }

    pub(super) fn fail(&mut self, place: &Place, failure: Failure, took_us: u64) -> Result<(), IllegalEvent> {
        let Place { step, items } = place.clone();
        self.emit(Event::StepFailed { at: self.now, step, items, failure, took_us })?;
        self.settled.push(place.clone());
        Ok(())
    }

    pub(super) fn skip(&mut self, place: &Place, reason: SkipReason) -> Result<(), IllegalEvent> {
        self.skip_for(place, reason, None)
    }

    fn skip_for(&mut self, place: &Place, reason: SkipReason, why: Option<Failure>) -> Result<(), IllegalEvent> {
        let Place { step, items } = place.clone();
        self.emit(Event::StepSkipped { at: self.now, step, items, reason, why })?;
        self.settled.push(place.clone());
        Ok(())
    }
}
