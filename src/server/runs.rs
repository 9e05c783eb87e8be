//! Runs: the list, one of them, its journal.

use std::sync::Arc;

use axum::Json as Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::json;

use super::{Problem, Server};
use crate::base::{Json, RunId, limits};
use crate::engine::event::RunStatus;
use crate::engine::ports::RunFilter;

/// Runs of a page when the caller names no number.
pub(super) const DEFAULT_LIMIT: u32 = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    workflow: Option<String>,
    status: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

pub async fn list(
    State(server): State<Arc<Server>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Body<Json>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let status = query.status.as_deref().map(|text| {
        let known = RunStatus::ALL.map(RunStatus::as_str).join(", ");
        RunStatus::parse(text).ok_or_else(|| Problem::bad_request("bad_status", format!("`{text}` is none of {known}")))
    });
    let before = query.cursor.as_deref().map(run_id).transpose()?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=limits::PAGE).contains(&limit) {
        return Err(Problem::bad_request("bad_limit", format!("limit is 1 to {}", limits::PAGE)));
    }
    // One more than asked for says whether there is a next page.
    let filter = RunFilter { workflow: query.workflow, status: status.transpose()?, before, limit: limit + 1 };
    let mut rows = server.query.runs(filter).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|row| row.id);
    Ok(Body(json!({"runs": rows, "next_cursor": next_cursor})))
}

pub async fn show(State(server): State<Arc<Server>>, Path(id): Path<String>) -> Result<Body<Json>, Problem> {
    let seen = server.engine.report(run_id(&id)?).await?;
    let mut body = json!(seen.row);
    if let (Json::Object(body), Json::Object(report)) = (&mut body, json!(seen.report)) {
        body.extend(report);
    }
    Ok(Body(body))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalQuery {
    from: Option<u64>,
    limit: Option<u32>,
}

pub async fn journal(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    query: Result<Query<JournalQuery>, QueryRejection>,
) -> Result<Body<Json>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let (run, from) = (run_id(&id)?, query.from.unwrap_or(0));
    let limit = query.limit.unwrap_or(limits::JOURNAL_PAGE);
    if !(1..=limits::JOURNAL_PAGE).contains(&limit) {
        return Err(Problem::bad_request("bad_limit", format!("limit is 1 to {}", limits::JOURNAL_PAGE)));
    }
    let (steps, events) = server.engine.journal(run, from, limit).await?;
    let next = from + events.len() as u64;
    let next = (events.len() == limit as usize).then_some(next);
    Ok(Body(json!({"run": run, "steps": steps, "events": events, "next": next})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    step: Option<String>,
    from: Option<u64>,
}

/// What its steps told people, all of it, page by page.
pub async fn log(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Body<Json>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let run = run_id(&id)?;
    let page = server.engine.log(run, query.step.as_deref(), query.from.unwrap_or(0)).await?;
    Ok(Body(json!({"run": run, "lines": page.lines, "next": page.next})))
}

pub(super) fn run_id(text: &str) -> Result<RunId, Problem> {
    RunId::parse(text).map_err(|error| Problem::bad_request("bad_run_id", error.to_string()))
}
