//! The models: whether their providers answer. The list of models costs nothing; no model is asked anything.

use super::check::Check;
use crate::net::{Method, Net, Redirects, Request};
use crate::steps::ai_prompt::{ANTHROPIC_VERSION, AiProviders, Kind, Provider};

/// Time for an answer, in milliseconds.
const TIMEOUT_MS: u64 = 10_000;

pub async fn check(ai: &AiProviders, net: &Net) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, provider) in &ai.providers {
        checks.push(one(name, provider, net).await);
    }
    checks
}

async fn one(name: &str, provider: &Provider, net: &Net) -> Check {
    let url = format!("{}/models", provider.base_url.trim_end_matches('/'));
    let mut request = Request::new(Method::GET, url).timeout_ms(TIMEOUT_MS).redirects(Redirects::HandBack);
    if let Some(key) = &provider.api_key {
        let signed = match provider.kind {
            Kind::OpenAi => request.secret_header("authorization", "Bearer ", key),
            Kind::Anthropic => request
                .secret_header("x-api-key", "", key)
                .and_then(|request| request.header("anthropic-version", ANTHROPIC_VERSION)),
        };
        request = match signed {
            Ok(request) => request,
            Err(error) => return Check::problem("ai", format!("`{name}`: {error}"), "correct its `api_key`"),
        };
    }
    match net.send(request).await {
        Err(error) => Check::unreachable(
            "ai",
            format!("`{name}` does not answer: {error}"),
            "see its `base_url`, and the network",
        ),
        Ok(answer) => match answer.status {
            200..=299 => Check::ok("ai", format!("`{name}` answers")),
            401 | 403 => {
                let detail = format!("`{name}` refuses the key ({})", answer.status);
                Check::problem("ai", detail, "correct its `api_key`")
            }
            status => {
                let detail = format!("`{name}` answers, but has no list of models ({status})");
                Check::skipped("ai", format!("{detail}; whether the key is good shows with the first prompt"))
            }
        },
    }
}
