//! The steps against the sandbox, over real HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::engine::ports::Clock;
use crate::lang::catalog::Fields;
use crate::moltflow::{Config, Credentials};
use crate::net::testing::ManualClock;
use crate::net::{Net, Policy};
use crate::sandbox::{Options, Sandbox};
use crate::steps::testing::call;

struct House {
    sandbox: Sandbox,
    clock: Arc<ManualClock>,
    steps: BTreeMap<String, Arc<dyn Step>>,
}

impl House {
    async fn new() -> Self {
        let clock = ManualClock::at(1_769_353_200_000);
        let sandbox = Sandbox::start(Options::default(), clock.clone()).await.unwrap();
        let mut policy = Policy::default();
        policy.trust(&sandbox.moltflow_url).unwrap();
        let net = Arc::new(Net::new(policy, clock.clone()));
        let config = Config {
            base_url: sandbox.moltflow_url.clone(),
            credentials: Credentials::ApiKey(Options::default().api_key),
        };
        let moltflow = Arc::new(MoltFlow::new(config, net, clock.clone()).unwrap());
        let ticking: Arc<dyn Clock> = clock.clone();
        let steps = all(&moltflow, &ticking).into_iter().map(|step| (step.spec().name.clone(), step)).collect();
        Self { sandbox, clock, steps }
    }

    async fn try_step(&self, name: &str, input: Json, attempt: u32) -> Result<Json, StepError> {
        let now = self.clock.now();
        let step = &self.steps[&format!("moltflow.{name}")];
        match step.run(StepCall { attempt, now, ..call(input) }).await? {
            Outcome::Done { output, .. } => Ok(output),
            other => panic!("{other:?}"),
        }
    }

    async fn step(&self, name: &str, input: Json) -> Json {
        self.try_step(name, input, 1).await.unwrap_or_else(|error| panic!("{name}: {error:?}"))
    }
}

#[tokio::test]
async fn every_step_against_the_sandbox() {
    let house = House::new().await;
    let sessions = house.step("list_sessions", json!({})).await;
    assert_eq!((&sessions[0]["name"], &sessions[1]["status"]), (&json!("support-team"), &json!("qr_code")));
    let created = house.step("create_session", json!({"name": "my-new-session"})).await;
    assert_eq!((&created["id"], &created["status"]), (&json!(44), &json!("starting")));
    let got = house.step("get_session", json!({"name": "my-new-session"})).await;
    assert!(got["created_at"].is_string() && got["updated_at"].is_string(), "{got}");

    let groups = house.step("list_groups", json!({"session": "support-team"})).await;
    assert_eq!((&groups[0]["name"], &groups[0]["participant_count"]), (&json!("Customer Support Team"), &json!(12)));
    let group = &groups[0]["id"];
    let monitored = house.step("monitor_group", json!({"group": group, "keywords": ["urgent", "help"]})).await;
    assert_eq!((&monitored["wa_group_id"], &monitored["keywords"]), (group, &json!(["urgent", "help"])));
    assert_eq!(house.step("list_monitored_groups", json!({})).await, json!([monitored]));

    let hook = json!({"url": "http://127.0.0.1:9/hook", "events": ["message"]});
    let webhook = house.step("create_webhook", hook).await;
    let webhooks = house.step("list_webhooks", json!({})).await;
    assert_eq!(webhooks[0]["id"], webhook["id"]);
    let stats: crate::moltflow::Webhook = serde_json::from_value(webhooks[0].clone()).unwrap();
    assert_eq!((stats.stats().succeeded, stats.stats().failed), (Some(0), Some(0)), "{webhooks}");

    let asked = json!({"path": "/sessions", "query": {"page": 1}});
    let answer = house.step("request", asked).await;
    assert_eq!((&answer["status"], &answer["body"][0]["id"]), (&json!(200), &json!(42)));

    let settings = json!({"session_name": "support-team", "prompt": "Be kind.", "model": "gpt-4o-mini"});
    assert!(house.step("set_auto_reply", settings).await.is_object());
    let training = json!({"session_name": "support-team", "message_count": 500});
    assert!(house.step("train_learn_mode", training).await.is_object());

    let deleted = house.step("delete_session", json!({"name": "my-new-session"})).await;
    assert_eq!(deleted["message"], "Session deleted successfully");
    // Once more: a second attempt has found it done, a first one has not.
    let again = json!({"name": "my-new-session"});
    assert!(house.try_step("delete_session", again.clone(), 2).await.is_ok());
    let StepError::Permanent(failure) = house.try_step("delete_session", again, 1).await.unwrap_err() else { panic!() };
    assert_eq!(failure.code, "moltflow.session_not_found");
    house.sandbox.stop().await;
}

/// Asks until the step is done, letting the time it names pass; how often it was put off.
async fn waited(house: &House, input: Json) -> (Result<Json, StepError>, u32) {
    let (began, mut laters) = (house.clock.now(), 0);
    loop {
        let step = &house.steps["moltflow.wait_session"];
        let asked = StepCall { began, now: house.clock.now(), ..call(input.clone()) };
        match step.run(asked).await {
            Err(StepError::Later { after_ms, .. }) => {
                laters += 1;
                house.clock.advance(after_ms as i64);
            }
            Ok(Outcome::Done { output, .. }) => return (Ok(output), laters),
            Ok(other) => panic!("{other:?}"),
            Err(error) => return (Err(error), laters),
        }
    }
}

#[tokio::test]
async fn a_session_is_waited_for() {
    let house = House::new().await;
    house.step("create_session", json!({"name": "new-one"})).await;
    let (session, laters) = waited(&house, json!({"name": "new-one"})).await;
    assert_eq!(session.unwrap()["status"], "working");
    assert!(laters > 0);
    // Its code is scanned by nobody.
    let code = |result: Result<Json, StepError>| match result {
        Err(StepError::Permanent(failure)) => failure.code,
        other => panic!("{other:?}"),
    };
    let (stuck, laters) = waited(&house, json!({"name": "sales-bot", "timeout": "2m"})).await;
    let StepError::Permanent(failure) = stuck.unwrap_err() else { panic!() };
    assert_eq!(failure.code, "wait_session.timeout");
    assert_eq!(failure.message, "session `sales-bot` was not working within 2 min 0 s: it is qr_code");
    assert!(laters > 5 && laters < 60, "{laters}");
    let (there, laters) = waited(&house, json!({"name": "sales-bot", "status": "qr_code"})).await;
    let there = there.unwrap();
    assert_eq!((there["id"].clone(), laters), (json!(43), 0));
    assert!(there["qr"].as_str().unwrap().starts_with("data:image/png;base64,"), "{there}");
    // Nothing is to be scanned any more.
    let (works, _) = waited(&house, json!({"name": "support-team", "status": "qr_code"})).await;
    assert_eq!(works.unwrap()["status"], "working");
    assert_eq!(code(waited(&house, json!({"name": "nobody"})).await.0), "moltflow.session_not_found");
    assert_eq!(code(waited(&house, json!({"name": "x", "timeout": "soon"})).await.0), "wait_session.bad_time");
    house.sandbox.stop().await;
}

#[tokio::test]
async fn inputs_that_no_api_could_take_are_refused_here() {
    let house = House::new().await;
    for (step, input, word) in [
        ("create_session", json!({"name": " "}), "with.name is empty"),
        ("get_session", json!({}), "with.name is empty"),
        ("get_session", json!({"name": ".."}), "no name of a session"),
        ("monitor_group", json!({"group": "15551234567@c.us", "keywords": ["x"]}), "with.group is no group"),
        ("monitor_group", json!({"group": "120363012345678901@g.us", "keywords": [1]}), "with.keywords must be a list"),
        ("create_webhook", json!({"url": "https://x", "events": {}}), "with.events must be a list"),
        ("set_auto_reply", json!({"session_name": "s", "enabled": "yes"}), "with.enabled must be true or false"),
        ("train_learn_mode", json!({"session_name": "s", "message_count": 0}), "with.message_count"),
        ("request", json!({"path": "/../x"}), "would leave"),
        ("request", json!({"path": "/x", "method": "TRACE"}), "with.method must be one of"),
        ("request", json!({"path": "/x", "effect": "none"}), "with.effect must be one of idempotent, at_most_once"),
        ("request", json!({"path": "/x", "query": "a=b"}), "with.query must be a mapping"),
    ] {
        let error = house.try_step(step, input, 1).await.unwrap_err();
        let StepError::Permanent(failure) = error else { panic!("{step}: {error:?}") };
        assert_eq!(failure.code, "moltflow.invalid");
        assert!(failure.message.contains(word), "{step}: {}", failure.message);
    }
    house.sandbox.stop().await;
}

#[test]
fn each_step_has_a_form_and_an_effect() {
    let effects: BTreeMap<String, Effect> = specs().into_iter().map(|spec| (spec.name, spec.effect)).collect();
    assert_eq!(effects.len(), 13);
    for name in ["create_session", "monitor_group", "create_webhook", "train_learn_mode"] {
        assert_eq!(effects[&format!("moltflow.{name}")], Effect::AtMostOnce, "{name}");
    }
    assert_eq!(effects.values().filter(|effect| **effect == Effect::AtMostOnce).count(), 4);
    assert!(specs().iter().all(|spec| matches!(spec.fields, Fields::Known(_)) && !spec.summary.is_empty()));
}
