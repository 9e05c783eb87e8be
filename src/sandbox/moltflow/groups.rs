//! WhatsApp groups of a session (always the same two) and monitored groups.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::Json as Answer;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::{ApiFailure, ApiResult, read};
use super::timestamp;
use crate::base::{Json, limits};
use crate::moltflow::chat_id;
use crate::sandbox::World;

/// Monitored groups, oldest first.
#[derive(Default)]
pub struct Groups {
    monitored: Mutex<Vec<Monitored>>,
}

impl Groups {
    pub fn is_monitored(&self, group: &str) -> bool {
        let monitored = self.monitored.lock().unwrap_or_else(PoisonError::into_inner);
        monitored.iter().any(|own| own.wa_group_id == group)
    }

    /// The keywords of this group that `text` says, as they were given, each once.
    pub fn matched_keywords(&self, group: &str, text: &str) -> Vec<String> {
        let monitored = self.monitored.lock().unwrap_or_else(PoisonError::into_inner);
        let mut matched: Vec<String> = Vec::new();
        let mut text_words = None;
        for keyword in monitored.iter().filter(|own| own.wa_group_id == group).flat_map(|own| &own.keywords) {
            let text = text_words.get_or_insert_with(|| words(text));
            if text.contains(&words(keyword)) && !matched.contains(keyword) {
                matched.push(keyword.clone());
            }
        }
        matched
    }
}

/// The words of a text in lower case, each between two spaces: so that one text holds another only in whole words.
fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(String::from(" "), |sum, word| sum + word + " ")
}

#[derive(Clone, Serialize)]
struct Monitored {
    id: u64,
    wa_group_id: String,
    keywords: Vec<String>,
    created_at: String,
}

#[derive(Deserialize)]
struct Monitor {
    wa_group_id: String,
    #[serde(default)]
    keywords: Vec<String>,
}

/// Keywords of one monitored group, and characters of one. Arbitrary, far above what a person types.
const KEYWORDS: usize = 100;
const KEYWORD: usize = 100;

pub async fn of_session(State(world): State<Arc<World>>, Path(session): Path<String>) -> ApiResult<Answer<Json>> {
    if !world.api.sessions.exists(&session) {
        return Err(ApiFailure::no_session(&session));
    }
    Ok(Answer(json!([
        {
            "id": "120363012345678901@g.us",
            "name": "Customer Support Team",
            "participant_count": 12,
            "created_at": "2025-06-15T08:00:00Z"
        },
        {
            "id": "120363098765432109@g.us",
            "name": "Sales Pipeline",
            "participant_count": 8,
            "created_at": "2025-11-20T14:30:00Z"
        }
    ])))
}

pub async fn list(State(world): State<Arc<World>>) -> Answer<Json> {
    let monitored = world.api.groups.monitored.lock().unwrap_or_else(PoisonError::into_inner);
    Answer(json!(*monitored))
}

pub async fn monitor(State(world): State<Arc<World>>, body: Result<Bytes, BytesRejection>) -> ApiResult<Answer<Json>> {
    let monitor: Monitor = read(body)?;
    if !chat_id::parse(&monitor.wa_group_id).is_ok_and(|id| id.is_group() && id.as_str() == monitor.wa_group_id) {
        return Err(ApiFailure::invalid("wa_group_id: write {groupId}@g.us"));
    }
    if monitor.keywords.len() > KEYWORDS
        || monitor.keywords.iter().any(|word| word.len() > KEYWORD || words(word) == " ")
    {
        return Err(ApiFailure::invalid(format!(
            "keywords: up to {KEYWORDS} of 1 to {KEYWORD} bytes, each with a letter or digit"
        )));
    }
    let mut monitored = world.api.groups.monitored.lock().unwrap_or_else(PoisonError::into_inner);
    if monitored.len() >= limits::SANDBOX_OBJECTS {
        return Err(ApiFailure::plan_limit("monitored groups"));
    }
    let group = Monitored {
        id: monitored.len() as u64 + 1,
        wa_group_id: monitor.wa_group_id,
        keywords: monitor.keywords,
        created_at: timestamp(world.now()),
    };
    monitored.push(group.clone());
    Ok(Answer(json!(group)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_found_as_whole_words() {
        let groups = Groups::default();
        for (id, group, keywords) in
            [(1, "1@g.us", &["help", "Server down", "down"][..]), (2, "1@g.us", &["help", "ÜBEL"])]
        {
            groups.monitored.lock().unwrap().push(Monitored {
                id,
                wa_group_id: group.to_string(),
                keywords: keywords.iter().map(|word| word.to_string()).collect(),
                created_at: String::new(),
            });
        }
        for (group, text, matched) in [
            ("1@g.us", "HELP! The server  is down.", &["help", "down"][..]),
            ("1@g.us", "server-down", &["Server down", "down"]),
            ("1@g.us", "a helpful countdown", &[]),
            ("1@g.us", "übel", &["ÜBEL"]),
            ("1@g.us", "", &[]),
            ("2@g.us", "help", &[]),
        ] {
            assert_eq!(groups.matched_keywords(group, text), matched, "{text}");
        }
        assert_eq!((groups.is_monitored("1@g.us"), groups.is_monitored("2@g.us")), (true, false));
    }
}
