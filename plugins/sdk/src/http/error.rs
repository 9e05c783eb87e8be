//! Why there is no answer, and what that says about the request.

use std::fmt::{self, Display};

use crate::Error;

/// There is no answer, or not all of it.
///
/// `?` makes an [`Error`] of it that tells moltrun what it must know: what was not sent is transient (or permanent, where it
/// is refused every time), what may have been sent is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError {
    pub fate: Fate,
    /// Stable, `[a-z][a-z0-9_]*`: `connection_refused`.
    pub code: String,
    pub message: String,
}

/// What is known of a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was never sent and never will be: not granted, blocked, or no request at all.
    Refused,
    /// Nothing was sent. It may work the next time.
    NotSent,
    /// It may or may not have been carried out.
    Unknown,
}

impl HttpError {
    pub(crate) fn new(fate: Fate, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { fate, code: code.into(), message: message.into() }
    }

    /// Whether it is certain that nothing was done.
    pub fn proves_not_sent(&self) -> bool {
        self.fate != Fate::Unknown
    }
}

impl Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HttpError {}

impl From<HttpError> for Error {
    fn from(HttpError { fate, code, message }: HttpError) -> Self {
        match fate {
            Fate::Refused => Self::permanent(code, message),
            Fate::NotSent => Self::transient(code, message),
            Fate::Unknown => Self::unknown(code, message),
        }
    }
}
