//! Runs that begin when a run of another workflow has ended: those of `workflow` triggers.
//!
//! Like the run of `on_failure`, they are created before the end that they follow is journaled, under keys made of the ended
//! run and of themselves: a crash in between has them created again, which changes nothing. Which workflows follow is what
//! is served at that moment.

use std::sync::Arc;

use serde_json::json;

use super::calls::{again, first_failure, unsubmitted};
use super::{Shared, Submission};
use crate::base::time::rfc3339;
use crate::base::{Json, limits};
use crate::engine::event::RunStatus;
use crate::engine::ports::{Dedupe, StoreError};
use crate::engine::state::RunState;
use crate::lang::workflow::End;
use crate::plan::Plan;

/// Where the event of a run that another one started says how many came before it.
pub const DEPTH: &str = "depth";

/// How many runs one after the other have led to this one: calls, failures and ends.
pub fn depth(state: &RunState) -> u32 {
    if let Some(parent) = &state.parent {
        return parent.depth;
    }
    let named = match state.event.get("event").and_then(Json::as_str) {
        Some("workflow" | "failure") => state.event.get(DEPTH).and_then(Json::as_u64),
        _ => None,
    };
    // A person may have made the event up.
    named.map_or(0, |depth| depth.min(u64::from(limits::FOLLOW_DEPTH)) as u32)
}

/// The workflows that begin after a run of `plan` that ended so.
pub fn followers(shared: &Shared, plan: &Plan, status: RunStatus) -> Vec<Arc<Plan>> {
    let end = match status {
        RunStatus::Succeeded => End::Succeeded,
        RunStatus::Failed => End::Failed,
        RunStatus::Cancelled => End::Cancelled,
        _ => return Vec::new(),
    };
    shared.workflows.after(&plan.name, end)
}

/// Creates their runs, however long the store is unavailable; `state` is that of the ended run.
pub async fn begin(
    shared: &Arc<Shared>,
    plan: &Plan,
    state: &RunState,
    followers: Vec<Arc<Plan>>,
) -> Result<(), StoreError> {
    let depth = depth(state) + 1;
    if depth > limits::FOLLOW_DEPTH {
        tracing::error!(
            workflow = %plan.name, run = %state.id,
            "the end of this run starts nothing: {} runs have followed one another, which looks like a circle", limits::FOLLOW_DEPTH
        );
        return Ok(());
    }
    let event = Arc::new(event(plan, state, depth));
    for follower in followers {
        let key = format!("after:{}:{}:{}", state.id, state.retries, follower.name);
        loop {
            let dedupe = Dedupe { key: key.clone(), expires_at: Some(shared.clock.now() + limits::DEDUPE_TTL_MS) };
            let submission = Submission {
                plan: follower.clone(),
                trigger: "workflow",
                event: event.clone(),
                inputs: follower.default_inputs.clone(),
                dedupe: Some(dedupe),
                lane: None,
            };
            match shared.accept_inner(submission, None, None).await {
                Ok(_) => break,
                Err(error) => again(shared, state.id, unsubmitted(error)).await?,
            }
        }
    }
    Ok(())
}

/// What the followers are told.
fn event(plan: &Plan, state: &RunState, depth: u32) -> Json {
    let status = state.ended.unwrap_or(RunStatus::Failed);
    let failure = if status == RunStatus::Succeeded { None } else { first_failure(state).map(|(_, failure)| failure) };
    json!({
        "event": "workflow",
        "workflow": *plan.name,
        "run": state.id,
        "status": status,
        "output": state.output.as_deref(),
        "error": failure,
        "finished_at": rfc3339(state.latest_at),
        DEPTH: depth,
    })
}
