//! From `with:` to a request.

use super::super::credentials::Keyring;
use super::super::{permanent, text};
use super::METHODS;
use crate::base::json::kind;
use crate::base::{Effect, Json, limits};
use crate::engine::ports::{StepCall, StepError};
use crate::net::{HeaderName, Method, NetError, Request, Target, Url, redact, shown_url};

/// Headers that say how a request is sent, which is not a workflow's business: with them one request could be made two.
const OWN: [&str; 7] = ["connection", "content-length", "expect", "host", "te", "transfer-encoding", "upgrade"];

/// The statuses that are no failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Success,
    These(Vec<u16>),
}

impl Expect {
    pub fn accepts(&self, status: u16) -> bool {
        match self {
            Self::Success => (200..300).contains(&status),
            Self::These(statuses) => statuses.contains(&status),
        }
    }
}

/// What a step asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub request: Request,
    /// As the plan took it.
    pub effect: Effect,
    pub expect: Expect,
    /// What must not be in any output or message.
    pub secrets: Vec<String>,
}

fn invalid(what: impl Into<String>) -> StepError {
    permanent("http.invalid", what)
}

fn of_request(error: NetError) -> StepError {
    permanent(error.code(), error.to_string())
}

impl Wanted {
    pub fn of(call: &StepCall, credentials: &Keyring) -> Result<Self, StepError> {
        let input = &call.input;
        let method = text(input, "method").unwrap_or_else(|| METHODS[0].to_string());
        if !METHODS.contains(&method.as_str()) {
            return Err(invalid(format!("with.method is `{}`, none of {}", redact(&method, &[]), METHODS.join(", "))));
        }
        let repeatable = input.get("idempotency").and_then(Json::as_bool).unwrap_or(false);
        let effect = if repeatable { Effect::Idempotent } else { Effect::of_method(&method) };
        let url = with_query(&text(input, "url").unwrap_or_default(), input.get("query"))?;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| invalid("with.method is no method"))?;
        let without_body = matches!(method, Method::GET | Method::HEAD);
        let mut request = Request::new(method, url);
        request = with_body(request, input, without_body)?;
        request = headers(request, input)?;
        if repeatable && !without_body && !request.headers.contains_key("idempotency-key") {
            request = request.header("idempotency-key", &call.idempotency_key()).map_err(of_request)?;
        }
        let (request, secrets) = signed(request, call, credentials)?;
        Ok(Self { request, effect, expect: expect(input.get("expect"))?, secrets })
    }
}

/// The request with the credential that `auth` names and the time of the attempt; and what must not be repeated of it.
pub(in crate::steps) fn signed(
    request: Request,
    call: &StepCall,
    credentials: &Keyring,
) -> Result<(Request, Vec<String>), StepError> {
    // The far side's last word should come before the engine's: a timeout of ours names the place.
    let request = request.timeout_ms(call.timeout_ms.saturating_sub(call.timeout_ms / 20));
    match text(&call.input, "auth") {
        None => Ok((request, Vec::new())),
        Some(name) => {
            let (request, credential) = credentials.sign(&name, request)?;
            Ok((request, credential.secrets()))
        }
    }
}

/// The request with the mapping `headers`; what it says of a name replaces what is there.
pub(in crate::steps) fn headers(mut request: Request, input: &Json) -> Result<Request, StepError> {
    let given = match input.get("headers") {
        None | Some(Json::Null) => return Ok(request),
        Some(Json::Object(given)) => given,
        Some(other) => return Err(invalid(format!("with.headers is {}, not a mapping", kind(other)))),
    };
    if given.len() > limits::HTTP_HEADERS {
        return Err(invalid(format!("with.headers has more than the {} entries allowed", limits::HTTP_HEADERS)));
    }
    for (name, value) in given {
        let shown = redact(name, &[]);
        let lower = name.to_ascii_lowercase();
        if OWN.contains(&lower.as_str()) {
            return Err(invalid(format!("with.headers: `{shown}` is set by whoever sends the request")));
        }
        let Some(value) = scalar(value) else {
            return Err(invalid(format!("with.headers.{shown} is {}, not text", kind(value))));
        };
        if let Some(value) = value {
            // By the name, so that the error of a bad one names it.
            request = request
                .header(HeaderName::from_bytes(name.as_bytes()).as_ref().map_or(name, |name| name.as_str()), &value)
                .map_err(of_request)?;
        }
    }
    Ok(request)
}

fn with_query(url: &str, query: Option<&Json>) -> Result<Target, StepError> {
    let given = match query {
        None | Some(Json::Null) => return Ok(Target::from(url)),
        Some(Json::Object(given)) => given,
        Some(other) => return Err(invalid(format!("with.query is {}, not a mapping", kind(other)))),
    };
    let mut url =
        Url::parse(url).map_err(|error| invalid(format!("with.url `{}` is no URL: {error}", shown_url(url))))?;
    let pairs = pairs("with.query", given)?;
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    Ok(Target::Url(url))
}

fn with_body(request: Request, input: &Json, without_body: bool) -> Result<Request, StepError> {
    let given = |name: &'static str| input.get(name).filter(|value| !value.is_null()).map(|value| (name, value));
    let mut bodies = ["json", "form", "body"].into_iter().filter_map(given);
    let Some((name, value)) = bodies.next() else { return Ok(request) };
    if bodies.next().is_some() {
        return Err(invalid("with: give one of `json`, `form` and `body`"));
    }
    if without_body {
        return Err(invalid(format!("with.{name}: a GET or HEAD request has no body; put it into `query`")));
    }
    let typed = |request: Request, kind: &str, body: String| {
        let request = request.header("content-type", kind).map_err(of_request)?;
        Ok(Request { body: body.into(), ..request })
    };
    match (name, value) {
        ("json", value) => Ok(request.json(value)),
        ("form", Json::Object(form)) => {
            // A URL's query has the form of a form.
            let mut url = Url::parse("http://form.invalid/").map_err(|error| invalid(error.to_string()))?;
            url.query_pairs_mut().extend_pairs(pairs("with.form", form)?);
            typed(request, "application/x-www-form-urlencoded", url.query().unwrap_or_default().to_string())
        }
        ("form", other) => Err(invalid(format!("with.form is {}, not a mapping", kind(other)))),
        (_, value) => match scalar(value) {
            Some(body) => typed(request, "text/plain; charset=utf-8", body.unwrap_or_default()),
            None => Err(invalid(format!("with.body is {}, not text; use `json`", kind(value)))),
        },
    }
}

/// Names and values; a list repeats its name, and nothing is left out.
fn pairs(what: &str, given: &crate::base::json::JsonMap) -> Result<Vec<(String, String)>, StepError> {
    let mut pairs = Vec::new();
    for (name, value) in given {
        let values = match value {
            Json::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            match scalar(value) {
                Some(Some(value)) => pairs.push((name.clone(), value)),
                Some(None) => {}
                None => {
                    let message = format!("{what}.{} holds {}, not text", redact(name, &[]), kind(value));
                    return Err(invalid(message));
                }
            }
        }
    }
    Ok(pairs)
}

/// A text, number or truth value as text; Some(None) for nothing, None for lists and mappings.
fn scalar(value: &Json) -> Option<Option<String>> {
    match value {
        Json::Null => Some(None),
        Json::String(text) => Some(Some(text.clone())),
        Json::Number(_) | Json::Bool(_) => Some(Some(value.to_string())),
        Json::Array(_) | Json::Object(_) => None,
    }
}

fn expect(given: Option<&Json>) -> Result<Expect, StepError> {
    let listed = match given {
        None | Some(Json::Null) => return Ok(Expect::Success),
        Some(Json::Array(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let status = |value: &Json| {
        let status = value.as_u64().filter(|status| (200..600).contains(status));
        status
            .map(|status| status as u16)
            .ok_or_else(|| invalid("with.expect is no status, or list of them, from 200 to 599"))
    };
    listed.iter().map(status).collect::<Result<_, _>>().map(Expect::These)
}
