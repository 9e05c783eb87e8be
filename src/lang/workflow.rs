//! The checked form of one workflow file. It holds no positions (those are in [`super::Spans`]), so that it can be stored,
//! hashed and compared; templates and expressions are still text here and are compiled by `plan`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::CodePlace;
use crate::base::json::{Json, JsonMap};

/// One workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub enabled: bool,
    /// The folder of the file: what relative paths of `data.read` start from.
    pub folder: PathBuf,
    pub triggers: Vec<Trigger>,
    /// Constants: the workflow's own over those of `moltrun.yaml`.
    pub vars: JsonMap,
    pub inputs: Vec<InputDef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Of a whole run, from its first step on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The workflow that runs when a run of this one fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// How long an ended run is kept; None: as the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
    pub steps: Vec<StepDef>,
    /// What a caller gets: templates over the steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// Where the scripts of its steps stand in the file, by step id. Not of the workflow's content: a moved line is not
    /// another workflow.
    #[serde(skip)]
    pub code: BTreeMap<String, CodePlace>,
}

/// How many runs with one key go on at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    /// A template over `event`, `inputs` and `vars`.
    pub key: String,
    pub limit: u32,
    pub overflow: Overflow,
}

/// What becomes of a run that is one too many for its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// It waits, in order of arrival.
    #[default]
    Queue,
    /// It ends cancelled, with the reason.
    Skip,
    /// It goes on, and those before it are cancelled.
    CancelRunning,
}

impl Workflow {
    /// A workflow for the call of a step outside any run, which looks at nothing of it but the name.
    pub fn without_steps(name: &str) -> Self {
        Self {
            name: name.to_string(),
            description: None,
            enabled: true,
            folder: PathBuf::new(),
            triggers: Vec::new(),
            vars: JsonMap::new(),
            inputs: Vec::new(),
            concurrency: None,
            timeout_ms: None,
            on_failure: None,
            retention_ms: None,
            steps: Vec::new(),
            output: None,
            code: BTreeMap::new(),
        }
    }
}

/// What starts a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "on")]
pub enum Trigger {
    Message {
        session: Option<String>,
        from: From,
        when: Option<String>,
    },
    Schedule {
        cron: String,
        timezone: String,
        catch_up: CatchUp,
        catch_up_window_ms: u64,
        #[serde(default, skip_serializing_if = "Overlap::is_allow")]
        overlap: Overlap,
        /// A run starts up to this long after its instant.
        #[serde(default, skip_serializing_if = "is_zero")]
        jitter_ms: u64,
    },
    Manual,
    SessionStatus {
        session: Option<String>,
        /// None of them: every status.
        status: Vec<String>,
        when: Option<String>,
    },
    GroupJoin {
        session: Option<String>,
        /// A chat id that ends in `@g.us`.
        group: Option<String>,
        when: Option<String>,
    },
    SessionEvents {
        session: String,
        when: Option<String>,
    },
    Webhook(Hook),
    Workflow {
        name: String,
        /// None of them: however it ended.
        status: Vec<End>,
    },
}

/// A `webhook` trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// After `/hooks/`.
    pub path: String,
    /// The name of a secret of `moltrun.yaml`, never the secret itself; None: whoever reaches it is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The header that carries the signature, in lower case.
    pub header: String,
    /// An expression for what makes two deliveries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<Respond>,
}

/// How a webhook is answered when its run is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Respond {
    /// 200 to 299.
    pub status: u16,
    /// Templates over `event` and `vars`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    Succeeded,
    Failed,
    Cancelled,
}

impl End {
    /// Each by its word in the file.
    pub const WORDS: [(&'static str, End); 3] =
        [("succeeded", Self::Succeeded), ("failed", Self::Failed), ("cancelled", Self::Cancelled)];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Trigger {
    /// The word of the YAML file.
    pub fn kind(&self) -> &'static str {
        match self {
            Trigger::Message { .. } => "message",
            Trigger::Schedule { .. } => "schedule",
            Trigger::Manual => "manual",
            Trigger::SessionStatus { .. } => "session_status",
            Trigger::GroupJoin { .. } => "group_join",
            Trigger::SessionEvents { .. } => "session_events",
            Trigger::Webhook(_) => "webhook",
            Trigger::Workflow { .. } => "workflow",
        }
    }

    /// Its condition, as it is written.
    pub fn when(&self) -> Option<&str> {
        match self {
            Trigger::Message { when, .. }
            | Trigger::SessionStatus { when, .. }
            | Trigger::GroupJoin { when, .. }
            | Trigger::SessionEvents { when, .. }
            | Trigger::Webhook(Hook { when, .. }) => when.as_deref(),
            Trigger::Schedule { .. } | Trigger::Manual | Trigger::Workflow { .. } => None,
        }
    }

    /// The WhatsApp session it is about, if it names one.
    pub fn session(&self) -> Option<&str> {
        match self {
            Trigger::Message { session, .. }
            | Trigger::SessionStatus { session, .. }
            | Trigger::GroupJoin { session, .. } => session.as_deref(),
            Trigger::SessionEvents { session, .. } => Some(session),
            Trigger::Schedule { .. } | Trigger::Manual | Trigger::Webhook(_) | Trigger::Workflow { .. } => None,
        }
    }

    /// Whether MoltFlow's webhook is what brings its events.
    pub fn is_delivered(&self) -> bool {
        matches!(self, Trigger::Message { .. } | Trigger::SessionStatus { .. } | Trigger::GroupJoin { .. })
    }
}

/// Whose messages a `message` trigger takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    Contacts,
    Groups,
    #[default]
    Any,
}

/// What becomes of schedule instants that were missed while nothing ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    #[default]
    None,
    Last,
    All,
}

/// What becomes of a due instant while the run of an earlier one has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It starts no run.
    Skip,
    /// Its run begins when the earlier ones have ended, in the order of their instants.
    Queue,
    /// Its run begins at once.
    #[default]
    Allow,
}

impl Overlap {
    // What a file does not say is not stored, so that the digests of plans without it stay as they are.
    fn is_allow(&self) -> bool {
        *self == Self::Allow
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One declared input of a manual run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputDef {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: InputKind,
    /// None: the input must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    String,
    Number,
    Boolean,
    /// Any JSON.
    Json,
}

impl InputKind {
    /// Each kind by its word in the file.
    pub const WORDS: [(&'static str, InputKind); 4] =
        [("string", Self::String), ("number", Self::Number), ("boolean", Self::Boolean), ("json", Self::Json)];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Json => "json",
        }
    }

    /// Is `value` of this kind?
    pub fn fits(self, value: &Json) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Json => true,
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepDef {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// [`StepDef::BLOCK`] for a block.
    pub uses: String,
    pub with: JsonMap,
    #[serde(rename = "if", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// None: the step written before it, by its `ok` port; for the first step nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<Need>>,
    #[serde(default)]
    pub join: Join,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// The step's own over the workflow's `defaults`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Of one attempt. The step's own over the workflow's `defaults`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(default)]
    pub on_unknown: OnUnknown,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<Once>,
    /// The block that `for_each` runs once an item; empty when it runs this step itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepDef>,
}

impl StepDef {
    /// What `uses` is of a step that runs a block once an item. No step can be called so.
    pub const BLOCK: &str = "for_each";

    /// Does its `for_each` run `steps`, instead of this step itself?
    pub fn is_block(&self) -> bool {
        !self.steps.is_empty()
    }
}

/// At most one success a key, across all runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Once {
    /// A template.
    pub key: String,
    /// None: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

/// One edge as it is written: `answer` or `route.urgent`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    pub step: String,
    pub port: String,
}

/// When a step with several needs runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// Every needed edge was taken; skipped as soon as one cannot be.
    #[default]
    All,
    /// All are settled and one was taken.
    Any,
}

/// One step, once an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForEach {
    #[serde(rename = "in")]
    pub items: String,
    #[serde(rename = "as")]
    pub name: String,
    pub concurrency: u32,
    pub on_item_error: OnItemError,
    /// An expression over `item`, `index`, and `output` (of one step) or `steps.<id>` (of a block); its values are the
    /// step's `collected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collect: Option<String>,
}

impl ForEach {
    /// One after the other over `items`, with everything else as it is when it is not said.
    pub fn over(items: &str) -> Self {
        Self {
            items: items.to_string(),
            name: "item".to_string(),
            concurrency: 1,
            on_item_error: OnItemError::default(),
            collect: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnItemError {
    #[default]
    Continue,
    Stop,
}

/// How transient errors are met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first one included.
    pub attempts: u32,
    pub initial_ms: u64,
    pub factor: f64,
    pub max_ms: u64,
    pub jitter: bool,
}

impl Default for Retry {
    /// One attempt: nothing is retried unless the workflow asks. The pauses are those of a bare `retry: { attempts }`.
    fn default() -> Self {
        Self { attempts: 1, initial_ms: 1_000, factor: 2.0, max_ms: 60_000, jitter: true }
    }
}

/// What becomes of a step whose outcome is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Wait for a person.
    #[default]
    Hold,
    /// Do it again: at least once.
    Resend,
    /// Go on without it: at most once.
    Skip,
}
