//! The names a step's expressions see, drawn from the run's state.

use std::sync::Arc;

use serde_json::json;

use crate::base::time::rfc3339;
use crate::base::{Json, Millis};
use crate::engine::state::{RunState, StepState};
use crate::expr::Scope;
use crate::plan::Plan;

/// The scope of one attempt of `step`. Only what its expressions read is put in.
pub fn scope(plan: &Plan, state: &RunState, step: usize, attempt: u32, now: Millis) -> Scope {
    let mut scope = Scope {
        event: state.event.clone(),
        inputs: state.inputs.clone(),
        vars: plan.vars.clone(),
        run: Arc::new(run_names(plan, state, attempt)),
        now,
        ..Scope::default()
    };
    for &read in &plan.steps[step].reads {
        let id = plan.steps[read].id.clone();
        match &state.steps[read] {
            StepState::Succeeded { output, .. } => {
                scope.steps.insert(id, output.clone());
            }
            StepState::Failed { failure } => {
                scope.errors.insert(id, Arc::new(json!({"code": failure.code, "message": failure.message})));
            }
            StepState::Pending | StepState::Active(_) | StepState::Items(_) | StepState::Skipped { .. } => {}
        }
    }
    scope
}

fn run_names(plan: &Plan, state: &RunState, attempt: u32) -> Json {
    json!({
        "id": state.id,
        "workflow": *plan.name,
        "started_at": rfc3339(state.created_at),
        "attempt": attempt,
    })
}
