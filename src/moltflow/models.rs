//! The API's answers, as far as they are used. Unknown fields are ignored: the API may grow.

use serde::{Deserialize, Serialize};

use crate::base::Json;

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
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub id: Json,
    pub name: String,
    /// `starting`, `qr_code`, `working`, `failed`; others may come.
    pub status: String,
}

/// A registered webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub id: Json,
    pub url: String,
    pub events: Vec<String>,
}
