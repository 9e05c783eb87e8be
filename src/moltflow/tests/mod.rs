//! The client against scripted answers, and against another MoltFlow (`far`) that is written from the guide alone.

mod answers;
mod expiry;
mod far;
mod guide;
mod limits;
mod round_trip;
mod stream;

use std::sync::Arc;

use futures::future::join_all;

use super::*;
use crate::base::Secret;
use crate::engine::ports::StepError;
use crate::net::testing::{Answer, ManualClock, Scripted};
use crate::net::{Net, Policy};

const NOW: i64 = 1_706_195_400_000;
const KEY: &str = "molt_sk_1234567890abcdef";
const SENT: &str = r#"{"success": true, "result": {"key": {"id": "3EB0"}, "timestamp": 1706195400}}"#;
const GRANT: &str =
    r#"{"access_token": "access-1", "refresh_token": "refresh-1", "token_type": "bearer", "expires_in": 3600}"#;
const GRANT_2: &str = r#"{"access_token": "access-2", "expires_in": 3600}"#;
const NO: &str = r#"{"detail": "no access-1", "error_code": "UNAUTHORIZED", "status": 401}"#;

fn client(base_url: &str, credentials: Credentials) -> (MoltFlow, Arc<ManualClock>) {
    let clock = ManualClock::at(NOW);
    let mut policy = Policy::default();
    policy.trust(base_url).unwrap();
    let net = Arc::new(Net::new(policy, clock.clone()));
    let config = Config { base_url: format!("{base_url}/api/v2"), credentials };
    (MoltFlow::new(config, net, clock.clone()).unwrap(), clock)
}

fn key() -> Credentials {
    Credentials::ApiKey(Secret::new(KEY))
}

fn login() -> Credentials {
    Credentials::Login { email: "a@example.com".to_string(), password: Secret::new("password-1") }
}

fn to() -> ChatId {
    chat_id::parse("15551234567@c.us").unwrap()
}

fn full(status: u16, body: &str) -> Answer {
    Answer::full(status, "", body)
}

#[tokio::test]
async fn any_2xx_with_an_id_is_sent() {
    for status in [200, 201, 202] {
        let server = Scripted::start(vec![full(status, SENT)]).await;
        let (client, _) = client(&server.url, key());
        let sent = client.send_message("support-team", &to(), "Hi \"there\"").await.unwrap();
        assert_eq!(sent, Sent { message_id: "3EB0".to_string(), timestamp: Some(1_706_195_400) });
        let request = &server.requests()[0];
        assert!(request.starts_with("POST /api/v2/sessions/support-team/messages HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("x-api-key: {KEY}\r\n")), "{request}");
        assert!(request.ends_with(r#"{"chatId":"15551234567@c.us","text":"Hi \"there\""}"#), "{request}");
    }
}

#[tokio::test]
async fn a_send_whose_answer_says_nothing_is_unknown() {
    for answer in [
        Answer::Close,
        full(200, "<html>"),
        full(200, ""),
        full(200, r#"{"result": {"id": "not here"}}"#),
        full(200, r#"{"success": false, "result": {"key": {"id": "3EB0"}}}"#),
        full(204, ""),
        full(500, ""),
        full(502, ""),
        full(503, ""),
        Answer::RawClose(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{".to_vec()),
        Answer::RawClose(b"HTTP/1.1 500 Oops\r\ncontent-length: 500\r\n\r\n{".to_vec()),
    ] {
        let server = Scripted::start(vec![answer.clone(), full(200, SENT)]).await;
        let (client, _) = client(&server.url, key());
        let error = client.send_message("s", &to(), "x").await.unwrap_err();
        assert!(matches!(error, ApiError::Unknown { .. }), "{answer:?}: {error:?}");
        assert!(matches!(StepError::from(error), StepError::Unknown(_)));
        assert_eq!(server.requests().len(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_never_unknown() {
    for answer in [
        full(400, "<html>"),
        full(403, "{}"),
        full(404, NO),
        full(307, ""),
        Answer::RawClose(b"HTTP/1.1 404 Not Found\r\ncontent-length: 500\r\n\r\n{".to_vec()),
    ] {
        let server = Scripted::start(vec![answer.clone()]).await;
        let (client, _) = client(&server.url, key());
        let error = client.send_message("s", &to(), "x").await.unwrap_err();
        assert!(matches!(error, ApiError::Refused { .. }), "{answer:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_rate_limit_pauses_every_caller_of_the_credential() {
    let limited = Answer::full(429, "retry-after: 30\r\n", "{}");
    let server = Scripted::start(vec![limited, full(200, SENT)]).await;
    let (client, clock) = client(&server.url, key());
    for left in [30_000, 20_000] {
        let error = client.send_message("s", &to(), "x").await.unwrap_err();
        let StepError::Later { failure, after_ms } = error.into() else { panic!("not later") };
        assert_eq!((failure.code.as_str(), after_ms), ("moltflow.rate_limited", left));
        clock.advance(10_000);
    }
    assert_eq!(server.requests().len(), 1);
    clock.advance(10_000);
    client.send_message("s", &to(), "x").await.unwrap();
}

#[tokio::test]
async fn a_rate_limit_whose_body_is_cut_is_still_one() {
    let cut = Answer::RawClose(b"HTTP/1.1 429 No\r\ncontent-length: 500\r\n\r\n{".to_vec());
    let server = Scripted::start(vec![cut]).await;
    let (client, _) = client(&server.url, key());
    let error = client.send_message("s", &to(), "x").await.unwrap_err();
    assert!(matches!(error, ApiError::Later { after_ms: 1_000, .. }), "{error:?}");
}

#[tokio::test]
async fn an_api_key_that_is_refused_is_not_tried_again() {
    let body = format!(r#"{{"detail": "key {KEY} is revoked", "error_code": "KEY_REVOKED"}}"#);
    let server = Scripted::start(vec![full(401, &body)]).await;
    let (client, _) = client(&server.url, key());
    let error = client.send_message("s", &to(), "x").await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
    assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
}

/// Paths of the requests a server has seen.
fn paths(server: &Scripted) -> Vec<String> {
    server.requests().iter().map(|request| request.split(' ').nth(1).unwrap().replace("/api/v2", "")).collect()
}

#[tokio::test]
async fn at_a_401_the_token_is_refreshed_then_the_login_repeated() {
    let server = Scripted::start(vec![
        full(200, GRANT),
        full(401, NO),
        full(200, GRANT_2),
        full(401, NO),
        full(200, GRANT),
        full(200, "[]"),
    ])
    .await;
    let (client, _) = client(&server.url, login());
    client.list_sessions().await.unwrap();
    assert_eq!(paths(&server), ["/auth/login", "/sessions", "/auth/refresh", "/sessions", "/auth/login", "/sessions"]);
    assert!(server.requests()[2].ends_with(r#"{"refresh_token":"refresh-1"}"#));
    assert!(server.requests()[3].contains("authorization: Bearer access-2\r\n"));
}

#[tokio::test]
async fn a_token_that_stays_refused_ends_in_an_error_without_it() {
    let server = Scripted::start(
        [200, 401, 200, 401, 200, 401].map(|status| full(status, if status == 200 { GRANT } else { NO })).into(),
    )
    .await;
    let (client, _) = client(&server.url, login());
    let error = client.send_message("s", &to(), "x").await.unwrap_err();
    assert!(matches!(error, ApiError::Refused { status: 401, .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("access-1"), "{error:?}");
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn a_refused_refresh_falls_back_to_the_login() {
    let server =
        Scripted::start(vec![full(200, GRANT), full(200, "[]"), full(401, NO), full(200, GRANT), full(200, "[]")])
            .await;
    let (client, clock) = client(&server.url, login());
    client.list_sessions().await.unwrap();
    clock.advance(3_550_000);
    client.list_sessions().await.unwrap();
    assert_eq!(paths(&server), ["/auth/login", "/sessions", "/auth/refresh", "/auth/login", "/sessions"]);
}

#[tokio::test]
async fn a_refresh_that_fails_before_expiry_stops_nobody() {
    let server =
        Scripted::start(vec![full(200, GRANT), full(200, "[]"), full(500, ""), full(200, "[]"), full(200, "[]")]).await;
    let (client, clock) = client(&server.url, login());
    client.list_sessions().await.unwrap();
    clock.advance(3_550_000);
    client.list_sessions().await.unwrap();
    client.list_sessions().await.unwrap();
    assert_eq!(paths(&server), ["/auth/login", "/sessions", "/auth/refresh", "/sessions", "/sessions"]);
}

#[tokio::test]
async fn callers_who_waited_for_a_failed_login_share_its_failure() {
    let server = Scripted::start(vec![full(401, r#"{"detail": "not password-1"}"#); 40]).await;
    let (client, _) = client(&server.url, login());
    let results = join_all((0..32).map(|_| client.list_sessions())).await;
    assert_eq!(server.requests().len(), 1);
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(error, ApiError::Refused { status: 401, .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("password-1"), "{error:?}");
    }
}

#[tokio::test]
async fn a_login_that_fails_proves_that_the_send_did_not_leave() {
    for answer in [Answer::Close, full(500, ""), full(200, "{}")] {
        let server = Scripted::start(vec![answer.clone()]).await;
        let (client, _) = client(&server.url, login());
        let error = client.send_message("s", &to(), "x").await.unwrap_err();
        assert!(matches!(error, ApiError::NotSent { permanent: false, .. }), "{answer:?}: {error:?}");
        assert!(matches!(StepError::from(error), StepError::Transient(_)));
    }
}

#[tokio::test]
async fn names_stay_in_their_place_of_the_path() {
    let server = Scripted::start(vec![full(404, "{}"); 3]).await;
    let (client, _) = client(&server.url, key());
    for name in ["", ".", "..", "a\nb"] {
        assert!(matches!(client.send_message(name, &to(), "x").await, Err(ApiError::Invalid(_))), "{name}");
    }
    for (name, path) in [("a/b", "a%2Fb"), ("a?b", "a%3Fb"), ("ü", "%C3%BC")] {
        let _ = client.send_message(name, &to(), "x").await;
        assert_eq!(paths(&server).last().unwrap(), &format!("/sessions/{path}/messages"));
    }
}

#[test]
fn credentials_are_not_shown() {
    for credentials in [key(), login()] {
        let shown = format!("{:?}", Config { base_url: "http://x".to_string(), credentials });
        assert!(!shown.contains("molt_sk") && !shown.contains("password-1") && !shown.contains("a@example"), "{shown}");
    }
}
