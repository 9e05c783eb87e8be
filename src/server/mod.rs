//! The daemon's HTTP side: webhooks in, API for people and programs. Routes and answers are in `contract.md`'s form; what is
//! not built is not routed.

mod attention;
mod guard;
mod hooks;
mod metrics;
mod plugins;
mod problem;
mod runs;
mod schedules;
mod senders;
mod serve;
mod words;
mod workflows;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::sync::watch;

use crate::base::{Secret, limits};
use crate::engine::ports::{Clock, Query, RunFilter};
use crate::engine::run::Engine;
use crate::senders::Senders;
use crate::triggers::live::Live;
use crate::triggers::schedule::Schedules;
use crate::triggers::webhook::Secrets;

pub use self::metrics::Metrics;
pub use self::plugins::PluginSeen;
pub use self::problem::Problem;
pub use self::serve::{Bounds, serve};

/// What the routes need.
pub struct Server {
    pub engine: Engine,
    pub query: Arc<dyn Query>,
    pub clock: Arc<dyn Clock>,
    /// The workflows, as the folder stands at this moment.
    pub live: Live,
    pub schedules: Schedules,
    pub senders: Arc<Senders>,
    /// As they stand at this moment.
    pub plugins: watch::Receiver<Arc<Vec<PluginSeen>>>,
    pub metrics: Arc<Metrics>,
    pub token: Option<Secret>,
    pub webhook_secret: Option<Secret>,
    /// Those that webhooks of workflows may name.
    pub secrets: Secrets,
}

/// All routes.
pub fn router(server: Server) -> Router {
    let server = Arc::new(server);
    let api = Router::new()
        .route("/api/v1/workflows", get(workflows::list))
        .route("/api/v1/workflows/{name}", get(workflows::show))
        .route("/api/v1/workflows/{name}/graph", get(workflows::graph))
        .route("/api/v1/workflows/{name}/runs", post(workflows::run))
        .route("/api/v1/schedules", get(schedules::list))
        .route("/api/v1/plugins", get(plugins::list))
        .route("/api/v1/senders", get(senders::list))
        .route("/api/v1/senders/opt-outs", get(senders::opt_outs))
        .route("/api/v1/senders/opt-out", post(senders::opt_out))
        .route("/api/v1/senders/opt-in", post(senders::opt_in))
        .route("/api/v1/runs", get(runs::list))
        .route("/api/v1/runs/{id}", get(runs::show))
        .route("/api/v1/runs/{id}/journal", get(runs::journal))
        .route("/api/v1/runs/{id}/log", get(runs::log))
        .route("/api/v1/runs/{id}/resolve", post(words::resolve))
        .route("/api/v1/runs/{id}/approve", post(words::approve))
        .route("/api/v1/runs/{id}/cancel", post(words::cancel))
        .route("/api/v1/runs/{id}/pause", post(words::pause))
        .route("/api/v1/runs/{id}/resume", post(words::resume))
        .route("/api/v1/runs/{id}/retry", post(words::retry))
        .route("/api/v1/attention", get(attention::list))
        .route("/metrics", get(measured))
        .layer(from_fn_with_state(server.clone(), guard::guard));
    Router::new()
        .route("/hooks/moltflow", post(hooks::moltflow))
        // A registration with a slash at its end is found to be this one, so it has to be answered as well.
        .route("/hooks/moltflow/", post(hooks::moltflow))
        .route("/hooks/{*path}", post(hooks::generic))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .merge(api)
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address takes another method")
        })
        .layer(DefaultBodyLimit::max(limits::WEBHOOK_BODY))
        .with_state(server)
}

async fn measured(State(server): State<Arc<Server>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], server.metrics.text(&server.engine))
}

/// Would a webhook be accepted now?
async fn ready(State(server): State<Arc<Server>>) -> Result<&'static str, Problem> {
    if *server.engine.stopping().borrow() {
        return Err(Problem::busy("the daemon is stopping"));
    }
    if server.engine.is_full() {
        return Err(Problem::busy("too many runs are waiting for a worker"));
    }
    server.query.writable()?;
    // Fails when the database cannot be read.
    server.query.runs(RunFilter { limit: 1, ..RunFilter::default() }).await?;
    Ok("ready\n")
}

#[cfg(test)]
mod tests;
