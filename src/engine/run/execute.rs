//! One command made real: evaluate, call the step, bound its time and its answer.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{Either, select};

use super::scope::scope;
use super::spool;
use super::steps::StepSet;
use super::values::{ItemValues, ValueError, list_name};
use crate::base::json::bounded;
use crate::base::{Effect, Json, RunId, limits};
use crate::engine::clock::stopwatch;
use crate::engine::decide::{Ended, Input};
use crate::engine::event::Place;
use crate::engine::frame::StepState;
use crate::engine::ports::{
    Clock, Failure, Held, Keys, Listen, Outcome, Step, StepCall, StepError, StepLog, Store, StoreError, Wait, Write,
};
use crate::engine::state::RunState;
use crate::engine::waiting::Waiting;
use crate::expr::{Context, ExprError, Scope};
use crate::lang::catalog::{Fields, Ports};
use crate::plan::{Plan, PlanStep};

/// What an attempt needs of the shell.
pub struct Tools<'a> {
    pub steps: &'a StepSet,
    pub clock: &'a Arc<dyn Clock>,
    pub store: &'a Arc<dyn Store>,
    pub keys: &'a Keys,
    /// The plan as these steps have it fits them, should the one at hand not.
    pub fits: bool,
}

/// One attempt, ready to run on a task of its own.
pub struct Attempt {
    place: Place,
    work: Work,
}

enum Work {
    /// Settled by evaluation alone.
    Settled(Result<Ended, StepError>),
    Call(Box<Call>),
}

struct Call {
    step: Arc<dyn Step>,
    call: StepCall,
    at_most_once: bool,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    /// What the `when` of a `wait_for` demands of the event.
    correlate: Option<(Arc<Plan>, Scope)>,
}

/// How an attempt ended, and what is to be committed with it.
pub struct Done {
    pub input: Input,
    pub writes: Vec<Write>,
    /// Keys that others must not have until the commit.
    pub held: Vec<Held>,
    /// The store refused, so that the run cannot go on here; then the input is none.
    pub lost: Option<StoreError>,
}

impl From<Input> for Done {
    fn from(input: Input) -> Self {
        Self { input, writes: Vec::new(), held: Vec::new(), lost: None }
    }
}

impl From<StoreError> for Done {
    fn from(lost: StoreError) -> Self {
        Self { lost: Some(lost), ..Self::from(Input::Wake) }
    }
}

/// Evaluates `if:`, `in:` and `with:` for an attempt at `place`. Bounded (fuel), so it is done where the run is.
pub async fn prepare(
    plan: &Arc<Plan>,
    state: &RunState,
    values: &mut ItemValues,
    place: Place,
    attempt: u32,
    started_at: i64,
    tools: &Tools<'_>,
) -> Attempt {
    let planned = &plan.steps[place.step as usize];
    let mut scope = scope(plan, state, &place, attempt, started_at);
    let work = match values.fill(plan, state, &place, &**tools.store, &mut scope).await {
        Err(ValueError::Failure(failure)) => Work::Settled(Err(StepError::Permanent(failure))),
        Err(ValueError::Store(error)) => Work::Settled(Err(error.into())),
        Ok(()) => match (holds(planned, &scope), &planned.for_each) {
            (Err(failure), _) => Work::Settled(Err(StepError::Permanent(failure))),
            (Ok(false), _) => Work::Settled(Ok(Ended::ConditionFalse)),
            (Ok(true), Some(each)) => {
                let total = values.count(plan, each, &place, state, &scope);
                Work::Settled(total.map(Ended::Items).map_err(StepError::Permanent))
            }
            (Ok(true), None) => call(plan, planned, state, &place, attempt, started_at, scope, tools),
        },
    };
    Attempt { place, work }
}

fn holds(planned: &PlanStep, scope: &Scope) -> Result<bool, Failure> {
    let Some(condition) = &planned.condition else { return Ok(true) };
    condition.holds(scope).map_err(|error| expression("if", &error))
}

#[expect(clippy::too_many_arguments, reason = "the parts of one call")]
fn call(
    plan: &Arc<Plan>,
    planned: &PlanStep,
    state: &RunState,
    place: &Place,
    attempt: u32,
    started_at: i64,
    scope: Scope,
    tools: &Tools<'_>,
) -> Work {
    let Some(step) = tools.steps.steps.get(&planned.uses) else {
        // The plan was checked against a catalog that had it: a plugin was removed since.
        let failure = Failure::new("step.missing", format!("there is no step `{}` any more", planned.uses));
        return Work::Settled(Err(StepError::Permanent(failure)));
    };
    if is_changed(planned, tools.steps) {
        let failure = Failure::new("step.changed", format!("`{}` was changed while the run was at work", planned.uses));
        let laters = state.attempt(plan, place).map_or(0, |slot| slot.laters);
        return Work::Settled(Err(match tools.fits || laters < CHANGED_LATERS {
            true => StepError::Later { failure, after_ms: CHANGED_MS },
            false => StepError::Permanent(failure),
        }));
    }
    let (input, scope) = if planned.deferred.is_some() {
        (planned.with.render(&scope), Some(scope))
    } else {
        (planned.with.render_in(&Context::of(scope)), None)
    };
    let input = match input {
        Ok(input) => input,
        Err(error) => return Work::Settled(Err(permanent(EXPRESSION, error.to_string()))),
    };
    Work::Call(Box::new(Call {
        step: step.clone(),
        call: StepCall {
            run: state.id,
            workflow: plan.workflow.clone(),
            step: planned.id.clone(),
            items: place.items.clone(),
            attempt,
            now: started_at,
            // An older snapshot does not say.
            began: state.attempt(plan, place).map(|slot| slot.began).filter(|at| *at > 0).unwrap_or(started_at),
            timeout_ms: planned.timeout_ms,
            input,
            heard: heard(plan, state, place),
            keys: tools.keys.clone(),
            log: StepLog::default(),
        },
        at_most_once: planned.effect == Effect::AtMostOnce,
        clock: tools.clock.clone(),
        store: tools.store.clone(),
        correlate: scope.map(|scope| (plan.clone(), scope)),
    }))
}

/// Whether the step there is has another effect than the plan goes by, because its plugin was changed: what must not be
/// repeated must not be run as if it could be.
pub fn is_changed(planned: &PlanStep, steps: &StepSet) -> bool {
    let is_other = |step: &Arc<dyn Step>| {
        // Of another kind of step a field may have decided otherwise.
        matches!(step.spec().fields, Fields::Schema(_)) && step.spec().effect != planned.effect
    };
    steps.steps.get(&planned.uses).is_some_and(is_other)
}

/// Pause of an attempt whose step [`is_changed`], in milliseconds: by then the run goes by a plan of today. Arbitrary, short.
const CHANGED_MS: u64 = 1_000;

/// Such pauses of an attempt, at most, while no plan of today fits: whoever put a wrong version there has these ten seconds
/// to put a right one.
const CHANGED_LATERS: u32 = 10;

/// The code of a failed evaluation.
pub const EXPRESSION: &str = "expression";

pub fn expression(field: &str, error: &ExprError) -> Failure {
    Failure::new(EXPRESSION, format!("{field}: {error}"))
}

pub fn permanent(code: &str, message: String) -> StepError {
    StepError::Permanent(Failure::new(code, message))
}

impl Attempt {
    /// Runs it to its end, which is always an [`Input::Ended`].
    pub async fn run(self) -> Done {
        let Self { place, work } = self;
        let watch = stopwatch();
        let mut lines = Vec::new();
        let (result, writes, held) = match work {
            Work::Settled(result) => (result, Vec::new(), Vec::new()),
            Work::Call(call) => {
                let (name, at_most_once) = (call.step.spec().name.clone(), call.at_most_once);
                let log = call.call.log.clone();
                // A panic is a bug in one step and must not take the run's other steps with it.
                let caught = std::panic::AssertUnwindSafe(call.run(&place)).catch_unwind().await;
                lines = log.take();
                match caught {
                    Ok((result, None)) => (result, Vec::new(), Vec::new()),
                    Ok((result, Some((writes, held)))) => (result, writes, held),
                    Err(_) => {
                        let failure =
                            Failure::new("step.panicked", format!("`{name}` panicked: a bug worth reporting"));
                        let error =
                            if at_most_once { StepError::Unknown(failure) } else { StepError::Permanent(failure) };
                        (Err(error), Vec::new(), Vec::new())
                    }
                }
            }
        };
        let took_us = watch.elapsed().as_micros() as u64;
        Done { input: Input::Ended { place, result, lines, took_us }, writes, held, lost: None }
    }
}

impl Call {
    async fn run(self, place: &Place) -> (Result<Ended, StepError>, Option<(Vec<Write>, Vec<Held>)>) {
        let Self { step, call, at_most_once, clock, store, correlate } = self;
        let (timeout_ms, run) = (call.timeout_ms, call.run);
        let list = list_name(place, call.attempt, clock.random());
        let deadline = clock.now().saturating_add_unsigned(timeout_ms);
        let work = async {
            match step.run(call).await? {
                // Reading the rows is part of the step.
                Outcome::Rows(rows) => spool::spool(rows, run, list, &*store).await.map(Whole::Ended),
                outcome => Ok(Whole::Outcome(outcome)),
            }
        };
        let work = std::pin::pin!(work);
        let whole = match select(work, clock.sleep_until(deadline)).await {
            Either::Left((whole, _)) => whole,
            Either::Right(((), _)) => {
                let failure = Failure::new("step.timeout", format!("no outcome within {timeout_ms} ms"));
                Err(if at_most_once { StepError::Unknown(failure) } else { StepError::Transient(failure) })
            }
        };
        match whole {
            Err(error) => (Err(error), None),
            Ok(Whole::Ended(ended)) => (Ok(ended), None),
            Ok(Whole::Outcome(Outcome::Done { port, output })) => {
                let checked = check_port(step.as_ref(), &port).and_then(|()| sized(output));
                (checked.map(|output| Ended::Done { port, output, rows: None }), None)
            }
            Ok(Whole::Outcome(Outcome::Written { port, output, writes, held })) => {
                let checked = check_port(step.as_ref(), &port).and_then(|()| sized(output));
                let written = checked.map(|output| Ended::Done { port, output, rows: None });
                let kept = written.is_ok().then_some((writes, held));
                (written, kept)
            }
            Ok(Whole::Outcome(Outcome::Skipped(why))) => (Ok(Ended::Declined(why)), None),
            Ok(Whole::Outcome(Outcome::Waits(wait))) => (Ok(waits(wait, correlate, place, &*clock)), None),
            // Taken apart above.
            Ok(Whole::Outcome(Outcome::Rows(_))) => (Err(permanent("step.rows", "unread rows".to_string())), None),
        }
    }
}

enum Whole {
    Outcome(Outcome),
    Ended(Ended),
}

fn sized(output: Json) -> Result<Json, StepError> {
    bounded("the output", output, limits::STEP_OUTPUT)
        .map_err(|error| permanent("step.output_too_large", error.to_string()))
}

fn waits(wait: Wait, correlate: Option<(Arc<Plan>, Scope)>, place: &Place, clock: &dyn Clock) -> Ended {
    let (due, why) = match wait {
        Wait::Until(due) => (Some(due), Waiting::Sleep),
        Wait::Approval { title, details, due } => (due, Waiting::Approval { title, details }),
        Wait::Call { workflow, inputs } => {
            let child = RunId::new(clock.now(), clock.random());
            (None, Waiting::Call { child, workflow, inputs })
        }
        Wait::Event { event, due } => {
            // Only texts: of numbers and truth values an expression may say that they are equal though their JSON differs.
            // Where there is none, every such event is looked at.
            let narrow = correlate.and_then(|(plan, scope)| {
                let demands = plan.steps[place.step as usize].correlate.iter();
                let mut texts = demands.filter_map(|(path, expr)| match expr.eval(&scope) {
                    Ok(value @ Json::String(_)) => Some((path.clone(), value.to_string())),
                    _ => None,
                });
                texts.next()
            });
            let (path, value) = narrow.unwrap_or_default();
            (due, Waiting::Event { on: vec![Listen { event, path, value }] })
        }
    };
    Ended::Waits { due, why }
}

/// What [`StepCall::heard`] says.
fn heard(plan: &Plan, state: &RunState, place: &Place) -> Vec<Arc<Json>> {
    let mut heard = vec![state.event.clone()];
    for (number, step) in plan.steps.iter().enumerate().filter(|(_, step)| &*step.uses == WAIT_FOR) {
        let depth = plan.blocks[step.block].chain.len();
        let Some(items) = place.items.get(..depth) else { continue };
        let waited = Place { step: number as u32, items: items.to_vec() };
        if let Some(StepState::Succeeded { output, .. }) = state.step(plan, &waited)
            && !output.is_null()
        {
            heard.push(output.clone());
        }
    }
    heard
}

/// The step whose output is an event.
const WAIT_FOR: &str = "wait_for";

fn check_port(step: &dyn Step, port: &str) -> Result<(), StepError> {
    match &step.spec().ports {
        Ports::Fixed(known) if !known.iter().any(|name| name == port) => Err(permanent(
            "step.unknown_port",
            format!("`{}` left by `{port}`, a port it does not have", step.spec().name),
        )),
        Ports::Fixed(_) | Ports::KeysOf(_) => Ok(()),
    }
}
