//! Many webhooks by many clients, as MoltFlow would deliver them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Api;

/// A send that waits for the model; of the message only the id is used.
pub const ASK_AND_SEND: &str = r#"
name: ask
triggers:
  - message: {}
steps:
  - id: answer
    uses: ai.prompt
    with: { prompt: "{{ event.data.id }}" }
  - id: reply
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ event.data.from }}", text: "{{ event.data.id }}" }
"#;

/// Question in, answer out, each message told apart by its id: a filter, the model, one send.
pub const ANSWER_EACH: &str = r#"
name: answer-each
triggers:
  - message: { session: support-team }
steps:
  - id: question
    uses: filter
    with: { when: "'?' in event.data.body" }
  - id: answer
    uses: ai.prompt
    with: { prompt: "{{ event.data.body }}" }
  - id: reply
    uses: moltflow.send
    with:
      session: "{{ event.session }}"
      to: "{{ event.data.from }}"
      text: "{{ event.data.id }}: {{ steps.answer.text }}"
"#;

/// The guide's example payload with an id and a text of its own.
pub fn message(id: &str, from: &str, body: &str) -> Value {
    json!({
        "event": "message",
        "session": "support-team",
        "timestamp": "2026-01-25T16:05:00Z",
        "data": {"id": id, "from": from, "body": body, "timestamp": 1706197500},
    })
}

pub fn question(id: &str) -> Value {
    message(id, "15551234567@c.us", "Hi, where is my order?")
}

/// `count` message ids that never repeat.
pub fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("3EB0F2A4{number:010X}")).collect()
}

/// The id that a text of [`ANSWER_EACH`] begins with.
pub fn id_of(text: &str) -> &str {
    text.split(':').next().unwrap_or_default()
}

/// What became of one delivery. No status: the connection gave no whole answer.
#[derive(Clone, Debug)]
pub struct Posted {
    pub id: String,
    pub status: Option<u16>,
    pub body: Value,
}

/// Delivers one webhook for each id, `clients` at a time.
pub async fn post_all(api: Api, ids: Vec<String>, clients: usize) -> Vec<Posted> {
    let ids = Arc::new(ids);
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            let (api, ids, next) = (api.clone(), ids.clone(), next.clone());
            tokio::spawn(async move {
                let mut posted = Vec::new();
                while let Some(id) = ids.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let answered = api.webhook(question(id).to_string(), None).await;
                    let (status, body) = match answered {
                        Ok(answered) => (Some(answered.status), answered.body),
                        Err(_) => (None, Value::Null),
                    };
                    posted.push(Posted { id: id.clone(), status, body });
                }
                posted
            })
        })
        .collect();
    let mut posted = Vec::new();
    for client in clients {
        posted.extend(client.await.unwrap());
    }
    posted
}

/// HMAC-SHA256 of the raw body, hex.
pub fn sign(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
