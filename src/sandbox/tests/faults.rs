//! What happens on cue, as a client meets it.

use serde_json::json;

use super::*;
use crate::base::limits;
use crate::net::testing::{Answer, Scripted};

const MESSAGES: &str = "/sessions/support-team/messages";

async fn with(faults: &[&str]) -> (Sandbox, Arc<ManualClock>, Caller) {
    let faults = faults.iter().map(|line| line.parse().unwrap()).collect();
    let (sandbox, clock) = start(Options { faults, ..Options::default() }).await;
    let caller = caller(&sandbox, &clock);
    (sandbox, clock, caller)
}

#[tokio::test]
async fn a_refusal_has_the_documented_form_and_nothing_is_done() {
    let (sandbox, clock, caller) = with(&["POST /sessions/*/messages: times=1 429 retry-after=2s"]).await;
    let response = caller.raw("POST", MESSAGES, Some(&text("a"))).await;
    assert_eq!(response.status, 429);
    let reset = (NOW / 1_000 + 2).to_string();
    for (name, value) in [
        ("retry-after", "2"),
        ("x-ratelimit-limit", "100"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", &reset),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let error = json!({ "detail": "Too Many Requests", "error_code": "RATE_LIMIT_EXCEEDED", "status": 429 });
    assert_eq!(response.json(), Some(error));
    assert_eq!(sandbox.ledger().len(), 0);
    clock.advance(1_500);
    caller.ok("POST", MESSAGES, Some(text("a"))).await;
    assert_eq!(sandbox.ledger().len(), 1);
    let ledger = controller(&sandbox, &clock).ok("GET", "/ledger", None).await;
    assert_eq!(ledger["early"], json!({ "count": 1, "latest_ms": 1_500 }));
    sandbox.stop().await;
}

#[tokio::test]
async fn refusals_say_what_was_asked_for() {
    for (line, status, code, retry_after) in [
        ("GET /sessions: 429", 429, "RATE_LIMIT_EXCEEDED", Some("1")),
        ("GET /sessions: 429 retry_after=none", 429, "RATE_LIMIT_EXCEEDED", None),
        ("GET /sessions: 429 retry_after=1500ms", 429, "RATE_LIMIT_EXCEEDED", Some("2")),
        ("GET /sessions: 503", 503, "SERVICE_UNAVAILABLE", None),
        ("* /**: 503 retry_after=5s error_code=DOWN", 503, "DOWN", Some("5")),
        ("GET /*: 403", 403, "PLAN_LIMIT_REACHED", None),
        ("GET /sessions: 500", 500, "INTERNAL_ERROR", None),
        ("GET /sessions: 418", 418, "ERROR", None),
    ] {
        let (sandbox, _, caller) = with(&[line]).await;
        let response = caller.raw("GET", "/sessions", None).await;
        let error = response.json().unwrap();
        assert_eq!((response.status, error["error_code"].as_str()), (status, Some(code)), "{line}");
        assert_eq!(response.header("retry-after"), retry_after, "{line}");
        let limited = status == 429 && retry_after.is_some();
        assert_eq!(response.header("x-ratelimit-reset").is_some(), limited, "{line}");
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn what_a_client_sees_and_what_was_done() {
    for (line, answer, sent, end) in [
        ("POST /sessions/*/messages: cut=before", None, 0, "cut before"),
        ("POST /sessions/*/messages: cut=after", None, 1, "cut after"),
        ("POST /sessions/*/messages: cut=midway", None, 1, "cut midway"),
        ("POST /sessions/*/messages: garbage", Some(200), 1, "garbage"),
        ("POST /sessions/*/messages: 500", Some(500), 0, "500"),
        ("POST /sessions/*/messages: 500 carried_out", Some(500), 1, "500"),
    ] {
        let (sandbox, clock, caller) = with(&[line]).await;
        let response = caller.try_raw("POST", MESSAGES, Some(&text("a"))).await;
        match (&response, answer) {
            (Ok(response), Some(status)) => {
                assert_eq!(response.status, status, "{line}");
                assert_eq!(response.json().is_none(), end == "garbage", "{line}");
            }
            // Its head came, its body did not.
            (Err(_), None) => {}
            _ => panic!("{line}: {response:?}"),
        }
        assert_eq!(sandbox.ledger().len(), sent, "{line}");
        let seen = controller(&sandbox, &clock).ok("GET", "/requests", None).await;
        assert_eq!(seen, json!({ "POST /sessions/*/messages": { end: 1 } }), "{line}");
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn half_an_answer_is_half_an_answer() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (sandbox, _, _) = with(&["GET /sessions: cut=midway"]).await;
    let mut stream = tokio::net::TcpStream::connect(sandbox.origin.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(b"GET /api/v2/sessions HTTP/1.1\r\nhost: a\r\nx-api-key: molt_sk_sandbox\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("support-team"), "{answer}");
    assert!(!answer.contains("sales-bot\",\"status\"") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_delay_ends_when_its_time_has_come() {
    for (line, sent_before) in
        [("POST /sessions/*/messages: delay=2s", 0), ("POST /sessions/*/messages: delay=2s carried_out", 1)]
    {
        let (sandbox, clock, caller) = with(&[line]).await;
        let body = text("a");
        let time_passes = async {
            // The client's own time limit sleeps, too.
            until(|| clock.next_due() == Some(NOW + 2_000)).await;
            let sent = sandbox.ledger().len();
            clock.advance(2_000);
            sent
        };
        let (response, sent) = tokio::join!(caller.raw("POST", MESSAGES, Some(&body)), time_passes);
        assert_eq!((response.status, sent, sandbox.ledger().len()), (200, sent_before, 1), "{line}");
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn a_run_of_requests_meets_the_same_faults_again() {
    let run = async || {
        let (sandbox, clock, caller) = with(&[
            "POST /sessions/*/messages: 5% 429",
            "POST /sessions/*/messages: 2% 503",
            "POST /sessions/*/messages: 1% cut=before",
            "POST /sessions/*/messages: 1% cut=after",
        ])
        .await;
        let mut ends = Vec::new();
        for number in 0..400 {
            let response = caller.try_raw("POST", MESSAGES, Some(&text(&number.to_string()))).await;
            ends.push(response.map_or(0, |response| response.status));
        }
        let ledger = controller(&sandbox, &clock).ok("GET", "/ledger?limit=0", None).await;
        sandbox.stop().await;
        (ends, ledger)
    };
    let (ends, ledger) = run().await;
    assert_eq!((ends.clone(), ledger.clone()), run().await);
    let count = |end: u16| ends.iter().filter(|seen| **seen == end).count() as u64;
    let requests = |end: &str| ledger["requests"].get(end).and_then(Json::as_u64).unwrap_or(0);
    assert!((10..30).contains(&count(429)) && count(503) > 0 && count(0) > 0, "{ledger}");
    assert_eq!((requests("200"), requests("429"), requests("503")), (count(200), count(429), count(503)));
    assert_eq!(requests("cut before") + requests("cut after"), count(0));
    assert_eq!(ledger["total"], json!(count(200) + requests("cut after")));
}

#[tokio::test]
async fn faults_come_and_go_while_it_runs() {
    let (sandbox, clock, caller) = with(&[]).await;
    let control = controller(&sandbox, &clock);
    let added = control.ok("POST", "/faults", Some(json!("GET /sessions: times=1 503"))).await;
    assert_eq!(added, json!([{ "id": 1, "fault": "GET /sessions: times=1 503", "matched": 0, "happened": 0 }]));
    let list = json!([{ "on": "GET /groups", "answer": 500 }, "GET /webhooks: cut=after"]);
    assert_eq!(control.ok("POST", "/faults", Some(list)).await[1]["id"], 3);
    assert_eq!(caller.refused("GET", "/sessions", None).await.0, 503);
    caller.ok("GET", "/sessions", None).await;
    let shown = control.ok("GET", "/faults", None).await;
    assert_eq!((shown[0]["matched"].clone(), shown[0]["happened"].clone()), (json!(2), json!(1)));
    assert_eq!(control.ok("DELETE", "/faults/2", None).await, json!({ "removed": 1 }));
    caller.ok("GET", "/groups", None).await;
    assert_eq!(control.refused("DELETE", "/faults/2", None).await.0, 404);
    assert_eq!(control.refused("DELETE", "/faults/x", None).await.0, 404);
    assert_eq!(control.ok("DELETE", "/faults", None).await, json!({ "removed": 2 }));
    for (bad, word) in [
        (
            json!(["GET /sessions: 503", "GET /sesions: 503"]),
            "fault 2: `/sesions` is no path of the sandbox; did you mean `/sessions`?",
        ),
        (json!({ "on": "GET /sessions", "anser": 503 }), "did you mean `answer`?"),
        (json!(7), "an object or a string"),
    ] {
        let response = control.raw("POST", "/faults", Some(&bad)).await;
        let detail = response.json().unwrap()["detail"].as_str().unwrap().to_string();
        assert!(response.status == 400 && detail.contains(word), "{detail}");
    }
    let many = json!(vec!["GET /sessions: 503"; limits::SANDBOX_OBJECTS + 1]);
    assert_eq!(control.refused("POST", "/faults", Some(many)).await.0, 403);
    // None of what was refused is in force.
    assert_eq!(control.ok("GET", "/faults", None).await, json!([]));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_delivery_comes_as_often_as_asked() {
    let (sandbox, _, caller) = with(&["DELIVERY message: nth=1 duplicate=5"]).await;
    let receiver = Scripted::start(vec![Answer::full(200, "", ""); 6]).await;
    caller.ok("POST", "/webhooks", Some(json!({ "url": receiver.url, "events": ["message"] }))).await;
    let ids: Vec<String> =
        ["a", "b"].map(|body| sandbox.inbound("support-team", "15551234567@c.us", body).unwrap()).into();
    receiver.arrived(6).await;
    let requests = receiver.requests();
    let count = |id: &String| requests.iter().filter(|request| request.contains(id.as_str())).count();
    assert_eq!((count(&ids[0]), count(&ids[1])), (5, 1));
    sandbox.stop().await;
}

#[tokio::test]
async fn the_models_fail_in_their_own_words() {
    let (sandbox, _, mut caller) =
        with(&["POST /v1/chat/completions: 429 retry_after=3s", "POST /v1/messages: 529"]).await;
    caller.base = sandbox.origin.clone();
    let response = caller.raw("POST", "/v1/chat/completions", Some(&json!({}))).await;
    assert_eq!((response.status, response.header("retry-after")), (429, Some("3")));
    assert_eq!(response.header("x-ratelimit-limit"), None);
    assert_eq!(response.json().unwrap()["error"]["code"], "rate_limit_exceeded");
    let response = caller.raw("POST", "/v1/messages", Some(&json!({}))).await;
    assert_eq!((response.status, response.json().unwrap()["error"]["type"].clone()), (529, json!("overloaded_error")));
    sandbox.stop().await;
}
