//! What the engine needs from outside: steps, a store, a clock. Everything else of the house plugs in here.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::event::{Event, RunStatus};
pub use super::run::keys::{Held, Keys};
pub use super::step_log::{LogLevel, LogLine, StepLog};
use crate::base::json::text_len;
use crate::base::{Json, Millis, RunId, limits};
use crate::lang::Workflow;
use crate::lang::catalog::StepSpec;
use crate::lang::workflow::End;
use crate::plan::Plan;

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
    /// The item of each `for_each` around the step, the outermost first, from 0.
    pub items: Vec<u32>,
    /// From 1.
    pub attempt: u32,
    /// The run's logical time: when this step began, as journaled.
    pub now: Millis,
    /// When the first try of the step began, whatever put it off since.
    pub began: Millis,
    /// Time this attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// `with:`, rendered; an object.
    pub input: Json,
    /// What the run has heard: the event it began with, then what its `wait_for` steps before this one got.
    pub heard: Vec<Arc<Json>>,
    /// Values across runs.
    pub keys: Keys,
    /// Where the step writes lines for whoever looks at the run, whatever becomes of the attempt.
    pub log: StepLog,
}

impl StepCall {
    /// Equal for all attempts of a step (and item) in a run.
    pub fn idempotency_key(&self) -> String {
        let items: String = self.items.iter().map(|item| format!(".{item}")).collect();
        format!("{}.{}{items}", self.run, self.step)
    }
}

/// How an attempt ended well.
#[derive(Debug)]
pub enum Outcome {
    /// Done, on `port`.
    Done { port: Port, output: Json },
    /// Done, on `port`, and `writes` are committed with it. `held` keeps their keys from others until then.
    Written { port: Port, output: Json, writes: Vec<Write>, held: Vec<Held> },
    /// Done, on `ok`, with a list that may be too long for memory.
    Rows(Rows),
    /// Nothing to do before something happens. The run is parked meanwhile.
    Waits(Wait),
    /// Nothing was to be done, and this says why: the step is skipped.
    Skipped(Failure),
}

/// The rows of a list, as they are read. An error ends it.
pub struct Rows(pub BoxStream<'static, Result<Json, StepError>>);

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rows")
    }
}

/// What a step waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    /// Then it is done on `ok` with `null`.
    Until(Millis),
    /// An event by this name, for which the step's `when` holds: `ok` with the event, or `timeout` with `null`.
    Event { event: String, due: Option<Millis> },
    /// A person: `ok` or `rejected` with `{by, comment}`, or `timeout` with `null`.
    Approval { title: String, details: Json, due: Option<Millis> },
    /// The end of a run of this workflow, which is started: `ok` with its output, or its failure.
    Call { workflow: String, inputs: Json },
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
    /// More for the workflow, where the step gave it; at most [`limits::FAILURE_DETAILS`] bytes of JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Arc<Json>>,
}

impl Failure {
    /// The message is cut at [`limits::FAILURE_MESSAGE`] bytes.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > limits::FAILURE_MESSAGE {
            message.truncate(message.floor_char_boundary(limits::FAILURE_MESSAGE));
            message.push('…');
        }
        Self { code: code.into(), message, details: None }
    }

    /// With `details`; they are left out if they are larger than [`limits::FAILURE_DETAILS`].
    pub fn with_details(mut self, details: Json) -> Self {
        self.details = (text_len(&details) <= limits::FAILURE_DETAILS).then(|| Arc::new(details));
        self
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

/// The workflows of today, by name: those that a run may call.
pub trait Workflows: Send + Sync + 'static {
    fn plan(&self, name: &str) -> Option<Arc<Plan>>;

    /// Those that begin after a run of `name` has ended so, by their `workflow` triggers.
    fn after(&self, _name: &str, _end: End) -> Vec<Arc<Plan>> {
        Vec::new()
    }
}

/// Time, pauses and randomness; the only door to them (`clock.rs` has the real one).
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Millis;
    /// Ends at or after `at`.
    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()>;
    /// Ends after `ms` milliseconds, whatever becomes of the time of day meanwhile: [`Self::sleep_until`] would sleep on for
    /// two hours when the clock is set back by two.
    fn pause(&self, ms: u64) -> BoxFuture<'static, ()> {
        self.sleep_until(self.now().saturating_add_unsigned(ms))
    }
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

/// Pause before a step that could not use the database asks again, in milliseconds.
const STORE_RETRY_MS: u64 = 1_000;

/// Of a step that needed the store before it did anything: it may be asked again.
impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        let failure = Failure::new("store.unavailable", error.to_string());
        match error {
            StoreError::Unavailable(_) => Self::Later { failure, after_ms: STORE_RETRY_MS },
            _ => Self::Permanent(failure),
        }
    }
}

/// A run to be created, queued.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    pub id: RunId,
    pub workflow: Arc<str>,
    /// The plan's digest; the plan was saved before.
    pub plan: Arc<str>,
    /// `message`, `schedule`, `manual`, `call`, `failure`, or another kind of trigger.
    pub trigger: &'static str,
    pub created_at: Millis,
    /// At most one run is ever created with a key (until it expires).
    pub dedupe: Option<Dedupe>,
    /// The runs of one lane are bounded by their workflow's `concurrency`.
    pub lane: Option<Arc<str>>,
    /// The run that called this one.
    pub parent: Option<RunId>,
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
    /// Some exactly with a final status.
    pub finished_at: Option<Millis>,
    /// With the end: when the run may be forgotten.
    pub expires_at: Option<Millis>,
    /// Values that change with these events.
    pub writes: Vec<Write>,
    /// Some: what the run listens for from now on, in place of what it listened for.
    pub listens: Option<Vec<Listen>>,
    /// The state after these events. It replaces an older one; it is only speed and may be thrown away at any time.
    pub snapshot: Option<Json>,
}

/// One value to be stored or forgotten.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub space: Space,
    pub key: String,
    /// None: forgotten.
    pub value: Option<Json>,
    /// None: never forgotten by itself.
    pub expires_at: Option<Millis>,
}

/// Whose keys they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Of `state.*` steps.
    State,
    /// Of `once:`.
    Once,
    /// What each sender has sent, by WhatsApp session.
    Sender,
    /// Who wants no more messages, by WhatsApp session and chat.
    OptOut,
    /// Sends that wait for their sender, by WhatsApp session and attempt.
    Held,
    /// Conversations of `ai.prompt`.
    History,
    /// What the stream of a session's events told last, by WhatsApp session.
    Stream,
    /// What `ai.prompt` has spent, by day.
    Budget,
    /// Of plugins, by plugin.
    Plugin,
}

impl Space {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Once => "once",
            Self::Sender => "sender",
            Self::OptOut => "opt-out",
            Self::Held => "held",
            Self::History => "history",
            Self::Stream => "stream",
            Self::Budget => "budget",
            Self::Plugin => "plugin",
        }
    }
}

/// Something a run waits for: an event by name, in which the value at `path` is `value`; with an empty path any such event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listen {
    pub event: String,
    /// Dotted, from the event's root: `data.from`.
    pub path: String,
    /// As JSON text.
    pub value: String,
}

impl Listen {
    /// What a run listens for when it needs a person: by this such runs are found. No event has this name.
    pub fn attention() -> Self {
        Self { event: "(attention)".to_string(), path: String::new(), value: String::new() }
    }
}

/// A run as it is taken up again.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub row: RunRow,
    /// A state and the number of events it is the fold of.
    pub snapshot: Option<(u64, Json)>,
    /// The events after the snapshot; without one, all.
    pub events: Vec<Event>,
}

/// What one batch of pruning forgot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub runs: u64,
    /// Dedupe keys and values.
    pub others: u64,
    /// There is more to forget now.
    pub more: bool,
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
    #[serde(skip)]
    pub lane: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
}

/// Durable intentions. Each verb is one transaction, atomic per run; many share one physical commit.
pub trait Store: Send + Sync + 'static {
    /// Saves a plan under its digest; doing it again replaces only what is not part of the digest.
    fn save_plan<'a>(&'a self, digest: &'a str, plan: &'a Json) -> BoxFuture<'a, Result<(), StoreError>>;

    fn plan<'a>(&'a self, digest: &'a str) -> BoxFuture<'a, Result<Option<Json>, StoreError>>;

    /// All of them in one transaction, or none; the answers are in their order.
    fn create_runs(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Created>, StoreError>>;

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), StoreError>>;

    /// A run with what is needed to go on with it.
    fn load(&self, run: RunId) -> BoxFuture<'_, Result<Loaded, StoreError>>;

    fn row(&self, run: RunId) -> BoxFuture<'_, Result<RunRow, StoreError>>;

    /// Events of a run's journal from number `from` on, at most `limit`.
    fn journal(&self, run: RunId, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Event>, StoreError>>;

    /// Rows of runs that have not ended, by id, after `after`: what recovery walks over.
    fn unfinished(&self, after: Option<RunId>, limit: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>>;

    /// Runs that want to be woken, the earliest first, after `after`. An ended one among them still has
    /// to tell its caller.
    fn due(
        &self,
        after: Option<(Millis, RunId)>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(Millis, RunId)>, StoreError>>;

    /// Runs that listen for exactly this, by id, after `after`.
    fn listening(
        &self,
        listen: Listen,
        after: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>>;

    /// Every event and path that some run listens for.
    fn listened(&self) -> BoxFuture<'_, Result<Vec<(String, String)>, StoreError>>;

    /// The value of a key, unless it expired before `now`.
    fn value<'a>(&'a self, space: Space, key: &'a str, now: Millis) -> BoxFuture<'a, Result<Option<Json>, StoreError>>;

    /// Keys that begin with `prefix`, in order, after `after`, with their values; those that expired before `now` are left
    /// out.
    fn values(
        &self,
        space: Space,
        prefix: String,
        after: Option<String>,
        limit: u32,
        now: Millis,
    ) -> BoxFuture<'_, Result<Vec<(String, Json)>, StoreError>>;

    /// Writes values outside of any run, all of them in one transaction. Of two under one key the last one counts.
    fn put(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Adds rows to a list of a run, from number `first` on. Doing it again changes nothing; rows that overlap older ones
    /// are the same rows.
    fn append_rows(
        &self,
        run: RunId,
        list: String,
        first: u32,
        rows: Vec<Json>,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Rows of a list from number `from` on, at most `limit`.
    fn rows<'a>(
        &'a self,
        run: RunId,
        list: &'a str,
        from: u32,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Json>, StoreError>>;

    /// The last instant a schedule was considered at, by name.
    fn cursors(&self) -> BoxFuture<'_, Result<BTreeMap<String, Millis>, StoreError>>;

    fn set_cursors(&self, cursors: Vec<(String, Millis)>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Forgets one small batch of what expired before `now`: at most `limit` runs, dedupe keys and values each.
    fn prune(&self, now: Millis, limit: u32) -> BoxFuture<'_, Result<Pruned, StoreError>>;

    /// Is this process still the database's owner? A conflict if another one has taken it over.
    fn renew(&self, now: Millis) -> BoxFuture<'_, Result<(), StoreError>>;
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
    /// Could something be written now? Says what the last commit met, without making one.
    fn writable(&self) -> Result<(), StoreError>;

    /// Newest first.
    fn runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>>;
}
