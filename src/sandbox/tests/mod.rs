//! Against real HTTP.

mod ai;
mod client;
mod control;
mod deliveries;
mod faults;
mod golden;
mod groups;
mod guide;
mod model;
mod steps;
mod streams;

use std::sync::Arc;

use super::{Options, Sandbox};
use crate::base::Json;
use crate::engine::ports::Clock;
use crate::moltflow::{Config, Credentials, MoltFlow};
use crate::net::testing::ManualClock;
use crate::net::{Method, Net, NetError, Policy, Request, Response};

/// 2026-01-25T15:00:00Z, the guide's day.
const NOW: i64 = 1_769_353_200_000;

async fn start(options: Options) -> (Sandbox, Arc<ManualClock>) {
    let clock = ManualClock::at(NOW);
    (Sandbox::start(options, clock.clone()).await.unwrap(), clock)
}

fn net(sandbox: &Sandbox, clock: Arc<dyn Clock>) -> Arc<Net> {
    let mut policy = Policy::default();
    policy.trust(&sandbox.origin).unwrap();
    Arc::new(Net::new(policy, clock))
}

fn key() -> Credentials {
    Credentials::ApiKey(Options::default().api_key)
}

fn login() -> Credentials {
    Credentials::Login { email: Options::default().email, password: Options::default().password }
}

fn moltflow(sandbox: &Sandbox, credentials: Credentials, clock: Arc<dyn Clock>) -> MoltFlow {
    let config = Config { base_url: sandbox.moltflow_url.clone(), credentials };
    MoltFlow::new(config, net(sandbox, clock.clone()), clock).unwrap()
}

/// Lets other tasks run until `done`.
async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

/// Speaks HTTP as curl would.
struct Caller {
    net: Arc<Net>,
    base: String,
    auth: (&'static str, String),
}

impl Caller {
    async fn try_raw(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Response, NetError> {
        let mut request = Request::new(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.base));
        if !self.auth.1.is_empty() {
            request = request.header(self.auth.0, &self.auth.1).unwrap();
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.net.send(request).await
    }

    async fn raw(&self, method: &str, path: &str, body: Option<&Json>) -> Response {
        self.try_raw(method, path, body).await.unwrap()
    }

    async fn ok(&self, method: &str, path: &str, body: Option<Json>) -> Json {
        let response = self.raw(method, path, body.as_ref()).await;
        assert_eq!(response.status, 200, "{method} {path}: {:?}", response.body);
        response.json().unwrap()
    }

    async fn refused(&self, method: &str, path: &str, body: Option<Json>) -> (u16, String) {
        let response = self.raw(method, path, body.as_ref()).await;
        let error = response.json().unwrap_or_else(|| panic!("{method} {path}: {:?}", response.body));
        assert_eq!(error["status"], response.status, "{error}");
        assert!(error["detail"].is_string(), "{error}");
        (response.status, error["error_code"].as_str().unwrap().to_string())
    }
}

fn caller(sandbox: &Sandbox, clock: &Arc<ManualClock>) -> Caller {
    let auth = ("x-api-key", Options::default().api_key.expose().to_string());
    Caller { net: net(sandbox, clock.clone()), base: sandbox.moltflow_url.clone(), auth }
}

/// For the sandbox's own routes, without credentials.
fn controller(sandbox: &Sandbox, clock: &Arc<ManualClock>) -> Caller {
    let base = format!("{}/sandbox", sandbox.origin);
    Caller { base, auth: ("x-api-key", String::new()), ..caller(sandbox, clock) }
}

fn text(body: &str) -> Json {
    serde_json::json!({ "chatId": "15551234567@c.us", "text": body })
}
