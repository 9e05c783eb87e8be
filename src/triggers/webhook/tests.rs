//! Who takes a delivery, and what it starts.

use serde_json::json;

use super::*;
use crate::net::{HeaderMap, HeaderValue};
use crate::triggers::live::ServedWorkflow;
use crate::triggers::testing::plan;

fn served(texts: &[&str]) -> Served {
    let workflows = texts.iter().map(|text| ServedWorkflow { plan: plan(text), file: "f".into(), stale: false });
    Served::new(workflows.collect(), Vec::new())
}

/// A delivery of `body` with this query.
fn asked(query: &str, body: Json) -> Delivery {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let body = body.to_string();
    let received = Received { headers: &headers, query, body: body.as_bytes() };
    received.delivery("shop", std::iter::empty()).unwrap()
}

fn event(body: Json) -> Delivery {
    asked("", body)
}

fn unsigned<'s>(served: &'s Served) -> Believers<'s> {
    let received = Received { headers: &HeaderMap::new(), query: "", body: b"" };
    believers(served, "shop", &received, &Secrets::new()).unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// The dedupe keys of what each of these bodies starts.
fn keys(trigger: &str, bodies: &[Json]) -> Vec<Option<String>> {
    let served = served(&[&format!("name: w\ntriggers: [{{ webhook: {{ path: shop, {trigger} }} }}]")]);
    let wanted = bodies.iter().map(|body| unsigned(&served).wanted(&event(body.clone()), 0, 7));
    wanted.map(|wanted| wanted.submissions[0].dedupe.as_ref().map(|dedupe| dedupe.key.clone())).collect()
}

#[test]
fn only_who_signs_is_believed() {
    let served = served(&[
        "name: a\ntriggers: [{ webhook: { path: shop, secret: shop, header: X-Proof } }]",
        "name: b\ntriggers: [{ webhook: { path: open } }]",
        "name: c\ntriggers: [{ webhook: { path: lost, secret: lost } }]",
    ]);
    let secret = Secret::new("key");
    let secrets = Secrets::from([("shop".to_string(), Some(secret.clone())), ("lost".to_string(), None)]);
    let refused = |path: &str, header: &'static str, proof: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header, HeaderValue::from_str(proof).unwrap());
        let received = Received { headers: &headers, query: "", body: b"paid" };
        believers(&served, path, &received, &secrets).err()
    };
    let unsigned = |header: &str| Some(Refused::Unsigned { header: header.to_string() });
    let proof = signature::sign(&secret, b"paid");
    assert_eq!(refused("shop", "x-proof", &proof), None);
    assert_eq!(refused("shop", "x-proof", &format!("sha256={proof}")), None);
    assert_eq!(refused("shop", "x-webhook-signature", &proof), unsigned("x-proof"));
    assert_eq!(refused("shop", "x-proof", &signature::sign(&secret, b"paid!")), unsigned("x-proof"));
    assert_eq!(refused("shop", "x-proof", ""), unsigned("x-proof"));
    assert_eq!(refused("open", "x-proof", ""), None);
    // A secret that nobody knows is not an open door; nor is an empty one.
    assert_eq!(
        refused("lost", "x-webhook-signature", &signature::sign(&Secret::new(""), b"paid")),
        unsigned("x-webhook-signature")
    );
    assert_eq!(refused("shop/x", "x-proof", &proof), Some(Refused::Unknown));
}

#[test]
fn what_makes_two_deliveries_one() {
    let bodies = [json!({"id": 1, "at": 5}), json!({"at": 5, "id": 1}), json!({"id": 1, "at": 6}), json!({"id": 2})];
    let whole = keys("when: true", &bodies);
    assert!(whole[0] == whole[1] && whole[1] != whole[2] && whole[2] != whole[3], "{whole:?}");
    let by_id = keys("dedupe: event.body.id", &bodies);
    assert!(by_id[0] == by_id[2] && by_id[2] != by_id[3], "{by_id:?}");
    assert_eq!(keys("dedupe: 'false'", &bodies[..1]), [None]);
    // Nothing to go by, or something that cannot be evaluated: the whole.
    let none = keys("dedupe: event.body.x | default(none)", &bodies);
    assert_eq!((keys("dedupe: 'none'", &bodies), none[2] != none[0]), (whole.clone(), true));
    assert_eq!(keys("dedupe: event.body.no.such", &bodies), whole);
    // 1 and "1" are two.
    let typed = keys("dedupe: event.body", &[json!(1), json!("1")]);
    assert_ne!(typed[0], typed[1]);
}

#[test]
fn a_delivery_is_one_run_a_workflow_and_has_one_answer() {
    let served = served(&[
        "name: a\ntriggers: [{ webhook: { path: shop, when: event.body.n > 5, respond: { body: never } } }, { webhook: { path: shop, when: event.body.n > 1 } }]",
        "name: b\ntriggers: [{ webhook: { path: shop, respond: { status: 202, body: { n: '{{ event.body.n }}', name: '{{ vars.who }}' } } } }, { webhook: { path: shop, dedupe: false } }]\nvars: { who: ann }",
        "name: c\ntriggers: [{ webhook: { path: shop, respond: { status: 204 } } }]",
        "name: d\ntriggers: [{ webhook: { path: shop, when: event.body.n > 100 } }]",
    ]);
    let wanted = unsigned(&served).wanted(&event(json!({"n": 3})), 0, 7);
    let names: Vec<&str> = wanted.submissions.iter().map(|one| &*one.plan.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(wanted.answer, Some(Answer { status: 202, body: Some(json!({"n": 3, "name": "ann"})) }));
    let lost =
        self::served(&["name: a\ntriggers: [{ webhook: { path: shop, respond: { body: '{{ event.body.x.y }}' } } }]"]);
    let wanted = unsigned(&lost).wanted(&event(json!({"n": 3})), 0, 7);
    assert_eq!((wanted.submissions.len(), wanted.answer), (1, None));
}

#[test]
fn what_is_redacted_is_compared_all_the_same() {
    let plain = served(&["name: w\ntriggers: [{ webhook: { path: shop } }]"]);
    let by_key = served(&["name: w\ntriggers: [{ webhook: { path: shop, dedupe: event.query.key } }]"]);
    for served in [&plain, &by_key] {
        let keys = |query: &str| {
            let wanted = unsigned(served).wanted(&asked(query, json!({"id": 1})), 0, 7);
            assert_eq!(wanted.submissions[0].event["query"]["key"], "[redacted]");
            assert!(!wanted.submissions[0].event.to_string().contains("planted"));
            (wanted.submissions[0].dedupe.clone().unwrap().key, wanted.key)
        };
        let (one, other, again) = (keys("key=planted-1"), keys("key=planted-2"), keys("key=planted-1"));
        assert!(one.0 != other.0 && one.1 != other.1 && one == again, "{one:?} {other:?} {again:?}");
        assert!(!format!("{one:?}").contains("planted"), "{one:?}");
    }
}

#[test]
fn a_delivery_that_is_recognised_is_the_same_to_those_that_wait() {
    let key = |triggers: &[&str], body: Json, random| {
        let texts: Vec<String> = triggers
            .iter()
            .enumerate()
            .map(|(at, trigger)| format!("name: w{at}\ntriggers: [{{ webhook: {{ path: shop, {trigger} }} }}]"))
            .collect();
        let served = served(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        unsigned(&served).wanted(&event(body), 0, random).key
    };
    let (first, again, other) = (json!({"id": 1, "try": 1}), json!({"id": 1, "try": 2}), json!({"id": 2, "try": 1}));
    for (triggers, is_one) in [
        (&["when: true"][..], false),
        (&["dedupe: event.body.id"], true),
        // Whoever wants it, and whoever says nothing of it.
        (&["dedupe: event.body.id, when: event.body.try > 5"], true),
        (&["when: true", "dedupe: event.body.id"], true),
        (&["dedupe: event.body.nope | default(none)"], false),
        (&["dedupe: false", "dedupe: event.body.id"], false),
    ] {
        assert_eq!(key(triggers, first.clone(), 1) == key(triggers, again.clone(), 2), is_one, "{triggers:?}");
        assert_ne!(key(triggers, first.clone(), 1), key(triggers, other.clone(), 2), "{triggers:?}");
    }
    let each = &["dedupe: false"][..];
    assert_ne!(key(each, first.clone(), 1), key(each, first, 2));
}
