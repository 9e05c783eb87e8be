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

impl Effect {
    /// What a step's author may say of it.
    pub const WORDS: &[(&str, Self)] = &[("idempotent", Self::Idempotent), ("at_most_once", Self::AtMostOnce)];

    /// The effect that a workflow calls so.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, effect)| *effect)
    }

    /// That of an HTTP request by its method, in capitals (RFC 9110, 9.2.2). Of a method that it does not know the worst is
    /// assumed.
    pub fn of_method(method: &str) -> Self {
        match method {
            "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" => Self::Idempotent,
            _ => Self::AtMostOnce,
        }
    }
}
