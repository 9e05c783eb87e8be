//! The MoltFlow API under `/api/v2`, by its guide: bodies, statuses, error format, rate limit headers.

pub mod ai;
pub mod error;
mod events;
mod groups;
mod login;
mod messages;
mod qr;
pub mod rate;
pub mod sessions;
pub mod webhooks;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use self::error::ApiFailure;
use super::{RateLimit, World};
use crate::base::{Millis, limits};

/// What the API remembers.
pub struct Api {
    pub sessions: sessions::Sessions,
    pub webhooks: webhooks::Webhooks,
    pub groups: groups::Groups,
    pub ai: ai::Ai,
    pub rate: rate::Windows,
    messages: AtomicU32,
}

impl Api {
    pub fn new(now: Millis, rate: Option<RateLimit>) -> Self {
        Self {
            sessions: sessions::Sessions::new(now),
            webhooks: webhooks::Webhooks::default(),
            groups: groups::Groups::default(),
            ai: ai::Ai::default(),
            rate: rate::Windows::new(rate),
            messages: AtomicU32::new(0),
        }
    }

    /// A message id in WhatsApp's form. The count makes it unique, the random half hard to mistake for another run's.
    pub fn message_id(&self, random: u128) -> String {
        let count = self.messages.fetch_add(1, Ordering::Relaxed);
        format!("3EB0{:06X}{count:08X}", random as u32 & 0xff_ffff)
    }
}

/// The routes under `/api/v2`.
pub fn router(world: Arc<World>) -> Router {
    let guarded = Router::new()
        .route("/sessions", get(sessions::list).post(sessions::create))
        .route("/sessions/{name}", get(sessions::one).delete(sessions::delete))
        .route("/sessions/{name}/messages", post(messages::send))
        .route("/sessions/{name}/groups", get(groups::of_session))
        .route("/groups", get(groups::list).post(groups::monitor))
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/ai/auto-reply/settings", post(ai::configure))
        .route("/ai/learn-mode/train", post(ai::train))
        .layer(from_fn_with_state(world.clone(), guard));
    let streamed = Router::new()
        .route("/sessions/{name}/events", get(events::stream))
        .layer(from_fn_with_state(world.clone(), guard_stream));
    Router::new()
        .route("/auth/login", post(login::login))
        .route("/auth/refresh", post(login::refresh))
        .merge(guarded)
        .merge(streamed)
        .fallback(async || ApiFailure::no_route())
        .method_not_allowed_fallback(async || ApiFailure::no_method())
        .layer(DefaultBodyLimit::max(limits::SANDBOX_BODY))
        .with_state(world)
}

/// Credentials and rate limit, before every call but those of `/auth`.
async fn guard(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    match credential(&world, request.headers(), world.now()) {
        Ok(credential) => limited(&world, credential, request, next).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// The same for streams of events: browsers can give them no headers, so the credential is in the query.
async fn guard_stream(State(world): State<Arc<World>>, asked: events::Asked, request: Request, next: Next) -> Response {
    let token = asked.map(|asked| asked.0.token).unwrap_or_default();
    let credential = if token == world.options.api_key.expose() {
        "key"
    } else if world.tokens.is_access(&token, world.now()) {
        "login"
    } else {
        return ApiFailure::unauthorized("send a valid API key or token as ?token=").into_response();
    };
    limited(&world, credential, request, next).await
}

async fn limited(world: &World, credential: &'static str, request: Request, next: Next) -> Response {
    match world.api.rate.take(credential, world.now()) {
        None => next.run(request).await,
        Some(Ok(headers)) => (headers.list(), next.run(request).await).into_response(),
        Some(Err(headers)) => {
            let retry_after = [("retry-after", headers.seconds_left.to_string())];
            (headers.list(), retry_after, ApiFailure::rate_limited()).into_response()
        }
    }
}

/// Whose requests are counted together.
fn credential(world: &World, headers: &HeaderMap, now: Millis) -> Result<&'static str, ApiFailure> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_token =
        |bearer: &str| bearer.strip_prefix("Bearer ").is_some_and(|token| world.tokens.is_access(token, now));
    match (header("x-api-key"), header("authorization")) {
        (Some(key), _) if key == world.options.api_key.expose() => Ok("key"),
        // All tokens are one account's.
        (None, Some(bearer)) if is_token(bearer) => Ok("login"),
        (None, None) => Err(ApiFailure::unauthorized("send X-API-Key or Authorization: Bearer")),
        _ => Err(ApiFailure::unauthorized("the API key or token is invalid or has expired")),
    }
}

/// `at` as the API writes instants: `2026-01-25T16:05:00Z`.
pub fn timestamp(at: Millis) -> String {
    // Out of range only for clocks that are wrong by millennia.
    jiff::Timestamp::from_second(at.div_euclid(1_000)).unwrap_or_default().to_string()
}
