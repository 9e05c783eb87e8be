//! What the engine needs from outside: steps, a store, a clock. Everything else of the house plugs in here.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::event::{Event, RunStatus};
use crate::base::{Json, Millis, RunId, limits};
use crate::lang::Workflow;
use crate::lang::catalog::StepSpec;

/// One kind of step, built-in or plugin; the engine cannot tell them apart (invariant 6).
pub trait Step: Send + Sync {
    fn spec(&self) -> &StepSpec;

    /// One attempt. Dropped when its time is over; an at-most-once step that is dropped has an unknown outcome.
    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>>;
}

/// What a step is told of its attempt.
#[derive(Clone, Debug)]
pub struct StepCall {
    pub run: RunId,
    pub workflow: Arc<Workflow>,
    pub step: Arc<str>,
    /// The item of a `for_each`, from 0.
    pub item: Option<u32>,
    /// From 1.
    pub attempt: u32,
    /// The run's logical time: when this step began, as journaled.
    pub now: Millis,
    /// Time this attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// `with:`, rendered; an object.
    pub input: Json,
}

impl StepCall {
    /// Equal for all attempts of a step (and item) in a run.
    pub fn idempotency_key(&self) -> String {
        match self.item {
            Some(item) => format!("{}.{}.{item}", self.run, self.step),
            None => format!("{}.{}", self.run, self.step),
        }
    }
}

/// How an attempt ended well.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Done, on `port`.
    Done { port: Port, output: Json },
    /// Nothing to do before `until`; then the step is done on `ok` with `null`. The run is parked meanwhile.
    SleepUntil(Millis),
}

/// The name of an exit.
pub type Port = std::borrow::Cow<'static, str>;

/// The port of a step that simply worked.
pub const OK: Port = Port::Borrowed("ok");

/// The port of a failure that some step handles.
pub const ERROR: Port = Port::Borrowed("error");

impl Outcome {
    pub fn ok(output: Json) -> Self {
        Self::Done { port: OK, output }
    }
}

/// A failure as it is journaled and as `errors.<id>` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable, lower-case: `http.timeout`, `moltflow.session_not_found`.
    pub code: String,
    pub message: String,
}

impl Failure {
    /// The message is cut at [`limits::FAILURE_MESSAGE`] bytes.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > limits::FAILURE_MESSAGE {
            message.truncate(message.floor_char_boundary(limits::FAILURE_MESSAGE));
            message.push('…');
        }
        Self { code: code.into(), message }
    }
}

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq)]
pub enum StepError {
    /// Never retried.
    Permanent(Failure),
    /// The retry policy decides; costs an attempt.
    Transient(Failure),
    /// The far side (or a pace) named the pause; costs no attempt. Proves that nothing was done.
    Later { failure: Failure, after_ms: u64 },
    /// It may or may not have happened. Only at-most-once steps may say so; for others it is transient.
    Unknown(Failure),
}

/// Time, pauses and randomness; the only door to them (`clock.rs` has the real one).
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Millis;
    /// Ends at or after `at`.
    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()>;
    fn random(&self) -> u128;
}

/// Why the store could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The run has moved on, or another daemon owns the database: what was to be committed must not be.
    #[error("conflict: {0}")]
    Conflict(String),
    #[error("not found: {0}")]
    NotFound(String),
    /// Worth trying again: the disk is full, the file is locked.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// What was read cannot be what was written.
    #[error("the database is corrupt: {0}")]
    Corrupt(String),
}

/// A run to be created, queued.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    pub id: RunId,
    pub workflow: Arc<str>,
    /// The plan's digest; the plan was saved before.
    pub plan: Arc<str>,
    /// `message`, `schedule`, `manual`.
    pub trigger: &'static str,
    pub created_at: Millis,
    /// At most one run is ever created with a key (until it expires).
    pub dedupe: Option<Dedupe>,
    /// The first event of the journal.
    pub first: Event,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedupe {
    pub key: String,
    /// None: never forgotten.
    pub expires_at: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    New,
    /// A run with this dedupe key exists already.
    Duplicate,
}

/// One decision (or several of one run) to be made durable.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    pub run: RunId,
    /// The journal's length before, in events.
    pub expected: u64,
    pub events: Vec<Event>,
    /// After the events.
    pub status: RunStatus,
    /// When the run wants to be woken; None while it is worked on or has ended.
    pub wake_at: Option<Millis>,
    pub finished_at: Option<Millis>,
}

/// The row of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    pub id: RunId,
    pub workflow: String,
    pub status: RunStatus,
    pub trigger: String,
    pub created_at: Millis,
    pub finished_at: Option<Millis>,
    #[serde(skip)]
    pub plan: String,
    /// The journal's length in events.
    #[serde(skip)]
    pub version: u64,
    #[serde(skip)]
    pub wake_at: Option<Millis>,
}

/// Durable intentions. Each verb is one transaction, atomic per run; many share one physical commit.
pub trait Store: Send + Sync + 'static {
    /// Saves a plan under its digest; doing it again changes nothing.
    fn save_plan<'a>(&'a self, digest: &'a str, plan: &'a Json) -> BoxFuture<'a, Result<(), StoreError>>;

    fn plan<'a>(&'a self, digest: &'a str) -> BoxFuture<'a, Result<Option<Json>, StoreError>>;

    /// All of them in one transaction, or none; the answers are in their order.
    fn create_runs(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Created>, StoreError>>;

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), StoreError>>;

    /// A run with its whole journal.
    fn load(&self, run: RunId) -> BoxFuture<'_, Result<(RunRow, Vec<Event>), StoreError>>;

    /// Rows of runs that have not ended, by id, after `after`: what recovery walks over.
    fn unfinished(&self, after: Option<RunId>, limit: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>>;

    /// The last instant a schedule was considered at, by name.
    fn cursors(&self) -> BoxFuture<'_, Result<BTreeMap<String, Millis>, StoreError>>;

    fn set_cursor<'a>(&'a self, name: &'a str, at: Millis) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Forgets dedupe keys that expired before `now`.
    fn prune(&self, now: Millis) -> BoxFuture<'_, Result<u64, StoreError>>;
}

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    pub workflow: Option<String>,
    pub status: Option<RunStatus>,
    /// Only runs older than this one.
    pub before: Option<RunId>,
    pub limit: u32,
}

/// Reading for people: API, commands. Never on the engine's path.
pub trait Query: Send + Sync + 'static {
    /// Newest first.
    fn runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>>;
}
