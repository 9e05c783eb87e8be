//! Every trigger beyond messages, schedules and people, through the real program.

mod after;
mod delivered;
mod doctor;
mod registration;
mod streams;
mod webhook;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Daemon, http_client};

/// A delivery to `/hooks/{path}`, to be finished.
fn post(daemon: &Daemon, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    http_client().post(format!("{}/hooks/{path}", daemon.url())).body(body)
}

/// Status and body; text that is no JSON is a JSON text.
async fn answered(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(json!(text)))
}

/// The runs of a workflow, whole, once there are so many and each has ended.
async fn runs_of(daemon: &Daemon, workflow: &str, count: usize) -> Vec<Value> {
    let of = |runs: &[Value]| -> Vec<Value> {
        runs.iter().filter(|run| run["workflow"] == workflow && !run["finished_at"].is_null()).cloned().collect()
    };
    let runs = daemon.api().runs_are(|runs| of(runs).len() >= count).await;
    let runs = of(&runs);
    assert_eq!(runs.len(), count, "{runs:#?}");
    let mut whole = Vec::new();
    for run in runs {
        whole.push(daemon.api().run(run["id"].as_str().unwrap()).await);
    }
    whole
}
