//! The Anthropic-style form: `POST {base_url}/messages`.

use serde_json::json;

use super::question::{Form, Question};
use super::reply::{Finish, Reply};
use crate::base::Json;
use crate::base::json::JsonMap;

/// The version of the API that is spoken; the service keeps it for good.
pub const VERSION: &str = "2023-06-01";

/// The API wants a bound of every answer: what one gets if nobody says more.
const MAX_TOKENS: u64 = 4096;

/// The tool whose input is the structured answer: the form in which every model of the kind keeps to a schema.
const TOOL: &str = "answer";

pub(super) fn body(question: &Question, model: &str, form: Form, max_tokens: Option<u64>, stream: bool) -> Json {
    let said = question.messages();
    let messages: Vec<Json> =
        said.iter().map(|(role, text)| json!({ "role": role.as_str(), "content": text })).collect();
    let mut body = JsonMap::new();
    body.insert("model".to_string(), json!(model));
    body.insert("max_tokens".to_string(), json!(max_tokens.unwrap_or(MAX_TOKENS)));
    if let Some(system) = question.system(form) {
        body.insert("system".to_string(), json!(system));
    }
    body.insert("messages".to_string(), Json::Array(messages));
    if let Some(temperature) = &question.temperature {
        body.insert("temperature".to_string(), Json::Number(temperature.clone()));
    }
    if let Some(schema) = question.structured(form) {
        let tool = json!({ "name": TOOL, "description": "Give the answer.", "input_schema": schema.json });
        body.insert("tools".to_string(), json!([tool]));
        body.insert("tool_choice".to_string(), json!({ "type": "tool", "name": TOOL }));
    }
    if stream {
        body.insert("stream".to_string(), json!(true));
    }
    Json::Object(body)
}

/// A complete answer; None if it is none.
pub(super) fn reply(body: &Json) -> Option<Reply> {
    let blocks = body.get("content")?.as_array()?;
    let mut reply = Reply::default();
    head(&mut reply, body);
    for block in blocks {
        match text(block, "type") {
            "text" => reply.text.push_str(text(block, "text")),
            "tool_use" => reply.json = block.get("input").map(Json::to_string).unwrap_or_default(),
            _ => {}
        }
    }
    stopped(&mut reply, body);
    Some(reply)
}

/// A piece of a stream; true if it was the last one.
pub(super) fn piece(reply: &mut Reply, piece: Option<&Json>) -> bool {
    let Some(piece) = piece else { return false };
    match text(piece, "type") {
        "message_start" => {
            if let Some(message) = piece.get("message") {
                head(reply, message);
            }
        }
        "content_block_start" => {
            if let Some(block) = piece.get("content_block") {
                reply.text.push_str(text(block, "text"));
            }
        }
        "content_block_delta" => {
            if let Some(delta) = piece.get("delta") {
                reply.text.push_str(text(delta, "text"));
                reply.json.push_str(text(delta, "partial_json"));
            }
        }
        "message_delta" => {
            head(reply, piece);
            if let Some(delta) = piece.get("delta") {
                stopped(reply, delta);
            }
        }
        "message_stop" => return true,
        // `ping`, and what is added later.
        _ => {}
    }
    false
}

fn head(reply: &mut Reply, message: &Json) {
    if let Some(model) = message.get("model").and_then(Json::as_str) {
        reply.model = Some(model.to_string());
    }
    let Some(usage) = message.get("usage") else { return };
    let tokens = |name| usage.get(name).and_then(Json::as_u64);
    if let Some(input) = tokens("input_tokens") {
        // What was read from or written to a cache is counted apart.
        let cached = [tokens("cache_creation_input_tokens"), tokens("cache_read_input_tokens")];
        reply.input_tokens = Some(input + cached.into_iter().flatten().sum::<u64>());
    }
    // Of the whole answer so far, not of the piece.
    reply.output_tokens = tokens("output_tokens").or(reply.output_tokens);
}

fn stopped(reply: &mut Reply, message: &Json) {
    if let Some(word) = message.get("stop_reason").and_then(Json::as_str) {
        reply.finish = Some(Finish::of(word));
    }
}

fn text<'j>(value: &'j Json, key: &str) -> &'j str {
    value.get(key).and_then(Json::as_str).unwrap_or_default()
}
