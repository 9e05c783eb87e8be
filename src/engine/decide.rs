//! The pure core: what happens next, given a run's state and one input (invariant 2).
//!
//! What is *absent*: await, clocks, I/O, randomness. `decide` changes the state only by applying the events it returns,
//! so that the fold of the journal and the state in memory are the same thing.

use std::sync::Arc;

use super::backoff;
use super::event::{Event, RunStatus, SkipReason, Waiting};
use super::ports::{Failure, OK, Outcome, StepError};
use super::state::{IllegalEvent, Phase, RunState, StepState};
use crate::base::{Effect, Json, Millis, limits};
use crate::lang::workflow::{Join, OnItemError, OnUnknown};
use crate::plan::Plan;

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// It was just created.
    Begin,
    /// It was loaded from the journal: what was at work then is at work no more.
    Resume,
    /// An attempt ended. `took_us` is its time in microseconds.
    Ended { step: u32, item: Option<u32>, result: Result<Ended, StepError>, took_us: u64 },
    /// A timer may be due.
    Wake,
    /// A person says what became of a held attempt.
    Resolve { step: u32, item: Option<u32>, resolution: Resolution },
}

/// How an attempt ended well.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    Step(Outcome),
    /// `if` was false.
    ConditionFalse,
    /// `in:` of a `for_each` has this many items.
    Items(u32),
}

/// A person's word on a held attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It happened: the step succeeded.
    Sent,
    /// It did not: do it again.
    NotSent,
    /// Go on without it.
    Skip,
}

/// What the shell is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Evaluate `if:` and `with:` and run one attempt. For a `for_each` step without an item: evaluate `if:` and `in:`.
    /// If the step is at most once, the events of this decision must be durable first.
    Execute { step: u32, item: Option<u32>, attempt: u32, started_at: Millis },
}

/// The answer to one input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    pub events: Vec<Event>,
    pub commands: Vec<Command>,
}

/// An input that does not fit the state. The state is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    #[error("step {0} is not held: nothing to resolve")]
    NotHeld(u32),
}

/// Attempts that `on_unknown: resend` makes even where `retry` allows fewer; after them a person decides. Three: a far side
/// that loses three answers in a row needs a person more than a fourth copy.
const RESEND_ATTEMPTS: u32 = 3;

/// What happens next. `state` has the decision's events applied when this returns.
pub fn decide(plan: &Plan, state: &mut RunState, input: Input, now: Millis) -> Result<Decision, Refused> {
    // Time in a journal never runs backwards, even if the machine's clock does.
    let now = now.max(state.latest_at);
    let mut deciding = Deciding { plan, state, now, decision: Decision::default(), settled: Vec::new() };
    match input {
        Input::Resolve { step, .. } if deciding.state.ended.is_some() => return Err(Refused::NotHeld(step)),
        // An answer that comes after the end changes nothing.
        _ if deciding.state.ended.is_some() => return Ok(deciding.decision),
        Input::Begin => deciding.begin()?,
        Input::Resume => deciding.resume()?,
        Input::Ended { step, item, result, took_us } => deciding.ended(step, item, result, took_us)?,
        Input::Wake => deciding.wake()?,
        Input::Resolve { step, item, resolution } => deciding.resolve(step, item, resolution)?,
    }
    deciding.advance()?;
    Ok(deciding.decision)
}

struct Deciding<'a> {
    plan: &'a Plan,
    state: &'a mut RunState,
    now: Millis,
    decision: Decision,
    /// Steps that were settled and whose dependents have not been looked at.
    settled: Vec<usize>,
}

impl Deciding<'_> {
    fn emit(&mut self, event: Event) -> Result<(), IllegalEvent> {
        self.state.apply(&event)?;
        self.decision.events.push(event);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), IllegalEvent> {
        for step in 0..self.plan.steps.len() {
            if self.plan.steps[step].needs.is_empty() && self.state.steps[step] == StepState::Pending {
                self.start(step as u32, None, 1)?;
            }
        }
        Ok(())
    }

    /// After a crash: an attempt whose outcome was not journaled is run again, unless it must not be.
    fn resume(&mut self) -> Result<(), IllegalEvent> {
        let running: Vec<_> = self
            .state
            .slots()
            .filter(|(_, _, slot)| slot.phase == Phase::Running)
            .map(|(step, item, slot)| (step, item, slot.attempt, slot.started_at))
            .collect();
        for (step, item, attempt, started_at) in running {
            let planned = &self.plan.steps[step as usize];
            // Reaching a `for_each` only evaluates its items; the items are what acts.
            let only_expands = planned.for_each.is_some() && item.is_none();
            if planned.effect == Effect::AtMostOnce && !only_expands {
                let failure = Failure::new(
                    "outcome.unknown",
                    "the daemon stopped between the intention and its outcome; it may or may not have happened",
                );
                self.unknown(step, item, failure)?;
            } else {
                self.decision.commands.push(Command::Execute { step, item, attempt, started_at });
            }
        }
        for step in 0..self.plan.steps.len() {
            if self.state.steps[step].is_settled() {
                self.settled.push(step);
            } else if let StepState::Items(_) = self.state.steps[step] {
                self.fill(step as u32)?;
            }
        }
        self.begin()?;
        self.wake()
    }

    fn wake(&mut self) -> Result<(), IllegalEvent> {
        let due: Vec<_> = self
            .state
            .slots()
            .filter_map(|(step, item, slot)| match &slot.phase {
                Phase::Waiting { due, why } if *due <= self.now => Some((step, item, slot.attempt, why.clone())),
                _ => None,
            })
            .collect();
        for (step, item, attempt, why) in due {
            match why {
                Waiting::Retry { .. } => self.start(step, item, attempt + 1)?,
                Waiting::Later { .. } => self.start(step, item, attempt)?,
                Waiting::Sleep => self.succeed(step, item, OK, Json::Null, 0)?,
            }
        }
        Ok(())
    }

    fn ended(
        &mut self,
        step: u32,
        item: Option<u32>,
        result: Result<Ended, StepError>,
        took_us: u64,
    ) -> Result<(), IllegalEvent> {
        let at = self.now;
        if self.state.attempt(step, item).is_none_or(|slot| slot.phase != Phase::Running) {
            let (run, version) = (self.state.id, self.state.version);
            return Err(IllegalEvent { run, version, what: "an outcome of an attempt that does not run" });
        }
        match result {
            Ok(Ended::Step(Outcome::Done { port, output })) => self.succeed(step, item, port, output, took_us),
            Ok(Ended::Step(Outcome::SleepUntil(due))) if due <= at => self.succeed(step, item, OK, Json::Null, took_us),
            Ok(Ended::Step(Outcome::SleepUntil(due))) => {
                self.emit(Event::StepWaiting { at, step, item, due, why: Waiting::Sleep })
            }
            Ok(Ended::ConditionFalse) => self.skip(step, item, SkipReason::Condition),
            Ok(Ended::Items(total)) => {
                self.emit(Event::ItemsStarted { at, step, total })?;
                self.fill(step)
            }
            Err(StepError::Permanent(failure)) => self.fail(step, item, failure, took_us),
            Err(StepError::Transient(failure)) => self.transient(step, item, failure, took_us),
            Err(StepError::Later { failure, .. }) if self.laters(step, item) >= limits::LATER_IN_A_ROW => {
                self.transient(step, item, failure, took_us)
            }
            Err(StepError::Later { failure, after_ms }) => {
                let due = at.saturating_add_unsigned(after_ms.max(backoff::LATER_AT_LEAST_MS));
                self.emit(Event::StepWaiting { at, step, item, due, why: Waiting::Later { failure } })
            }
            Err(StepError::Unknown(failure)) => match self.plan.steps[step as usize].effect {
                Effect::AtMostOnce => self.unknown(step, item, failure),
                Effect::Pure | Effect::Idempotent => self.transient(step, item, failure, took_us),
            },
        }
    }

    fn resolve(&mut self, step: u32, item: Option<u32>, resolution: Resolution) -> Result<(), Refused> {
        let held = self.state.attempt(step, item).filter(|slot| matches!(slot.phase, Phase::Held { .. }));
        let attempt = held.ok_or(Refused::NotHeld(step))?.attempt;
        match resolution {
            // Of an item nothing is collected: what it would have answered is lost.
            Resolution::Sent if item.is_some() => self.succeed(step, item, OK, Json::Null, 0)?,
            Resolution::Sent => self.succeed(step, item, OK, serde_json::json!({"resolved": "sent"}), 0)?,
            Resolution::NotSent => self.start(step, item, attempt + 1)?,
            Resolution::Skip => self.skip(step, item, SkipReason::Resolved)?,
        }
        Ok(())
    }

    fn transient(&mut self, step: u32, item: Option<u32>, failure: Failure, took_us: u64) -> Result<(), IllegalEvent> {
        let attempt = self.attempt(step, item);
        if attempt < self.plan.steps[step as usize].retry.attempts {
            self.retry(step, item, attempt, failure)
        } else {
            self.fail(step, item, failure, took_us)
        }
    }

    fn unknown(&mut self, step: u32, item: Option<u32>, failure: Failure) -> Result<(), IllegalEvent> {
        let at = self.now;
        let planned = &self.plan.steps[step as usize];
        let attempt = self.attempt(step, item);
        match planned.on_unknown {
            OnUnknown::Resend if attempt < planned.retry.attempts.max(RESEND_ATTEMPTS) => {
                self.retry(step, item, attempt, failure)
            }
            OnUnknown::Resend | OnUnknown::Hold => {
                self.emit(Event::StepHeld { at, step, item, failure })?;
                // A held item waits for a person; the others go on.
                self.fill(step)
            }
            OnUnknown::Skip => self.skip(step, item, SkipReason::Unknown),
        }
    }

    fn retry(&mut self, step: u32, item: Option<u32>, attempt: u32, failure: Failure) -> Result<(), IllegalEvent> {
        let at = self.now;
        let policy = &self.plan.steps[step as usize].retry;
        let salt = self.state.id.seed() ^ (u64::from(step) << 32 | u64::from(item.unwrap_or_default()));
        let due = at.saturating_add_unsigned(backoff::pause_ms(policy, attempt, salt));
        self.emit(Event::StepWaiting { at, step, item, due, why: Waiting::Retry { failure } })
    }

    fn attempt(&self, step: u32, item: Option<u32>) -> u32 {
        self.state.attempt(step, item).map_or(1, |slot| slot.attempt)
    }

    fn laters(&self, step: u32, item: Option<u32>) -> u32 {
        self.state.attempt(step, item).map_or(0, |slot| slot.laters)
    }

    fn start(&mut self, step: u32, item: Option<u32>, attempt: u32) -> Result<(), IllegalEvent> {
        let at = self.now;
        self.emit(Event::StepStarted { at, step, item, attempt })?;
        self.decision.commands.push(Command::Execute { step, item, attempt, started_at: at });
        Ok(())
    }

    fn succeed(
        &mut self,
        step: u32,
        item: Option<u32>,
        port: super::ports::Port,
        output: Json,
        took_us: u64,
    ) -> Result<(), IllegalEvent> {
        let output = Arc::new(output);
        self.emit(Event::StepSucceeded { at: self.now, step, item, port, output, took_us })?;
        self.after_end(step, item)
    }

    fn fail(&mut self, step: u32, item: Option<u32>, failure: Failure, took_us: u64) -> Result<(), IllegalEvent> {
        self.emit(Event::StepFailed { at: self.now, step, item, failure, took_us })?;
        self.after_end(step, item)
    }

    fn skip(&mut self, step: u32, item: Option<u32>, reason: SkipReason) -> Result<(), IllegalEvent> {
        self.emit(Event::StepSkipped { at: self.now, step, item, reason })?;
        self.after_end(step, item)
    }

    fn after_end(&mut self, step: u32, item: Option<u32>) -> Result<(), IllegalEvent> {
        match item {
            None => self.settled.push(step as usize),
            Some(_) => self.fill(step)?,
        }
        Ok(())
    }

    /// Starts as many items as may run, and ends the step when the last one is settled.
    fn fill(&mut self, step: u32) -> Result<(), IllegalEvent> {
        let Some(each) = &self.plan.steps[step as usize].for_each else { return Ok(()) };
        loop {
            let StepState::Items(items) = &self.state.steps[step as usize] else { return Ok(()) };
            if each.on_item_error == OnItemError::Stop && items.failed > 0 && items.next < items.total {
                let first = items.next;
                self.emit(Event::StepSkipped { at: self.now, step, item: Some(first), reason: SkipReason::Stopped })?;
            } else if items.is_drained() {
                return self.end_items(step, each.on_item_error);
            } else if items.next < items.total
                && items.at_work() < each.concurrency as usize
                && items.held() < limits::FOR_EACH_HELD
            {
                let item = items.next;
                self.start(step, Some(item), 1)?;
            } else {
                return Ok(());
            }
        }
    }

    fn end_items(&mut self, step: u32, on_item_error: OnItemError) -> Result<(), IllegalEvent> {
        let StepState::Items(items) = &self.state.steps[step as usize] else { return Ok(()) };
        match items.failures.first() {
            Some((item, failure)) if on_item_error == OnItemError::Stop => {
                let failure = Failure::new(
                    "for_each.stopped",
                    format!("item {item} failed and on_item_error is stop: {}: {}", failure.code, failure.message),
                );
                self.fail(step, None, failure, 0)
            }
            Some((_, failure)) if items.failed == items.total => {
                // One that fails is a case; when all do, the step does.
                let message =
                    format!("all {} items failed, the first with {}: {}", items.total, failure.code, failure.message);
                self.fail(step, None, Failure::new("for_each.all_failed", message), 0)
            }
            _ => {
                let output = items.output();
                self.succeed(step, None, OK, output, 0)
            }
        }
    }

    /// Follows the edges of settled steps until nothing more is decided, then ends the run if that was all.
    fn advance(&mut self) -> Result<(), IllegalEvent> {
        while let Some(step) = self.settled.pop() {
            for index in 0..self.plan.steps[step].dependents.len() {
                let dependent = self.plan.steps[step].dependents[index];
                if self.state.steps[dependent] != StepState::Pending {
                    continue;
                }
                match self.reached(dependent) {
                    Reached::NotYet => {}
                    Reached::Run => self.start(dependent as u32, None, 1)?,
                    Reached::Skip => self.skip(dependent as u32, None, SkipReason::NotReached)?,
                }
            }
        }
        if self.state.open == 0 {
            let status = if self.has_unhandled_failure() { RunStatus::Failed } else { RunStatus::Succeeded };
            self.emit(Event::RunEnded { at: self.now, status })?;
        }
        Ok(())
    }

    fn has_unhandled_failure(&self) -> bool {
        let steps = self.state.steps.iter().zip(&self.plan.steps);
        steps.into_iter().any(|(state, planned)| matches!(state, StepState::Failed { .. }) && !planned.handles_error)
    }

    fn reached(&self, step: usize) -> Reached {
        let planned = &self.plan.steps[step];
        let edges = planned.needs.iter().map(|edge| taken(&self.state.steps[edge.from], &edge.port));
        match planned.join {
            Join::All => {
                let mut reached = Reached::Run;
                for edge in edges {
                    match edge {
                        Some(false) => return Reached::Skip,
                        Some(true) => {}
                        None => reached = Reached::NotYet,
                    }
                }
                reached
            }
            Join::Any => {
                let mut reached = Reached::Skip;
                for edge in edges {
                    match edge {
                        None => return Reached::NotYet,
                        Some(true) => reached = Reached::Run,
                        Some(false) => {}
                    }
                }
                reached
            }
        }
    }
}

enum Reached {
    NotYet,
    Run,
    Skip,
}

/// Whether an edge was taken; None while its step is not settled.
fn taken(from: &StepState, port: &str) -> Option<bool> {
    match from {
        StepState::Pending | StepState::Active(_) | StepState::Items(_) => None,
        StepState::Succeeded { port: exit, .. } => Some(exit == port),
        StepState::Failed { .. } => Some(port == "error"),
        StepState::Skipped { .. } => Some(false),
    }
}
