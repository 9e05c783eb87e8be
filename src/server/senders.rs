//! Senders: what each session may send, what waits, and who opted out.

use std::sync::Arc;

use axum::Json as Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{Problem, Server};
use crate::base::{Json, chat_id, limits};
use crate::senders::Said;

pub async fn list(State(server): State<Arc<Server>>) -> Result<Body<Json>, Problem> {
    Ok(Body(json!({"senders": server.senders.view().await?})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptOutsQuery {
    session: String,
    cursor: Option<String>,
    limit: Option<u32>,
}

pub async fn opt_outs(
    State(server): State<Arc<Server>>,
    query: Result<Query<OptOutsQuery>, QueryRejection>,
) -> Result<Body<Json>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let limit = query.limit.unwrap_or(limits::PAGE);
    if !(1..=limits::PAGE).contains(&limit) {
        return Err(Problem::bad_request("bad_limit", format!("limit is 1 to {}", limits::PAGE)));
    }
    let page = server.senders.opted_out_page(&query.session, query.cursor.as_deref(), limit as usize).await?;
    let (opted_out, next_cursor) = page.ok_or_else(|| no_sender(&server, &query.session))?;
    Ok(Body(json!({"opt_outs": opted_out, "next_cursor": next_cursor})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptBody {
    session: String,
    /// A chat id, or a phone number with +.
    chat: String,
}

pub async fn opt_out(
    State(server): State<Arc<Server>>,
    body: Result<Body<OptBody>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    enter(&server, body, Said::Stop).await
}

pub async fn opt_in(
    State(server): State<Arc<Server>>,
    body: Result<Body<OptBody>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    enter(&server, body, Said::Start).await
}

async fn enter(server: &Server, body: Result<Body<OptBody>, JsonRejection>, said: Said) -> Result<StatusCode, Problem> {
    let Body(body) = body.map_err(|error| Problem::bad_request("bad_body", error.body_text()))?;
    let chat = chat_id::parse(&body.chat).map_err(|error| Problem::bad_request("bad_chat", error.to_string()))?;
    if chat.is_group() {
        return Err(Problem::bad_request("bad_chat", format!("`{chat}` is a group; people opt out, groups do not")));
    }
    let entered = server.senders.enter(&body.session, chat.as_str(), said).await?;
    entered.map(|()| StatusCode::NO_CONTENT).ok_or_else(|| no_sender(server, &body.session))
}

fn no_sender(server: &Server, session: &str) -> Problem {
    let known: Vec<_> = server.senders.sessions().map(|(name, _)| name).collect();
    let known = if known.is_empty() { "there are none".to_string() } else { format!("known: {}", known.join(", ")) };
    let session: String = session.chars().take(80).collect();
    let detail = format!("`{session}` has no policy under `senders` of the configuration ({known})");
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}
