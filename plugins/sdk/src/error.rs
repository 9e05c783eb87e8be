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

/// Longest code that the host takes.
const CODE_BYTES: usize = 64;

/// Bytes of details, as JSON, that the host takes.
const DETAIL_BYTES: usize = 16 << 10;

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

    /// More for the workflow (`errors.<step>.details`), at most 16 KiB of JSON; more than that is left out, with a line that
    /// says so.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// What moltrun does not take of it, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !is_code(&self.code) {
            faults.push(format!("the code `{}` is not [a-z][a-z0-9_]*, at most {CODE_BYTES} characters", self.code));
        }
        let bytes = self.details.as_ref().map_or(0, |details| details.to_string().len());
        if bytes > DETAIL_BYTES {
            faults.push(format!("the details are {bytes} bytes of JSON, more than the {DETAIL_BYTES} allowed"));
        }
        faults
    }

    /// The same failure as moltrun takes it: otherwise it would be a permanent one of the plugin itself, whatever its kind is.
    #[cfg(any(target_arch = "wasm32", test))]
    pub(crate) fn fitting(mut self, context: &crate::Context) -> Self {
        for fault in self.faults() {
            context.log(crate::Level::Warn, fault, &[]);
        }
        if self.details.as_ref().is_some_and(|details| details.to_string().len() > DETAIL_BYTES) {
            self.details = None;
        }
        if !is_code(&self.code) {
            let begin = if self.code.starts_with(|c: char| c.is_ascii_alphabetic()) { "" } else { "error_" };
            let known = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
            self.code = begin.chars().chain(self.code.chars().map(known)).take(CODE_BYTES).collect::<String>().into();
        }
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

/// As the host names codes.
fn is_code(code: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    code.len() <= CODE_BYTES && code.starts_with(|c: char| c.is_ascii_lowercase()) && code.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test::Fake;

    #[test]
    fn what_does_not_fit_is_made_fit_and_keeps_its_kind() {
        let long = "x".repeat(DETAIL_BYTES - 2);
        for (code, details, expected, keeps, lines) in [
            ("busy_2", json!(long), "busy_2", true, 0),
            ("busy", json!(long + "y"), "busy", false, 1),
            ("HTTP-404 é", json!(1), "http_404__", true, 1),
            ("404", json!({}), "error_404", true, 1),
            ("", json!(null), "error_", true, 1),
            (&"a".repeat(65), json!("z".repeat(DETAIL_BYTES)), &"a".repeat(64), false, 2),
        ] {
            let fake = Fake::new();
            let pause = Duration::from_secs(1);
            let error = Error::later(code.to_string(), "m", pause).details(details).fitting(&fake.context());
            assert_eq!((error.code(), error.detail().is_some()), (expected, keeps), "{code}");
            assert_eq!((error.kind(), error.message()), (Kind::Later { after_ms: 1_000 }, "m"));
            assert_eq!(fake.lines().len(), lines, "{:?}", fake.lines());
            assert_eq!(error.faults(), Vec::<String>::new());
        }
    }
}
