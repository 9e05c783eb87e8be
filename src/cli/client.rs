//! The daemon's API, as commands ask it.

use super::setup::config;
use super::{Exit, Failed, Globals, out};
use crate::app::system_clock;
use crate::base::{Json, Secret};
use crate::config::Need;
use crate::net::{Method, Net, Policy, Request};

/// Time for an answer, in milliseconds: the daemon is near.
const TIMEOUT_MS: u64 = 10_000;

pub struct Client {
    net: Net,
    base: String,
    token: Option<Secret>,
}

impl Client {
    /// A client of the daemon that the configuration describes.
    pub fn new(globals: &Globals) -> Result<Self, Failed> {
        let server = config(globals, Need::Shape)?.server;
        let base = format!("http://{}", server.listen);
        let mut policy = Policy::default();
        policy.trust(&base).map_err(|error| Failed::invalid(error.to_string()))?;
        let net = Net::new(policy, system_clock());
        Ok(Self { net, base, token: server.token })
    }

    pub async fn get(&self, path: &str) -> Result<Json, Failed> {
        self.send(Request::new(Method::GET, format!("{}{path}", self.base))).await
    }

    pub async fn post(&self, path: &str, body: &Json) -> Result<Json, Failed> {
        self.send(Request::new(Method::POST, format!("{}{path}", self.base)).json(body)).await
    }

    async fn send(&self, request: Request) -> Result<Json, Failed> {
        let unreachable = |error: &dyn std::fmt::Display| {
            let help = "is `moltrun serve` running, with this configuration?";
            Failed::new(Exit::Unreachable, format!("the daemon at {} cannot be reached: {error}\n{help}", self.base))
        };
        let mut request = request.timeout_ms(TIMEOUT_MS);
        if let Some(token) = &self.token {
            request = request.secret_header("authorization", "Bearer ", token).map_err(|error| unreachable(&error))?;
        }
        let response = self.net.send(request).await.map_err(|error| unreachable(&error))?;
        let body = response.json().unwrap_or(Json::Null);
        if response.is_success() {
            return Ok(body);
        }
        let detail = body["detail"].as_str().unwrap_or("no reason given");
        let exit = match response.status {
            404 => Exit::NotFound,
            400 | 409 | 422 => Exit::Invalid,
            _ => Exit::Unreachable,
        };
        Err(Failed::new(exit, format!("the daemon answered {}: {}", response.status, out::shown(detail))))
    }
}
