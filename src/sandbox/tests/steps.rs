//! The steps that reach outside, against the sandbox.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::base::limits;
use crate::engine::ports::{OK, Outcome, Step, StepError};
use crate::lang::Catalog;
use crate::senders::{Pace, Policy, Senders};
use crate::steps::ai_prompt::{AiPrompt, AiProviders, Provider};
use crate::steps::moltflow_send::MoltflowSend;
use crate::steps::testing::call;
use crate::store::memory::MemoryStore;

async fn fixture(policies: BTreeMap<String, Policy>) -> (Sandbox, MoltflowSend) {
    let (sandbox, clock) = start(Options::default()).await;
    let moltflow = Arc::new(moltflow(&sandbox, key(), clock.clone()));
    let senders = Arc::new(Senders::new(policies, Some(moltflow.clone()), clock.clone()));
    senders.start(Arc::new(MemoryStore::default()), &Catalog::default()).await.unwrap();
    (sandbox, MoltflowSend::new(moltflow, senders, clock))
}

#[tokio::test]
async fn sends_and_says_the_message_id() {
    let (sandbox, step) = fixture(BTreeMap::new()).await;
    let input = json!({ "session": "support-team", "to": "+1 (555) 123-4567", "text": "Hello" });
    let Outcome::Done { port, output } = step.run(call(input)).await.unwrap() else { panic!("not done") };
    let ledger = sandbox.ledger();
    assert_eq!(port, OK);
    assert_eq!(output["message_id"], json!(ledger[0].id));
    assert_eq!((ledger[0].chat_id.as_str(), ledger[0].text.as_str()), ("15551234567@c.us", "Hello"));
    sandbox.stop().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_permanent_and_nothing_leaves() {
    let (sandbox, step) = fixture(BTreeMap::new()).await;
    let long = "x".repeat(limits::MESSAGE_TEXT + 1);
    for (session, to, text, word) in [
        ("support-team", "15551234567@c.us", "  ", "with.text is empty"),
        ("support-team", "15551234567@c.us", long.as_str(), "longer than"),
        ("support-team", "15551234567", "x", "country code"),
        ("", "15551234567@c.us", "x", "with.session"),
        ("..", "15551234567@c.us", "x", "no name of a session"),
        ("nobody", "15551234567@c.us", "x", "SESSION_NOT_FOUND"),
    ] {
        let input = json!({ "session": session, "to": to, "text": text });
        let error = step.run(call(input)).await.unwrap_err();
        let StepError::Permanent(failure) = error else { panic!("{error:?}") };
        assert!(failure.message.contains(word), "{}", failure.message);
    }
    assert_eq!(sandbox.ledger().len(), 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_pace_makes_it_wait_not_fail() {
    let policy = Policy::paced(Pace::new("1/h".parse().unwrap(), 1));
    let (sandbox, step) = fixture([("support-team".to_string(), policy)].into()).await;
    let input = json!({ "session": "support-team", "to": "15551234567@c.us", "text": "Hello" });
    step.run(call(input.clone())).await.unwrap();
    let error = step.run(call(input)).await.unwrap_err();
    let StepError::Later { failure, after_ms } = error else { panic!("{error:?}") };
    assert_eq!(failure.code, "sender.paced");
    assert!(after_ms > 3_000_000);
    assert_eq!(sandbox.ledger().len(), 1);
    sandbox.stop().await;
}

#[tokio::test]
async fn asks_the_sandboxs_model() {
    let (sandbox, clock) = start(Options::default()).await;
    let provider = Provider::new(&sandbox.model_url, Some(Options::default().model_key), "small");
    let providers = AiProviders::only("local", provider);
    let step = AiPrompt::new(providers, net(&sandbox, clock.clone()), clock);
    let input = json!({ "prompt": "Where is my order?", "system": "Be kind.", "temperature": 0, "max_tokens": 100 });
    let Outcome::Done { output, .. } = step.run(call(input)).await.unwrap() else { panic!("not done") };
    assert!(output["text"].as_str().unwrap().contains("order"), "{output}");
    assert_eq!(output["model"], "small");
    assert!(output["usage"]["output_tokens"].as_u64().unwrap() > 0);
    sandbox.stop().await;
}
