//! Errors as `application/problem+json` (RFC 9457) with a stable `code`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::engine::decide::Refused;
use crate::engine::ports::StoreError;
use crate::engine::run::{LoadError, PlanError, SubmitError, WordError};

/// One refused request.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    retry_after_s: Option<u32>,
}

/// What a refused MoltFlow is told to wait, in seconds: a batch of runs is through by then.
const RETRY_AFTER_S: u32 = 1;

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after_s: None }
    }

    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 503 with `Retry-After`: nothing was accepted, ask again.
    pub fn busy(detail: impl Into<String>) -> Self {
        let busy = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        Self { retry_after_s: Some(RETRY_AFTER_S), ..busy }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = json!({"title": title, "status": self.status.as_u16(), "code": self.code, "detail": self.detail});
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what}")),
            StoreError::Unavailable(_) => Self::busy(error.to_string()),
            StoreError::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", error.to_string()),
            StoreError::Corrupt(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "corrupt", error.to_string()),
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Store(error @ StoreError::Unavailable(_)) => error.into(),
            // Whoever delivers it will do so again, but only the log's reader can mend this.
            SubmitError::Store(error) => {
                tracing::error!(%error, "a run was not accepted");
                match error {
                    // Another daemon has the database: delivered again, it may reach that one.
                    StoreError::Conflict(_) => Self::busy(error.to_string()),
                    error => error.into(),
                }
            }
            SubmitError::Busy(_) | SubmitError::Stopping => Self::busy(error.to_string()),
        }
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) | LoadError::Plan(PlanError::Store(error)) => error.into(),
            error => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable_run", error.to_string()),
        }
    }
}

impl From<WordError> for Problem {
    fn from(error: WordError) -> Self {
        let code = match &error {
            WordError::Load(error) => return error.clone().into(),
            WordError::Stopping => return Self::busy(error.to_string()),
            WordError::NoStep(_) => return Self::new(StatusCode::NOT_FOUND, "no_such_step", error.to_string()),
            WordError::InsideForEach(_) => "inside_for_each",
            WordError::KeyBusy => "key_busy",
            WordError::NotHeld { .. } => "not_held",
            WordError::NoApproval { .. } => "no_approval",
            WordError::Refused(Refused::Ended(_)) => "ended",
            WordError::Refused(Refused::NotEnded(_)) => "not_ended",
            WordError::Refused(Refused::NothingToRetry) => "nothing_to_retry",
            WordError::Refused(Refused::Paused) => "paused",
            WordError::Refused(Refused::NotPaused(_)) => "not_paused",
            WordError::Refused(Refused::NotBegun) => "not_begun",
            WordError::Refused(_) => "refused",
        };
        Self::new(StatusCode::CONFLICT, code, error.to_string())
    }
}
