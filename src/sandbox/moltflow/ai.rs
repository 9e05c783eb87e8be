//! AI settings: sessions that reply by themselves, and learn mode.
//!
//! The guide shows what is asked and not what is answered. Here the settings are answered as they now are, with
//! `updated_at`; a training with its `id`, `"status": "training"` and `created_at`. A reply is the local model's answer to
//! the message; it stands in the ledger like every message that is sent, marked `auto_reply`. Nothing is trained.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::Json as Answer;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::{ApiFailure, ApiResult, read};
use super::timestamp;
use crate::base::{Json, limits};
use crate::sandbox::{Entry, World, model};

/// Characters of a prompt. Arbitrary, longer than any that people write for a reply.
const PROMPT: usize = 10_000;

/// Bytes of a model's name. Arbitrary, longer than any.
const MODEL: usize = 100;

/// Messages one training may look at. Arbitrary, more than a session has.
const MESSAGES: u64 = 1_000_000;

/// Settings by session, and trainings so far.
#[derive(Default)]
pub struct Ai {
    settings: Mutex<BTreeMap<String, Settings>>,
    trainings: AtomicU64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Settings {
    enabled: bool,
    session_name: String,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    model: String,
}

impl Ai {
    /// A deleted session has no settings.
    pub fn forget(&self, session: &str) {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
    }

    fn replies(&self, session: &str) -> bool {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        settings.get(session).is_some_and(|settings| settings.enabled)
    }
}

pub async fn configure(
    State(world): State<Arc<World>>,
    body: Result<Bytes, BytesRejection>,
) -> ApiResult<Answer<Json>> {
    let new: Settings = read(body)?;
    if !world.api.sessions.exists(&new.session_name) {
        return Err(ApiFailure::no_session(&new.session_name));
    }
    if new.prompt.chars().count() > PROMPT || (new.enabled && new.prompt.trim().is_empty()) {
        return Err(ApiFailure::invalid(format!("prompt: 1 to {PROMPT} characters")));
    }
    if new.model.len() > MODEL {
        return Err(ApiFailure::invalid(format!("model: up to {MODEL} bytes")));
    }
    let mut shown = json!(new);
    shown["updated_at"] = json!(timestamp(world.now()));
    let mut settings = world.api.ai.settings.lock().unwrap_or_else(PoisonError::into_inner);
    if settings.len() >= limits::SANDBOX_OBJECTS && !settings.contains_key(&new.session_name) {
        return Err(ApiFailure::plan_limit("auto-reply settings"));
    }
    settings.insert(new.session_name.clone(), new);
    Ok(Answer(shown))
}

/// Answers a message if its session replies by itself and works.
pub fn reply_to(world: &World, session: &str, chat: &str, body: &str) {
    let now = world.now();
    if !world.api.ai.replies(session) || world.api.sessions.status(session, now) != Some("working") {
        return;
    }
    let text: String = model::reply(world, body).chars().take(limits::MESSAGE_TEXT).collect();
    world.ledger.add(Entry {
        id: world.api.message_id(world.clock.random()),
        session: session.to_string(),
        chat_id: chat.to_string(),
        text,
        at: now,
        auto_reply: true,
    });
}

#[derive(Deserialize)]
struct Train {
    session_name: String,
    message_count: u64,
}

pub async fn train(State(world): State<Arc<World>>, body: Result<Bytes, BytesRejection>) -> ApiResult<Answer<Json>> {
    let Train { session_name, message_count } = read(body)?;
    if !world.api.sessions.exists(&session_name) {
        return Err(ApiFailure::no_session(&session_name));
    }
    if !(1..=MESSAGES).contains(&message_count) {
        return Err(ApiFailure::invalid(format!("message_count: 1 to {MESSAGES}")));
    }
    let id = world.api.ai.trainings.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(Answer(json!({
        "id": id,
        "session_name": session_name,
        "message_count": message_count,
        "status": "training",
        "created_at": timestamp(world.now()),
    })))
}
