//! A session's events.

use futures::StreamExt;
use serde_json::json;

use super::far::{Far, Nature};
use super::*;
use crate::base::limits;
use crate::moltflow::{Refusal, SessionEvent};

async fn all(client: &MoltFlow, name: &str) -> Vec<Result<SessionEvent, ApiError>> {
    client.session_events(name).await.unwrap().collect().await
}

#[tokio::test]
async fn the_guides_events_with_both_credentials() {
    for credentials in [key(), login()] {
        let far = Far::start(Nature::default()).await;
        let events: Vec<_> =
            all(&far.client(credentials), "my-new-session").await.into_iter().map(Result::unwrap).collect();
        let qr = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA...".to_string();
        let battery = SessionEvent::Other { event: "battery".to_string(), data: json!("low") };
        let status = |word: &str| SessionEvent::Status(word.to_string());
        assert_eq!(events, [status("qr_code"), SessionEvent::Qr(qr), status("working"), battery]);
    }
}

#[tokio::test]
async fn a_token_that_ended_is_renewed_before_the_stream_begins() {
    let far = Far::start(Nature::default()).await;
    let client = far.signed_in();
    client.list_sessions().await.unwrap();
    far.revoke();
    assert_eq!(all(&client, "s").await.len(), 4);
    far.seen(|seen| assert_eq!((seen.refreshes, seen.unauthorized), (1, 1)));
    let error = client.session_events("nobody").await.err().unwrap();
    assert_eq!(error.refusal(), Some(Refusal::SessionNotFound));
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_one_error_that_shows_no_token() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99999999\r\n\r\n";
    let status = "event: status\ndata: {\"status\": \"work\u{fc}ing\"}\r\n\r\n";
    let endless = format!("{head}{status}data: {}", "x".repeat(limits::SSE_EVENT + 1));
    for answer in [format!("{head}{status}data: half"), endless] {
        let server = Scripted::start(vec![Answer::RawClose(answer.into_bytes())]).await;
        let (client, _) = client(&server.url, key());
        let events = all(&client, "s").await;
        assert_eq!(events.len(), 2, "{events:?}");
        assert_eq!(events[0], Ok(SessionEvent::Status("work\u{fc}ing".to_string())));
        let error = events[1].clone().unwrap_err();
        assert!(matches!(error, ApiError::Failed { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
        let request = &server.requests()[0];
        assert!(request.starts_with(&format!("GET /api/v2/sessions/s/events?token={KEY} HTTP/1.1\r\n")), "{request}");
        assert!(request.contains(&format!("x-api-key: {KEY}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn a_stream_that_does_not_begin_says_why() {
    for (answer, shown) in [
        (Answer::Close, "the connection ended"),
        (full(500, "oops"), "answered 500"),
        (
            full(403, r#"{"detail": "not with molt_sk_1234567890abcdef", "error_code": "FORBIDDEN"}"#),
            "403 FORBIDDEN: not with [redacted]",
        ),
        (full(302, ""), "elsewhere"),
        (Answer::full(429, "retry-after: 5\r\n", ""), "rate limit"),
    ] {
        let server = Scripted::start(vec![answer]).await;
        let (client, _) = client(&server.url, key());
        let error = client.session_events("s").await.err().unwrap();
        let text = format!("{error} {error:?}");
        assert!(text.contains(shown) && !text.contains(KEY) && !text.contains("token="), "{text}");
    }
}
