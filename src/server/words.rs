//! What people say to a run: what became of a held step, yes or no, stop, again.

use std::sync::Arc;

use axum::Json as Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::runs::run_id;
use super::{Problem, Server};
use crate::base::limits;
use crate::engine::decide::{Approval, Resolution};

/// The body of a word, or why it is none.
type Said<T> = Result<T, JsonRejection>;

fn said<T>(body: Said<T>) -> Result<T, Problem> {
    body.map_err(|error| Problem::bad_request("bad_body", error.body_text()))
}

/// A text of a person's, which is journaled.
fn bounded(name: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    match &text {
        Some(long) if long.len() > limits::COMMENT => {
            let detail = format!("`{name}` is longer than the {} bytes allowed", limits::COMMENT);
            Err(Problem::bad_request("bad_body", detail))
        }
        _ => Ok(text),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolveBody {
    step: String,
    item: Option<Items>,
    outcome: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Sent,
    NotSent,
    Skip,
}

pub async fn resolve(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    body: Said<Body<ResolveBody>>,
) -> Result<StatusCode, Problem> {
    let Body(body) = said(body)?;
    let resolution = match body.outcome {
        Outcome::Sent => Resolution::Sent,
        Outcome::NotSent => Resolution::NotSent,
        Outcome::Skip => Resolution::Skip,
    };
    server.engine.resolve(run_id(&id)?, &body.step, &items(body.item), resolution).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproveBody {
    step: String,
    item: Option<Items>,
    decision: Decision,
    by: Option<String>,
    comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Approve,
    Reject,
}

pub async fn approve(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    body: Said<Body<ApproveBody>>,
) -> Result<StatusCode, Problem> {
    let Body(body) = said(body)?;
    let approval = Approval {
        approved: matches!(body.decision, Decision::Approve),
        by: bounded("by", body.by)?,
        comment: bounded("comment", body.comment)?,
    };
    server.engine.approve(run_id(&id)?, &body.step, &items(body.item), approval).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelBody {
    reason: Option<String>,
}

pub async fn cancel(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    body: Said<Option<Body<CancelBody>>>,
) -> Result<StatusCode, Problem> {
    let reason = bounded("reason", said(body)?.and_then(|Body(body)| body.reason))?;
    server.engine.cancel(run_id(&id)?, reason.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseBody {
    reason: Option<String>,
}

pub async fn pause(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    body: Said<Option<Body<PauseBody>>>,
) -> Result<StatusCode, Problem> {
    let reason = bounded("reason", said(body)?.and_then(|Body(body)| body.reason))?;
    server.engine.pause(run_id(&id)?, reason.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn resume(State(server): State<Arc<Server>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    server.engine.resume(run_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryBody {
    from: Option<String>,
}

pub async fn retry(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    body: Said<Option<Body<RetryBody>>>,
) -> Result<StatusCode, Problem> {
    let from = said(body)?.and_then(|Body(body)| body.from);
    server.engine.retry(run_id(&id)?, from.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The item of each `for_each` around a step, the outermost first: one number, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Items {
    One(u32),
    Many(Vec<u32>),
}

fn items(items: Option<Items>) -> Vec<u32> {
    match items {
        None => Vec::new(),
        Some(Items::One(item)) => vec![item],
        Some(Items::Many(items)) => items,
    }
}
