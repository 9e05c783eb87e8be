//! What the sandbox saw: messages that were really sent, and how requests ended.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Json as Answer;
use serde::Deserialize;
use serde_json::json;

use crate::base::Json;
use crate::sandbox::World;
use crate::sandbox::ledger::Filter;
use crate::sandbox::moltflow::error::{ApiFailure, ApiResult};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    session: Option<String>,
    chat: Option<String>,
}

/// Messages of one page, when the request names no number.
const PAGE: usize = 1_000;

/// `total` counts all messages ever sent; `next` is what `after` has to be for the page after this one; `requests` says how
/// the requests to send have ended, `early` what came while a `Retry-After` ran.
pub async fn ledger(
    State(world): State<Arc<World>>,
    page: Result<Query<Page>, QueryRejection>,
) -> ApiResult<Answer<Json>> {
    let Query(page) = page.map_err(|error| ApiFailure::invalid(error.body_text()))?;
    let filter = Filter { session: page.session, chat: page.chat };
    let found = world.ledger.find(page.after, page.limit.unwrap_or(PAGE), &filter);
    Ok(Answer(json!({
        "total": found.total,
        "next": found.next,
        "requests": world.counts.of_sends(),
        "early": world.counts.early(),
        "messages": found.entries,
    })))
}

pub async fn requests(State(world): State<Arc<World>>) -> Answer<Json> {
    Answer(world.counts.shown())
}
