//! The OpenAI-compatible form: `POST {base_url}/chat/completions`.

use serde_json::json;

use super::question::{Form, Question};
use super::reply::{Finish, Reply};
use crate::base::Json;
use crate::base::json::JsonMap;

/// The name a structured answer goes by.
const NAME: &str = "answer";

pub(super) fn body(question: &Question, model: &str, form: Form, max_tokens: Option<u64>, stream: bool) -> Json {
    let mut messages = Vec::new();
    if let Some(system) = question.system(form) {
        messages.push(json!({ "role": "system", "content": system }));
    }
    let said = question.messages();
    messages.extend(said.iter().map(|(role, text)| json!({ "role": role.as_str(), "content": text })));
    let mut body = JsonMap::new();
    body.insert("model".to_string(), json!(model));
    body.insert("messages".to_string(), Json::Array(messages));
    if let Some(temperature) = &question.temperature {
        body.insert("temperature".to_string(), Json::Number(temperature.clone()));
    }
    if let Some(max_tokens) = max_tokens {
        let name = if form.completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        body.insert(name.to_string(), json!(max_tokens));
    }
    if let Some(schema) = question.structured(form) {
        let schema = json!({ "name": NAME, "strict": is_strict(&schema.json), "schema": schema.json });
        body.insert("response_format".to_string(), json!({ "type": "json_schema", "json_schema": schema }));
    }
    if stream {
        body.insert("stream".to_string(), json!(true));
        if form.stream_usage {
            body.insert("stream_options".to_string(), json!({ "include_usage": true }));
        }
    }
    Json::Object(body)
}

/// May the provider be asked to keep to it exactly? It does so for schemas in which every mapping names all its keys and
/// requires them, and refuses others.
fn is_strict(schema: &Json) -> bool {
    match schema {
        Json::Object(map) => {
            let closed = || {
                let required = map.get("required").and_then(Json::as_array);
                let is_required =
                    |key: &String| required.is_some_and(|required| required.iter().any(|name| name == key));
                map.get("additionalProperties") == Some(&Json::Bool(false))
                    && map.get("properties").and_then(Json::as_object).is_some_and(|keys| keys.keys().all(is_required))
            };
            let is_mapping = map.get("type").is_some_and(|kind| kind == "object") || map.contains_key("properties");
            (!is_mapping || closed()) && map.values().all(is_strict)
        }
        Json::Array(items) => items.iter().all(is_strict),
        _ => true,
    }
}

/// A complete answer; None if it is none.
pub(super) fn reply(body: &Json) -> Option<Reply> {
    let choice = body.get("choices")?.get(0)?;
    let mut reply = Reply::default();
    head(&mut reply, body);
    let message = choice.get("message");
    reply.text = content(message.and_then(|message| message.get("content")));
    reply.refusal = text(message, "refusal").to_string();
    reply.finish = finish(choice);
    Some(reply)
}

/// A piece of a stream; true if it was the last one.
pub(super) fn piece(reply: &mut Reply, data: &str, piece: Option<&Json>) -> bool {
    if data.trim() == "[DONE]" {
        return true;
    }
    let Some(piece) = piece else { return false };
    head(reply, piece);
    // The piece with the usage has no choices.
    let Some(choice) = piece.get("choices").and_then(|choices| choices.get(0)) else { return false };
    let delta = choice.get("delta");
    reply.text.push_str(text(delta, "content"));
    reply.refusal.push_str(text(delta, "refusal"));
    reply.finish = finish(choice).or(reply.finish);
    false
}

/// Null, and with some servers empty, while the model goes on.
fn finish(choice: &Json) -> Option<Finish> {
    let word = choice.get("finish_reason").and_then(Json::as_str)?;
    (!word.is_empty()).then(|| Finish::of(word))
}

fn head(reply: &mut Reply, body: &Json) {
    if let Some(model) = body.get("model").and_then(Json::as_str).filter(|model| !model.is_empty()) {
        reply.model = Some(model.to_string());
    }
    let Some(usage) = body.get("usage") else { return };
    reply.input_tokens = usage.get("prompt_tokens").and_then(Json::as_u64).or(reply.input_tokens);
    reply.output_tokens = usage.get("completion_tokens").and_then(Json::as_u64).or(reply.output_tokens);
}

/// A text, or the texts of a list of parts.
fn content(content: Option<&Json>) -> String {
    match content {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(parts)) => parts.iter().map(|part| text(Some(part), "text")).collect(),
        _ => String::new(),
    }
}

fn text<'j>(value: Option<&'j Json>, key: &str) -> &'j str {
    value.and_then(|value| value.get(key)).and_then(Json::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_are_schemas_that_leave_nothing_open() {
        let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
            "additionalProperties": false});
        assert!(is_strict(&closed));
        for (path, value) in [
            ("/required", json!([])),
            ("/additionalProperties", json!(true)),
            ("/properties/a", json!({"type": "object"})),
            ("/properties/a", json!({"type": "array", "items": {"properties": {"b": {}}}})),
        ] {
            let mut open = closed.clone();
            *open.pointer_mut(path).unwrap() = value;
            assert!(!is_strict(&open), "{open}");
        }
    }
}
