//! A local MoltFlow and a local language model: real HTTP servers on loopback, so that workflows can be tried and tested
//! without an account. Nothing reaches WhatsApp.
//!
//! | address | what |
//! |---|---|
//! | `{origin}/api/v2/…` | the MoltFlow API, as its guide describes it: login, refresh, API key; sessions; messages; groups and monitored groups; webhooks with deliveries |
//! | `{origin}/v1/chat/completions`, `/v1/models` | an OpenAI-compatible model with canned answers (`model`) |
//! | `POST {origin}/sandbox/messages` | somebody writes to a session: `{"session": "support-team", "from": "15551234567@c.us", "body": "Hi"}`; delivered to the webhooks; answers `{"id", "deliveries"}` |
//! | `GET {origin}/sandbox/ledger?after=N&limit=M` | what was really sent: `{"total": n, "messages": [{"id", "session", "chat_id", "text", "at"}]}`, oldest first, `after` the first N ever sent |
//!
//! The `/sandbox` routes are the sandbox's own and need no credentials. Everything listens on loopback only.
//!
//! Not here yet: server-sent events, AI settings and learn mode, faults on demand.
//!
//! Everything is bounded (see `limits`), nothing is kept on disk, and time comes from the clock that is handed in.

mod auth;
mod control;
mod deliveries;
mod ledger;
mod model;
mod moltflow;
#[cfg(test)]
mod tests;

use std::future::IntoFuture;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::base::{Millis, Secret};
use crate::engine::ports::Clock;
use crate::net::{Net, Policy};
use auth::Tokens;
use deliveries::Deliveries;
pub use ledger::Entry;
use ledger::Ledger;

/// How the sandbox is set up. The credentials guard nothing; they are there so that clients can be tried with and without.
#[derive(Clone, Debug)]
pub struct Options {
    /// 0: a free one.
    pub port: u16,
    pub api_key: Secret,
    pub email: String,
    pub password: Secret,
    pub model_key: Secret,
    /// Signs webhook deliveries; None: they carry no signature.
    pub webhook_secret: Option<Secret>,
    /// The life of an access token, in seconds.
    pub token_life_s: u64,
    /// Requests a credential may make; None: any number, and no rate limit headers.
    pub rate_limit: Option<RateLimit>,
}

/// A fixed window of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub requests: u32,
    pub window_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            api_key: Secret::new("molt_sk_sandbox"),
            email: "sandbox@example.com".to_string(),
            password: Secret::new("sandbox-password"),
            model_key: Secret::new("sk-sandbox"),
            webhook_secret: None,
            // The guide's one hour.
            token_life_s: 3_600,
            rate_limit: None,
        }
    }
}

/// A running sandbox. Dropping it aborts it; [`stop`](Self::stop) lets answers in flight end.
pub struct Sandbox {
    /// `http://127.0.0.1:PORT/api/v2`
    pub moltflow_url: String,
    /// `http://127.0.0.1:PORT/v1`
    pub model_url: String,
    /// `http://127.0.0.1:PORT`
    pub origin: String,
    world: Arc<World>,
    stop: watch::Sender<bool>,
    server: Option<JoinHandle<io::Result<()>>>,
}

/// How long [`Sandbox::stop`] waits for requests in flight, in milliseconds: a client that sends half a request must not
/// keep the process alive.
const GRACE_MS: Millis = 2_000;

/// What the handlers share. Locks are held for a few instructions, never across an await.
struct World {
    options: Options,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
    api: moltflow::Api,
    ledger: Ledger,
    deliveries: Deliveries,
    stopped: watch::Receiver<bool>,
}

impl World {
    fn now(&self) -> Millis {
        self.clock.now()
    }
}

/// Why a simulated message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InboundError {
    #[error("{0}")]
    Invalid(String),
    #[error("there is no session `{0}`")]
    UnknownSession(String),
    #[error("too many webhook deliveries are waiting; try again in a second")]
    Busy,
}

impl Sandbox {
    /// Starts it on `options.port`. Errors: the port is taken.
    pub async fn start(options: Options, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("the sandbox cannot listen on {address}: {error}"))
        })?;
        let address = listener.local_addr()?;
        let net = Net::new(Policy::any_private(), clock.clone());
        let (stop, stopped) = watch::channel(false);
        let deliveries =
            Deliveries::start(Arc::new(net), clock.clone(), options.webhook_secret.clone(), stopped.clone());
        let world = Arc::new(World {
            api: moltflow::Api::new(clock.now(), options.rate_limit),
            tokens: Tokens::default(),
            ledger: Ledger::default(),
            deliveries,
            stopped: stopped.clone(),
            clock,
            options,
        });
        let app = Router::new()
            .nest("/api/v2", moltflow::router(world.clone()))
            .nest("/v1", model::router(world.clone()))
            .nest("/sandbox", control::router(world.clone()));
        let mut until = stopped;
        let server = axum::serve(
            listener.tap_io(|stream| {
                // Small answers must not wait for the client's next packet. A failure costs speed only.
                let _ = stream.set_nodelay(true);
            }),
            app,
        )
        .with_graceful_shutdown(async move {
            // An error means that the sandbox was dropped, which is a stop too.
            let _ = until.wait_for(|stop| *stop).await;
        });
        let origin = format!("http://{address}");
        Ok(Self {
            moltflow_url: format!("{origin}/api/v2"),
            model_url: format!("{origin}/v1"),
            origin,
            world,
            stop,
            server: Some(tokio::spawn(server.into_future())),
        })
    }

    /// Lets requests in flight be answered, for at most two seconds, then ends. Deliveries that wait for a retry are dropped.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(mut server) = self.server.take() {
            let grace = self.world.clock.sleep_until(self.world.now() + GRACE_MS);
            tokio::select! {
                // Either way it has ended.
                _ = &mut server => {}
                () = grace => server.abort(),
            }
        }
    }

    /// Somebody writes to `session`; the result is the message's id. Delivered to the webhooks for `message`.
    pub fn inbound(&self, session: &str, from: &str, body: &str) -> Result<String, InboundError> {
        control::inbound(&self.world, session, from, body).map(|(id, _)| id)
    }

    /// What was sent, oldest first; the newest [`limits::SANDBOX_LEDGER`](crate::base::limits::SANDBOX_LEDGER).
    pub fn ledger(&self) -> Vec<Entry> {
        self.world.ledger.page(0, usize::MAX).1
    }

    /// Counts all messages ever sent; changes with each. For waiting without polling.
    pub fn sent(&self) -> watch::Receiver<u64> {
        self.world.ledger.sent()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}
