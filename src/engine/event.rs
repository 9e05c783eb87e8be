//! The journal's entries. A run is the fold of its events (invariant 1).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ports::{Failure, Port};
use crate::base::{Json, Millis};

/// One entry. `step` is the step's place in the plan; `item` the item of its `for_each`, from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
pub enum Event {
    /// Always the first.
    RunCreated { at: Millis, event: Arc<Json>, inputs: Arc<Json> },
    /// The step begins an attempt. For an at-most-once step this is its intention: committed before it acts.
    StepStarted {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<u32>,
        attempt: u32,
    },
    StepSucceeded {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<u32>,
        port: Port,
        output: Arc<Json>,
        /// Time of the attempt, in microseconds.
        took_us: u64,
    },
    StepFailed {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<u32>,
        failure: Failure,
        /// Time of the last attempt, in microseconds.
        took_us: u64,
    },
    /// Neither ran nor failed: an edge was not taken, `if` was false, or an unknown outcome is let go.
    StepSkipped {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<u32>,
        reason: SkipReason,
    },
    /// The step waits until `due`: for its next attempt, or because it is a pause itself.
    StepWaiting {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<u32>,
        due: Millis,
        why: Waiting,
    },
    /// The outcome is unknown and a person decides.
    StepHeld {
        at: Millis,
        step: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<u32>,
        failure: Failure,
    },
    /// The step's `for_each` has this many items.
    ItemsStarted { at: Millis, step: u32, total: u32 },
    /// Nothing will happen any more; the status is a final one.
    RunEnded { at: Millis, status: RunStatus },
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
            | Event::ItemsStarted { at, .. }
            | Event::RunEnded { at, .. } => *at,
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
    /// The `for_each` stopped at an earlier item's failure.
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "for")]
pub enum Waiting {
    /// The next attempt after a transient failure.
    Retry { failure: Failure },
    /// The far side named the time; the same attempt again.
    Later { failure: Failure },
    /// A `wait` step.
    Sleep,
}

/// Where a run stands. Who moves it out:
///
/// | status | left by |
/// |---|---|
/// | `queued` | the scheduler, when a worker is free |
/// | `running` | its own steps |
/// | `waiting` | the timer of its earliest due step |
/// | `attention` | a person, who resolves the held step |
/// | `succeeded` `failed` `cancelled` | nobody: the end |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Queued,
    Running,
    Waiting,
    Attention,
    Succeeded,
    Failed,
    Cancelled,
}

impl RunStatus {
    pub const ALL: [RunStatus; 7] =
        [Self::Queued, Self::Running, Self::Waiting, Self::Attention, Self::Succeeded, Self::Failed, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Attention => "attention",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Nothing will happen any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
