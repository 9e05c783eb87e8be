//! What came back, from either kind of provider, whole or in pieces.

use super::permanent;
use crate::engine::ports::{Failure, StepError};

/// An answer, as far as it has been read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reply {
    pub text: String,
    /// What was put into the place of structured answers.
    pub json: String,
    /// Why there is no answer, in the model's words.
    pub refusal: String,
    pub finish: Option<Finish>,
    /// The model that answered, by its own name.
    pub model: Option<String>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// The provider may have worked for it.
    pub charged: bool,
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// It had said everything.
    Stop,
    /// It was cut at the longest answer allowed.
    Length,
    /// It, or its provider, would not.
    Refused,
}

impl Finish {
    /// By the word of either kind of provider. A word of tomorrow is an ordinary end.
    pub fn of(word: &str) -> Self {
        match word {
            "length" | "max_tokens" | "model_context_window_exceeded" => Self::Length,
            "content_filter" | "refusal" => Self::Refused,
            _ => Self::Stop,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Refused => "refused",
        }
    }
}

impl Reply {
    /// What was said.
    pub fn content(&self) -> &str {
        if self.json.trim().is_empty() { self.text.trim() } else { self.json.trim() }
    }

    /// Bytes of text so far.
    pub fn len(&self) -> usize {
        self.text.len() + self.json.len() + self.refusal.len()
    }

    /// Is it an answer at all?
    pub fn judged(&self) -> Result<(), StepError> {
        if self.finish == Some(Finish::Refused) || !self.refusal.is_empty() {
            let message = match self.refusal.is_empty() {
                true => "the model's provider filtered the answer",
                false => "the model refused to answer",
            };
            return Err(permanent("ai.refused", message));
        }
        match (self.content().is_empty(), self.finish) {
            (false, _) => Ok(()),
            (true, Some(Finish::Length)) => {
                Err(permanent("ai.cut", "the model spent max_tokens without an answer; allow more"))
            }
            (true, _) => Err(bad_answer("is empty")),
        }
    }
}

/// The answer makes no sense; another one may.
pub(super) fn bad_answer(what: &str) -> StepError {
    StepError::Transient(Failure::new("ai.bad_answer", format!("the model's answer {what}")))
}
