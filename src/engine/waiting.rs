//! Why a step waits.

use serde::{Deserialize, Serialize};

use super::ports::{Failure, Listen};
use crate::base::{Json, RunId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "for")]
pub enum Waiting {
    /// The next attempt after a transient failure. Left by its timer.
    Retry { failure: Failure },
    /// The far side named the time; the same attempt again. Left by its timer.
    Later { failure: Failure },
    /// A `wait` step. Left by its timer.
    Sleep,
    /// A `wait_for` step: an event that fits one of these. Left by such an event, or its timer.
    Event { on: Vec<Listen> },
    /// An `approve` step. Left by a person, or its timer.
    Approval { title: String, details: Json },
    /// A `call` step. Left when the called run ends.
    Call { child: RunId, workflow: String, inputs: Json },
}
