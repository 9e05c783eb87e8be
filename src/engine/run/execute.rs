//! One command made real: evaluate, call the step, bound its time and its answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{Either, select};

use super::scope::scope;
use crate::base::json::{bounded, kind};
use crate::base::{Effect, Json, RunId, limits};
use crate::engine::clock::stopwatch;
use crate::engine::decide::{Command, Ended, Input};
use crate::engine::ports::{Clock, Failure, Outcome, Step, StepCall, StepError};
use crate::engine::state::{RunState, StepState};
use crate::expr::{Context, ExprError, Item, Scope};
use crate::lang::catalog::Ports;
use crate::plan::{Plan, PlanStep};

/// Every step of the house by name.
pub type Steps = HashMap<Arc<str>, Arc<dyn Step>>;

/// The items of a run's `for_each` steps, evaluated once while the run is in memory.
#[derive(Default)]
pub struct ItemValues(HashMap<u32, Vec<Arc<Json>>>);

/// One attempt, ready to run on a task of its own.
pub struct Attempt {
    step: u32,
    item: Option<u32>,
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
    /// What an item leaves behind, evaluated over its output.
    collect: Option<(Arc<Plan>, usize, Scope)>,
}

/// What an attempt needs of the shell.
pub struct Tools<'a> {
    pub steps: &'a Steps,
    pub clock: &'a Arc<dyn Clock>,
}

/// Evaluates `if:`, `in:` and `with:` of a command. Bounded (fuel), so it is done where the run is.
pub fn prepare(
    plan: &Arc<Plan>,
    state: &RunState,
    items: &mut ItemValues,
    command: Command,
    tools: &Tools<'_>,
) -> Attempt {
    let Command::Execute { step, item, attempt, started_at } = command;
    let planned = &plan.steps[step as usize];
    let scope = scope(plan, state, step as usize, attempt, started_at);
    let work = match (&planned.for_each, item) {
        (Some(_), None) => Work::Settled(expand(planned, items, step, &scope)),
        _ => match evaluate(plan, planned, items, step, item, scope, state) {
            Ok(Evaluated::Skip) => Work::Settled(Ok(Ended::ConditionFalse)),
            Ok(Evaluated::Run { input, scope }) => call(plan, planned, state.id, command, input, scope, tools),
            Err(failure) => Work::Settled(Err(StepError::Permanent(failure))),
        },
    };
    Attempt { step, item, work }
}

enum Evaluated {
    Skip,
    Run { input: Json, scope: Scope },
}

fn evaluate(
    plan: &Plan,
    planned: &PlanStep,
    items: &mut ItemValues,
    step: u32,
    item: Option<u32>,
    mut scope: Scope,
    state: &RunState,
) -> Result<Evaluated, Failure> {
    if let (Some(each), Some(index)) = (&planned.for_each, item) {
        let value = items.value(plan, planned, step, index, state)?;
        scope.item = Some(Item { name: each.name.clone(), value, index });
    }
    let context = Context::new(&scope);
    // The `if` of a `for_each` is about the whole step and was asked before its items.
    if planned.for_each.is_none() && !holds(planned, &context).map_err(|error| expression("if", &error))? {
        return Ok(Evaluated::Skip);
    }
    let input = planned.with.render_in(&context).map_err(|error| Failure::new(EXPRESSION, error.to_string()))?;
    Ok(Evaluated::Run { input, scope })
}

fn holds(planned: &PlanStep, context: &Context) -> Result<bool, ExprError> {
    planned.condition.as_ref().map_or(Ok(true), |condition| condition.holds_in(context))
}

/// Reaching a `for_each`: whether it runs at all, and how many items there are.
fn expand(planned: &PlanStep, items: &mut ItemValues, step: u32, scope: &Scope) -> Result<Ended, StepError> {
    match holds(planned, &Context::new(scope)) {
        Ok(false) => Ok(Ended::ConditionFalse),
        Ok(true) => items.count(planned, step, scope),
        Err(error) => Err(StepError::Permanent(expression("if", &error))),
    }
}

fn call(
    plan: &Arc<Plan>,
    planned: &PlanStep,
    run: RunId,
    command: Command,
    input: Json,
    scope: Scope,
    tools: &Tools<'_>,
) -> Work {
    let Command::Execute { step: index, item, attempt, started_at } = command;
    let Some(step) = tools.steps.get(&planned.uses) else {
        // The plan was checked against a catalog that had it: a plugin was removed since.
        let failure = Failure::new("step.missing", format!("there is no step `{}` any more", planned.uses));
        return Work::Settled(Err(StepError::Permanent(failure)));
    };
    let collects = planned.for_each.as_ref().is_some_and(|each| each.collect.is_some());
    Work::Call(Box::new(Call {
        step: step.clone(),
        call: StepCall {
            run,
            workflow: plan.workflow.clone(),
            step: planned.id.clone(),
            item,
            attempt,
            now: started_at,
            timeout_ms: planned.timeout_ms,
            input,
        },
        at_most_once: planned.effect == Effect::AtMostOnce,
        clock: tools.clock.clone(),
        collect: collects.then(|| (plan.clone(), index as usize, scope)),
    }))
}

/// The code of a failed evaluation.
const EXPRESSION: &str = "expression";

fn expression(field: &str, error: &ExprError) -> Failure {
    Failure::new(EXPRESSION, format!("{field}: {error}"))
}

impl Attempt {
    /// Runs it to its end, which is always an [`Input::Ended`].
    pub async fn run(self) -> Input {
        let Self { step, item, work } = self;
        let watch = stopwatch();
        let result = match work {
            Work::Settled(result) => result,
            Work::Call(call) => {
                let (name, at_most_once) = (call.step.spec().name.clone(), call.at_most_once);
                // A panic is a bug in one step and must not take the run's other steps with it.
                let caught = std::panic::AssertUnwindSafe(call.run(item)).catch_unwind().await;
                caught.unwrap_or_else(|_| {
                    let failure = Failure::new("step.panicked", format!("`{name}` panicked: a bug worth reporting"));
                    Err(if at_most_once { StepError::Unknown(failure) } else { StepError::Permanent(failure) })
                })
            }
        };
        Input::Ended { step, item, result, took_us: watch.elapsed().as_micros() as u64 }
    }
}

impl Call {
    async fn run(self, item: Option<u32>) -> Result<Ended, StepError> {
        let Self { step, call, at_most_once, clock, collect } = self;
        let timeout_ms = call.timeout_ms;
        let deadline = clock.now().saturating_add_unsigned(timeout_ms);
        let outcome = match select(step.run(call), clock.sleep_until(deadline)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(((), _)) => {
                let failure = Failure::new("step.timeout", format!("no outcome within {timeout_ms} ms"));
                Err(if at_most_once { StepError::Unknown(failure) } else { StepError::Transient(failure) })
            }
        };
        match outcome? {
            Outcome::SleepUntil(until) => Ok(Ended::Step(Outcome::SleepUntil(until))),
            Outcome::Done { port, output } => {
                let output = bounded("the output", output, limits::STEP_OUTPUT)
                    .map_err(|error| permanent("step.output_too_large", error.to_string()))?;
                check_port(step.as_ref(), &port)?;
                let output = if item.is_some() { left_behind(collect, output)? } else { output };
                Ok(Ended::Step(Outcome::Done { port, output }))
            }
        }
    }
}

fn check_port(step: &dyn Step, port: &str) -> Result<(), StepError> {
    match &step.spec().ports {
        Ports::Fixed(known) if !known.iter().any(|name| name == port) => Err(permanent(
            "step.unknown_port",
            format!("`{}` left by `{port}`, a port it does not have", step.spec().name),
        )),
        Ports::Fixed(_) | Ports::KeysOf(_) => Ok(()),
    }
}

/// What an item of a `for_each` leaves in the journal: the value of `collect:`, or nothing.
fn left_behind(collect: Option<(Arc<Plan>, usize, Scope)>, output: Json) -> Result<Json, StepError> {
    let Some((plan, step, mut scope)) = collect else { return Ok(Json::Null) };
    let Some(expr) = plan.steps[step].for_each.as_ref().and_then(|each| each.collect.as_ref()) else {
        return Ok(Json::Null);
    };
    scope.output = Some(Arc::new(output));
    let done = "the step itself succeeded and is not run again";
    let value = expr.eval(&scope);
    let value = value.map_err(|error| permanent(EXPRESSION, format!("for_each.collect: {error} ({done})")))?;
    bounded("a collected value", value, limits::COLLECTED_VALUE)
        .map_err(|error| permanent("for_each.collect_too_large", format!("{error} ({done})")))
}

fn permanent(code: &str, message: String) -> StepError {
    StepError::Permanent(Failure::new(code, message))
}

impl ItemValues {
    /// Evaluates `in:` and says how many items there are.
    fn count(&mut self, planned: &PlanStep, step: u32, scope: &Scope) -> Result<Ended, StepError> {
        let values = evaluate_items(planned, scope).map_err(StepError::Permanent)?;
        let total = values.len() as u32;
        self.0.insert(step, values);
        Ok(Ended::Items(total))
    }

    fn value(
        &mut self,
        plan: &Plan,
        planned: &PlanStep,
        step: u32,
        index: u32,
        state: &RunState,
    ) -> Result<Arc<Json>, Failure> {
        let values = match self.0.entry(step) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                // After a restart: the same names at the same logical time give the same items.
                let StepState::Items(items) = &state.steps[step as usize] else {
                    return Err(Failure::new("for_each.lost", "the step has no items"));
                };
                let scope = scope(plan, state, step as usize, 1, items.started_at);
                unknown.insert(evaluate_items(planned, &scope)?)
            }
        };
        values
            .get(index as usize)
            .cloned()
            .ok_or_else(|| Failure::new("for_each.lost", format!("there is no item {index} any more")))
    }
}

fn evaluate_items(planned: &PlanStep, scope: &Scope) -> Result<Vec<Arc<Json>>, Failure> {
    let Some(each) = &planned.for_each else { return Ok(Vec::new()) };
    let found = match each.items.eval(scope).map_err(|error| expression("for_each.in", &error))? {
        Json::Array(values) => values,
        other => {
            let kind = kind(&other);
            return Err(Failure::new("for_each.no_list", format!("for_each.in: a list is needed, this is {kind}")));
        }
    };
    if found.len() > limits::FOR_EACH_ITEMS {
        let message = format!("for_each.in: {} items, more than the {} allowed", found.len(), limits::FOR_EACH_ITEMS);
        return Err(Failure::new("for_each.too_many", message));
    }
    Ok(found.into_iter().map(Arc::new).collect())
}
