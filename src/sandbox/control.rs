//! The sandbox's own routes: somebody writes in, and what was sent.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json as Answer, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::moltflow::error::ApiFailure;
use super::{InboundError, World};
use crate::base::limits;
use crate::moltflow::chat_id;

/// The routes under `/sandbox`.
pub fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/messages", post(write))
        .route("/ledger", get(ledger))
        .fallback(async || ApiFailure::no_route())
        .layer(DefaultBodyLimit::max(limits::SANDBOX_BODY))
        .with_state(world)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inbound {
    session: String,
    from: String,
    body: String,
}

async fn write(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    // Without it a web page could post here from a browser: other content types need no preflight.
    let is_json =
        headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if !is_json {
        return ApiFailure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "send application/json")
            .into_response();
    }
    let inbound: Inbound = match serde_json::from_slice(&body) {
        Ok(inbound) => inbound,
        Err(error) => return ApiFailure::invalid(format!("{error}")).into_response(),
    };
    match self::inbound(&world, &inbound.session, &inbound.from, &inbound.body) {
        Ok((id, deliveries)) => Answer(json!({ "id": id, "deliveries": deliveries })).into_response(),
        Err(error @ InboundError::Invalid(_)) => ApiFailure::invalid(error.to_string()).into_response(),
        Err(InboundError::UnknownSession(name)) => ApiFailure::no_session(&name).into_response(),
        Err(error @ InboundError::Busy) => {
            let failure = ApiFailure::new(StatusCode::SERVICE_UNAVAILABLE, "SANDBOX_BUSY", error.to_string());
            ([(header::RETRY_AFTER, "1")], failure).into_response()
        }
    }
}

/// Delivers a message to the webhooks; the result is its id and how many webhooks get it.
pub fn inbound(world: &World, session: &str, from: &str, body: &str) -> Result<(String, usize), InboundError> {
    if !world.api.sessions.exists(session) {
        return Err(InboundError::UnknownSession(session.chars().take(60).collect()));
    }
    let from = chat_id::parse(from).map_err(|error| InboundError::Invalid(format!("from: {error}")))?;
    if body.chars().count() > limits::MESSAGE_TEXT {
        return Err(InboundError::Invalid(format!("body: longer than {} characters", limits::MESSAGE_TEXT)));
    }
    let now = world.now();
    let id = world.api.message_id(world.clock.random());
    let event = json!({
        "event": "message",
        "session": session,
        "timestamp": super::moltflow::timestamp(now),
        "data": { "id": id, "from": from.as_str(), "body": body, "timestamp": now.div_euclid(1_000) },
    });
    let targets = world.api.webhooks.targets("message");
    match world.deliveries.send(&event, targets, from.as_str()) {
        Ok(count) => Ok((id, count)),
        Err(_) => Err(InboundError::Busy),
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

/// Messages of one page, when the request names no number.
const PAGE: usize = 1_000;

async fn ledger(
    State(world): State<Arc<World>>,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Response {
    match page {
        Ok(Query(page)) => {
            let (total, messages) = world.ledger.page(page.after, page.limit.unwrap_or(PAGE));
            Answer(json!({ "total": total, "messages": messages })).into_response()
        }
        Err(error) => ApiFailure::invalid(error.body_text()).into_response(),
    }
}
