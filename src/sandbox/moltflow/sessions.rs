//! Sessions and their life: `starting`, a second later `qr_code`, two seconds later `working` (the sandbox scans its own
//! codes). Each change is delivered to the webhooks for `session_status`.
//!
//! Two exist from the start, as in the guide: `support-team`, working, and `sales-bot`, whose code nobody ever scans.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::Json as Answer;
use serde::Deserialize;
use serde_json::json;

use super::error::{ApiFailure, ApiResult, read};
use super::timestamp;
use crate::base::{Json, Millis, limits};
use crate::sandbox::World;

/// How long a new session stays `starting`, and then `qr_code`, in milliseconds: long enough to be seen.
const STARTING_MS: Millis = 1_000;
const QR_CODE_MS: Millis = 2_000;

/// The first free id: the guide's next one.
const FIRST_ID: u64 = 44;

#[derive(Clone)]
struct Session {
    id: u64,
    created_at: Millis,
    life: Life,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Working,
    /// Nobody scans its code.
    Unscanned,
    /// Moves on by itself.
    New,
}

impl Session {
    /// The status at `now`, and since when.
    fn status(&self, now: Millis) -> (&'static str, Millis) {
        let age = now - self.created_at;
        match self.life {
            Life::Working => ("working", self.created_at),
            Life::Unscanned => ("qr_code", self.created_at),
            Life::New if age < STARTING_MS => ("starting", self.created_at),
            Life::New if age < STARTING_MS + QR_CODE_MS => ("qr_code", self.created_at + STARTING_MS),
            Life::New => ("working", self.created_at + STARTING_MS + QR_CODE_MS),
        }
    }

    fn shown(&self, name: &str, now: Millis) -> Json {
        let (status, since) = self.status(now);
        json!({
            "id": self.id,
            "name": name,
            "status": status,
            "created_at": timestamp(self.created_at),
            "updated_at": timestamp(since),
        })
    }
}

/// All sessions, by name.
pub struct Sessions {
    kept: RwLock<Kept>,
}

struct Kept {
    by_name: BTreeMap<String, Session>,
    next_id: u64,
}

impl Sessions {
    pub fn new(now: Millis) -> Self {
        let by_name = [("support-team", 42, Life::Working), ("sales-bot", 43, Life::Unscanned)]
            .map(|(name, id, life)| (name.to_string(), Session { id, created_at: now, life }));
        Self { kept: RwLock::new(Kept { by_name: by_name.into(), next_id: FIRST_ID }) }
    }

    pub fn exists(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The status at `now`; None if there is no such session.
    pub fn status(&self, name: &str, now: Millis) -> Option<&'static str> {
        self.get(name).map(|session| session.status(now).0)
    }

    fn get(&self, name: &str) -> Option<Session> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).by_name.get(name).cloned()
    }
}

pub async fn list(State(world): State<Arc<World>>) -> Answer<Json> {
    let now = world.now();
    let kept = world.api.sessions.kept.read().unwrap_or_else(PoisonError::into_inner);
    let mut sessions: Vec<_> = kept.by_name.iter().collect();
    sessions.sort_by_key(|(_, session)| session.id);
    Answer(sessions.into_iter().map(|(name, session)| session.shown(name, now)).collect())
}

#[derive(Deserialize)]
struct Create {
    name: String,
    status: Option<String>,
}

pub async fn create(State(world): State<Arc<World>>, body: Result<Bytes, BytesRejection>) -> ApiResult<Answer<Json>> {
    let create: Create = read(body)?;
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if create.name.is_empty() || create.name.len() > 64 || !create.name.chars().all(named) {
        return Err(ApiFailure::invalid("name: 1 to 64 letters, digits, - or _"));
    }
    if create.status.is_some_and(|status| status != "starting") {
        return Err(ApiFailure::invalid("status: a new session is `starting`"));
    }
    let now = world.now();
    let session = {
        let mut kept = world.api.sessions.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.by_name.contains_key(&create.name) {
            return Err(ApiFailure::new(
                axum::http::StatusCode::BAD_REQUEST,
                "SESSION_EXISTS",
                format!("Session '{}' already exists", create.name),
            ));
        }
        if kept.by_name.len() >= limits::SANDBOX_OBJECTS {
            return Err(ApiFailure::plan_limit("sessions"));
        }
        let session = Session { id: kept.next_id, created_at: now, life: Life::New };
        kept.next_id += 1;
        kept.by_name.insert(create.name.clone(), session.clone());
        session
    };
    tokio::spawn(live(world.clone(), create.name.clone(), session.clone()));
    let status = session.status(now).0;
    Ok(Answer(json!({ "id": session.id, "name": create.name, "status": status, "created_at": timestamp(now) })))
}

/// Announces the changes of a new session, until it works or is deleted.
async fn live(world: Arc<World>, name: String, session: Session) {
    announce(&world, &name, "starting", session.created_at);
    let mut stopped = world.stopped.clone();
    for (at, status) in
        [(session.created_at + STARTING_MS, "qr_code"), (session.created_at + STARTING_MS + QR_CODE_MS, "working")]
    {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            () = world.clock.sleep_until(at) => {}
        }
        // Deleted, or deleted and made anew.
        if world.api.sessions.get(&name).is_none_or(|current| current.id != session.id) {
            return;
        }
        announce(&world, &name, status, at);
    }
}

fn announce(world: &World, name: &str, status: &str, at: Millis) {
    let event =
        json!({ "event": "session_status", "session": name, "timestamp": timestamp(at), "data": { "status": status } });
    // A full lane drops it: a status is told again by the next, and by `GET /sessions`.
    let _ = world.deliveries.send(&event, world.api.webhooks.targets("session_status"), name);
}

pub async fn one(State(world): State<Arc<World>>, Path(name): Path<String>) -> ApiResult<Answer<Json>> {
    let session = world.api.sessions.get(&name).ok_or_else(|| ApiFailure::no_session(&name))?;
    Ok(Answer(session.shown(&name, world.now())))
}

pub async fn delete(State(world): State<Arc<World>>, Path(name): Path<String>) -> ApiResult<Answer<Json>> {
    let mut kept = world.api.sessions.kept.write().unwrap_or_else(PoisonError::into_inner);
    kept.by_name.remove(&name).ok_or_else(|| ApiFailure::no_session(&name))?;
    Ok(Answer(json!({ "message": "Session deleted successfully" })))
}
