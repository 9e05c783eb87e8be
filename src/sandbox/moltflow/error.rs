//! Refusals in the documented form: `{"detail", "error_code", "status"}`.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json as Answer, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

/// A refusal.
#[derive(Debug)]
pub struct ApiFailure {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
}

impl ApiFailure {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code: code.into(), detail: detail.into() }
    }

    /// With the usual words of `status`, unless it is to carry a code of its own.
    pub fn of_status(status: StatusCode, code: Option<String>) -> Self {
        let usual = match status.as_u16() {
            400 => "VALIDATION_ERROR",
            401 => "UNAUTHORIZED",
            403 => "PLAN_LIMIT_REACHED",
            404 => "NOT_FOUND",
            429 => "RATE_LIMIT_EXCEEDED",
            500 => "INTERNAL_ERROR",
            503 => "SERVICE_UNAVAILABLE",
            _ => "ERROR",
        };
        let detail = status.canonical_reason().unwrap_or("Error").to_string();
        Self { status, code: code.map_or(Cow::Borrowed(usual), Cow::Owned), detail }
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", detail)
    }

    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", detail)
    }

    pub fn plan_limit(what: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "PLAN_LIMIT_REACHED", format!("the sandbox holds no more {what}"))
    }

    pub fn no_session(name: &str) -> Self {
        let name: String = name.chars().take(100).collect();
        Self::new(StatusCode::NOT_FOUND, "SESSION_NOT_FOUND", format!("Session '{name}' not found"))
    }

    pub fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail)
    }

    pub fn rate_limited() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", "Too many requests")
    }

    pub fn no_route() -> Self {
        Self::not_found("there is no such route; the sandbox has those of the guide")
    }

    pub fn no_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this route has other methods")
    }
}

impl IntoResponse for ApiFailure {
    fn into_response(self) -> Response {
        let body = json!({ "detail": self.detail, "error_code": self.code, "status": self.status.as_u16() });
        (self.status, Answer(body)).into_response()
    }
}

/// A handler's result.
pub type ApiResult<T> = Result<T, ApiFailure>;

/// A JSON body, or the refusal of it.
pub fn read<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> ApiResult<T> {
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiFailure::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "the body is too large")
        }
        _ => ApiFailure::invalid("the body cannot be read"),
    })?;
    serde_json::from_slice(&body).map_err(|error| ApiFailure::invalid(error.to_string()))
}
