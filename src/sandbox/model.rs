//! The local model: an OpenAI-compatible `chat/completions` that understands nothing.
//!
//! Its answers are canned and predictable: the first keyword found in the last user message picks one of a few support
//! answers; without one it says what was asked. The same question always gets the same answer, which is what a test
//! needs. Tokens are counted as words. Any model name is accepted and repeated.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json as Answer, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::World;
use crate::base::{Json, limits};

/// The name `GET /v1/models` lists.
const NAME: &str = "sandbox-support";

/// Keywords and answers, in order of precedence.
const ANSWERS: [(&[&str], &str); 6] = [
    (
        &["refund", "money back", "return"],
        "You can return any item within 30 days; the refund reaches you within 5 working days.",
    ),
    (&["cancel"], "You can cancel free of charge until the order has been shipped."),
    (&["order", "delivery", "package", "track"], "Your order is on its way and should arrive within 2 working days."),
    (
        &["opening", "hours", "open"],
        "We are open Monday to Friday from 9:00 to 18:00, and on Saturday from 10:00 to 14:00.",
    ),
    (&["price", "cost", "how much"], "You find all current prices in our catalogue; shipping is free from 50 euros."),
    (&["hello", "hi ", "good morning"], "Hello! How can I help you?"),
];

/// The routes under `/v1`.
pub fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/chat/completions", post(complete))
        .route("/models", get(models))
        .fallback(async || {
            failure(StatusCode::NOT_FOUND, "there is no such route", "invalid_request_error", "unknown_url")
        })
        .layer(DefaultBodyLimit::max(limits::SANDBOX_BODY))
        .with_state(world)
}

#[derive(Deserialize)]
struct Ask {
    model: String,
    messages: Vec<Message>,
    max_tokens: Option<u64>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Json>,
}

async fn complete(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refusal) = allowed(&world, &headers) {
        return refusal;
    }
    let bad = |message: &str| failure(StatusCode::BAD_REQUEST, message, "invalid_request_error", "invalid_value");
    let ask: Ask = match serde_json::from_slice(&body) {
        Ok(ask) => ask,
        Err(error) => return bad(&format!("the body cannot be read: {error}")),
    };
    if ask.stream {
        return bad("the sandbox's model does not stream; leave `stream` out");
    }
    let Some(question) = ask.messages.iter().rev().find(|message| message.role == "user").and_then(content) else {
        return bad("`messages` holds no text of role `user`");
    };
    let words = answer(&question);
    let words: Vec<&str> = words.split_whitespace().collect();
    let cut = ask.max_tokens.map_or(words.len(), |most| usize::try_from(most).unwrap_or(usize::MAX).min(words.len()));
    let asked: usize = ask.messages.iter().filter_map(content).map(|text| text.split_whitespace().count()).sum();
    let now = world.now();
    Answer(json!({
        "id": format!("chatcmpl-sandbox-{:016x}", world.clock.random() as u64),
        "object": "chat.completion",
        "created": now.div_euclid(1_000),
        "model": ask.model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": words[..cut].join(" ") },
            "finish_reason": if cut < words.len() { "length" } else { "stop" },
        }],
        "usage": { "prompt_tokens": asked, "completion_tokens": cut, "total_tokens": asked + cut },
    }))
    .into_response()
}

async fn models(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = allowed(&world, &headers) {
        return refusal;
    }
    let model = json!({ "id": NAME, "object": "model", "created": 0, "owned_by": "moltrun-sandbox" });
    Answer(json!({ "object": "list", "data": [model] })).into_response()
}

/// A message's text: a string, or the text parts of a list.
fn content(message: &Message) -> Option<String> {
    match message.content.as_ref()? {
        Json::String(text) => Some(text.clone()),
        Json::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Json::as_str));
            Some(texts.collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}

fn answer(question: &str) -> String {
    let lower = question.to_lowercase();
    match ANSWERS.iter().find(|(words, _)| words.iter().any(|word| lower.contains(word))) {
        Some((_, answer)) => answer.to_string(),
        None => {
            let asked: String = question.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
            format!("You asked: {asked}. A colleague will get back to you shortly.")
        }
    }
}

#[allow(clippy::result_large_err, reason = "the error is the answer, made once a request")]
fn allowed(world: &World, headers: &HeaderMap) -> Result<(), Response> {
    let sent = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if sent == Some(world.options.model_key.expose()) {
        return Ok(());
    }
    let message = "Incorrect API key provided. The sandbox prints its own at start.";
    Err(failure(StatusCode::UNAUTHORIZED, message, "invalid_request_error", "invalid_api_key"))
}

fn failure(status: StatusCode, message: &str, kind: &str, code: &str) -> Response {
    (status, Answer(json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn answers_are_canned() {
        for (question, start) in [
            ("Where is my ORDER?", "Your order"),
            ("I want a refund for my order", "You can return"),
            ("Cancel my order", "You can cancel"),
            ("When are you open?", "We are open"),
            ("Do you sell bread?", "You asked: Do you sell bread?"),
        ] {
            assert!(answer(question).starts_with(start), "{question}");
        }
    }
}
