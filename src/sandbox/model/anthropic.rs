//! An Anthropic-style `messages`, whole or streamed.

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

#[derive(Deserialize)]
struct Ask {
    model: String,
    messages: Vec<Message>,
    max_tokens: u64,
    system: Option<Json>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    tools: Vec<Tool>,
    tool_choice: Option<ToolChoice>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
    #[serde(default)]
    input_schema: Json,
}

#[derive(Deserialize)]
struct ToolChoice {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
}

impl Ask {
    /// The tool the model has to use; one that it may use, it leaves.
    fn tool(&self) -> Option<&Tool> {
        let choice = self.tool_choice.as_ref()?;
        match choice.kind.as_str() {
            "any" => self.tools.first(),
            "tool" => self.tools.iter().find(|tool| Some(&tool.name) == choice.name.as_ref()),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Json,
}

pub async fn complete(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if header("x-api-key") != Some(world.options.model_key.expose()) {
        return failure(StatusCode::UNAUTHORIZED, "invalid x-api-key; the sandbox prints its own at start", None);
    }
    let bad = |message: &str| failure(StatusCode::BAD_REQUEST, message, None);
    if header("anthropic-version").is_none() {
        return bad("anthropic-version: header is required");
    }
    let ask: Ask = match serde_json::from_slice(&body) {
        Ok(ask) => ask,
        Err(error) => return bad(&format!("the body cannot be read: {error}")),
    };
    if ask.max_tokens == 0 {
        return bad("max_tokens: must be at least 1");
    }
    if let Some(other) = ask.messages.iter().find(|message| !["user", "assistant"].contains(&message.role.as_str())) {
        let role: String = other.role.chars().take(40).collect();
        return bad(&format!("messages: a role is user or assistant, not `{role}`; `system` stands beside them"));
    }
    let Some(question) =
        ask.messages.iter().rev().find(|message| message.role == "user").and_then(|m| text(&m.content))
    else {
        return bad("messages: there is no text of role user");
    };
    let tool = ask.tool();
    let reply = Reply::to(&world, &question, Some(ask.max_tokens), tool.map(|tool| &tool.input_schema));
    // What is no object is no input; it is said instead.
    let input = serde_json::from_str::<Json>(&reply.text()).ok().filter(Json::is_object);
    let used = tool.zip(input);
    let contents = ask.messages.iter().map(|message| &message.content).chain(&ask.system);
    let asked: usize = contents.filter_map(text).map(|text| word_count(&text)).sum();
    let said = reply.words.len();
    let stop_reason = match (&used, reply.cut) {
        (_, true) => "max_tokens",
        (Some(_), _) => "tool_use",
        (None, _) => "end_turn",
    };
    let id = format!("msg_sandbox_{:016x}", world.clock.random() as u64);
    let message = |content: Json, stop_reason: Option<&str>, said: usize| {
        json!({
            "id": id,
            "type": "message",
            "role": "assistant",
            "model": ask.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": null,
            "usage": { "input_tokens": asked, "output_tokens": said },
        })
    };
    let block = |input: Json, text: &str| match &used {
        Some((tool, _)) => json!({ "type": "tool_use", "id": "toolu_sandbox", "name": tool.name, "input": input }),
        None => json!({ "type": "text", "text": text }),
    };
    if !ask.stream {
        let input = used.as_ref().map_or(Json::Null, |(_, input)| input.clone());
        return Answer(message(json!([block(input, &reply.text())]), Some(stop_reason), said)).into_response();
    }
    let mut events = vec![
        json!({ "type": "message_start", "message": message(json!([]), None, 1) }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block(json!({}), "") }),
        json!({ "type": "ping" }),
    ];
    events.extend(reply.words.iter().map(|word| {
        let delta = match &used {
            Some(_) => json!({ "type": "input_json_delta", "partial_json": word }),
            None => json!({ "type": "text_delta", "text": word }),
        };
        json!({ "type": "content_block_delta", "index": 0, "delta": delta })
    }));
    events.extend([
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta",
            "delta": { "stop_reason": stop_reason, "stop_sequence": null },
            "usage": { "output_tokens": said },
        }),
        json!({ "type": "message_stop" }),
    ]);
    let lines = events.iter().map(|event| {
        let kind = event["type"].as_str().unwrap_or_default();
        format!("event: {kind}\ndata: {event}\n\n")
    });
    streamed(lines.collect())
}

/// A refusal, with the usual type of its status.
pub fn failure(status: StatusCode, message: &str, kind: Option<&str>) -> Response {
    let usual = match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let kind = kind.unwrap_or(usual);
    (status, Answer(json!({ "type": "error", "error": { "type": kind, "message": message } }))).into_response()
}
