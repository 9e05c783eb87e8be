//! What the failure of a step means, by what the host saw leave.

use super::probe::{Given, Lab, host};
use super::*;
use crate::net::testing::{Answer, Scripted};

/// `permanent`, `transient`, `later` or `unknown`.
fn kind(ended: &Result<Outcome, StepError>) -> &'static str {
    match ended {
        Ok(_) => "ok",
        Err(StepError::Permanent(_)) => "permanent",
        Err(StepError::Transient(_)) => "transient",
        Err(StepError::Later { .. }) => "later",
        Err(StepError::Unknown(_)) => "unknown",
    }
}

#[tokio::test]
async fn a_step_that_must_not_be_repeated_says_when_it_may_have_been_done() {
    let good = || Answer::full(200, "", "ok");
    for (method, answer, end, once, again) in [
        // The answer was lost: whatever the guest makes of it.
        ("POST", Answer::Close, "fail|transient|x", "unknown", "transient"),
        ("POST", Answer::Close, "fail|permanent|x", "unknown", "permanent"),
        ("POST", Answer::Close, "fail|later|x", "unknown", "later"),
        ("POST", Answer::Close, "fail|unknown|x", "unknown", "transient"),
        ("POST", Answer::Close, "trap", "unknown", "permanent"),
        ("POST", Answer::Close, "garble", "unknown", "permanent"),
        (
            "POST",
            Answer::RawClose(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_vec()),
            "fail|transient|x",
            "unknown",
            "transient",
        ),
        ("POST", Answer::Close, "log|I asked and found that it was done", "ok", "ok"),
        // It was answered: the guest knows, unless it broke.
        ("POST", good(), "fail|transient|x", "transient", "transient"),
        ("POST", good(), "fail|later|x", "later", "later"),
        ("PUT", good(), "trap", "unknown", "permanent"),
        ("POST", good(), "garble", "unknown", "permanent"),
        // What only reads is no effect.
        ("GET", Answer::Close, "fail|transient|x", "transient", "transient"),
        ("HEAD", Answer::Close, "trap", "permanent", "permanent"),
    ] {
        let far = Scripted::start(vec![answer.clone(), answer.clone()]).await;
        let lab = Lab::new(Given::reaching(&far)).await;
        let script = format!("http|{method}|{}|/||\n{end}", host(&far));
        for (step, expected) in [("once", once), ("again", again)] {
            let ended = lab.call(step, &script).await.0;
            assert_eq!(kind(&ended), expected, "{step}: {method} {answer:?} {end}: {ended:?}");
            if let (Err(StepError::Unknown(failure)), false) = (&ended, end.starts_with("fail|unknown")) {
                assert!(failure.message.ends_with("it may or may not have been carried out"), "{}", failure.message);
            }
        }
        assert_eq!(far.requests().len(), 2);
    }
}

#[tokio::test]
async fn what_was_not_sent_was_not_done() {
    let gone = host(&Scripted::start(vec![]).await);
    let far = Scripted::start(vec![]).await;
    let mut given = Given::reaching(&far);
    given.asks += &format!("host {gone}\n");
    given.grant.http.push(crate::wasm::HostPattern::granted(&gone).unwrap());
    let lab = Lab::new(given).await;
    for to in [gone.as_str(), "elsewhere.example"] {
        for (end, expected) in [("fail|transient|x", "transient"), ("trap", "permanent"), ("garble", "permanent")] {
            let ended = lab.call("once", &format!("http|POST|{to}|/||a\n{end}")).await.0;
            assert_eq!(kind(&ended), expected, "{to} {end}: {ended:?}");
        }
    }
}

/// A guest may end before its request has left: then it has not left, or it is known that it may have.
#[tokio::test]
async fn what_is_reported_as_not_sent_does_not_leave_afterwards() {
    const CALLS: usize = 200;
    // It reads every request and answers none.
    let far = Scripted::start(vec![]).await;
    let lab = Lab::new(Given::reaching(&far)).await;
    let script = format!("send|POST|{}|/||a\nfail|transient|x", host(&far));
    let mut unknown = 0;
    for _ in 0..CALLS {
        match kind(&lab.call("once", &script).await.0) {
            "unknown" => unknown += 1,
            kind => assert_eq!(kind, "transient"),
        }
    }
    // Whatever had left is there by the time that this one is.
    lab.answers(&format!("http|POST|{}|/||last", host(&far))).await;
    assert!(far.requests().len() <= unknown + 1, "{} requests, {unknown} of them known", far.requests().len());
}

#[tokio::test]
async fn time_that_runs_out_over_a_request_is_not_the_guests_fault() {
    let far = Scripted::start(vec![Answer::Silence, Answer::Silence]).await;
    let mut given = Given::reaching(&far);
    given.grant.timeout_ms = Some(2_000);
    let lab = Lab::new(given).await;
    let script = format!("send|POST|{}|/||a\nsleep|3600000", host(&far));
    for (step, expected) in [("once", "unknown"), ("again", "transient")] {
        let ended = lab.call(step, &script).await.0;
        assert_eq!(kind(&ended), expected, "{step}: {ended:?}");
        let Err(StepError::Unknown(failure) | StepError::Transient(failure)) = ended else { panic!("{ended:?}") };
        assert_eq!(failure.code, "plugin.timeout");
    }
    assert_eq!(far.requests().len(), 2);
}

#[tokio::test]
async fn the_lines_of_a_guest_are_kept_with_its_run() {
    let lab = Lab::new(Given::default()).await;
    for (step, end) in [("pure", "log|b"), ("again", "trap"), ("once", "fail|permanent|x")] {
        let (_, lines) = lab.call(step, &format!("log|a line\n{end}")).await;
        assert_eq!(lines[0], "a line", "{step}");
    }
}
