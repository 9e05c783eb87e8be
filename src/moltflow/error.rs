//! Why a call failed, and the one place where that becomes a step's failure.

use crate::base::limits;
use crate::engine::ports::{Failure, StepError};
use crate::net::{NetError, NetErrorKind, Response, redact, retry_after_ms};

/// A call that failed. Messages hold no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// What was asked cannot be put into a request.
    #[error("{0}")]
    Invalid(String),
    /// The API refused it (4xx): nothing was done.
    #[error("MoltFlow refused with {status}{}: {detail}", show(.error_code))]
    Refused { status: u16, error_code: Option<String>, detail: String },
    /// Not now, and the API named the time, or the credential is paused: nothing was done.
    #[error("{message}")]
    Later { code: &'static str, message: String, after_ms: u64 },
    /// The request did not leave: nothing was done.
    #[error("{message}")]
    NotSent { code: &'static str, message: String, permanent: bool },
    /// A read failed in a way that may pass.
    #[error("{message}")]
    Failed { code: &'static str, message: String },
    /// A write that may or may not have been carried out.
    #[error("{message}")]
    Unknown { code: &'static str, message: String },
}

/// Refusals that callers treat apart. Read from the status and `error_code`, never from the detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such session.
    SessionNotFound,
    /// The session is there and not connected to WhatsApp: its messages can wait until it is.
    SessionNotWorking,
    /// The plan allows no more of it.
    PlanLimit,
    /// The credential is none, or not any more.
    Unauthorized,
    Other,
}

fn show(code: &Option<String>) -> String {
    code.as_ref().map(|code| format!(" {code}")).unwrap_or_default()
}

/// Whether a call changes something on the far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

/// The code of a rate limit.
pub(super) const RATE_LIMITED: &str = "moltflow.rate_limited";

/// The pause after a 429 whose body was cut off, in milliseconds; its headers are lost with it.
const LOST_PAUSE_MS: u64 = 1_000;

/// What to do about a redirect.
const ELSEWHERE: &str = "the API is elsewhere; set `moltflow.base_url` to the address it redirects to";

impl ApiError {
    /// What kind of refusal it is; None if it is none.
    pub fn refusal(&self) -> Option<Refusal> {
        let Self::Refused { status, error_code, .. } = self else { return None };
        Some(match (error_code.as_deref().unwrap_or_default(), status) {
            ("SESSION_NOT_FOUND", _) => Refusal::SessionNotFound,
            // The guide names no code for either; these are the ones that deployments and the sandbox answer.
            ("SESSION_NOT_WORKING" | "SESSION_NOT_READY" | "SESSION_NOT_CONNECTED", _) => Refusal::SessionNotWorking,
            ("PLAN_LIMIT_REACHED" | "PLAN_LIMIT_EXCEEDED" | "PLAN_LIMIT", _) => Refusal::PlanLimit,
            (_, 401) => Refusal::Unauthorized,
            _ => Refusal::Other,
        })
    }

    /// The rate limit is reached: nothing was done, and [`ApiError::Later`] says when it may be.
    pub fn is_rate_limited(&self) -> bool {
        matches!(self, Self::Later { code: RATE_LIMITED, .. })
    }

    /// Reads the failure of an exchange.
    pub(super) fn of_net(error: NetError, kind: Kind) -> Self {
        // The head of a refusal proves what its body could only explain.
        if error.status == Some(429) {
            return Self::Later { code: RATE_LIMITED, message: error.message, after_ms: LOST_PAUSE_MS };
        }
        if let Some(status @ 400..=499) = error.status {
            return Self::Refused { status, error_code: None, detail: error.message };
        }
        let (code, message) = (error.code(), error.message.clone());
        if error.proves_not_sent() {
            let permanent = matches!(error.kind, NetErrorKind::Invalid | NetErrorKind::Blocked);
            return Self::NotSent { code, message, permanent };
        }
        Self::lost(kind, code, message)
    }

    /// Reads an answer that is no success and no 429.
    pub(super) fn of_answer(response: &Response, kind: Kind, now: i64, secrets: &[&str]) -> Self {
        let body = response.json();
        let text = |name| body.as_ref().and_then(|body| body.get(name)).and_then(|value| value.as_str());
        let detail = match text("detail") {
            Some(detail) => redact(detail, secrets),
            None => "no detail given".to_string(),
        };
        let error_code = text("error_code").map(|code| redact(code, secrets)).filter(|code| !code.is_empty());
        let status = response.status;
        match status {
            // To repeat it elsewhere: it was not carried out here.
            301 | 307 | 308 => Self::Refused { status, error_code: None, detail: ELSEWHERE.to_string() },
            300..=399 => match kind {
                Kind::Read => Self::Refused { status, error_code: None, detail: ELSEWHERE.to_string() },
                // A 303 says that it was carried out and where to read of it; the others do not say.
                Kind::Write => {
                    Self::lost(kind, "moltflow.redirected", format!("MoltFlow answered {status}: {ELSEWHERE}"))
                }
            },
            400..=499 => Self::Refused { status, error_code, detail },
            // Of a read, an announced pause is kept. Of a write it is an unknown outcome like every 5xx: the one who
            // answers may be a proxy that passed the request on before it lost its patience.
            503 if kind == Kind::Read
                && let Some(after_ms) = retry_after_ms(response, now) =>
            {
                Self::Later {
                    code: "moltflow.unavailable",
                    message: format!("MoltFlow is unavailable for now: {detail}"),
                    after_ms,
                }
            }
            _ => Self::lost(
                kind,
                "moltflow.server_error",
                format!("MoltFlow answered {status}{}: {detail}", show(&error_code)),
            ),
        }
    }

    /// The outcome of a write is lost; a read is merely to be read again.
    pub(super) fn lost(kind: Kind, code: &'static str, message: String) -> Self {
        match kind {
            Kind::Read => Self::Failed { code, message },
            Kind::Write => {
                Self::Unknown { code, message: format!("{message}; it may or may not have been carried out") }
            }
        }
    }
}

impl From<ApiError> for StepError {
    fn from(error: ApiError) -> Self {
        let message = error.to_string();
        match error {
            ApiError::Invalid(_) => Self::Permanent(Failure::new("moltflow.invalid", message)),
            ApiError::Refused { status, error_code, .. } => {
                let failure = Failure::new(refusal_code(status, error_code.as_deref()), message);
                match status {
                    // The API gave up waiting for the request, or did not want it yet: it was not read.
                    408 | 425 => Self::Transient(failure),
                    _ => Self::Permanent(failure),
                }
            }
            ApiError::Later { code, after_ms, .. } => {
                Self::Later { failure: Failure::new(code, message), after_ms: after_ms.min(limits::RETRY_AFTER_MS) }
            }
            ApiError::NotSent { code, permanent, .. } => match permanent {
                true => Self::Permanent(Failure::new(code, message)),
                false => Self::Transient(Failure::new(code, message)),
            },
            ApiError::Failed { code, .. } => Self::Transient(Failure::new(code, message)),
            ApiError::Unknown { code, .. } => Self::Unknown(Failure::new(code, message)),
        }
    }
}

/// `moltflow.session_not_found` for `SESSION_NOT_FOUND`, else `moltflow.http_404`.
fn refusal_code(status: u16, error_code: Option<&str>) -> String {
    let word = error_code.map(str::to_ascii_lowercase).filter(|code| {
        code.len() <= 64 && !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    match word {
        Some(word) => format!("moltflow.{word}"),
        None => format!("moltflow.http_{status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{HeaderMap, HeaderValue};

    fn answer(status: u16, retry_after: Option<&'static str>, body: &'static str) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert("retry-after", HeaderValue::from_static(value));
        }
        Response { status, headers, body: body.into() }
    }

    fn shape(error: StepError) -> (&'static str, String) {
        match error {
            StepError::Permanent(failure) => ("permanent", failure.code),
            StepError::Transient(failure) => ("transient", failure.code),
            StepError::Later { failure, .. } => ("later", failure.code),
            StepError::Unknown(failure) => ("unknown", failure.code),
        }
    }

    #[test]
    fn what_answers_to_a_send_prove() {
        const NOT_FOUND: &str =
            r#"{"detail": "Session 'x' not found", "error_code": "SESSION_NOT_FOUND", "status": 404}"#;
        for (response, expected) in [
            (answer(400, None, "{}"), ("permanent", "moltflow.http_400")),
            (
                answer(403, None, r#"{"error_code": "PLAN_LIMIT_REACHED"}"#),
                ("permanent", "moltflow.plan_limit_reached"),
            ),
            (answer(404, None, NOT_FOUND), ("permanent", "moltflow.session_not_found")),
            (answer(404, None, r#"{"error_code": "<script>"}"#), ("permanent", "moltflow.http_404")),
            (answer(408, None, ""), ("transient", "moltflow.http_408")),
            (answer(301, None, ""), ("permanent", "moltflow.http_301")),
            (answer(302, None, ""), ("unknown", "moltflow.redirected")),
            (answer(303, None, ""), ("unknown", "moltflow.redirected")),
            (answer(307, None, ""), ("permanent", "moltflow.http_307")),
            (answer(308, None, ""), ("permanent", "moltflow.http_308")),
            (answer(500, None, "oops"), ("unknown", "moltflow.server_error")),
            (answer(502, Some("1"), ""), ("unknown", "moltflow.server_error")),
            (answer(503, None, ""), ("unknown", "moltflow.server_error")),
            (answer(503, Some("7"), ""), ("unknown", "moltflow.server_error")),
        ] {
            let (kind, code) = shape(ApiError::of_answer(&response, Kind::Write, 0, &[]).into());
            assert_eq!((kind, code.as_str()), expected, "{}", response.status);
        }
        let read = ApiError::of_answer(&answer(303, None, ""), Kind::Read, 0, &[]);
        assert_eq!(shape(read.into()), ("permanent", "moltflow.http_303".to_string()));
        let read = ApiError::of_answer(&answer(500, None, ""), Kind::Read, 0, &[]);
        assert_eq!(shape(read.into()), ("transient", "moltflow.server_error".to_string()));
        let read = ApiError::of_answer(&answer(503, Some("7"), ""), Kind::Read, 0, &[]);
        assert_eq!(shape(read.into()), ("later", "moltflow.unavailable".to_string()));
    }

    #[test]
    fn the_message_names_status_code_and_detail_without_secrets() {
        let body = r#"{"detail": "key molt_sk_12345 is revoked", "error_code": "KEY_REVOKED"}"#;
        let error = ApiError::of_answer(&answer(401, None, body), Kind::Read, 0, &["molt_sk_12345"]);
        assert_eq!(error.to_string(), "MoltFlow refused with 401 KEY_REVOKED: key [redacted] is revoked");
    }
}
