//! Sessions and their life: `starting`, a second later `qr_code`, two seconds later `working` (the sandbox scans its own
//! codes). A status that was set through `/sandbox` stays until it is set again. Each change is delivered to the webhooks
//! for `session_status`, and to the streams of events.
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use super::error::{ApiFailure, ApiResult, read};
use super::timestamp;
use crate::base::nearest::nearest;
use crate::base::{Json, Millis, limits};
use crate::sandbox::control::Sent;
use crate::sandbox::{World, stop};

/// How long a new session stays `starting`, and then `qr_code`, in milliseconds: long enough to be seen.
const STARTING_MS: Millis = 1_000;
const QR_CODE_MS: Millis = 2_000;

/// The first free id: the guide's next one.
const FIRST_ID: u64 = 44;

/// What a session's status may be, in the guide's order.
pub const STATUSES: [&str; 4] = ["starting", "qr_code", "working", "failed"];

/// Changes a stream of events may be behind; the oldest are lost beyond it, and the newest count.
const CHANGES: usize = 64;

#[derive(Clone)]
struct Session {
    id: u64,
    created_at: Millis,
    life: Life,
    changes: broadcast::Sender<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Moves on by itself.
    New,
    /// Stays.
    Set { status: &'static str, since: Millis },
}

impl Session {
    fn new(id: u64, created_at: Millis, life: Life) -> Self {
        Self { id, created_at, life, changes: broadcast::Sender::new(CHANGES) }
    }

    /// The status at `now`, and since when.
    fn status(&self, now: Millis) -> (&'static str, Millis) {
        let age = now - self.created_at;
        match self.life {
            Life::Set { status, since } => (status, since),
            Life::New if age < STARTING_MS => ("starting", self.created_at),
            Life::New if age < STARTING_MS + QR_CODE_MS => ("qr_code", self.created_at + STARTING_MS),
            Life::New => ("working", self.created_at + STARTING_MS + QR_CODE_MS),
        }
    }

    /// Says it to webhooks and streams. Under the lock of all sessions, so that what is said last is true.
    fn announce(&self, world: &World, name: &str, status: &'static str, at: Millis) {
        let data = json!({ "status": status });
        let event = json!({ "event": "session_status", "session": name, "timestamp": timestamp(at), "data": data });
        // A full lane drops it: a status is told again by the next, and by `GET /sessions`.
        let _ = world.deliver(&event, name);
        // An error means that no stream is open.
        let _ = self.changes.send(status);
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
    /// Room for streams of events.
    streams: Arc<Semaphore>,
}

struct Kept {
    by_name: BTreeMap<String, Session>,
    next_id: u64,
}

impl Sessions {
    pub fn new(now: Millis) -> Self {
        // Nobody ever scans the code of the second one.
        let by_name = [("support-team", 42, "working"), ("sales-bot", 43, "qr_code")]
            .map(|(name, id, status)| (name.to_string(), Session::new(id, now, Life::Set { status, since: now })));
        Self {
            kept: RwLock::new(Kept { by_name: by_name.into(), next_id: FIRST_ID }),
            streams: Arc::new(Semaphore::new(limits::SANDBOX_STREAMS)),
        }
    }

    /// Room for one more stream of events, while there is.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.streams.clone().try_acquire_owned().ok()
    }

    /// The status at `now` and all changes after it; None if there is no such session. They end when it is deleted.
    pub fn subscribe(&self, name: &str, now: Millis) -> Option<(&'static str, broadcast::Receiver<&'static str>)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.by_name.get(name).map(|session| (session.status(now).0, session.changes.subscribe()))
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
        let session = Session::new(kept.next_id, now, Life::New);
        kept.next_id += 1;
        kept.by_name.insert(create.name.clone(), session.clone());
        session
    };
    let (id, status) = (session.id, session.status(now).0);
    // It must not keep the streams open once the session is deleted.
    drop(session);
    tokio::spawn(live(world.clone(), create.name.clone(), id, now));
    Ok(Answer(json!({ "id": id, "name": create.name, "status": status, "created_at": timestamp(now) })))
}

/// Announces the changes of a new session, until it works, is deleted, or gets its status from elsewhere.
async fn live(world: Arc<World>, name: String, id: u64, created_at: Millis) {
    for (at, status) in [
        (created_at, "starting"),
        (created_at + STARTING_MS, "qr_code"),
        (created_at + STARTING_MS + QR_CODE_MS, "working"),
    ] {
        tokio::select! {
            () = stop(world.stopped.clone()) => return,
            () = world.clock.sleep_until(at) => {}
        }
        let kept = world.api.sessions.kept.write().unwrap_or_else(PoisonError::into_inner);
        match kept.by_name.get(&name) {
            Some(session) if session.id == id && session.life == Life::New => {
                session.announce(&world, &name, status, at);
            }
            // Deleted, or deleted and made anew, or told what it is.
            _ => return,
        }
    }
}

/// A status that was asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    pub status: String,
}

/// `POST /sandbox/sessions/{name}/status`
pub async fn set_status(
    State(world): State<Arc<World>>,
    Path(name): Path<String>,
    Sent(wanted): Sent<Status>,
) -> ApiResult<Answer<Json>> {
    set(&world, &name, &wanted.status).map(Answer)
}

/// Sets a session's status and announces it if it is another; the result shows the session.
pub fn set(world: &World, name: &str, status: &str) -> ApiResult<Json> {
    let Some(status) = STATUSES.into_iter().find(|known| *known == status) else {
        let near = nearest(status, STATUSES).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(ApiFailure::invalid(format!("status: one of {}{near}", STATUSES.join(", "))));
    };
    let now = world.now();
    let mut kept = world.api.sessions.kept.write().unwrap_or_else(PoisonError::into_inner);
    let session = kept.by_name.get_mut(name).ok_or_else(|| ApiFailure::no_session(name))?;
    let (before, since) = session.status(now);
    session.life = Life::Set { status, since: if before == status { since } else { now } };
    if before != status {
        session.announce(world, name, status, now);
    }
    Ok(session.shown(name, now))
}

pub async fn one(State(world): State<Arc<World>>, Path(name): Path<String>) -> ApiResult<Answer<Json>> {
    let session = world.api.sessions.get(&name).ok_or_else(|| ApiFailure::no_session(&name))?;
    Ok(Answer(session.shown(&name, world.now())))
}

pub async fn delete(State(world): State<Arc<World>>, Path(name): Path<String>) -> ApiResult<Answer<Json>> {
    let mut kept = world.api.sessions.kept.write().unwrap_or_else(PoisonError::into_inner);
    kept.by_name.remove(&name).ok_or_else(|| ApiFailure::no_session(&name))?;
    world.api.ai.forget(&name);
    Ok(Answer(json!({ "message": "Session deleted successfully" })))
}
