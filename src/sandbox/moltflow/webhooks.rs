//! Webhooks and how they have fared.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::Json as Answer;
use serde::Deserialize;
use serde_json::json;

use super::error::{ApiFailure, ApiResult, read};
use super::timestamp;
use crate::base::{Json, limits};
use crate::moltflow::event::KINDS;
use crate::net::Url;
use crate::sandbox::World;
use crate::sandbox::deliveries::{Stats, Target};

/// Registered webhooks, oldest first.
#[derive(Default)]
pub struct Webhooks {
    kept: RwLock<Vec<Webhook>>,
}

struct Webhook {
    id: u64,
    url: Arc<str>,
    events: Vec<String>,
    created_at: String,
    stats: Arc<Stats>,
}

impl Webhook {
    fn shown(&self) -> Json {
        json!({ "id": self.id, "url": &*self.url, "events": self.events, "created_at": self.created_at })
    }
}

impl Webhooks {
    /// Who is to be told of `event`.
    pub fn targets(&self, event: &str) -> Vec<Target> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = kept.iter().filter(|webhook| webhook.events.iter().any(|name| name == event));
        wanted.map(|webhook| Target { url: webhook.url.clone(), stats: webhook.stats.clone() }).collect()
    }
}

#[derive(Deserialize)]
struct Create {
    url: String,
    events: Vec<String>,
}

pub async fn create(State(world): State<Arc<World>>, body: Result<Bytes, BytesRejection>) -> ApiResult<Answer<Json>> {
    let mut create: Create = read(body)?;
    let is_http =
        Url::parse(&create.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.username().is_empty());
    if !is_http || create.url.len() > 2_048 {
        return Err(ApiFailure::invalid("url: an http or https URL of up to 2048 bytes"));
    }
    if create.events.is_empty() || !create.events.iter().all(|event| KINDS.contains(&event.as_str())) {
        return Err(ApiFailure::invalid(format!("events: one or more of {}", KINDS.join(", "))));
    }
    let mut seen = std::collections::BTreeSet::new();
    create.events.retain(|event| seen.insert(event.clone()));
    let mut kept = world.api.webhooks.kept.write().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= limits::SANDBOX_OBJECTS {
        return Err(ApiFailure::plan_limit("webhooks"));
    }
    let webhook = Webhook {
        id: kept.len() as u64 + 1,
        url: create.url.into(),
        events: create.events,
        created_at: timestamp(world.now()),
        stats: Arc::default(),
    };
    let shown = webhook.shown();
    kept.push(webhook);
    Ok(Answer(shown))
}

pub async fn list(State(world): State<Arc<World>>) -> Answer<Json> {
    let kept = world.api.webhooks.kept.read().unwrap_or_else(PoisonError::into_inner);
    let with_stats = kept.iter().map(|webhook| {
        let mut shown = webhook.shown();
        let last = webhook.stats.last_delivered_at.load(Ordering::Relaxed);
        shown["success_count"] = json!(webhook.stats.succeeded.load(Ordering::Relaxed));
        shown["failure_count"] = json!(webhook.stats.failed.load(Ordering::Relaxed));
        shown["last_delivered_at"] = if last == 0 { Json::Null } else { json!(timestamp(last)) };
        shown
    });
    Answer(with_stats.collect())
}
