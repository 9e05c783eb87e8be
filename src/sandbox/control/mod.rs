//! The sandbox's own routes, under `/sandbox`: what a person or a test does to the far side, and what it saw.
//!
//! They need no credentials. Everything that changes something is JSON, so that no web page can post to it from a browser:
//! other content types need no preflight.
//!
//! | file | holds |
//! |---|---|
//! | `inbound` | somebody writes, somebody joins a group |
//! | `faults` | faults, the rate limit, what the model is to say |
//! | `seen` | the ledger, and how requests ended |

mod faults;
pub mod inbound;
mod seen;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::routing::{delete, get, post};
use serde::de::DeserializeOwned;

use super::World;
use super::moltflow::error::{ApiFailure, read};
use super::moltflow::sessions;
use crate::base::limits;

/// The routes.
pub fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/messages", post(inbound::write))
        .route("/joins", post(inbound::join))
        .route("/sessions/{name}/status", post(sessions::set_status))
        .route("/faults", get(faults::list).post(faults::add).delete(faults::remove_all))
        .route("/faults/{id}", delete(faults::remove))
        .route("/rate-limit", get(faults::rate_limit).post(faults::set_rate_limit).delete(faults::lift_rate_limit))
        .route("/answers", get(faults::answers).post(faults::add_answer).delete(faults::clear_answers))
        .route("/ledger", get(seen::ledger))
        .route("/requests", get(seen::requests))
        .fallback(async || ApiFailure::no_route())
        .method_not_allowed_fallback(async || ApiFailure::no_method())
        .layer(DefaultBodyLimit::max(limits::SANDBOX_BODY))
        .with_state(world)
}

/// A body that says it is JSON, and is.
pub struct Sent<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = ApiFailure;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiFailure> {
        let kind = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
        if !kind.is_some_and(|kind| kind.starts_with(b"application/json")) {
            let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE");
            return Err(ApiFailure::new(status, code, "send application/json"));
        }
        read(Bytes::from_request(request, state).await).map(Self)
    }
}
