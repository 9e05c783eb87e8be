//! What webhooks bring.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::Json;
use crate::base::hex::hex;

/// The words of `event`, as the guide lists them.
pub const KINDS: [&str; 3] = ["message", "session_status", "group_join"];

/// One webhook delivery. Workflows see the payload as it was sent; this is for routing it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `message`, `session_status`, `group_join`; others may come.
    pub event: String,
    /// The session it happened in; empty if the payload names none.
    #[serde(default)]
    pub session: String,
    #[serde(default)]
    pub timestamp: Json,
    #[serde(default)]
    pub data: Json,
}

/// A payload that is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the payload is no MoltFlow event: {0}")]
pub struct BadEvent(String);

impl Event {
    /// Reads a payload.
    pub fn parse(payload: &Json) -> Result<Self, BadEvent> {
        if !payload.is_object() {
            return Err(BadEvent("it is no JSON object".to_string()));
        }
        let event = Self::deserialize(payload).map_err(|error| BadEvent(error.to_string()))?;
        if event.event == "message" && !event.data.is_object() {
            return Err(BadEvent("the `data` of a message is no JSON object".to_string()));
        }
        Ok(event)
    }

    /// The status of a `session_status`.
    pub fn status(&self) -> Option<&str> {
        self.data.get("status").and_then(Json::as_str)
    }

    /// Whether an event is about `group`, a chat id: some field of its data is that id, or has it. The guide does not show
    /// under which name a `group_join` says it.
    pub fn is_about(&self, group: &str) -> bool {
        let is = |value: &Json| value.as_str() == Some(group);
        let has = |value: &Json| value.as_object().is_some_and(|inner| inner.values().any(is));
        self.data.as_object().is_some_and(|data| data.values().any(|value| is(value) || has(value)))
    }

    /// Whether a message came from a group rather than from a contact.
    pub fn is_from_group(&self) -> bool {
        self.data.get("from").and_then(Json::as_str).is_some_and(|from| from.ends_with("@g.us"))
    }
}

/// Equal for all deliveries of one event. A message's is its `data.id`, together with event and session: the same group
/// message reaches two sessions under one id, and both are to be answered. Otherwise it is event, session, timestamp and data,
/// whatever the order of their keys; an id is not enough there, since it may be that of the session or of the group.
pub fn dedupe_key(payload: &Json) -> String {
    let part = |name: &str| payload.get(name).cloned().unwrap_or(Json::Null);
    let is_message = payload.get("event").and_then(Json::as_str) == Some("message");
    let id = payload.get("data").filter(|_| is_message).and_then(|data| data.get("id")).filter(|id| match id {
        Json::String(text) => !text.is_empty(),
        other => other.is_number(),
    });
    let mut named = match id {
        Some(id) => Json::Array(vec!["id".into(), part("event"), part("session"), id.clone()]),
        None => Json::Array(vec!["all".into(), part("event"), part("session"), part("timestamp"), part("data")]),
    };
    named.sort_all_objects();
    format!("moltflow:{}", hex(&Sha256::digest(named.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message() -> Json {
        json!({
            "event": "message",
            "session": "support-team",
            "timestamp": "2026-01-25T16:05:00Z",
            "data": {
                "id": "3EB0F2A4B5C6D7E8F9",
                "from": "15551234567@c.us",
                "body": "Hi, I need help with my order",
                "timestamp": 1706197500
            }
        })
    }

    #[test]
    fn the_guides_payload() {
        let event = Event::parse(&message()).unwrap();
        assert_eq!((event.event.as_str(), event.session.as_str()), ("message", "support-team"));
        assert!(!event.is_from_group());
    }

    #[test]
    fn what_is_no_event() {
        for payload in [
            json!(null),
            json!([]),
            json!("message"),
            json!({}),
            json!({"event": 1}),
            json!({"event": "m", "session": 3}),
            json!({"event": "message", "session": "s"}),
            json!({"event": "message", "session": "s", "data": "Hi"}),
            json!({"event": "message", "session": "s", "data": [{"body": "Hi"}]}),
        ] {
            assert!(Event::parse(&payload).is_err(), "{payload}");
        }
    }

    #[test]
    fn a_redelivery_has_the_same_key_and_nothing_else_has() {
        let first = message();
        let mut again = message();
        again["timestamp"] = json!("2026-01-25T16:09:00Z");
        assert_eq!(dedupe_key(&first), dedupe_key(&again));
        for (name, value) in [("session", json!("sales-bot")), ("event", json!("group_join"))] {
            let mut other = message();
            other[name] = value;
            assert_ne!(dedupe_key(&first), dedupe_key(&other), "{name}");
        }
        let mut other = message();
        other["data"]["id"] = json!("3EB0");
        assert_ne!(dedupe_key(&first), dedupe_key(&other));
    }

    #[test]
    fn a_session_s_own_id_is_not_that_of_its_changes() {
        let status = |status: &str, at: u32| json!({"event": "session_status", "session": "s", "timestamp": at, "data": {"id": 42, "status": status}});
        assert_eq!(dedupe_key(&status("failed", 1)), dedupe_key(&status("failed", 1)));
        assert_ne!(dedupe_key(&status("failed", 1)), dedupe_key(&status("working", 1)));
        assert_ne!(dedupe_key(&status("failed", 1)), dedupe_key(&status("failed", 2)));
    }

    #[test]
    fn without_an_id_everything_counts_but_the_order_of_keys() {
        let a =
            json!({"event": "session_status", "session": "s", "timestamp": 1, "data": {"status": "working", "x": 1}});
        let b =
            json!({"data": {"x": 1, "status": "working"}, "timestamp": 1, "session": "s", "event": "session_status"});
        let c =
            json!({"event": "session_status", "session": "s", "timestamp": 2, "data": {"status": "working", "x": 1}});
        assert_eq!(dedupe_key(&a), dedupe_key(&b));
        assert_ne!(dedupe_key(&a), dedupe_key(&c));
        // Whatever is sent has a key.
        assert_ne!(dedupe_key(&json!(null)), dedupe_key(&json!({"data": {"id": ""}, "event": "m"})));
    }
}
