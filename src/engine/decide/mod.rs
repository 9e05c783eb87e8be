//! The pure core: what happens next, given a run's state and one input (invariant 2).
//!
//! What is *absent*: await, clocks, I/O, randomness. `decide` changes the state only by applying the events it returns,
//! so that the fold of the journal and the state in memory are the same thing.

mod attempts;
mod ends;
mod graph;
mod items;
mod outside;
mod pause;
mod resume;

use std::sync::Arc;

pub use self::pause::PAUSED;

use super::event::{Event, Place, RunStatus};
use super::ports::{Failure, LogLine, Port, StepError};
use super::state::{IllegalEvent, RunState};
use super::waiting::Waiting;
use crate::base::{Json, Millis, RunId};
use crate::plan::{Plan, PlanStep};

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// It was just created.
    Begin,
    /// It was loaded from the journal: what was at work then is at work no more.
    Resume,
    /// An attempt ended. `took_us` is its time in microseconds, `lines` is what it told people.
    Ended { place: Place, result: Result<Ended, StepError>, lines: Vec<LogLine>, took_us: u64 },
    /// `collect` was evaluated for an item; `place` is the `for_each`.
    Collected { place: Place, item: u32, result: Result<Json, Failure> },
    /// What is to be done at an end with `status` was done: `output` is evaluated, the `on_failure` run is created.
    Finished { status: RunStatus, output: Result<Option<Json>, Failure> },
    /// A timer may be due.
    Wake,
    /// A person says what became of a held attempt.
    Resolve { place: Place, resolution: Resolution },
    /// A person decides on an `approve` step.
    Approve { place: Place, approval: Approval },
    /// An event that a `wait_for` step may wait for; its `when` holds. `key` names the event.
    Deliver { place: Place, key: String, event: Arc<Json> },
    /// A run that a `call` step called has ended.
    Returned { place: Place, child: RunId, result: Result<Json, Failure> },
    /// A person has it stand still.
    Pause { reason: Option<String> },
    /// A person has a paused run go on.
    Unpause,
    /// Nothing new is to start, and the run is to end so: failed or cancelled.
    Stop { status: RunStatus, failure: Failure },
    /// A person has an ended run go on: from this step of the workflow's own, or from what failed.
    Retry { from: Option<u32> },
}

/// How an attempt ended well.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// Done, on `port`. `rows`: the output is a list of that many rows beside the journal.
    Done { port: Port, output: Json, rows: Option<u32> },
    /// It waits, until `due` at most.
    Waits { due: Option<Millis>, why: Waiting },
    /// `if` was false.
    ConditionFalse,
    /// Its `once` key had its success already.
    Repeated,
    /// The step found that nothing was to be done.
    Declined(Failure),
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

/// A person's word on an `approve` step.
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    pub approved: bool,
    /// Who says so, as they name themselves.
    pub by: Option<String>,
    pub comment: Option<String>,
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Evaluate `if:` and `with:` and run one attempt; of a `for_each`, evaluate `if:` and `in:`. If the step is at most
    /// once, the events of this decision must be durable first.
    Execute { place: Place, attempt: u32, started_at: Millis },
    /// Evaluate `collect` for an item whose block is done; `place` is the `for_each`.
    Collect { place: Place, item: u32 },
    /// See to it that the run which the step at `place` calls exists, once the events are durable, and say when it has ended.
    Call { place: Place },
    /// End the run that was called: nobody waits for it any more.
    CancelCalled { child: RunId },
    /// Evaluate `output` or start the `on_failure` workflow, then say `Finished`.
    Finish { status: RunStatus },
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
    NotHeld(Place),
    #[error("step {0} does not wait for an approval")]
    NoApproval(Place),
    #[error("step {0} does not wait for this event")]
    NotListening(Place),
    #[error("the run has ended ({0})")]
    Ended(RunStatus),
    #[error("the run goes on ({0}); only an ended one can be retried")]
    NotEnded(RunStatus),
    #[error("the run is paused already")]
    Paused,
    #[error("the run is not paused ({0})")]
    NotPaused(RunStatus),
    #[error("the run has not begun; pause it when it has, or cancel it")]
    NotBegun,
    #[error("nothing of it failed; name the step to start from")]
    NothingToRetry,
}

/// What happens next. `state` has the decision's events applied when this returns.
pub fn decide(plan: &Plan, state: &mut RunState, input: Input, now: Millis) -> Result<Decision, Refused> {
    // Time in a journal never runs backwards, even if the machine's clock does.
    let now = now.max(state.latest_at);
    let mut deciding = Deciding { plan, state, now, decision: Decision::default(), settled: Vec::new() };
    if let Some(ended) = deciding.state.ended {
        match input {
            Input::Retry { .. } => {}
            Input::Resolve { place, .. } => return Err(Refused::NotHeld(place)),
            Input::Approve { place, .. } => return Err(Refused::NoApproval(place)),
            Input::Deliver { place, .. } => return Err(Refused::NotListening(place)),
            Input::Stop { .. } | Input::Pause { .. } | Input::Unpause => return Err(Refused::Ended(ended)),
            // An answer that comes after the end changes nothing.
            _ => return Ok(deciding.decision),
        }
    }
    match input {
        Input::Begin => deciding.begin()?,
        Input::Resume => deciding.resume()?,
        Input::Ended { place, result, lines, took_us } => deciding.ended(&place, result, lines, took_us)?,
        Input::Collected { place, item, result } => deciding.collected(&place, item, result)?,
        Input::Finished { status, output } => deciding.finished(status, output)?,
        Input::Wake => deciding.wake()?,
        Input::Resolve { place, resolution } => deciding.resolve(&place, resolution)?,
        Input::Approve { place, approval } => deciding.approve(&place, approval)?,
        Input::Deliver { place, key, event } => deciding.deliver(&place, key, event)?,
        Input::Returned { place, child, result } => deciding.returned(&place, child, result)?,
        Input::Pause { reason } => deciding.pause(reason)?,
        Input::Unpause => deciding.unpause()?,
        Input::Stop { status, failure } => deciding.stop(status, failure)?,
        Input::Retry { from } => deciding.retried(from)?,
    }
    deciding.advance()?;
    deciding.finish()?;
    Ok(deciding.decision)
}

struct Deciding<'a> {
    plan: &'a Plan,
    state: &'a mut RunState,
    now: Millis,
    decision: Decision,
    /// Steps that were settled and whose dependents have not been looked at.
    settled: Vec<Place>,
}

impl Deciding<'_> {
    fn emit(&mut self, event: Event) -> Result<(), IllegalEvent> {
        self.state.apply(self.plan, &event)?;
        self.decision.events.push(event);
        Ok(())
    }

    fn command(&mut self, command: Command) {
        self.decision.commands.push(command);
    }

    fn planned(&self, place: &Place) -> &PlanStep {
        &self.plan.steps[place.step as usize]
    }

    fn illegal(&self, what: &'static str) -> IllegalEvent {
        IllegalEvent { run: self.state.id, version: self.state.version, what }
    }
}
