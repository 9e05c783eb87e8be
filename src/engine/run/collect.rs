//! What an item of a `for_each` leaves: the value of `collect`, over the steps of its block.

use super::Shared;
use super::execute::EXPRESSION;
use super::scope::scope_of;
use super::values::{ItemValues, ValueError};
use crate::base::json::bounded;
use crate::base::{Json, limits};
use crate::engine::event::Place;
use crate::engine::frame::StepState;
use crate::engine::ports::Failure;
use crate::engine::state::RunState;
use crate::plan::Plan;

/// `owner` is the `for_each`.
pub async fn collect(
    plan: &Plan,
    state: &RunState,
    values: &mut ItemValues,
    owner: &Place,
    item: u32,
    shared: &Shared,
) -> Result<Json, ValueError> {
    let planned = &plan.steps[owner.step as usize];
    let Some(each) = &planned.for_each else { return Ok(Json::Null) };
    let Some(expr) = &each.collect else { return Ok(Json::Null) };
    let inside = owner.inside(item, plan.blocks[each.block].first as u32);
    let now = match state.step(plan, owner) {
        Some(StepState::Items(items)) => items.began.started_at,
        _ => state.latest_at,
    };
    let mut scope = scope_of(plan, state, &planned.reads, &inside.items, 1, now);
    values.fill(plan, state, &inside, &*shared.store, &mut scope).await?;
    let done = "the steps themselves are done and are not run again";
    if plan.blocks[each.block].len == 1
        && let Some(StepState::Succeeded { output, .. }) = state.step(plan, &inside)
    {
        // What a person resolved has no output to draw from.
        if output.get("resolved").is_some() {
            return Ok(Json::Null);
        }
        scope.output = Some(output.clone());
    }
    let value = expr.eval(&scope);
    let value = value.map_err(|error| Failure::new(EXPRESSION, format!("for_each.collect: {error} ({done})")))?;
    let value = bounded("a collected value", value, limits::COLLECTED_VALUE);
    Ok(value.map_err(|error| Failure::new("for_each.collect_too_large", format!("{error} ({done})")))?)
}
