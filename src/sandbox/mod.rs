//! A local MoltFlow and a local language model: real HTTP servers on loopback, so that workflows can be tried and tested
//! without an account. Nothing reaches WhatsApp.
//!
//! | address | what |
//! |---|---|
//! | `{origin}/api/v2/…` | the MoltFlow API, every endpoint of its guide (`moltflow`) |
//! | `{origin}/v1/chat/completions`, `/v1/messages`, `/v1/models` | a model with canned answers, OpenAI-compatible and Anthropic-style (`model`) |
//! | `{origin}/sandbox/…` | the sandbox's own: somebody writes or joins, faults, rate limit, a session's status, the ledger (`control`) |
//!
//! `docs/sandbox.md` describes all of them. The `/sandbox` routes need no credentials. Everything listens on loopback only.
//!
//! | file | holds |
//! |---|---|
//! | `serve` | connections, and how one is cut |
//! | `faults` | what goes wrong on cue |
//! | `routes`, `counts` | what there is to ask for, and how that ended |
//! | `deliveries` | webhooks on their way |
//! | `ledger` | what was really sent |
//! | `auth` | tokens |
//!
//! Everything is bounded (see `limits`), nothing is kept on disk, and time comes from the clock that is handed in.

mod auth;
mod control;
mod counts;
mod deliveries;
mod faults;
mod ledger;
mod model;
mod moltflow;
mod routes;
mod serve;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::base::{Json, Millis, Secret};
use crate::engine::ports::Clock;
use crate::net::{Net, Policy};
use auth::Tokens;
use counts::Counts;
use deliveries::{Busy, Deliveries};
use faults::Faults;
pub use faults::{BadFault, Fault};
pub use ledger::Entry;
use ledger::{Filter, Ledger};
use model::Script;
pub use moltflow::rate::{BadRateLimit, RateLimit};

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
    /// What goes wrong from the start; up to [`limits::SANDBOX_OBJECTS`](crate::base::limits::SANDBOX_OBJECTS) of them.
    pub faults: Vec<Fault>,
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
            faults: Vec::new(),
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
    server: Option<JoinHandle<()>>,
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
    counts: Counts,
    deliveries: Deliveries,
    faults: Faults,
    script: Script,
    stopped: watch::Receiver<bool>,
}

impl World {
    fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Hands an event to the webhooks that want it; the result is how many. `chat` keeps its events in order.
    fn deliver(&self, event: &Json, chat: &str) -> Result<usize, Busy> {
        let kind = event.get("event").and_then(Json::as_str).unwrap_or_default();
        let targets = self.api.webhooks.targets(kind);
        if targets.is_empty() {
            return Ok(0);
        }
        self.deliveries.send(event, targets, chat, self.faults.of_delivery(kind))
    }
}

/// Ends when the sandbox stops; dropping it is a stop, too.
async fn stop(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// A duration as people write it, and nothing rounded away.
fn exact(ms: u64) -> String {
    let (length, unit) = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(length, _)| ms > 0 && ms.is_multiple_of(*length))
        .unwrap_or((1, "ms"));
    format!("{}{unit}", ms / length)
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
            counts: Counts::default(),
            deliveries,
            faults: Faults::new(options.faults.clone()),
            script: Script::default(),
            stopped: stopped.clone(),
            clock,
            options,
        });
        let app = Router::new()
            .nest("/api/v2", moltflow::router(world.clone()))
            .nest("/v1", model::router(world.clone()))
            .nest("/sandbox", control::router(world.clone()))
            .layer(from_fn_with_state(world.clone(), faults::happen));
        let server = serve::serve(listener, app, world.clock.clone(), stopped);
        let origin = format!("http://{address}");
        Ok(Self {
            moltflow_url: format!("{origin}/api/v2"),
            model_url: format!("{origin}/v1"),
            origin,
            world,
            stop,
            server: Some(tokio::spawn(server)),
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
        let (session, from, body) = (session.to_string(), from.to_string(), body.to_string());
        let message = control::inbound::Message { session, from, participant: None, body };
        control::inbound::message_came(&self.world, &message).map(|(id, _)| id)
    }

    /// Adds a fault; false: there are too many already.
    pub fn add_fault(&self, fault: Fault) -> bool {
        self.world.faults.add(vec![fault]).is_ok()
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.world.faults.remove(None);
    }

    /// Sets a session's status and announces it; false: there is no such session, or no such status.
    pub fn set_status(&self, session: &str, status: &str) -> bool {
        moltflow::sessions::set(&self.world, session, status).is_ok()
    }

    /// How requests ended, by route: `{"POST /sessions/*/messages": {"200": 3, "cut after": 1}}`.
    pub fn requests(&self) -> Json {
        self.world.counts.shown()
    }

    /// What was sent, oldest first; the newest [`limits::SANDBOX_LEDGER`](crate::base::limits::SANDBOX_LEDGER).
    pub fn ledger(&self) -> Vec<Entry> {
        self.world.ledger.find(0, usize::MAX, &Filter::default()).entries
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
