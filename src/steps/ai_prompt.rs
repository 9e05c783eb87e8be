//! `ai.prompt`: one question to a language model, by the OpenAI-compatible `POST {base_url}/chat/completions`.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::json;

use super::{field, text};
use crate::base::nearest::nearest;
use crate::base::{Effect, Json, Secret};
use crate::engine::ports::{Clock, Failure, Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;
use crate::net::{Method, Net, NetError, Redirects, Request, Response, redact, retry_after_ms};

/// The models that may be asked.
#[derive(Clone, Debug, Default)]
pub struct AiProviders {
    /// Used by steps that name no `provider`.
    pub default: String,
    pub providers: BTreeMap<String, Provider>,
}

/// One OpenAI-compatible service.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Ends in `/v1` for most; must be trusted by the net's policy if it is a private address.
    pub base_url: String,
    /// None for local models that ask for none.
    pub api_key: Option<Secret>,
    /// Used by steps that name no `model`.
    pub model: String,
}

/// The step. Output: `{text, usage, model}`.
pub struct AiPrompt {
    spec: StepSpec,
    providers: AiProviders,
    net: Arc<Net>,
    clock: Arc<dyn Clock>,
}

impl AiPrompt {
    pub fn new(providers: AiProviders, net: Arc<Net>, clock: Arc<dyn Clock>) -> Self {
        Self { spec: spec(), providers, net, clock }
    }

    async fn ask(&self, call: StepCall) -> Result<Outcome, StepError> {
        let provider =
            self.provider(&text(&call.input, "provider").unwrap_or_else(|| self.providers.default.clone()))?;
        let request = build(provider, &call)?;
        let response = self.net.send(request).await.map_err(of_net)?;
        if !response.is_success() {
            return Err(self.refused(&response, provider));
        }
        answer(&response).map(Outcome::ok)
    }

    fn provider(&self, name: &str) -> Result<&Provider, StepError> {
        self.providers.providers.get(name).ok_or_else(|| {
            let known = self.providers.providers.keys().map(String::as_str);
            let help = match nearest(name, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.providers.providers.is_empty() => "moltrun.yaml has none under ai.providers".to_string(),
                None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
            };
            permanent("ai.unknown_provider", format!("there is no AI provider `{}`; {help}", redact(name, &[])))
        })
    }

    /// An answer that is no success.
    fn refused(&self, response: &Response, provider: &Provider) -> StepError {
        let body = response.json();
        let error = body.as_ref().and_then(|body| body.get("error"));
        let field = |name| error.and_then(|error| error.get(name)).and_then(Json::as_str);
        let secret = provider.api_key.as_ref().map_or("", Secret::expose);
        let said = match field("message").or_else(|| error.and_then(Json::as_str)) {
            Some(message) => redact(message, &[secret]),
            None => "no message given".to_string(),
        };
        let status = response.status;
        let failure =
            Failure::new(format!("ai.http_{status}"), format!("the model's provider answered {status}: {said}"));
        let pause = retry_after_ms(response, self.clock.now());
        match (status, pause) {
            // Out of credit: waiting does not help.
            (429, _) if field("code") == Some("insufficient_quota") => StepError::Permanent(failure),
            (429 | 503, Some(after_ms)) => StepError::Later { failure, after_ms },
            (408 | 409 | 425 | 429 | 500..=599, _) => StepError::Transient(failure),
            _ => StepError::Permanent(failure),
        }
    }
}

impl Step for AiPrompt {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        Box::pin(self.ask(call))
    }
}

/// For the catalog, where no client is at hand.
pub fn spec() -> StepSpec {
    let fields = vec![
        field("prompt", FieldKind::Text, true, "What is asked"),
        field("system", FieldKind::Text, false, "How the model is to behave"),
        field("provider", FieldKind::Text, false, "One of ai.providers; default: ai.default"),
        field("model", FieldKind::Text, false, "Default: the provider's model"),
        field("temperature", FieldKind::Number, false, "0 is the most predictable"),
        field("max_tokens", FieldKind::Number, false, "The longest answer"),
    ];
    super::spec("ai.prompt", "Asks a language model", Effect::Idempotent, fields)
}

fn build(provider: &Provider, call: &StepCall) -> Result<Request, StepError> {
    let prompt = text(&call.input, "prompt").filter(|prompt| !prompt.trim().is_empty());
    let prompt = prompt.ok_or_else(|| permanent("ai.invalid", "with.prompt is empty"))?;
    let mut messages = Vec::new();
    if let Some(system) = text(&call.input, "system") {
        messages.push(json!({ "role": "system", "content": system }));
    }
    messages.push(json!({ "role": "user", "content": prompt }));
    let mut body =
        json!({ "model": text(&call.input, "model").unwrap_or_else(|| provider.model.clone()), "messages": messages });
    for name in ["temperature", "max_tokens"] {
        if let Some(number @ Json::Number(_)) = call.input.get(name) {
            body[name] = number.clone();
        }
    }
    let url = format!("{}/chat/completions", provider.base_url.trim_end_matches('/'));
    let request = Request::new(Method::POST, url)
        .json(&body)
        // The far side's last word should come before the engine's: a timeout of ours names the place.
        .timeout_ms(call.timeout_ms.saturating_sub(call.timeout_ms / 20))
        .redirects(Redirects::HandBack);
    match &provider.api_key {
        Some(key) => request.secret_header("authorization", "Bearer ", key).map_err(of_net),
        None => Ok(request),
    }
}

/// A failed exchange: asking again does no harm.
fn of_net(error: NetError) -> StepError {
    let failure = Failure::new(error.code(), error.to_string());
    if error.is_permanent() { StepError::Permanent(failure) } else { StepError::Transient(failure) }
}

fn answer(response: &Response) -> Result<Json, StepError> {
    let bad = |what: &str| StepError::Transient(Failure::new("ai.bad_answer", format!("the model's answer {what}")));
    let body = response.json().ok_or_else(|| bad("is no JSON; check that base_url is an OpenAI-compatible API"))?;
    let choice = body.get("choices").and_then(|choices| choices.get(0)).ok_or_else(|| bad("holds no choices"))?;
    let content = choice.get("message").and_then(|message| message.get("content")).and_then(Json::as_str);
    let content = content.filter(|content| !content.trim().is_empty());
    let Some(content) = content else {
        return Err(match choice.get("finish_reason").and_then(Json::as_str) {
            Some("content_filter") => permanent("ai.filtered", "the model's provider filtered the answer"),
            Some("length") => permanent("ai.cut", "the model spent max_tokens without an answer; allow more"),
            _ => bad("is empty"),
        });
    };
    Ok(json!({
        "text": content,
        "usage": body.get("usage").cloned().unwrap_or(Json::Null),
        "model": body.get("model").cloned().unwrap_or(Json::Null),
    }))
}

fn permanent(code: &str, message: impl Into<String>) -> StepError {
    StepError::Permanent(Failure::new(code, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::clock::SystemClock;
    use crate::net::Policy;
    use crate::net::testing::{Answer, Scripted};
    use crate::steps::testing::call;

    const KEY: &str = "sk-secret-key";

    fn step(base_url: &str, key: &str) -> AiPrompt {
        let clock = Arc::new(SystemClock);
        let mut policy = Policy::default();
        policy.trust(base_url).unwrap();
        let net = Arc::new(Net::new(policy, clock.clone()));
        let provider =
            Provider { base_url: base_url.to_string(), api_key: Some(Secret::new(key)), model: "small".to_string() };
        let providers = [("openai".to_string(), provider)].into();
        AiPrompt::new(AiProviders { default: "openai".to_string(), providers }, net, clock)
    }

    #[tokio::test]
    async fn what_the_provider_answers_decides() {
        for (status, headers, body, kind, word) in [
            (
                401,
                "",
                r#"{"error": {"message": "Incorrect API key provided: sk-secret-key."}}"#,
                "permanent",
                "[redacted]",
            ),
            (400, "", r#"{"error": {"message": "bad temperature"}}"#, "permanent", "bad temperature"),
            (404, "", r#"{"error": "no such model"}"#, "permanent", "no such model"),
            (404, "", "<html>", "permanent", "no message"),
            (302, "location: http://169.254.169.254/\r\n", "", "permanent", "302"),
            (429, "retry-after: 7\r\n", "{}", "later", "429"),
            (429, "", "{}", "transient", "429"),
            (429, "retry-after: 7\r\n", r#"{"error": {"code": "insufficient_quota"}}"#, "permanent", "429"),
            (500, "", "{}", "transient", "500"),
            (503, "retry-after: 1\r\n", "{}", "later", "503"),
            (200, "", "garbage", "transient", "no JSON"),
            (200, "", "{}", "transient", "no choices"),
            (200, "", r#"{"choices": []}"#, "transient", "no choices"),
            (200, "", r#"{"choices": [{"message": {"content": ""}}]}"#, "transient", "empty"),
            (
                200,
                "",
                r#"{"choices": [{"message": {"content": null}, "finish_reason": "content_filter"}]}"#,
                "permanent",
                "filtered",
            ),
            (200, "", r#"{"choices": [{"message": {}, "finish_reason": "length"}]}"#, "permanent", "max_tokens"),
        ] {
            let server = Scripted::start(vec![Answer::full(status, headers, body)]).await;
            let error = step(&format!("{}/v1", server.url), KEY).run(call(json!({ "prompt": "x" }))).await.unwrap_err();
            let (found, failure) = match error {
                StepError::Permanent(failure) => ("permanent", failure),
                StepError::Transient(failure) => ("transient", failure),
                StepError::Later { failure, .. } => ("later", failure),
                StepError::Unknown(failure) => ("unknown", failure),
            };
            assert_eq!(found, kind, "{status} {body}: {}", failure.message);
            assert!(failure.message.contains(word), "{}", failure.message);
            assert!(!failure.message.contains(KEY), "{}", failure.message);
        }
    }

    #[tokio::test]
    async fn a_lost_answer_may_be_asked_for_again() {
        let server = Scripted::start(vec![Answer::Close]).await;
        let error = step(&server.url, KEY).run(call(json!({ "prompt": "x" }))).await.unwrap_err();
        assert!(matches!(error, StepError::Transient(_)), "{error:?}");
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_permanent() {
        let step = step("http://127.0.0.1:9", KEY);
        for (input, word) in [
            (json!({ "prompt": " " }), "prompt is empty"),
            (json!({ "prompt": "x", "provider": "opena" }), "did you mean `openai`?"),
            (json!({ "prompt": "x", "provider": "zzz" }), "known: openai"),
        ] {
            let StepError::Permanent(failure) = step.run(call(input)).await.unwrap_err() else {
                panic!("not permanent")
            };
            assert!(failure.message.contains(word), "{}", failure.message);
        }
    }
}
