//! What goes wrong on cue: faults, the rate limit, and what the model is to say.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Json as Answer;
use serde::Deserialize;
use serde_json::json;

use super::Sent;
use crate::base::duration::parse_ms;
use crate::base::{Json, limits};
use crate::sandbox::faults::read;
use crate::sandbox::model::Line;
use crate::sandbox::moltflow::error::{ApiFailure, ApiResult};
use crate::sandbox::{RateLimit, World, exact};

pub async fn list(State(world): State<Arc<World>>) -> Answer<Json> {
    Answer(json!(world.faults.shown()))
}

/// One fault or a list of them, each an object or a line of text; all of them are added, or none.
pub async fn add(State(world): State<Arc<World>>, Sent(sent): Sent<Json>) -> ApiResult<Answer<Json>> {
    let (values, is_list) = match sent {
        Json::Array(values) => (values, true),
        one => (vec![one], false),
    };
    let mut faults = Vec::with_capacity(values.len().min(limits::SANDBOX_OBJECTS));
    for (place, value) in values.iter().enumerate().take(limits::SANDBOX_OBJECTS + 1) {
        faults.push(read(value).map_err(|error| {
            let place = if is_list { format!("fault {}: ", place + 1) } else { String::new() };
            ApiFailure::invalid(format!("{place}{error}"))
        })?);
    }
    world.faults.add(faults).map(|added| Answer(json!(added))).map_err(|_| ApiFailure::plan_limit("faults"))
}

pub async fn remove_all(State(world): State<Arc<World>>) -> Answer<Json> {
    Answer(json!({ "removed": world.faults.remove(None) }))
}

pub async fn remove(State(world): State<Arc<World>>, Path(id): Path<String>) -> ApiResult<Answer<Json>> {
    match id.parse().map(|id| world.faults.remove(Some(id))) {
        Ok(removed @ 1..) => Ok(Answer(json!({ "removed": removed }))),
        _ => Err(ApiFailure::not_found("there is no such fault; GET /sandbox/faults lists them")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    requests: u32,
    window: String,
}

fn shown(limit: Option<RateLimit>) -> Answer<Json> {
    Answer(match limit {
        Some(limit) => json!({ "requests": limit.requests, "window": exact(limit.window_ms) }),
        None => json!({ "requests": null, "window": null }),
    })
}

pub async fn rate_limit(State(world): State<Arc<World>>) -> Answer<Json> {
    shown(world.api.rate.limit())
}

pub async fn set_rate_limit(State(world): State<Arc<World>>, Sent(limit): Sent<Limit>) -> ApiResult<Answer<Json>> {
    let window_ms = parse_ms(&limit.window).map_err(|error| ApiFailure::invalid(format!("window: {error}")))?;
    let limit = RateLimit::new(limit.requests, window_ms).map_err(|error| ApiFailure::invalid(error.to_string()))?;
    world.api.rate.set_limit(Some(limit));
    Ok(shown(Some(limit)))
}

pub async fn lift_rate_limit(State(world): State<Arc<World>>) -> Answer<Json> {
    world.api.rate.set_limit(None);
    shown(None)
}

pub async fn answers(State(world): State<Arc<World>>) -> Answer<Json> {
    Answer(json!(world.script.shown()))
}

pub async fn add_answer(State(world): State<Arc<World>>, Sent(line): Sent<Line>) -> ApiResult<Answer<Json>> {
    if line.times == Some(0) {
        return Err(ApiFailure::invalid("times: a number from 1"));
    }
    let shown = json!(line);
    if world.script.add(line) { Ok(Answer(shown)) } else { Err(ApiFailure::plan_limit("answers")) }
}

pub async fn clear_answers(State(world): State<Arc<World>>) -> Answer<Json> {
    Answer(json!({ "removed": world.script.clear() }))
}
