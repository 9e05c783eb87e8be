//! Why a request brought no answer, and what that asks for.

use super::provider::Candidate;
use super::{permanent, question};
use crate::base::{Json, Millis};
use crate::engine::ports::{Failure, StepError};
use crate::net::{NetError, Response, redact, retry_after_ms};

/// A request that brought no answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// The provider does not take the request in this form.
    Form(Refused),
    /// The question, with what was said before, is longer than the model reads.
    TooLong(Failure),
    /// Nothing about the request would change this one.
    Ended(StepError),
}

/// A refusal that may be about the form of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refused {
    pub failure: Failure,
    /// What the provider names as the cause, and its own words in lower case: to look for a name in, never to show.
    pub about: String,
}

impl From<StepError> for Fault {
    fn from(error: StepError) -> Self {
        Self::Ended(error)
    }
}

/// A failed exchange: asking again does no harm.
pub(super) fn of_net(error: NetError) -> StepError {
    let failure = Failure::new(error.code(), error.to_string());
    if error.is_permanent() { StepError::Permanent(failure) } else { StepError::Transient(failure) }
}

/// An answer that is no success.
pub(super) fn of_status(response: &Response, candidate: &Candidate<'_>, now: Millis) -> Fault {
    let status = response.status;
    let body = response.json().unwrap_or(Json::Null);
    let said = Said::of(&body);
    let shown = match said.message {
        Some(message) => redact(message, &[candidate.secret()]),
        None => "no message given".to_string(),
    };
    let message = format!("the model's provider answered {status}: {shown}");
    let failure = |code: &str| Failure::new(code, message.clone());
    let other = || failure(&format!("ai.http_{status}"));
    let pause = retry_after_ms(response, now);
    Fault::Ended(match status {
        401 | 403 => StepError::Permanent(failure("ai.unauthorized")),
        404 => StepError::Permanent(failure("ai.no_model")),
        // Out of credit: waiting does not help.
        402 => StepError::Permanent(failure("ai.no_credit")),
        429 if said.is("insufficient_quota") => StepError::Permanent(failure("ai.no_credit")),
        _ if said.is("content_filter") => StepError::Permanent(failure("ai.refused")),
        400 | 413 | 422 if said.is_too_long(status) => return Fault::TooLong(failure("ai.context_too_long")),
        400 | 422 => return Fault::Form(Refused { failure: other(), about: said.about() }),
        429 | 503 | 529 if pause.is_some() => {
            StepError::Later { failure: other(), after_ms: pause.unwrap_or_default() }
        }
        408 | 409 | 425 | 429 | 500..=599 => StepError::Transient(other()),
        _ => StepError::Permanent(other()),
    })
}

/// An error that a stream says in place of a piece; None if it is a piece.
pub(super) fn of_piece(piece: &Json, candidate: &Candidate<'_>) -> Option<StepError> {
    let is_error = piece.get("error").is_some_and(|error| !error.is_null());
    if !is_error {
        return None;
    }
    let said = Said::of(piece);
    let shown = redact(said.message.unwrap_or("no message given"), &[candidate.secret()]);
    if said.is("content_filter") {
        return Some(permanent("ai.refused", format!("the model's provider broke the answer off: {shown}")));
    }
    // Whatever it was, it was no obstacle when the answer began.
    Some(StepError::Transient(Failure::new("ai.stream_error", format!("the answer broke off with an error: {shown}"))))
}

/// What a provider says of an error: `{"error": {message, code, type, param}}`, or less.
struct Said<'j> {
    message: Option<&'j str>,
    names: [&'j str; 3],
}

impl<'j> Said<'j> {
    fn of(body: &'j Json) -> Self {
        let error = body.get("error");
        let field = |name: &str| error.and_then(|error| error.get(name)).and_then(Json::as_str);
        let message = field("message").or_else(|| error.and_then(Json::as_str));
        Self { message, names: ["code", "type", "param"].map(|name| field(name).unwrap_or_default()) }
    }

    fn is(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    fn about(&self) -> String {
        let names = self.names.join(" ");
        format!("{names} {}", self.message.unwrap_or_default()).to_lowercase()
    }

    /// There is one code for this, and as many wordings as servers.
    fn is_too_long(&self, status: u16) -> bool {
        let about = self.about();
        let words = [
            "context length",
            "context_length",
            "context window",
            "maximum context",
            "prompt is too long",
            "too many tokens",
            "exceed_context",
        ];
        status == 413 || self.is("context_length_exceeded") || words.iter().any(|word| about.contains(word))
    }
}

impl Refused {
    /// The form to try next, if the refusal may be about this one. Each change is made once.
    pub fn adapted(&self, form: question::Form, asked: Asked) -> Option<question::Form> {
        let names = |name: &str| self.about.contains(name);
        if asked.max_tokens && !form.completion_tokens && names("max_completion_tokens") {
            return Some(question::Form { completion_tokens: true, ..form });
        }
        if asked.stream && form.stream_usage && (names("stream_options") || names("include_usage")) {
            return Some(question::Form { stream_usage: false, ..form });
        }
        // Servers say very different things of a `response_format` or a tool they do not know: it is the likeliest cause.
        (asked.structured && form.structured).then_some(question::Form { structured: false, ..form })
    }
}

/// What a request had in it that not every server takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub structured: bool,
    pub max_tokens: bool,
    pub stream: bool,
}
