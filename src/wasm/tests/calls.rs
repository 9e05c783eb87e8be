//! Calls that go well, and failures that guests report.

use super::guests::{TEXT, failure, on_port};
use super::*;
use crate::lang::catalog::{Fields, Ports};

#[tokio::test]
async fn the_bundled_plugin_scores() {
    let plugins = load(PluginsConfig::default()).await;
    assert!(plugins.broken.is_empty(), "{:?}", plugins.broken);
    let score = step(&plugins, "keyword-score/score");
    let spec = score.spec();
    assert_eq!(spec.ports, Ports::Fixed(vec!["ok".into()]));
    assert!(matches!(&spec.fields, Fields::Schema(schema) if schema["required"] == json!(["text", "keywords"])));
    let input = json!({"text": "Ünser Shop is DOWN, straße!", "keywords": ["down", "refund", "STRASSE"]});
    let outcome = score.run(call(input)).await;
    assert_eq!(outcome, Ok(Outcome::ok(json!({"score": 2, "matched": ["down", "STRASSE"]}))));
}

#[tokio::test]
async fn input_is_checked_by_the_host_and_by_the_guest() {
    let plugins = load(PluginsConfig::default()).await;
    let score = step(&plugins, "keyword-score/score");
    for (input, code, message) in [
        (
            json!({"text": "x"}),
            "plugin.bad_input",
            r#"keyword-score/score: bad input at the root: "keywords" is a required property"#,
        ),
        (
            json!({"text": "x", "keywords": ["a", 7]}),
            "plugin.bad_input",
            r#"keyword-score/score: bad input at `/keywords/1`: 7 is not of type "string""#,
        ),
        (
            json!({"text": "x", "keywords": ["a", " "]}),
            "plugin.keyword-score.bad_input",
            "keyword 2 is blank; remove it or write a word",
        ),
        (
            json!({"text": "x".repeat(2 << 20), "keywords": []}),
            "plugin.bad_input",
            "keyword-score/score: the input is 2097177 bytes of JSON, more than the 1048576 allowed",
        ),
    ] {
        assert_eq!(permanent(score.run(call(input)).await), Failure::new(code, message));
    }
}

#[tokio::test]
async fn thousands_of_calls_leave_the_pool_usable() {
    let plugins = load(PluginsConfig::default()).await;
    let score = step(&plugins, "keyword-score/score");
    for _ in 0..20 {
        let calls = (0..150).map(|n| {
            let keywords = if n % 3 == 0 { json!([" "]) } else { json!(["a"]) };
            score.run(call(json!({"text": "a b", "keywords": keywords})))
        });
        let good = futures::future::join_all(calls).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(good, 100);
    }
    assert_works(&plugins).await;
}

#[tokio::test]
async fn ports_and_failures_of_guests() {
    let with = |run: String, text: &str| Guest { run, texts: vec![text.into()], ..Guest::default() };
    let folder = Folder::new()
        .with("side", &with(on_port(TEXT, 4), "side"))
        .with("permanent", &with(failure(0, 4, 0), "gone"))
        .with("transient", &with(failure(1, 4, 0), "busy"))
        .with("later", &with(failure(2, 4, 30_000), "wait"))
        .with("never", &with(failure(2, 4, -1), "wait"))
        .with("at-once", &with(failure(2, 4, 0), "wait"));
    let plugins = folder.load().await;
    let input = json!({"a": 1});
    let reported = |code: &str| Failure::new(code, r#"{"a":1}"#);
    for (plugin, expected) in [
        ("side", Ok(Outcome::Done { port: "side".into(), output: input.clone() })),
        ("permanent", Err(StepError::Permanent(reported("plugin.permanent.gone")))),
        ("transient", Err(StepError::Transient(reported("plugin.transient.busy")))),
        ("later", Err(StepError::Later { failure: reported("plugin.later.wait"), after_ms: 30_000 })),
        ("never", Err(StepError::Later { failure: reported("plugin.never.wait"), after_ms: 86_400_000 })),
        ("at-once", Err(StepError::Later { failure: reported("plugin.at-once.wait"), after_ms: 1_000 })),
    ] {
        assert_eq!(run(&plugins, plugin, input.clone()).await, expected, "{plugin}");
    }
}

#[tokio::test]
async fn the_context_is_that_of_the_attempt() {
    // Answers the digit of the attempt, then the idempotency key, as a JSON number and a JSON text.
    let attempt = format!(
        "(i32.store8 (i32.const {TEXT}) (i32.add (i32.const 48) (call $attempt))) {}",
        guests::ok(&format!("(i32.const {TEXT})"), "(i32.const 1)")
    );
    let key = format!(
        "(call $key (i32.const 0x700)) (i32.store8 (i32.const {TEXT}) (i32.const 34))
         (memory.copy (i32.const {}) (i32.load (i32.const 0x700)) (i32.load (i32.const 0x704)))
         (local.set $n (i32.load (i32.const 0x704)))
         (i32.store8 (i32.add (i32.const {}) (local.get $n)) (i32.const 34)) {}",
        TEXT + 1,
        TEXT + 1,
        guests::ok(&format!("(i32.const {TEXT})"), "(i32.add (local.get $n) (i32.const 2))")
    );
    // Traps unless the time is the run's and some of the five seconds is left.
    let time = format!(
        "(if (i64.ne (call $now) (i64.const 1700000000000)) (then unreachable))
         (if (i64.eqz (call $remaining)) (then unreachable))
         (if (i64.gt_u (call $remaining) (i64.const 5010)) (then unreachable)) {}",
        guests::ok("(local.get $in)", "(local.get $in_len)")
    );
    let folder = Folder::new()
        .with("attempt", &Guest::doing(attempt))
        .with("key", &Guest::doing(key))
        .with("time", &Guest::doing(time));
    let plugins = folder.load().await;
    let mut third = call(json!({}));
    third.attempt = 3;
    third.items = vec![12];
    let expected = third.idempotency_key();
    assert_eq!(step(&plugins, "attempt/step").run(third.clone()).await, Ok(Outcome::ok(json!(3))));
    assert_eq!(step(&plugins, "key/step").run(third).await, Ok(Outcome::ok(json!(expected))));
    assert_eq!(run(&plugins, "time", json!({})).await, Ok(Outcome::ok(json!({}))));
}
