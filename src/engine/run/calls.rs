//! Runs that other runs start: called ones, and those of `on_failure`.
//!
//! Nothing of this needs a transaction over two runs. A called run has the id that its caller journaled, so that creating it
//! twice is creating it once; an ended run keeps its `wake_at` until its caller has taken the result; and the run of
//! `on_failure` is created, under a key of its own, before the end of the failed one is journaled.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};

use serde_json::json;
use tokio::sync::oneshot;

use super::execute::{Done, expression};
use super::mail::Mail;
use super::scope::scope_of;
use super::{LoadError, PlanError, Shared, Submission, SubmitError, follow};
use crate::base::json::{JsonMap, bounded};
use crate::base::{Json, Millis, RunId, limits};
use crate::engine::decide::Input;
use crate::engine::event::{Parent, Place, RunStatus};
use crate::engine::frame::{Phase, StepState};
use crate::engine::ports::{Dedupe, Failure, RunRow, StoreError};
use crate::engine::state::RunState;
use crate::engine::waiting::Waiting;
use crate::plan::{Plan, inputs};

/// Pause before a run that could not be created is tried again, in milliseconds.
const RETRY_MS: Millis = 1_000;

/// Creates the run that the step at `place` calls, unless it is there; if it has ended, its result.
pub fn call(
    shared: Arc<Shared>,
    plan: &Plan,
    state: &RunState,
    place: &Place,
) -> impl Future<Output = Done> + Send + use<> {
    let (caller, place) = (state.id, place.clone());
    let depth = follow::depth(state) + 1;
    let called = state.attempt(plan, &place).and_then(|slot| match &slot.phase {
        Phase::Waiting { why: Waiting::Call { child, workflow, inputs }, .. } => {
            Some((*child, workflow.clone(), inputs.clone()))
        }
        _ => None,
    });
    async move {
        let Some((child, workflow, inputs)) = called else { return Done::from(Input::Wake) };
        let parent = Parent { run: caller, place: place.clone(), depth };
        loop {
            match shared.store.row(child).await {
                Ok(row) if row.status.is_final() => match result(&shared, &row).await {
                    Ok(result) => return Done::from(Input::Returned { place, child, result }),
                    Err(error) => match again(&shared, caller, error).await {
                        Ok(()) => continue,
                        Err(error) => return Done::from(error),
                    },
                },
                // Its end will be told.
                Ok(_) => return Done::from(Input::Wake),
                Err(StoreError::NotFound(_)) => {}
                Err(error) => match again(&shared, caller, error).await {
                    Ok(()) => continue,
                    Err(error) => return Done::from(error),
                },
            }
            let submission = match submission(&shared, &workflow, &inputs, depth) {
                Ok(submission) => submission,
                Err(failure) => return Done::from(Input::Returned { place, child, result: Err(failure) }),
            };
            // On a task of its own: the caller may be cancelled at any moment, and a run that is there is put to work or told
            // to end, but not forgotten.
            let (starting, parent) = (shared.clone(), parent.clone());
            let started = tokio::spawn(async move {
                starting.accept_inner(submission, Some(child), Some(parent)).await?;
                if starting.uncalled().remove(&child) {
                    cancel(&starting, child);
                }
                Ok(())
            });
            match started.await.unwrap_or(Err(SubmitError::Stopping)) {
                Ok(()) => return Done::from(Input::Wake),
                Err(error) => match again(&shared, caller, unsubmitted(error)).await {
                    Ok(()) => {}
                    Err(error) => return Done::from(error),
                },
            }
        }
    }
}

/// Waits a while if it is worth trying again; not when the daemon stops.
pub async fn again(shared: &Shared, run: RunId, error: StoreError) -> Result<(), StoreError> {
    if !matches!(error, StoreError::Unavailable(_)) {
        return Err(error);
    }
    tracing::warn!(%run, %error, retry_in_ms = RETRY_MS, "the database does not answer yet");
    let mut stopping = shared.stopping.subscribe();
    tokio::select! {
        biased;
        _ = stopping.wait_for(|stopping| *stopping) => Err(error),
        () = shared.clock.sleep_until(shared.clock.now() + RETRY_MS) => Ok(()),
    }
}

pub(super) fn unsubmitted(error: SubmitError) -> StoreError {
    match error {
        SubmitError::Store(error) => error,
        error => StoreError::Unavailable(error.to_string()),
    }
}

fn submission(shared: &Shared, workflow: &str, given: &Json, depth: u32) -> Result<Submission, Failure> {
    if depth > limits::CALL_DEPTH {
        let message = format!("calls within calls are more than {} deep", limits::CALL_DEPTH);
        return Err(Failure::new("call.too_deep", message));
    }
    let unknown = || Failure::new("call.unknown_workflow", format!("there is no workflow `{workflow}`"));
    let plan = shared.workflows.plan(workflow).ok_or_else(unknown)?;
    let empty = JsonMap::new();
    let given = given.as_object().unwrap_or(&empty);
    let inputs = inputs::inputs(&plan.workflow, given);
    let inputs = inputs.map_err(|errors| Failure::new("call.bad_inputs", errors.join("; ")))?;
    Ok(Submission {
        plan,
        trigger: "call",
        event: Arc::new(json!({"event": "call"})),
        inputs: Arc::new(inputs),
        dedupe: None,
        lane: None,
    })
}

/// What an ended run gives its caller.
async fn result(shared: &Shared, row: &RunRow) -> Result<Result<Json, Failure>, StoreError> {
    match shared.state_of(row.id).await {
        Ok((_, state, _)) => Ok(result_of(&state, &row.workflow)),
        Err(LoadError::Store(error) | LoadError::Plan(PlanError::Store(error)))
            if matches!(error, StoreError::Unavailable(_) | StoreError::Conflict(_)) =>
        {
            Err(error)
        }
        Err(error) => Ok(Err(Failure::new("call.unreadable", error.to_string()))),
    }
}

fn result_of(state: &RunState, workflow: &str) -> Result<Json, Failure> {
    match state.ended {
        Some(RunStatus::Succeeded) => Ok(state.output.as_deref().cloned().unwrap_or(Json::Null)),
        Some(RunStatus::Cancelled) => {
            Err(Failure::new("call.cancelled", format!("the run {} of `{workflow}` was cancelled", state.id)))
        }
        _ => {
            let why = first_failure(state).map(|(_, failure)| format!("{}: {}", failure.code, failure.message));
            let why = why.unwrap_or_else(|| "no step says why".to_string());
            Err(Failure::new("call.failed", format!("the run {} of `{workflow}` failed: {why}", state.id)))
        }
    }
}

/// The step and the failure that a failed run is about.
pub(super) fn first_failure(state: &RunState) -> Option<(Option<u32>, &Failure)> {
    if let Some(failure) = state.failure.as_ref().or(state.ending.as_ref().map(|(_, failure)| failure)) {
        return Some((None, failure));
    }
    state.root.failure(|_| false).map(|(step, failure)| (Some(step), failure))
}

/// Ends a run that nobody waits for any more.
pub fn cancel(shared: &Arc<Shared>, child: RunId) {
    let shared = shared.clone();
    tokio::spawn(async move {
        loop {
            let found = shared.store.row(child).await;
            let found = match found {
                Err(StoreError::NotFound(_)) => {
                    // It may be on its way; whoever creates it looks here afterwards.
                    shared.uncalled().insert(child);
                    shared.store.row(child).await
                }
                found => found,
            };
            let error = match found {
                Ok(row) if row.status.is_final() => break,
                Ok(_) => {
                    let (answer, answered) = oneshot::channel();
                    let failure = Failure::new("run.caller_ended", "the run that called it ended");
                    let input = Input::Stop { status: RunStatus::Cancelled, failure };
                    shared.post(child, Mail::Input { input, answer });
                    if answered.await.is_ok() {
                        break;
                    }
                    StoreError::Unavailable("the run did not hear that its caller ended".to_string())
                }
                Err(StoreError::NotFound(_)) => return,
                Err(error) => error,
            };
            // After a restart it is found without its caller.
            if again(&shared, child, error).await.is_err() {
                break;
            }
        }
        shared.uncalled().remove(&child);
    });
}

impl Shared {
    fn uncalled(&self) -> MutexGuard<'_, HashSet<RunId>> {
        self.uncalled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Evaluates `output`, or starts the workflow of `on_failure`.
pub fn finish(
    shared: Arc<Shared>,
    plan: &Plan,
    state: &RunState,
    status: RunStatus,
) -> impl Future<Output = Done> + Send + use<> {
    let output = if status == RunStatus::Succeeded { output(plan, state) } else { Ok(None) };
    let follower = plan.on_failure.clone().filter(|_| status == RunStatus::Failed);
    let event = follower.as_ref().map(|_| Arc::new(failure_event(plan, state)));
    let (run, key) = (state.id, format!("failure:{}:{}", state.id, state.retries));
    async move {
        if let (Some(name), Some(event)) = (follower, event) {
            loop {
                let Some(plan) = shared.workflows.plan(&name) else {
                    tracing::error!(workflow = %name, "there is no such workflow to run after a failure");
                    break;
                };
                let dedupe = Dedupe { key: key.clone(), expires_at: Some(shared.clock.now() + limits::DEDUPE_TTL_MS) };
                let (event, inputs) = (event.clone(), plan.default_inputs.clone());
                let submission =
                    Submission { plan, trigger: "failure", event, inputs, dedupe: Some(dedupe), lane: None };
                match shared.accept_inner(submission, None, None).await {
                    Ok(_) => break,
                    Err(error) => {
                        if let Err(error) = again(&shared, run, unsubmitted(error)).await {
                            return Done::from(error);
                        }
                    }
                }
            }
        }
        Done::from(Input::Finished { status, output })
    }
}

fn output(plan: &Plan, state: &RunState) -> Result<Option<Json>, Failure> {
    let Some(output) = &plan.output else { return Ok(None) };
    let scope = scope_of(plan, state, &output.reads, &[], 1, state.latest_at);
    let value = output.tree.render(&crate::expr::Context::new(&scope));
    let value = value.map_err(|error| expression("output", &error))?;
    let value = bounded("the output", value, limits::STEP_OUTPUT);
    value.map(Some).map_err(|error| Failure::new("run.output_too_large", error.to_string()))
}

/// What the workflow of `on_failure` is told.
fn failure_event(plan: &Plan, state: &RunState) -> Json {
    let (step, failure) = match first_failure(state) {
        Some((step, failure)) => (step, Some(failure)),
        None => (None, None),
    };
    let failed = state
        .root
        .steps
        .iter()
        .enumerate()
        .filter(|(step, state)| matches!(state, StepState::Failed { .. }) && !plan.steps[*step].handles_error);
    let first = failed.map(|(step, _)| step as u32).next().or(step);
    json!({
        "event": "failure",
        "workflow": *plan.name,
        "run_id": state.id,
        "step": first.map(|step| plan.steps[step as usize].id.to_string()),
        "failure": failure,
        "trigger": *state.event,
        follow::DEPTH: follow::depth(state),
    })
}

/// Tells the caller of an ended run, until it has taken the result; then the run has nothing to tell any more.
pub async fn tell_caller(shared: &Arc<Shared>, plan: &Plan, state: &RunState) {
    let Some(parent) = state.parent.clone() else { return };
    if let Err(StoreError::NotFound(_)) = shared.store.row(parent.run).await {
        return shared.told(plan, state).await;
    }
    let result = result_of(state, &plan.name);
    let (answer, answered) = oneshot::channel();
    let input = Input::Returned { place: parent.place, child: state.id, result };
    shared.post(parent.run, Mail::Input { input, answer });
    // Without an answer the daemon is stopping: the result is told again after the next start. A refusal is an answer.
    if answered.await.is_ok() {
        shared.told(plan, state).await;
    }
}
