//! `GET /sessions/{name}/events?token=…`: what happens to a session, as server-sent events.
//!
//! A stream begins with the status the session has, and goes on until the session is deleted. With `qr_code` comes the
//! code. The token is an access token or the API key; a stream that has begun outlives it.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::error::{ApiFailure, ApiResult};
use super::qr;
use crate::sandbox::{World, stop};

/// A stream says something at least this often, in milliseconds, so that neither end takes it for dead.
const KEEP_ALIVE_MS: u64 = 15_000;

#[derive(Deserialize)]
pub struct Pass {
    #[serde(default)]
    pub token: String,
}

/// The query of a request for events; without a token it is not allowed, rather than bad.
pub type Asked = Result<Query<Pass>, QueryRejection>;

pub async fn stream(State(world): State<Arc<World>>, Path(name): Path<String>) -> ApiResult<Response> {
    let place = world.api.sessions.place().ok_or_else(|| ApiFailure::plan_limit("event streams"))?;
    let (status, changes) =
        world.api.sessions.subscribe(&name, world.now()).ok_or_else(|| ApiFailure::no_session(&name))?;
    let mut watching = Watching { world, changes, status: "", ready: VecDeque::new(), _place: place };
    watching.turned(status);
    let events = stream::unfold(watching, async |mut watching| {
        let text = watching.next().await?;
        Some((Ok::<_, std::convert::Infallible>(text), watching))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(events)).into_response())
}

struct Watching {
    world: Arc<World>,
    changes: Receiver<&'static str>,
    /// What was said last.
    status: &'static str,
    ready: VecDeque<String>,
    _place: OwnedSemaphorePermit,
}

impl Watching {
    /// A change that was seen by asking comes again when it is announced.
    fn turned(&mut self, status: &'static str) {
        if self.status == status {
            return;
        }
        self.status = status;
        // As the guide writes them, to the space.
        self.ready.push_back(format!("event: status\ndata: {{\"status\": \"{status}\"}}\n\n"));
        if status == "qr_code" {
            self.ready.push_back(format!("event: qr\ndata: {{\"qr\": \"{}\"}}\n\n", qr::DATA_URL));
        }
    }

    /// None: the session is deleted, or the sandbox stops.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Some(text);
            }
            let change = tokio::select! {
                biased;
                () = stop(self.world.stopped.clone()) => return None,
                change = self.changes.recv() => change,
                () = self.world.clock.pause(KEEP_ALIVE_MS) => return Some(": still here\n\n".to_string()),
            };
            match change {
                Ok(status) => self.turned(status),
                // The newest are still there.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
