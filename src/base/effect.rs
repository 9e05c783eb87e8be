//! What a step does to the world, which decides what may happen when its outcome is unknown.

use serde::{Deserialize, Serialize};

/// The promise a step makes about being run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Computes only; its result need not be journaled before the next step acts.
    Pure,
    /// Touches the world, but running it again does no harm (reads, `ai.prompt`, PUT, DELETE).
    Idempotent,
    /// Must not be repeated in silence (sends, POST): its intention is journaled before it acts, and an
    /// outcome that was lost is *unknown*.
    AtMostOnce,
}
