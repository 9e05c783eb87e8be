//! What waits for a person: held steps, and questions of `approve`.

use std::sync::Arc;

use axum::Json as Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::json;

use super::runs::{DEFAULT_LIMIT, run_id};
use super::{Problem, Server};
use crate::base::{Json, limits};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionQuery {
    cursor: Option<String>,
    limit: Option<u32>,
}

pub async fn list(
    State(server): State<Arc<Server>>,
    query: Result<Query<AttentionQuery>, QueryRejection>,
) -> Result<Body<Json>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let after = query.cursor.as_deref().map(run_id).transpose()?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=limits::ATTENTION_PAGE).contains(&limit) {
        return Err(Problem::bad_request("bad_limit", format!("limit is 1 to {}", limits::ATTENTION_PAGE)));
    }
    let (needy, next) = server.engine.attention(after, limit).await?;
    let runs = needy.iter().map(|needy| {
        let row = &needy.row;
        json!({"run": row.id, "workflow": row.workflow, "created_at": row.created_at, "asked": needy.asked})
    });
    Ok(Body(json!({"attention": runs.collect::<Vec<_>>(), "next_cursor": next})))
}
