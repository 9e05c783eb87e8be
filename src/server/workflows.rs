//! Workflows: what is loaded, what is broken, and manual runs.

use std::sync::Arc;

use axum::Json as Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::{Problem, Server};
use crate::base::Json;
use crate::base::json::JsonMap;
use crate::engine::run::Submission;
use crate::plan::Plan;
use crate::triggers::manual;

pub async fn list(State(server): State<Arc<Server>>) -> Body<Json> {
    let workflows: Vec<_> = server.folder.plans.iter().map(|plan| summary(plan)).collect();
    Body(json!({"workflows": workflows, "problems": server.folder.diagnostics}))
}

pub async fn show(State(server): State<Arc<Server>>, Path(name): Path<String>) -> Result<Body<Json>, Problem> {
    let plan = find(&server, &name)?;
    let mut body = summary(plan);
    body["inputs"] = json!(plan.workflow.inputs);
    body["steps"] = json!(plan.workflow.steps);
    Ok(Body(body))
}

pub async fn graph(State(server): State<Arc<Server>>, Path(name): Path<String>) -> Result<impl IntoResponse, Problem> {
    let plan = find(&server, &name)?;
    Ok(([(header::CONTENT_TYPE, "text/vnd.mermaid; charset=utf-8")], plan.mermaid()))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunBody {
    inputs: JsonMap,
    event: Option<Json>,
}

pub async fn run(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    body: Result<Body<RunBody>, JsonRejection>,
) -> Result<(StatusCode, Body<Json>), Problem> {
    let Body(body) = body.map_err(|error| Problem::bad_request("bad_body", error.body_text()))?;
    let plan = find(&server, &name)?;
    let inputs = manual::inputs(&plan.workflow, &body.inputs)
        .map_err(|errors| Problem::bad_request("bad_inputs", errors.join("; ")))?;
    let submission = Submission {
        plan: plan.clone(),
        trigger: "manual",
        event: Arc::new(body.event.unwrap_or_else(|| json!({"event": "manual"}))),
        inputs: Arc::new(inputs),
        dedupe: None,
    };
    let accepted = server.engine.submit(vec![submission]).await?;
    Ok((StatusCode::CREATED, Body(json!({"run_id": accepted.first()}))))
}

fn find<'a>(server: &'a Server, name: &str) -> Result<&'a Arc<Plan>, Problem> {
    let found = server.folder.plans.iter().find(|plan| *plan.name == *name);
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no workflow `{name}`")))
}

fn summary(plan: &Plan) -> Json {
    let triggers: Vec<_> = plan.triggers.iter().map(|trigger| trigger.trigger.kind()).collect();
    json!({
        "name": *plan.name,
        "description": plan.workflow.description,
        "enabled": plan.workflow.enabled,
        "triggers": triggers,
        "digest": *plan.digest,
    })
}
