//! The API's answers. What is not named here is kept and handed on: the API may grow, and a step's output is what the API
//! answered.

use serde::{Deserialize, Serialize};

use crate::base::Json;
use crate::base::json::JsonMap;

/// A message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub message_id: String,
    /// Seconds since 1970, as the API says it; None if it does not.
    pub timestamp: Option<i64>,
}

impl Sent {
    /// The id is at `result.key.id`, as the guide stresses; None if it is not there.
    pub(super) fn read(body: &Json) -> Option<Self> {
        let result = body.get("result")?;
        let message_id = result.get("key")?.get("id")?.as_str()?.to_string();
        if message_id.is_empty() || body.get("success") == Some(&Json::Bool(false)) {
            return None;
        }
        Some(Self { message_id, timestamp: result.get("timestamp").and_then(Json::as_i64) })
    }
}

/// A WhatsApp connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub id: Json,
    pub name: String,
    /// `starting`, `qr_code`, `working`, `failed`; others may come.
    pub status: String,
    /// `created_at`, `updated_at` and what else there is.
    #[serde(flatten)]
    pub rest: JsonMap,
}

/// A WhatsApp group that a session's account is a member of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// A chat id: `120363012345678901@g.us`.
    pub id: String,
    pub name: String,
    /// `participant_count`, `created_at` and what else there is.
    #[serde(flatten)]
    pub rest: JsonMap,
}

/// A group that MoltFlow watches for keywords.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitoredGroup {
    pub id: Json,
    /// The group's chat id.
    pub wa_group_id: String,
    #[serde(default)]
    pub keywords: Vec<String>,
    #[serde(flatten)]
    pub rest: JsonMap,
}

/// A registered webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub id: Json,
    pub url: String,
    #[serde(default)]
    pub events: Vec<String>,
    /// `created_at`, in a list the delivery stats too, and what else there is.
    #[serde(flatten)]
    pub rest: JsonMap,
}

/// How a webhook's deliveries have fared, as far as the API says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryStats {
    pub succeeded: Option<u64>,
    pub failed: Option<u64>,
    /// When something was delivered last, in the API's spelling.
    pub last_delivered_at: Option<String>,
}

impl Webhook {
    /// The guide says what the stats are and not what they are called: the names it suggests are looked for, beside the
    /// webhook's other fields and under `stats` or `delivery_stats`.
    pub fn stats(&self) -> DeliveryStats {
        let nested = ["stats", "delivery_stats"].map(|name| self.rest.get(name).and_then(Json::as_object));
        let places: Vec<&JsonMap> = std::iter::once(&self.rest).chain(nested.into_iter().flatten()).collect();
        let find = |names: &[&str]| names.iter().find_map(|name| places.iter().find_map(|place| place.get(*name)));
        let last = find(&["last_delivered_at", "last_delivered"]);
        DeliveryStats {
            succeeded: find(&["success_count"]).and_then(Json::as_u64),
            failed: find(&["failure_count"]).and_then(Json::as_u64),
            last_delivered_at: last.and_then(Json::as_str).map(str::to_string),
        }
    }
}

/// What the API's own AI is to answer in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoReply {
    pub enabled: bool,
    pub session_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_named_is_handed_on() {
        let answer = json!({"id": 42, "name": "support-team", "status": "working", "created_at": "2026-01-20T10:00:00Z", "plan": {"tier": 2}});
        let session: Session = serde_json::from_value(answer.clone()).unwrap();
        assert_eq!(serde_json::to_value(session).unwrap(), answer);
        let answer = json!({"id": "a7", "url": "https://x", "events": ["message"], "stats": {"success_count": 3}});
        let webhook: Webhook = serde_json::from_value(answer.clone()).unwrap();
        assert_eq!(webhook.stats().succeeded, Some(3));
        assert_eq!(serde_json::to_value(webhook).unwrap(), answer);
    }

    #[test]
    fn stats_are_found_beside_and_below() {
        let flat = json!({"id": 7, "url": "u", "events": [], "success_count": 41, "failure_count": 2, "last_delivered_at": "2026-01-25T16:05:00Z"});
        let below = json!({"id": 7, "url": "u", "delivery_stats": {"success_count": 41, "failure_count": 2, "last_delivered": "2026-01-25T16:05:00Z"}});
        for answer in [flat, below] {
            let stats = serde_json::from_value::<Webhook>(answer).unwrap().stats();
            let expected = DeliveryStats {
                succeeded: Some(41),
                failed: Some(2),
                last_delivered_at: Some("2026-01-25T16:05:00Z".to_string()),
            };
            assert_eq!(stats, expected);
        }
        let none: Webhook = serde_json::from_value(json!({"id": 7, "url": "u", "last_delivered_at": null})).unwrap();
        assert_eq!(none.stats(), DeliveryStats::default());
    }
}
