//! The names a step's expressions see, drawn from the run's state.

use std::sync::Arc;

use serde_json::json;

use crate::base::Millis;
use crate::engine::event::Place;
use crate::engine::frame::StepState;
use crate::engine::ports::Failure;
use crate::engine::state::RunState;
use crate::expr::{RunNames, Scope};
use crate::plan::Plan;

/// The scope of one attempt at `place`. Only what its expressions read is put in; items are the caller's.
pub fn scope(plan: &Plan, state: &RunState, place: &Place, attempt: u32, now: Millis) -> Scope {
    let reads = &plan.steps[place.step as usize].reads;
    scope_of(plan, state, reads, &place.items, attempt, now)
}

/// The same for expressions that are no step's: `reads` are the steps they read, `items` the items around.
pub fn scope_of(plan: &Plan, state: &RunState, reads: &[usize], items: &[u32], attempt: u32, now: Millis) -> Scope {
    let mut scope = Scope {
        event: state.event.clone(),
        inputs: state.inputs.clone(),
        vars: plan.vars.clone(),
        run: Some(RunNames { id: state.id, workflow: plan.name.clone(), started_at: state.created_at, attempt }),
        now,
        ..Scope::default()
    };
    for &read in reads {
        let depth = plan.blocks[plan.steps[read].block].chain.len();
        let place = Place { step: read as u32, items: items[..depth.min(items.len())].to_vec() };
        let id = plan.steps[read].id.clone();
        match state.step(plan, &place) {
            // The rows are beside the journal; expressions see how many there are.
            Some(StepState::Succeeded { rows: Some(rows), .. }) => {
                scope.steps.insert(id, Arc::new(json!({"rows": rows})));
            }
            Some(StepState::Succeeded { output, .. }) => {
                scope.steps.insert(id, output.clone());
            }
            Some(StepState::Failed { failure, .. }) => {
                let Failure { code, message, details } = failure;
                scope.errors.insert(id, Arc::new(json!({"code": code, "message": message, "details": details})));
            }
            _ => {}
        }
    }
    scope
}
