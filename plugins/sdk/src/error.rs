//! How an attempt fails.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::time::Duration;

use serde_json::Value;

/// Why an attempt failed, and what moltrun does about it.
///
/// `code` is stable, `[a-z][a-z0-9_]*`: a workflow sees `plugin.<plugin>.<code>`. `message` is a lower-case fragment that says
/// what is wrong and what to do.
///
/// ```
/// use moltrun_step::{Error, Kind};
/// use serde_json::json;
///
/// let error = Error::permanent("bad_date", "`31.02.` is no date; write YYYY-MM-DD").details(json!({"row": 7}));
/// assert_eq!(error.kind(), Kind::Permanent);
/// // Anything that shows itself is a message.
/// let error = "x".parse::<u8>().map_err(|e| Error::permanent("bad_number", e)).unwrap_err();
/// assert_eq!(error.message(), "invalid digit found in string");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    kind: Kind,
    code: Cow<'static, str>,
    message: String,
    details: Option<Value>,
}

/// What happens after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Never retried.
    Permanent,
    /// The workflow's retry policy decides; costs an attempt.
    Transient,
    /// Tried again after the pause; costs no attempt.
    Later { after_ms: u64 },
    /// It may or may not have been done.
    Unknown,
}

impl Error {
    /// Doing it again would fail again.
    pub fn permanent(code: impl Into<Cow<'static, str>>, message: impl Display) -> Self {
        Self::new(Kind::Permanent, code, message)
    }

    /// It may work the next time, and nothing was done.
    pub fn transient(code: impl Into<Cow<'static, str>>, message: impl Display) -> Self {
        Self::new(Kind::Transient, code, message)
    }

    /// The far side named a pause. Promises that nothing was done.
    pub fn later(code: impl Into<Cow<'static, str>>, message: impl Display, after: Duration) -> Self {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Self::new(Kind::Later { after_ms }, code, message)
    }

    /// It may or may not have been done, as when a connection was lost before the answer. For a step of
    /// [`Effect::AtMostOnce`](crate::Effect::AtMostOnce) a person decides; for others this is transient.
    pub fn unknown(code: impl Into<Cow<'static, str>>, message: impl Display) -> Self {
        Self::new(Kind::Unknown, code, message)
    }

    fn new(kind: Kind, code: impl Into<Cow<'static, str>>, message: impl Display) -> Self {
        Self { kind, code: code.into(), message: message.to_string(), details: None }
    }

    /// More for the workflow (`errors.<step>.details`), at most 16 KiB of JSON.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn code(&self) -> &str {
        &self.code
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// What [`Error::details`] was given.
    pub fn detail(&self) -> Option<&Value> {
        self.details.as_ref()
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}
