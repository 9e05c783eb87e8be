//! What others tell a run.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::base::Json;
use crate::engine::decide::{Input, Refused};

/// Told when the word is durable, or refused. Dropped without a word when the daemon stops.
pub type Answer = oneshot::Sender<Result<(), Refused>>;

/// One word, with somebody waiting for the answer.
pub enum Mail {
    Input {
        input: Input,
        answer: Answer,
    },
    /// It may begin: its turn in the queue came while it heard another word.
    Go,
    /// An event that the run may listen for; its steps' `when` decide.
    Event {
        event: Arc<str>,
        key: String,
        payload: Arc<Json>,
        answer: Answer,
    },
}

impl Mail {
    /// Answers that the run cannot go on.
    pub fn refuse(self, refused: Refused) {
        match self {
            // Whoever asked may have gone.
            Self::Input { answer, .. } | Self::Event { answer, .. } => drop(answer.send(Err(refused))),
            Self::Go => {}
        }
    }

    /// An end that comes from outside goes before everything else: nothing of the run is to begin any more.
    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Input { input: Input::Stop { .. }, .. })
    }
}
