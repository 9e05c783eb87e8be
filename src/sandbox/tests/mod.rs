//! Against real HTTP.

mod client;
mod deliveries;
mod guide;
mod steps;

use std::sync::Arc;

use super::{Options, Sandbox};
use crate::engine::ports::Clock;
use crate::moltflow::{Config, Credentials, MoltFlow};
use crate::net::testing::ManualClock;
use crate::net::{Net, Policy};

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
