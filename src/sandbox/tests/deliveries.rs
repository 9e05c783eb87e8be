//! Webhooks: what arrives, how it is signed, what is repeated.

use serde_json::json;

use super::*;
use crate::base::{Json, Secret, limits};
use crate::moltflow::{Event, dedupe_key, signature};
use crate::net::testing::{Answer, Scripted};
use crate::net::{Method, Request};
use crate::sandbox::InboundError;

fn body(request: &str) -> Json {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn a_message_is_delivered_signed_and_repeated_until_200() {
    let secret = Secret::new("whsec_1");
    let (sandbox, clock) = start(Options { webhook_secret: Some(secret.clone()), ..Options::default() }).await;
    let receiver =
        Scripted::start(vec![Answer::full(500, "", ""), Answer::full(204, "", ""), Answer::full(200, "", "")]).await;
    let client = moltflow(&sandbox, key(), clock.clone());
    client.create_webhook(&format!("{}/hook", receiver.url), &["message"]).await.unwrap();
    client.create_webhook(&format!("{}/other", receiver.url), &["session_status"]).await.unwrap();
    let id = sandbox.inbound("support-team", "15551234567@c.us", "Hi, I need help with my order").unwrap();
    for (attempt, pause) in [(1, 1_000), (2, 2_000)] {
        receiver.arrived(attempt).await;
        until(|| clock.next_due() == Some(clock.now() + pause)).await;
        clock.advance(pause);
    }
    receiver.arrived(3).await;
    let requests = receiver.requests();
    let event = body(&requests[0]);
    assert_eq!(
        event,
        json!({
            "event": "message",
            "session": "support-team",
            "timestamp": "2026-01-25T15:00:00Z",
            "data": { "id": id, "from": "15551234567@c.us", "body": "Hi, I need help with my order", "timestamp": NOW / 1_000 }
        })
    );
    assert_eq!(Event::parse(&event).unwrap().session, "support-team");
    for request in &requests {
        let (head, text) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /hook HTTP/1.1\r\n"), "{head}");
        let header = head.lines().find_map(|line| line.strip_prefix("x-webhook-signature: ")).unwrap();
        assert!(signature::verify(&secret, text.as_bytes(), header));
        assert_eq!(dedupe_key(&body(request)), dedupe_key(&event));
    }
    let stats = || async {
        let request = Request::new(Method::GET, format!("{}/webhooks", sandbox.moltflow_url));
        let request = request.secret_header("x-api-key", "", &Options::default().api_key).unwrap();
        net(&sandbox, clock.clone()).send(request).await.unwrap().json().unwrap()[0].clone()
    };
    let mut shown = stats().await;
    while shown["success_count"] == 0 {
        shown = stats().await;
    }
    assert_eq!(
        (shown["failure_count"].clone(), shown["last_delivered_at"].clone()),
        (json!(2), json!("2026-01-25T15:00:03Z"))
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn messages_of_one_chat_arrive_in_order() {
    let (sandbox, clock) = start(Options::default()).await;
    let receiver = Scripted::start(vec![Answer::full(200, "", ""); 50]).await;
    moltflow(&sandbox, key(), clock).create_webhook(&receiver.url, &["message"]).await.unwrap();
    for number in 0..50 {
        sandbox.inbound("support-team", "15551234567@c.us", &number.to_string()).unwrap();
    }
    receiver.arrived(50).await;
    let bodies: Vec<_> = receiver.requests().iter().map(|request| body(request)["data"]["body"].clone()).collect();
    assert_eq!(bodies, (0..50).map(|number| json!(number.to_string())).collect::<Vec<_>>());
    sandbox.stop().await;
}

#[tokio::test]
async fn a_new_session_announces_its_life() {
    let (sandbox, clock) = start(Options::default()).await;
    let receiver = Scripted::start(vec![Answer::full(200, "", ""); 3]).await;
    moltflow(&sandbox, key(), clock.clone()).create_webhook(&receiver.url, &["session_status"]).await.unwrap();
    let request = Request::new(Method::POST, format!("{}/sessions", sandbox.moltflow_url))
        .json(&json!({ "name": "new" }))
        .secret_header("x-api-key", "", &Options::default().api_key)
        .unwrap();
    net(&sandbox, clock.clone()).send(request).await.unwrap();
    for (seen, pause) in [(1, 1_000), (2, 2_000)] {
        receiver.arrived(seen).await;
        until(|| clock.next_due() == Some(clock.now() + pause)).await;
        clock.advance(pause);
    }
    receiver.arrived(3).await;
    let statuses: Vec<_> = receiver.requests().iter().map(|request| body(request)["data"]["status"].clone()).collect();
    assert_eq!(statuses, ["starting", "qr_code", "working"]);
    sandbox.stop().await;
}

#[tokio::test]
async fn what_nobody_could_have_written_is_refused() {
    let (sandbox, _) = start(Options::default()).await;
    assert!(matches!(sandbox.inbound("nobody", "15551234567@c.us", "x"), Err(InboundError::UnknownSession(_))));
    assert!(matches!(sandbox.inbound("support-team", "alice", "x"), Err(InboundError::Invalid(_))));
    assert!(sandbox.inbound("support-team", "15551234567@c.us", "x").is_ok());
    sandbox.stop().await;
}

#[tokio::test]
async fn too_much_waiting_is_refused_for_a_while() {
    let (sandbox, clock) = start(Options::default()).await;
    let receiver = Scripted::start(vec![Answer::Silence]).await;
    moltflow(&sandbox, key(), clock.clone()).create_webhook(&receiver.url, &["message"]).await.unwrap();
    let write = || sandbox.inbound("support-team", "15551234567@c.us", "x");
    let taken = (0..limits::SANDBOX_LANE + 10).take_while(|_| write().is_ok()).count();
    assert_eq!(taken, limits::SANDBOX_LANE);
    let request = Request::new(Method::POST, format!("{}/sandbox/messages", sandbox.origin))
        .json(&json!({ "session": "support-team", "from": "15551234567@c.us", "body": "x" }));
    // The first of the lane is on its way by now, which leaves room for one more.
    receiver.arrived(1).await;
    write().unwrap();
    let response = net(&sandbox, clock).send(request).await.unwrap();
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    sandbox.stop().await;
}

#[tokio::test]
async fn half_a_request_does_not_hold_the_stop() {
    use tokio::io::AsyncWriteExt;
    let (sandbox, clock) = start(Options::default()).await;
    let mut stream = tokio::net::TcpStream::connect(sandbox.origin.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(b"POST /api/v2/auth/login HTTP/1.1\r\ncontent-length: 10\r\n\r\n{").await.unwrap();
    let time_passes = async {
        loop {
            tokio::task::yield_now().await;
            clock.advance(1);
        }
    };
    tokio::select! {
        () = sandbox.stop() => {}
        () = time_passes => {}
    }
}
