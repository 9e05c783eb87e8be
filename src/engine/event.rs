//! The journal's entries. A run is the fold of its events (invariant 1).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ports::{Failure, LogLine, Port};
use super::waiting::Waiting;
use crate::base::{Json, Millis, RunId};

/// A step of a run: its number in the plan, and the item it is about in each `for_each` around it, the outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub step: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<u32>,
}

impl Place {
    /// A step that no `for_each` is around.
    pub fn root(step: u32) -> Self {
        Self { step, items: Vec::new() }
    }

    /// The step of the block that `for_each` step `self` runs for its item.
    pub fn inside(&self, item: u32, step: u32) -> Self {
        let mut items = Vec::with_capacity(self.items.len() + 1);
        items.extend_from_slice(&self.items);
        items.push(item);
        Self { step, items }
    }
}

/// `3`, or `7[41.0]`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.step)?;
        if self.items.is_empty() {
            return Ok(());
        }
        let items: Vec<_> = self.items.iter().map(u32::to_string).collect();
        write!(f, "[{}]", items.join("."))
    }
}

/// The run and the step that called a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub run: RunId,
    pub place: Place,
    /// Calls within calls, from 1.
    pub depth: u32,
}

/// One entry. `step` and `items` are a [`Place`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
pub enum Event {
    /// Always the first.
    RunCreated {
        at: Millis,
        event: Arc<Json>,
        inputs: Arc<Json>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
    },
    /// The step begins an attempt. For an at-most-once step this is its intention: committed before it acts. The first one
    /// inside a block begins the item.
    StepStarted {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        attempt: u32,
    },
    StepSucceeded {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        port: Port,
        output: Arc<Json>,
        /// The output is a list of this many rows, too long for memory; the rows are beside the journal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rows: Option<u32>,
        /// Time of the attempt, in microseconds.
        took_us: u64,
    },
    StepFailed {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        failure: Failure,
        /// Time of the last attempt, in microseconds.
        took_us: u64,
    },
    /// Neither ran nor failed.
    StepSkipped {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        reason: SkipReason,
        /// Why it declined.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<Failure>,
    },
    /// The step waits: for its next attempt, or because it is a wait itself.
    StepWaiting {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        /// Until then at most; None: for as long as it takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Millis>,
        why: Waiting,
    },
    /// What the step told people of its attempt at work. How that attempt ended is told next.
    StepLogged {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        attempt: u32,
        lines: Vec<LogLine>,
    },
    /// The outcome is unknown and a person decides.
    StepHeld {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        failure: Failure,
    },
    /// An event from outside ended the wait of the step, which is told next; `key` names it.
    EventTaken {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        key: String,
    },
    /// The `for_each` has this many items.
    ItemsStarted {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        total: u32,
    },
    /// Every step of the item's block is settled. `items` ends with the item; `step` is the `for_each`.
    ItemEnded {
        at: Millis,
        step: u32,
        items: Vec<u32>,
        outcome: ItemOutcome,
        /// What `collect` gave.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        collected: Option<Arc<Json>>,
        /// Why it failed, where no step says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
    /// The `for_each` starts no further item, because one failed; `left` were not started.
    ItemsStopped {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        left: u32,
    },
    /// A person paused it: nothing new begins until it is resumed. What is at work ends, and what it waits for is still heard.
    RunPaused {
        at: Millis,
        /// Why, in the words of who did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person has it go on: what has become due meanwhile is done now.
    RunResumed { at: Millis },
    /// Nothing new starts; what must not be cut off may end. Then the run ends with this status.
    RunEnding { at: Millis, status: RunStatus, failure: Failure },
    /// Nothing will happen any more, unless a person retries; the status is a final one.
    RunEnded {
        at: Millis,
        status: RunStatus,
        /// What a caller gets.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Arc<Json>>,
        /// Why the run as a whole ended so, where no step says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
    /// A person has the run go on after its end: these steps of the root block are done again. In a `for_each` only the items
    /// that did not succeed are, unless it needs the step `from` which the person named: then its items may be others.
    RunRetried {
        at: Millis,
        steps: Vec<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<u32>,
    },
}

impl Event {
    /// When it happened.
    pub fn at(&self) -> Millis {
        match self {
            Event::RunCreated { at, .. }
            | Event::StepStarted { at, .. }
            | Event::StepSucceeded { at, .. }
            | Event::StepFailed { at, .. }
            | Event::StepSkipped { at, .. }
            | Event::StepWaiting { at, .. }
            | Event::StepHeld { at, .. }
            | Event::StepLogged { at, .. }
            | Event::EventTaken { at, .. }
            | Event::ItemsStarted { at, .. }
            | Event::ItemEnded { at, .. }
            | Event::ItemsStopped { at, .. }
            | Event::RunPaused { at, .. }
            | Event::RunResumed { at }
            | Event::RunEnding { at, .. }
            | Event::RunEnded { at, .. }
            | Event::RunRetried { at, .. } => *at,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A needed edge was not taken.
    NotReached,
    /// `if` was false.
    Condition,
    /// Its outcome is unknown and `on_unknown: skip` lets it go.
    Unknown,
    /// A person said so.
    Resolved,
    /// Its `once` key had its success already.
    Repeated,
    /// The step itself found that nothing was to be done.
    Declined,
}

/// How one item of a `for_each` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemOutcome {
    Succeeded,
    /// A step failed and none handles it.
    Failed,
    /// No step did anything.
    Skipped,
    /// A step was let go with an unknown outcome.
    Unknown,
}

/// Where a run stands. Who moves it out:
///
/// | status | left by |
/// |---|---|
/// | `queued` | the scheduler, when a worker is free and its concurrency key has room |
/// | `running` | its own steps |
/// | `waiting` | the timer of its earliest due step, an event, an approval, or a called run's end |
/// | `paused` | a person, who resumes it; nothing of it is at work |
/// | `attention` | a person, who resolves the held step |
/// | `succeeded` `failed` `cancelled` | a person who retries it; else nobody: the end |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Queued,
    Running,
    Waiting,
    Paused,
    Attention,
    Succeeded,
    Failed,
    Cancelled,
}

impl RunStatus {
    pub const ALL: [RunStatus; 8] = [
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Attention,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Attention => "attention",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Nothing will happen any more by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
