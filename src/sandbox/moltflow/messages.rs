//! `POST /sessions/{name}/messages`: the message goes to the ledger.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json as Answer;
use serde::Deserialize;
use serde_json::json;

use super::error::{ApiFailure, ApiResult, read};
use crate::base::{Json, limits};
use crate::moltflow::chat_id;
use crate::sandbox::{Entry, World};

#[derive(Deserialize)]
struct Send {
    #[serde(rename = "chatId")]
    chat_id: String,
    text: String,
}

pub async fn send(
    State(world): State<Arc<World>>,
    Path(session): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> ApiResult<Answer<Json>> {
    let send: Send = read(body)?;
    let now = world.now();
    match world.api.sessions.status(&session, now) {
        None => return Err(ApiFailure::no_session(&session)),
        Some("working") => {}
        Some(status) => {
            let detail = format!("Session '{session}' is {status}, not working");
            return Err(ApiFailure::new(StatusCode::BAD_REQUEST, "SESSION_NOT_WORKING", detail));
        }
    }
    // Phone numbers are the client's convenience; the API takes chat ids alone.
    let is_chat =
        send.chat_id.contains('@') && chat_id::parse(&send.chat_id).is_ok_and(|id| id.as_str() == send.chat_id);
    if !is_chat {
        let detail = "chatId: write {phone}@c.us or {groupId}@g.us";
        return Err(ApiFailure::new(StatusCode::BAD_REQUEST, "INVALID_CHAT_ID", detail));
    }
    if send.text.is_empty() || send.text.chars().count() > limits::MESSAGE_TEXT {
        return Err(ApiFailure::invalid(format!("text: 1 to {} characters", limits::MESSAGE_TEXT)));
    }
    let id = world.api.message_id(world.clock.random());
    let Send { chat_id, text } = send;
    world.ledger.add(Entry { id: id.clone(), session, chat_id, text, at: now, auto_reply: false });
    Ok(Answer(json!({ "success": true, "result": { "key": { "id": id }, "timestamp": now.div_euclid(1_000) } })))
}
