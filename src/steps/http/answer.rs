//! From an answer to an output or a failure.

use serde_json::json;

use super::super::credentials::{base64, hide};
use super::super::permanent;
use crate::base::json::{JsonMap, text_len};
use crate::base::{Effect, Json, Millis, limits};
use crate::engine::ports::{Failure, StepError};
use crate::net::{HeaderMap, NetError, Response, redact, retry_after_ms};

/// The pause after a 429 whose body was cut off, in milliseconds; its headers are lost with it.
const LOST_PAUSE_MS: u64 = 1_000;

/// A failed exchange: permanent or transient if it proves that nothing was done, else as the effect says.
pub(in crate::steps) fn of_net(error: &NetError, effect: Effect) -> StepError {
    let failure = Failure::new(error.code(), error.to_string());
    match error.status {
        // The status is that of the address it was redirected to; the request itself was answered, and may have been
        // carried out.
        _ if error.redirected && effect == Effect::AtMostOnce => return unknown(failure),
        // The head of a refusal proves what its body could only explain.
        Some(429) => return StepError::Later { failure, after_ms: LOST_PAUSE_MS },
        Some(400..=499) => return StepError::Permanent(failure),
        _ => {}
    }
    match effect {
        _ if error.proves_not_sent() && !error.is_permanent() => StepError::Transient(failure),
        Effect::AtMostOnce if !error.proves_not_sent() => unknown(failure),
        _ if error.is_permanent() => StepError::Permanent(failure),
        _ => StepError::Transient(failure),
    }
}

fn unknown(failure: Failure) -> StepError {
    let message = format!("{}; it may or may not have been carried out", failure.message);
    StepError::Unknown(Failure::new(failure.code, message))
}

/// An answer of a status that is not accepted.
pub(in crate::steps) fn of_status(response: &Response, effect: Effect, now: Millis, secrets: &[String]) -> StepError {
    let status = response.status;
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let said = redact(&String::from_utf8_lossy(&response.body[..response.body.len().min(SAID)]), &secrets);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let help = match status {
        300..=399 => "; a redirect that would repeat the request is not followed",
        _ => "",
    };
    let failure = Failure::new(format!("http.status_{status}"), format!("the answer is {status}{said}{help}"));
    match (status, retry_after_ms(response, now)) {
        (429, Some(after_ms)) => StepError::Later { failure, after_ms },
        // The far side gave up waiting for the request, or did not want it yet: it was not carried out.
        (408 | 425 | 429, _) => StepError::Transient(failure),
        // Of a request with an effect a 5xx says nothing, announced pause or not: the one who answers may be a proxy that
        // passed it on before it lost its patience. So does a redirect to the outcome.
        (303 | 500..=599, _) if effect == Effect::AtMostOnce => unknown(failure),
        (503, Some(after_ms)) => StepError::Later { failure, after_ms },
        (500..=599, _) => StepError::Transient(failure),
        _ => StepError::Permanent(failure),
    }
}

/// The same, after a redirect was followed: a refusal of the GET that follows a 303 proves nothing about the request that it
/// follows, so that it must not have the request repeated.
pub(super) fn after_redirect(error: StepError, response: &Response, effect: Effect) -> StepError {
    match error {
        StepError::Permanent(failure) | StepError::Transient(failure) | StepError::Later { failure, .. }
            if effect == Effect::AtMostOnce && !response.is_success() =>
        {
            unknown(failure)
        }
        error => error,
    }
}

/// Bytes of a refusal's body that are looked at.
const SAID: usize = 1_024;

/// `{status, headers, body}`: the body as JSON where it says it is, as text where it can be one, else as `base64`.
pub(super) fn output(response: &Response, secrets: &[String]) -> Result<Json, StepError> {
    let mut output = JsonMap::new();
    output.insert("status".to_string(), json!(response.status));
    output.insert("headers".to_string(), headers(&response.headers));
    match std::str::from_utf8(&response.body) {
        Ok("") => output.insert("body".to_string(), Json::Null),
        Ok(text) => {
            let json = is_json(response.header("content-type")).then(|| serde_json::from_str(text).ok()).flatten();
            output.insert("body".to_string(), json.unwrap_or_else(|| Json::String(text.to_string())))
        }
        Err(_) => {
            output.insert("body".to_string(), Json::Null);
            output.insert("base64".to_string(), Json::String(base64(&response.body)))
        }
    };
    let mut output = Json::Object(output);
    if !secrets.is_empty() {
        hide(&mut output, secrets);
    }
    if text_len(&output) > limits::STEP_OUTPUT {
        let message = format!(
            "the answer ({}) is larger than the {} bytes an output may have; the request was carried out",
            response.status,
            limits::STEP_OUTPUT
        );
        return Err(permanent("http.too_large", message));
    }
    Ok(output)
}

fn is_json(kind: Option<&str>) -> bool {
    let Some(kind) = kind else { return false };
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

/// By lower-case name; several of one name are joined. Cookies are left out: they are somebody's secret.
fn headers(headers: &HeaderMap) -> Json {
    let mut map = JsonMap::new();
    for name in headers.keys().filter(|name| *name != "set-cookie") {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        map.insert(name.as_str().to_string(), json!(values.collect::<Vec<_>>().join(", ")));
    }
    Json::Object(map)
}
