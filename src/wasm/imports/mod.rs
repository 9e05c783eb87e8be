//! What a connector may do besides computing: HTTP through [`crate::net`], secrets without sight, values across runs.
//!
//! Three things decide, and all must agree: what the plugin asked for when it was loaded, what the operator granted, and
//! the step's effect. [`Reach`] holds the first two, once a plugin; [`Outside`] is one call of a step that may act. A step
//! that says `pure` has no [`Outside`], and neither has `describe`: whatever it calls is refused as an ordinary error, so
//! that a dry run, which runs pure steps, changes nothing.
//!
//! | file | holds |
//! |---|---|
//! | `http` | `wasi:http`: who may be reached, the exchange, its bounds |
//! | `errors` | failed exchanges in the words of `wasi:http` |
//! | `secrets` | placeholders and HMACs |
//! | `swap` | secrets into requests, placeholders into answers |
//! | `state` | values across runs, staged until the step has succeeded |
//! | `account` | how much a plugin keeps |
//! | `traffic` | what has been sent, and whether it was answered |
//!
//! Whatever waits here is bounded by what remains of the call.

mod account;
mod errors;
mod http;
mod secrets;
mod state;
mod swap;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use self::account::Account;
use self::secrets::Stands;
use self::state::Drawer;
use self::swap::Scrubber;
use self::traffic::Traffic;
use super::host::Services;
use super::runtime::Deadline;
use super::text::clean;
use super::within::within;
use super::{Asks, Grant, HostPattern};
use crate::base::limits::{PLUGIN_LOG_LINE, PLUGIN_WARNINGS};
use crate::base::{Json, Secret};
use crate::engine::ports::{Clock, Failure, Keys, LogLevel, Outcome, Port, StepError, StepLog};
use crate::net::Net;

pub(super) use self::account::Accounts;
use self::http::INTERFACES as HTTP;
pub(super) use self::http::{Http, link as link_http};

/// What one plugin may reach: what it asks for and is granted.
pub(super) struct Reach {
    plugin: Arc<str>,
    asked: Vec<HostPattern>,
    granted: Vec<HostPattern>,
    /// Names, granted or not.
    asked_secrets: Vec<String>,
    /// Those that are both asked for and granted.
    secrets: Vec<Usable>,
    state: bool,
    scrubber: Scrubber,
    net: Arc<Net>,
    clock: Arc<dyn Clock>,
    account: Arc<Account>,
}

/// A secret that a plugin may use.
struct Usable {
    name: String,
    /// Where the plugin wants it sent to; it is sent only where requests may go besides.
    hosts: Vec<HostPattern>,
    /// Or why there is none.
    value: Result<Secret, String>,
}

impl Reach {
    pub(super) fn new(plugin: &str, asks: &Asks, grant: &Grant, services: &Services, accounts: &Accounts) -> Self {
        let read = |hosts: &[String]| hosts.iter().filter_map(|host| HostPattern::asked(host).ok()).collect();
        let usable = asks.secrets.iter().filter(|(name, _)| grant.secrets.contains(name));
        let mut secrets: Vec<_> = usable
            .map(|(name, hosts)| Usable {
                name: name.clone(),
                hosts: read(hosts),
                value: secrets::fit(name, services.secrets.get(name)),
            })
            .collect();
        let scrubber = Scrubber::new(secrets.iter().map(|usable| usable.value.as_ref().ok()));
        // What could not be found again in answers is not sent.
        let scrubber = scrubber.unwrap_or_else(|reason| {
            secrets.iter_mut().for_each(|usable| usable.value = Err(reason.clone()));
            Scrubber::none()
        });
        Self {
            plugin: plugin.into(),
            asked: read(&asks.hosts),
            granted: grant.http.clone(),
            asked_secrets: asks.secrets.iter().map(|(name, _)| name.clone()).collect(),
            secrets,
            state: asks.state && grant.state,
            scrubber,
            net: services.net.clone(),
            clock: services.clock.clone(),
            account: accounts.of(plugin),
        }
    }
}

/// What a component imports beyond computing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Imports {
    pub(super) state: bool,
    secrets: bool,
    http: bool,
}

impl Imports {
    /// Reads the name of an import, without its version; false: it is none of these.
    pub(super) fn note(&mut self, interface: &str) -> bool {
        match interface {
            "moltrun:step/state" => self.state = true,
            "moltrun:step/secrets" => self.secrets = true,
            http if HTTP.contains(&http) => self.http = true,
            _ => return false,
        }
        true
    }

    pub(super) fn is_connector(self) -> bool {
        self.state || self.secrets || self.http
    }
}

/// The world outside of one call.
pub(super) struct Outside {
    reach: Arc<Reach>,
    run: String,
    step: String,
    log: StepLog,
    warnings: AtomicU32,
    traffic: Traffic,
    stands: Stands,
    drawer: Drawer,
}

impl Outside {
    pub(super) fn new(reach: Arc<Reach>, run: String, step: String, log: StepLog, keys: Keys) -> Self {
        let stands = Stands::new(&reach);
        let drawer = Drawer::new(reach.plugin.clone(), keys, reach.account.clone());
        Self { reach, run, step, log, warnings: AtomicU32::new(0), traffic: Traffic::default(), stands, drawer }
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.reach.clock
    }

    /// A line for the operator, in the log and with the run: the first few of a call.
    fn warn(&self, line: &str) {
        if self.warnings.fetch_add(1, Ordering::Relaxed) >= PLUGIN_WARNINGS {
            return;
        }
        // It may hold what the guest wrote.
        let line = clean(line, PLUGIN_LOG_LINE);
        tracing::warn!(target: "moltrun::plugin", plugin = %self.reach.plugin, run = %self.run, step = %self.step, "{line}");
        self.log.push(LogLevel::Warn, line);
    }

    /// The call is over for its step: nothing more leaves, wherever its guest still is.
    fn close(&self) {
        self.traffic.close();
    }

    /// What a call that succeeded becomes: what it staged is written with the step's success.
    pub(super) fn succeeded(&self, port: Port, output: Json) -> Outcome {
        self.close();
        match self.drawer.close() {
            (_, held) if held.is_empty() => Outcome::Done { port, output },
            (writes, held) => Outcome::Written { port, output, writes, held },
        }
    }

    /// What the failure of a call becomes for a step that must not be repeated: unknown, if it may have acted. `broke`: the
    /// guest did not say so itself, so that nobody knows what it made of the answers it got.
    pub(super) fn at_most_once(&self, error: StepError, broke: bool) -> StepError {
        self.close();
        let (why, is_unknown) = match broke {
            true => ("a request had been sent", self.traffic.acted()),
            false => ("the answer to a request was lost", self.traffic.lost()),
        };
        match error {
            StepError::Permanent(failure) | StepError::Transient(failure) | StepError::Later { failure, .. }
                if is_unknown =>
            {
                let Failure { code, message, details } = failure;
                let failure =
                    Failure::new(code, format!("{message}; {why}, so it may or may not have been carried out"));
                StepError::Unknown(Failure { details, ..failure })
            }
            error => error,
        }
    }

    /// What the failure of a call becomes for a step that may be repeated: time that ran out after an answer stayed away is no
    /// fault of the guest, and another attempt may be quicker.
    pub(super) fn repeatable(&self, error: StepError) -> StepError {
        self.close();
        match error {
            StepError::Permanent(failure) if failure.code == "plugin.timeout" && self.traffic.missed() => {
                StepError::Transient(failure)
            }
            error => error,
        }
    }
}

/// Held by whoever waits for the call: once nobody does, nothing more leaves.
pub(super) struct Attended(pub(super) Arc<Outside>);

impl Drop for Attended {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").field("plugin", &self.reach.plugin).finish_non_exhaustive()
    }
}

/// Milliseconds that a guest may be kept waiting: what remains of its call, less a part in which it can make something of
/// having waited in vain.
fn patience(deadline: &Deadline) -> u64 {
    let left = deadline.remaining_ms();
    left - RESERVE_MS.min(left / 10)
}

/// The largest such part.
const RESERVE_MS: u64 = 250;
