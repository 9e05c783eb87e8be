//! `http`: one request to any address of the web, with a credential if it names one.

mod answer;
mod request;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::json;

use self::request::Wanted;
use super::credentials::Keyring;
use super::field;
use crate::base::Effect;
use crate::engine::ports::{Clock, Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;
use crate::net::Net;

pub(super) use self::answer::{of_net, of_status};
pub(super) use self::request::{headers, signed};

/// The methods there are; the first one is the default.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// What reaches the web: shared by the steps that do.
#[derive(Clone)]
pub struct Web {
    pub net: Arc<Net>,
    pub credentials: Arc<Keyring>,
    pub clock: Arc<dyn Clock>,
}

/// The step. Output: `{status, headers, body}`.
pub struct Http {
    spec: StepSpec,
    web: Web,
}

impl Http {
    pub fn new(web: Web) -> Self {
        Self { spec: spec(), web }
    }

    async fn send(&self, call: StepCall) -> Result<Outcome, StepError> {
        let Wanted { request, effect, expect, secrets } = Wanted::of(&call, &self.web.credentials)?;
        let sent = self.web.net.send_traced(request).await;
        let (response, redirected) = sent.map_err(|error| of_net(&error, effect))?;
        if !expect.accepts(response.status) {
            let error = of_status(&response, effect, self.web.clock.now(), &secrets);
            return Err(if redirected { answer::after_redirect(error, &response, effect) } else { error });
        }
        answer::output(&response, &secrets).map(Outcome::ok)
    }
}

impl Step for Http {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        Box::pin(self.send(call))
    }
}

fn spec() -> StepSpec {
    let fields = vec![
        field("method", FieldKind::Method(METHODS), false, "Default: GET"),
        field("url", FieldKind::Text, true, "http or https"),
        field("headers", FieldKind::Any, false, "A mapping of names to texts"),
        field("query", FieldKind::Any, false, "A mapping that is added to the URL; a list repeats its name"),
        field("json", FieldKind::Body, false, "The body, as JSON"),
        field("form", FieldKind::Body, false, "The body, as a form: a mapping"),
        field("body", FieldKind::Body, false, "The body, as text"),
        field("auth", FieldKind::Text, false, "One of credentials"),
        field("expect", FieldKind::Any, false, "The statuses that are no failure; default: 200 to 299"),
        field(
            "idempotency",
            FieldKind::Repeatable,
            false,
            "The far side knows `Idempotency-Key`: the request may be repeated",
        ),
    ];
    let spec = super::spec("http", "Sends one HTTP request", Effect::Idempotent, fields);
    // Written where the body is no text.
    let base64 = json!({"type": "string"});
    super::giving(
        spec,
        json!({"status": {"type": "integer"}, "headers": {"type": "object"}, "body": {}, "base64": base64}),
    )
}
