//! Schedules: when each fires next, and what became of the instants that were missed.

use std::sync::Arc;

use axum::Json as Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::{Problem, Server};
use crate::base::limits;
use crate::triggers::schedule::Page;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    workflow: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

pub async fn list(
    State(server): State<Arc<Server>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Body<Page>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let limit = query.limit.unwrap_or(limits::PAGE);
    if !(1..=limits::PAGE).contains(&limit) {
        return Err(Problem::bad_request("bad_limit", format!("limit is 1 to {}", limits::PAGE)));
    }
    Ok(Body(server.schedules.page(query.workflow.as_deref(), query.cursor.as_deref(), limit as usize)))
}
