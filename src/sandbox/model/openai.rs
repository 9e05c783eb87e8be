//! An OpenAI-compatible `chat/completions`, whole or streamed.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json as Answer, Response};
use serde::Deserialize;
use serde_json::json;

use super::{Reply, streamed, text, word_count};
use crate::base::Json;
use crate::sandbox::World;

/// The name `GET /v1/models` lists.
const NAME: &str = "sandbox-support";

#[derive(Deserialize)]
struct Ask {
    model: String,
    messages: Vec<Message>,
    #[serde(alias = "max_completion_tokens")]
    max_tokens: Option<u64>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
    response_format: Option<Json>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Json>,
}

pub async fn complete(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    if !allowed(&world, &headers) {
        return unauthorized();
    }
    let bad = |message: &str| failure(StatusCode::BAD_REQUEST, message, Some("invalid_value"));
    let ask: Ask = match serde_json::from_slice(&body) {
        Ok(ask) => ask,
        Err(error) => return bad(&format!("the body cannot be read: {error}")),
    };
    let content = |message: &Message| message.content.as_ref().and_then(text);
    let Some(question) = ask.messages.iter().rev().find(|message| message.role == "user").and_then(content) else {
        return bad("`messages` holds no text of role `user`");
    };
    let schema = ask.response_format.as_ref().and_then(schema);
    let reply = Reply::to(&world, &question, ask.max_tokens, schema.as_ref());
    let asked: usize = ask.messages.iter().filter_map(content).map(|text| word_count(&text)).sum();
    let said = reply.words.len();
    let usage = json!({ "prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said });
    let finish_reason = if reply.cut { "length" } else { "stop" };
    let id = format!("chatcmpl-sandbox-{:016x}", world.clock.random() as u64);
    let created = world.now().div_euclid(1_000);
    if !ask.stream {
        return Answer(json!({
            "id": id,
            "object": "chat.completion",
            "created": created,
            "model": ask.model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": reply.text() },
                "finish_reason": finish_reason,
            }],
            "usage": usage,
        }))
        .into_response();
    }
    let chunk = |choices: Json| json!({ "id": id, "object": "chat.completion.chunk", "created": created, "model": ask.model, "choices": choices });
    let delta =
        |delta: Json, reason: Option<&str>| chunk(json!([{ "index": 0, "delta": delta, "finish_reason": reason }]));
    let mut chunks = vec![delta(json!({ "role": "assistant", "content": "" }), None)];
    chunks.extend(reply.words.iter().map(|word| delta(json!({ "content": word }), None)));
    chunks.push(delta(json!({}), Some(finish_reason)));
    if ask.stream_options.is_some_and(|options| options.include_usage) {
        let mut last = chunk(json!([]));
        last["usage"] = usage;
        chunks.push(last);
    }
    let done = std::iter::once("data: [DONE]\n\n".to_string());
    streamed(chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).chain(done).collect())
}

/// What a `response_format` asks for.
fn schema(format: &Json) -> Option<Json> {
    match format.get("type")?.as_str()? {
        "json_schema" => format.pointer("/json_schema/schema").cloned(),
        "json_object" => Some(json!({ "properties": { "answer": {} } })),
        _ => None,
    }
}

pub async fn models(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    if !allowed(&world, &headers) {
        return unauthorized();
    }
    let model = json!({ "id": NAME, "object": "model", "created": 0, "owned_by": "moltrun-sandbox" });
    Answer(json!({ "object": "list", "data": [model] })).into_response()
}

fn allowed(world: &World, headers: &HeaderMap) -> bool {
    let sent = headers.get("authorization").and_then(|value| value.to_str().ok());
    sent.and_then(|value| value.strip_prefix("Bearer ")) == Some(world.options.model_key.expose())
}

fn unauthorized() -> Response {
    let message = "Incorrect API key provided. The sandbox prints its own at start.";
    failure(StatusCode::UNAUTHORIZED, message, Some("invalid_api_key"))
}

/// A refusal, with the usual type and code of its status.
pub fn failure(status: StatusCode, message: &str, code: Option<&str>) -> Response {
    let (kind, usual) = match status.as_u16() {
        404 => ("invalid_request_error", "unknown_url"),
        429 => ("requests", "rate_limit_exceeded"),
        500.. => ("server_error", "server_error"),
        _ => ("invalid_request_error", "invalid_value"),
    };
    let code = code.unwrap_or(usual);
    (status, Answer(json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })))
        .into_response()
}
