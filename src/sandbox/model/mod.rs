//! The local model: it understands nothing, and speaks two interfaces.
//!
//! Its answers are canned and predictable: the first keyword found in the last user message picks one of a few support
//! answers; without one it says what was asked. The same question always gets the same answer, which is what a test
//! needs, and a test can have it say something else (`script`). Tokens are counted as words. Any model name is accepted
//! and repeated.
//!
//! | file | holds |
//! |---|---|
//! | `openai` | `/v1/chat/completions`, `/v1/models` |
//! | `anthropic` | `/v1/messages` |
//! | `script` | answers that were asked for beforehand |
//! | `structured` | answers that keep to a JSON Schema |

mod anthropic;
mod openai;
mod script;
mod structured;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::{StreamExt, stream};

use super::World;
use crate::base::{Json, limits};
pub use script::{Line, Script};

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
        .route("/chat/completions", post(openai::complete))
        .route("/models", get(openai::models))
        .route("/messages", post(anthropic::complete))
        .fallback(async || refusal("", StatusCode::NOT_FOUND, None))
        .layer(DefaultBodyLimit::max(limits::SANDBOX_BODY))
        .with_state(world)
}

/// A refusal in the form of the interface that `path` belongs to.
pub fn refusal(path: &str, status: StatusCode, code: Option<&str>) -> Response {
    let message = match status.as_u16() {
        // Not one of HTTP's own.
        529 => "Overloaded",
        _ => status.canonical_reason().unwrap_or("Error"),
    };
    if path == "/v1/messages" {
        anthropic::failure(status, message, code)
    } else {
        openai::failure(status, message, code)
    }
}

/// What the model says.
struct Reply {
    /// Word by word, each with the space after it.
    words: Vec<String>,
    /// It was longer than was allowed.
    cut: bool,
}

impl Reply {
    /// What was scripted is said as it is, whatever the schema: that a model does not keep to one can be tried, too.
    fn to(world: &World, question: &str, max_tokens: Option<u64>, schema: Option<&Json>) -> Self {
        let text = world.script.answer(question).unwrap_or_else(|| match schema {
            Some(schema) => structured::instance(schema, question, &answer(question)).to_string(),
            None => answer(question),
        });
        let mut words: Vec<String> = text.split_inclusive(char::is_whitespace).map(str::to_string).collect();
        let most = max_tokens.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let cut = words.len() > most;
        words.truncate(most);
        if let Some(last) = words.last_mut().filter(|_| cut) {
            last.truncate(last.trim_end().len());
        }
        Self { words, cut }
    }

    fn text(&self) -> String {
        self.words.concat()
    }
}

/// What the model says to `question`, whole: the answer of an auto-reply.
pub fn reply(world: &World, question: &str) -> String {
    Reply::to(world, question, None, None).text()
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

/// A message's text: a string, or the text parts of a list.
fn text(content: &Json) -> Option<String> {
    match content {
        Json::String(text) => Some(text.clone()),
        Json::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Json::as_str));
            Some(texts.collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}

fn word_count(text: &str) -> usize {
    text.split_whitespace().count()
}

/// An answer as server-sent events, each of these texts on its own.
fn streamed(events: Vec<String>) -> Response {
    let events = stream::iter(events).then(async |event| {
        // One write each: a client is to see them come one by one.
        tokio::task::yield_now().await;
        Ok::<_, std::convert::Infallible>(event)
    });
    ([(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")], Body::from_stream(events))
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
