//! Somebody writes to a session, or joins one of its groups.
//!
//! A message of a monitored group that says one of the group's keywords carries them: `data.matched_keywords` of its
//! `message` event, in the order and the spelling they were given in. A keyword is found as a whole word, whatever its
//! case: `help` in "HELP!", not in "helpful". The guide says that such messages are flagged and not how; messages without
//! a keyword have no such field.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json as Answer, Response};
use serde::Deserialize;
use serde_json::json;

use super::Sent;
use crate::base::limits;
use crate::moltflow::chat_id;
use crate::sandbox::moltflow::error::ApiFailure;
use crate::sandbox::moltflow::{ai, timestamp};
use crate::sandbox::{InboundError, World};

/// Somebody writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub session: String,
    /// A contact or a group.
    pub from: String,
    /// Who of the group.
    pub participant: Option<String>,
    pub body: String,
}

/// Somebody joins a group.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    pub session: String,
    pub group: String,
    pub participant: String,
}

pub async fn write(State(world): State<Arc<World>>, Sent(message): Sent<Message>) -> Response {
    match message_came(&world, &message) {
        Ok((id, deliveries)) => Answer(json!({ "id": id, "deliveries": deliveries })).into_response(),
        Err(error) => refusal(error),
    }
}

pub async fn join(State(world): State<Arc<World>>, Sent(join): Sent<Join>) -> Response {
    match joined(&world, &join) {
        Ok(deliveries) => Answer(json!({ "deliveries": deliveries })).into_response(),
        Err(error) => refusal(error),
    }
}

fn refusal(error: InboundError) -> Response {
    match error {
        InboundError::Invalid(_) => ApiFailure::invalid(error.to_string()).into_response(),
        InboundError::UnknownSession(name) => ApiFailure::no_session(&name).into_response(),
        InboundError::Busy => {
            let failure = ApiFailure::new(StatusCode::SERVICE_UNAVAILABLE, "SANDBOX_BUSY", error.to_string());
            ([(header::RETRY_AFTER, "1")], failure).into_response()
        }
    }
}

/// Delivers a message to the webhooks, and answers it if the session replies by itself; the result is its id and how many
/// webhooks get it.
pub fn message_came(world: &World, message: &Message) -> Result<(String, usize), InboundError> {
    let Message { session, from, participant, body } = message;
    let from = chat("from", from)?;
    let participant = participant.as_deref().map(|participant| chat("participant", participant)).transpose()?;
    if participant.as_ref().is_some_and(|participant| participant.is_group() || !from.is_group()) {
        return Err(InboundError::Invalid("participant: a contact, of a message that comes from a group".to_string()));
    }
    if body.chars().count() > limits::MESSAGE_TEXT {
        return Err(InboundError::Invalid(format!("body: longer than {} characters", limits::MESSAGE_TEXT)));
    }
    let now = world.now();
    if !world.api.sessions.exists(session) {
        return Err(unknown(session));
    }
    let id = world.api.message_id(world.clock.random());
    let mut data = json!({ "id": id, "from": from.as_str(), "body": body, "timestamp": now.div_euclid(1_000) });
    if let Some(participant) = participant {
        data["participant"] = json!(participant.as_str());
    }
    let matched = world.api.groups.matched_keywords(from.as_str(), body);
    if !matched.is_empty() {
        data["matched_keywords"] = json!(matched);
    }
    let event = json!({ "event": "message", "session": session, "timestamp": timestamp(now), "data": data });
    let count = world.deliver(&event, from.as_str()).map_err(|_| InboundError::Busy)?;
    ai::reply_to(world, session, from.as_str(), body);
    Ok((id, count))
}

/// Delivers `group_join` to the webhooks if the group is monitored; the result is how many webhooks get it.
pub fn joined(world: &World, join: &Join) -> Result<usize, InboundError> {
    let (group, participant) = (chat("group", &join.group)?, chat("participant", &join.participant)?);
    if !group.is_group() || participant.is_group() {
        return Err(InboundError::Invalid("a participant (@c.us) joins a group (@g.us)".to_string()));
    }
    if !world.api.sessions.exists(&join.session) {
        return Err(unknown(&join.session));
    }
    if !world.api.groups.is_monitored(group.as_str()) {
        return Ok(0);
    }
    let now = world.now();
    let data = json!({
        "group": group.as_str(),
        "participant": participant.as_str(),
        "timestamp": now.div_euclid(1_000),
    });
    let event = json!({ "event": "group_join", "session": join.session, "timestamp": timestamp(now), "data": data });
    world.deliver(&event, group.as_str()).map_err(|_| InboundError::Busy)
}

fn unknown(session: &str) -> InboundError {
    InboundError::UnknownSession(session.chars().take(60).collect())
}

fn chat(field: &str, text: &str) -> Result<chat_id::ChatId, InboundError> {
    chat_id::parse(text).map_err(|error| InboundError::Invalid(format!("{field}: {error}")))
}
