//! Answers that are none: each call says what they prove.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::*;
use crate::base::{Effect, Json, limits};
use crate::net::Method;

type Call = for<'a> fn(&'a MoltFlow) -> BoxFuture<'a, Result<(), ApiError>>;

/// Every call, whether it is a write, and whether the guide says what its answer is like.
const CALLS: &[(&str, bool, bool, Call)] = &[
    ("list_sessions", false, true, |c| c.list_sessions().map(|r| r.map(drop)).boxed()),
    ("create_session", true, true, |c| c.create_session("s").map(|r| r.map(drop)).boxed()),
    ("get_session", false, true, |c| c.get_session("s").map(|r| r.map(drop)).boxed()),
    ("delete_session", false, false, |c| c.delete_session("s").map(|r| r.map(drop)).boxed()),
    ("list_groups", false, true, |c| c.list_groups("s").map(|r| r.map(drop)).boxed()),
    ("monitor_group", true, true, |c| c.monitor_group("1@g.us", &[]).map(|r| r.map(drop)).boxed()),
    ("list_monitored_groups", false, true, |c| c.list_monitored_groups().map(|r| r.map(drop)).boxed()),
    ("create_webhook", true, true, |c| c.create_webhook("https://x", &["message"]).map(|r| r.map(drop)).boxed()),
    ("list_webhooks", false, true, |c| c.list_webhooks().map(|r| r.map(drop)).boxed()),
    ("set_auto_reply", false, false, |c| async { c.set_auto_reply(&settings()).await.map(drop) }.boxed()),
    ("train_learn_mode", true, false, |c| c.train_learn_mode("s", 1).map(|r| r.map(drop)).boxed()),
    ("post", true, false, |c| {
        c.request(Method::POST, "/x", &[], None, Effect::AtMostOnce).map(|r| r.map(drop)).boxed()
    }),
    ("put", false, false, |c| c.request(Method::PUT, "/x", &[], None, Effect::Idempotent).map(|r| r.map(drop)).boxed()),
];

fn settings() -> AutoReply {
    AutoReply { enabled: false, session_name: "s".to_string(), prompt: None, model: None }
}

async fn answered(call: Call, answer: Answer) -> Result<(), ApiError> {
    let server = Scripted::start(vec![answer]).await;
    let (client, _) = client(&server.url, key());
    let result = call(&client).await;
    assert_eq!(server.requests().len(), 1);
    result
}

#[tokio::test]
async fn a_lost_answer_is_unknown_where_it_matters() {
    let huge = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", limits::HTTP_RESPONSE + 1);
    for (name, writes, _, call) in CALLS {
        for answer in [
            Answer::Close,
            full(500, "oops"),
            full(502, "<html>"),
            Answer::RawClose(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n[".to_vec()),
            Answer::RawClose(huge.clone().into_bytes()),
            Answer::RawClose(b"nonsense\r\n\r\n".to_vec()),
        ] {
            let error = answered(*call, answer.clone()).await.unwrap_err();
            match writes {
                true => assert!(matches!(error, ApiError::Unknown { .. }), "{name} {answer:?}: {error:?}"),
                false => assert!(matches!(error, ApiError::Failed { .. }), "{name} {answer:?}: {error:?}"),
            }
        }
    }
}

#[tokio::test]
async fn an_answer_of_another_form_is_not_believed() {
    for (name, writes, known, call) in CALLS {
        for body in ["", "<html>welcome to the proxy</html>", "[1, 2]", "{\"id\": 1}", "\"ok\"", "null"] {
            let result = answered(*call, full(200, body)).await;
            match (known, writes) {
                (false, _) => result.unwrap(),
                (true, true) => {
                    let error = result.unwrap_err();
                    assert!(
                        matches!(error, ApiError::Unknown { code: "moltflow.bad_answer", .. }),
                        "{name}: {error:?}"
                    );
                    assert!(error.to_string().contains("may or may not"), "{error}");
                }
                (true, false) => {
                    let error = result.unwrap_err();
                    assert!(matches!(error, ApiError::Failed { code: "moltflow.bad_answer", .. }), "{name}: {error:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_proves_that_nothing_was_done() {
    for (name, _, _, call) in CALLS {
        for (status, code, refusal) in [
            (403, "PLAN_LIMIT_REACHED", Refusal::PlanLimit),
            (404, "SESSION_NOT_FOUND", Refusal::SessionNotFound),
            (409, "SESSION_NOT_WORKING", Refusal::SessionNotWorking),
            (401, "ANYTHING", Refusal::Unauthorized),
            (400, "VALIDATION_ERROR", Refusal::Other),
        ] {
            let body = format!(r#"{{"detail": "x", "error_code": "{code}", "status": {status}}}"#);
            let error = answered(*call, full(status, &body)).await.unwrap_err();
            assert_eq!(error.refusal(), Some(refusal), "{name} {error:?}");
            assert!(matches!(StepError::from(error), StepError::Permanent(_)));
        }
        let error = answered(*call, Answer::full(429, "retry-after: 7\r\n", "")).await.unwrap_err();
        assert!(error.is_rate_limited() && error.refusal().is_none(), "{name}");
    }
}

#[tokio::test]
async fn other_endpoints_answer_what_they_like() {
    for (body, expected) in [
        ("", Json::Null),
        (" \n", Json::Null),
        ("plain text", Json::String("plain text".to_string())),
        ("[1]", serde_json::json!([1])),
    ] {
        let server = Scripted::start(vec![full(201, body)]).await;
        let (client, _) = client(&server.url, key());
        let query = [("a b".to_string(), "ü&c".to_string())];
        let answer = client.request(Method::GET, "/x/y", &query, None, Effect::Idempotent).await.unwrap();
        assert_eq!((answer.status, answer.body), (201, expected));
        assert!(server.requests()[0].starts_with("GET /api/v2/x/y?a+b=%C3%BC%26c HTTP/1.1\r\n"));
    }
    // Nothing is sent to a place that is not below the base.
    let server = Scripted::start(vec![]).await;
    let (client, _) = client(&server.url, key());
    for path in ["/../admin", "//evil.example/x", "https://evil.example/x"] {
        let result = client.request(Method::GET, path, &[], None, Effect::Idempotent).await;
        assert!(matches!(result, Err(ApiError::Invalid(_))), "{path}");
    }
    assert_eq!(server.requests().len(), 0);
}
