//! Workflows: what is loaded, what is broken, and manual runs.

use std::sync::Arc;

use axum::Json as Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::{PluginSeen, Problem, Server};
use crate::base::Json;
use crate::base::json::JsonMap;
use crate::engine::run::Submission;
use crate::plan::inputs;
use crate::triggers::live::ServedWorkflow;

pub async fn list(State(server): State<Arc<Server>>) -> Body<Json> {
    let served = server.live.now();
    let workflows: Vec<_> = served.workflows().iter().map(summary).collect();
    let plugins = server.plugins.borrow().clone();
    let mut problems = served.problems().to_vec();
    problems.extend(plugins.iter().filter_map(PluginSeen::problem));
    Body(json!({"workflows": workflows, "problems": problems}))
}

pub async fn show(State(server): State<Arc<Server>>, Path(name): Path<String>) -> Result<Body<Json>, Problem> {
    let served = find(&server, &name)?;
    let mut body = summary(&served);
    let plan = served.plan;
    body["inputs"] = json!(plan.workflow.inputs);
    body["steps"] = json!(plan.workflow.steps);
    Ok(Body(body))
}

pub async fn graph(State(server): State<Arc<Server>>, Path(name): Path<String>) -> Result<impl IntoResponse, Problem> {
    let plan = find(&server, &name)?.plan;
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
    let plan = find(&server, &name)?.plan;
    let inputs = inputs::inputs(&plan.workflow, &body.inputs)
        .map_err(|errors| Problem::bad_request("bad_inputs", errors.join("; ")))?;
    let submission = Submission {
        plan,
        trigger: "manual",
        event: Arc::new(body.event.unwrap_or_else(|| json!({"event": "manual"}))),
        inputs: Arc::new(inputs),
        dedupe: None,
        lane: None,
    };
    let accepted = server.engine.submit(vec![submission]).await?;
    Ok((StatusCode::CREATED, Body(json!({"run_id": accepted.first()}))))
}

fn find(server: &Server, name: &str) -> Result<ServedWorkflow, Problem> {
    let found = server.live.now().find(name).cloned();
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no workflow `{name}`")))
}

fn summary(served: &ServedWorkflow) -> Json {
    let ServedWorkflow { plan, file, stale } = served;
    let triggers: Vec<_> = plan.triggers.iter().map(|trigger| trigger.trigger.kind()).collect();
    json!({
        "name": *plan.name,
        "description": plan.workflow.description,
        "enabled": plan.workflow.enabled,
        "triggers": triggers,
        "digest": *plan.digest,
        "file": **file,
        // The file is broken since: `problems` says how, and this is its last good version.
        "stale": *stale,
    })
}
