//! The sandbox's own routes.

use serde_json::json;

use super::*;
use crate::net::testing::{Answer, Scripted};
use crate::sandbox::RateLimit;

#[tokio::test]
async fn the_ledger_and_messages() {
    let (sandbox, clock) = start(Options::default()).await;
    let caller = caller(&sandbox, &clock);
    for text in ["a", "b"] {
        caller
            .ok("POST", "/sessions/support-team/messages", Some(json!({ "chatId": "15551234567@c.us", "text": text })))
            .await;
    }
    let caller = controller(&sandbox, &clock);
    let ledger = caller.ok("GET", "/ledger?after=1", None).await;
    assert_eq!((ledger["total"].clone(), ledger["messages"][0]["text"].clone()), (json!(2), json!("b")));
    let inbound = json!({ "session": "support-team", "from": "15551234567@c.us", "body": "Hi" });
    assert_eq!(caller.ok("POST", "/messages", Some(inbound)).await["deliveries"], 0);
    for (body, status) in [
        (json!({ "session": "nobody", "from": "15551234567@c.us", "body": "Hi" }), 404),
        (json!({ "session": "support-team", "from": "x", "body": "Hi" }), 400),
        (json!({ "session": "support-team" }), 400),
    ] {
        assert_eq!(caller.refused("POST", "/messages", Some(body)).await.0, status);
    }
    assert_eq!(caller.refused("POST", "/messages", None).await.0, 415);
    assert_eq!(caller.refused("GET", "/ledger?after=x", None).await.0, 400);
    assert_eq!(caller.refused("GET", "/nonsense", None).await.0, 404);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_ledger_of_one_chat() {
    let (sandbox, clock) = start(Options::default()).await;
    let (api, control) = (caller(&sandbox, &clock), controller(&sandbox, &clock));
    for (chat, body) in [("15551234567@c.us", "a"), ("120363012345678901@g.us", "b"), ("15551234567@c.us", "c")] {
        let send = json!({ "chatId": chat, "text": body });
        api.ok("POST", "/sessions/support-team/messages", Some(send)).await;
    }
    api.refused("POST", "/sessions/nobody/messages", Some(text("x"))).await;
    let page = control.ok("GET", "/ledger?session=support-team&chat=15551234567@c.us&limit=1", None).await;
    assert_eq!((page["total"].clone(), page["next"].clone()), (json!(3), json!(1)));
    assert_eq!(page["requests"], json!({ "200": 3, "404": 1 }));
    let page = control.ok("GET", "/ledger?chat=15551234567@c.us&after=1", None).await;
    assert_eq!((page["messages"][0]["text"].clone(), page["next"].clone()), (json!("c"), json!(3)));
    assert_eq!(control.ok("GET", "/ledger?session=sales-bot", None).await["messages"], json!([]));
    assert_eq!(control.refused("GET", "/ledger?sesion=x", None).await.0, 400);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let (sandbox, clock) = start(Options::default()).await;
    for path in ["/messages", "/joins", "/sessions/support-team/status", "/faults", "/rate-limit", "/answers"] {
        let url = format!("{}/sandbox{path}", sandbox.origin);
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let mut request = Request::new(Method::POST, url.clone()).header("content-type", kind).unwrap();
            request.body = r#"{"session":"support-team","from":"15551234567@c.us","body":"Hi"}"#.into();
            let response = net(&sandbox, clock.clone()).send(request).await.unwrap();
            assert_eq!(response.status, 415, "{path} {kind}");
        }
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn the_rate_limit_comes_changes_and_goes() {
    let (sandbox, clock) =
        start(Options { rate_limit: Some(RateLimit::new(1, 1_000).unwrap()), ..Options::default() }).await;
    let (api, control) = (caller(&sandbox, &clock), controller(&sandbox, &clock));
    api.ok("GET", "/sessions", None).await;
    assert_eq!(api.refused("GET", "/sessions", None).await.0, 429);
    let set = json!({ "requests": 2, "window": "1h" });
    assert_eq!(control.ok("POST", "/rate-limit", Some(set)).await, json!({ "requests": 2, "window": "1h" }));
    for remaining in ["1", "0"] {
        let response = api.raw("GET", "/sessions", None).await;
        assert_eq!(response.header("x-ratelimit-remaining"), Some(remaining));
    }
    assert_eq!(api.raw("GET", "/sessions", None).await.header("retry-after"), Some("3600"));
    assert_eq!(control.ok("DELETE", "/rate-limit", None).await["requests"], json!(null));
    assert_eq!(control.ok("GET", "/rate-limit", None).await, json!({ "requests": null, "window": null }));
    assert_eq!(api.raw("GET", "/sessions", None).await.header("x-ratelimit-limit"), None);
    for bad in
        [json!({ "requests": 0, "window": "1h" }), json!({ "requests": 1, "window": "1" }), json!({ "request": 1 })]
    {
        assert_eq!(control.refused("POST", "/rate-limit", Some(bad)).await.0, 400);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_session_goes_down_and_comes_back() {
    let (sandbox, clock) = start(Options::default()).await;
    let (api, control) = (caller(&sandbox, &clock), controller(&sandbox, &clock));
    let receiver = Scripted::start(vec![Answer::full(200, "", ""); 2]).await;
    api.ok("POST", "/webhooks", Some(json!({ "url": receiver.url, "events": ["session_status"] }))).await;
    clock.advance(60_000);
    let set = async |status: &str| {
        control.ok("POST", "/sessions/support-team/status", Some(json!({ "status": status }))).await
    };
    let failed = set("failed").await;
    assert_eq!(
        (failed["status"].clone(), failed["updated_at"].clone()),
        (json!("failed"), json!("2026-01-25T15:01:00Z"))
    );
    assert_eq!(
        api.refused("POST", "/sessions/support-team/messages", Some(text("x"))).await,
        (400, "SESSION_NOT_WORKING".to_string())
    );
    clock.advance(1_000);
    // It has not changed, and is not announced.
    assert_eq!(set("failed").await, failed);
    set("working").await;
    api.ok("POST", "/sessions/support-team/messages", Some(text("x"))).await;
    receiver.arrived(2).await;
    let told: Vec<Json> = receiver
        .requests()
        .iter()
        .map(|request| serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap())
        .collect();
    assert_eq!(
        told[0],
        json!({ "event": "session_status", "session": "support-team", "timestamp": "2026-01-25T15:01:00Z", "data": { "status": "failed" } })
    );
    assert_eq!(
        (told[1]["data"]["status"].clone(), told[1]["timestamp"].clone()),
        (json!("working"), json!("2026-01-25T15:01:01Z"))
    );
    for (session, status, code) in [("support-team", "workin", 400), ("nobody", "working", 404)] {
        let path = format!("/sessions/{session}/status");
        assert_eq!(control.refused("POST", &path, Some(json!({ "status": status }))).await.0, code);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_new_session_told_what_it_is_stays_so() {
    let (sandbox, clock) = start(Options::default()).await;
    let api = caller(&sandbox, &clock);
    api.ok("POST", "/sessions", Some(json!({ "name": "new" }))).await;
    assert!(sandbox.set_status("new", "failed"));
    assert!(!sandbox.set_status("new", "broken"));
    clock.advance(60_000);
    assert_eq!(api.ok("GET", "/sessions/new", None).await["status"], "failed");
    sandbox.stop().await;
}
