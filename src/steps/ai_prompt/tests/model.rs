//! A model on a free port: real HTTP, answers as the test says.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::{AiPrompt, AiProviders, Kind, Prices, Provider};
use crate::base::{Json, Secret};
use crate::engine::clock::SystemClock;
use crate::engine::ports::{Outcome, Step, StepCall, StepError};
use crate::net::{Net, Policy};

pub const KEY: &str = "sk-secret-key";

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Json,
}

pub struct Model {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Model {
    /// Answers the requests in order, from number 0 on.
    pub async fn start(answer: impl Fn(usize, &Asked) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (kept, answer) = (asked.clone(), Arc::new(answer));
        let router = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let one = Asked { path: uri.path().to_string(), headers, body: serde_json::from_slice(&body).unwrap() };
            let number = {
                let mut kept = kept.lock().unwrap();
                kept.push(one.clone());
                kept.len() - 1
            };
            let answer = answer.clone();
            async move { answer(number, &one) }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, task }
    }

    /// Answers with these, the last one again and again.
    pub async fn says(answers: Vec<(u16, Json)>) -> Self {
        Self::start(move |number, _| {
            let (status, body) = answers[number.min(answers.len() - 1)].clone();
            plain(status, &body)
        })
        .await
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn provider(&self, kind: Kind) -> Provider {
        Provider { kind, ..Provider::new(&self.url, Some(Secret::new(KEY)), "small") }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn plain(status: u16, body: &Json) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body.clone())).into_response()
}

/// A complete answer of either kind, of 10 tokens for 20.
pub fn says(kind: Kind, text: &str) -> Json {
    match kind {
        Kind::OpenAi => json!({
            "id": "chatcmpl-1", "object": "chat.completion", "model": "small-2026",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text, "refusal": null}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30},
        }),
        Kind::Anthropic => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "small-2026",
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 20, "output_tokens": 10},
        }),
    }
}

/// The step, with providers by name; the first one is the default.
pub fn step(providers: &[(&str, Provider)]) -> AiPrompt {
    let given = AiProviders {
        default: providers[0].0.to_string(),
        providers: providers.iter().map(|(name, provider)| (name.to_string(), provider.clone())).collect(),
        ..AiProviders::default()
    };
    step_of(given)
}

pub fn step_of(given: AiProviders) -> AiPrompt {
    let clock = Arc::new(SystemClock);
    let mut policy = Policy::default();
    for provider in given.providers.values() {
        policy.trust(&provider.base_url).unwrap();
    }
    AiPrompt::new(given, Arc::new(Net::new(policy, clock.clone())), clock)
}

/// The output of a step that is done, whatever it writes.
pub async fn output(step: &AiPrompt, call: StepCall) -> Result<Json, StepError> {
    match step.run(call).await? {
        Outcome::Done { output, .. } | Outcome::Written { output, .. } => Ok(output),
        other => panic!("{other:?}"),
    }
}

/// `permanent ai.refused`, and what it says.
pub fn kind_of(error: &StepError) -> (String, String) {
    let (word, failure) = match error {
        StepError::Permanent(failure) => ("permanent", failure),
        StepError::Transient(failure) => ("transient", failure),
        StepError::Later { failure, .. } => ("later", failure),
        StepError::Unknown(failure) => ("unknown", failure),
    };
    assert!(!failure.message.contains(KEY), "{}", failure.message);
    (format!("{word} {}", failure.code), failure.message.clone())
}

pub const PRICES: Option<Prices> = Some(Prices { input: 1.0, output: 10.0 });
