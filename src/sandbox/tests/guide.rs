//! The guide's own examples, one after another, with its bodies; and every documented refusal.

use serde_json::json;

use super::*;
use crate::base::limits;

#[tokio::test]
async fn the_examples() {
    let (sandbox, clock) = start(Options::default()).await;
    let mut caller = caller(&sandbox, &clock);

    let login = json!({ "email": Options::default().email, "password": Options::default().password.expose() });
    let grant = caller.ok("POST", "/auth/login", Some(login)).await;
    assert_eq!((grant["token_type"].clone(), grant["expires_in"].clone()), (json!("bearer"), json!(3600)));
    let refresh = json!({ "refresh_token": grant["refresh_token"] });
    let fresh = caller.ok("POST", "/auth/refresh", Some(refresh.clone())).await;
    assert_ne!(fresh["access_token"], grant["access_token"]);
    assert_eq!(caller.refused("POST", "/auth/refresh", Some(refresh)).await.0, 401);
    caller.auth = ("authorization", format!("Bearer {}", fresh["access_token"].as_str().unwrap()));

    let sessions = caller.ok("GET", "/sessions", None).await;
    assert_eq!(
        sessions[0],
        json!({ "id": 42, "name": "support-team", "status": "working", "created_at": "2026-01-25T15:00:00Z", "updated_at": "2026-01-25T15:00:00Z" })
    );
    let created = caller.ok("POST", "/sessions", Some(json!({ "name": "my-new-session", "status": "starting" }))).await;
    assert_eq!(
        created,
        json!({ "id": 44, "name": "my-new-session", "status": "starting", "created_at": "2026-01-25T15:00:00Z" })
    );
    clock.advance(1_500);
    assert_eq!(
        caller.ok("GET", "/sessions/my-new-session", None).await,
        json!({ "id": 44, "name": "my-new-session", "status": "qr_code", "created_at": "2026-01-25T15:00:00Z", "updated_at": "2026-01-25T15:00:01Z" })
    );
    clock.advance(1_500);
    assert_eq!(caller.ok("GET", "/sessions/my-new-session", None).await["status"], "working");
    assert_eq!(
        caller.ok("DELETE", "/sessions/my-new-session", None).await,
        json!({ "message": "Session deleted successfully" })
    );

    let text = "Hello! Your order has shipped. Track it here: https://track.example.com/12345";
    for chat in ["15551234567@c.us", "120363012345678901@g.us"] {
        let send = json!({ "chatId": chat, "text": text });
        let sent = caller.ok("POST", "/sessions/support-team/messages", Some(send)).await;
        let id = sandbox.ledger().last().unwrap().id.clone();
        assert_eq!(sent, json!({ "success": true, "result": { "key": { "id": id }, "timestamp": NOW / 1_000 + 3 } }));
    }

    let groups = caller.ok("GET", "/sessions/support-team/groups", None).await;
    assert_eq!(groups[0]["id"], "120363012345678901@g.us");
    let monitor = json!({ "wa_group_id": "120363012345678901@g.us", "keywords": ["urgent", "help", "bug", "down"] });
    let monitored = caller.ok("POST", "/groups", Some(monitor.clone())).await;
    assert_eq!(
        monitored,
        json!({ "id": 1, "wa_group_id": monitor["wa_group_id"], "keywords": monitor["keywords"], "created_at": "2026-01-25T15:00:03Z" })
    );
    assert_eq!(caller.ok("GET", "/groups", None).await, json!([monitored]));

    let events = json!(["message", "session_status", "group_join"]);
    let hook = json!({ "url": "https://your-server.example/webhooks/moltflow", "events": events });
    let webhook = caller.ok("POST", "/webhooks", Some(hook.clone())).await;
    assert_eq!(webhook, json!({ "id": 1, "url": hook["url"], "events": events, "created_at": "2026-01-25T15:00:03Z" }));
    let listed = caller.ok("GET", "/webhooks", None).await;
    assert_eq!((listed[0]["success_count"].clone(), listed[0]["last_delivered_at"].clone()), (json!(0), json!(null)));
    sandbox.stop().await;
}

#[tokio::test]
async fn the_refusals() {
    let (sandbox, clock) = start(Options::default()).await;
    let mut caller = caller(&sandbox, &clock);
    let messages = "/sessions/support-team/messages";
    let long = "x".repeat(limits::MESSAGE_TEXT + 1);
    for (method, path, body, status, code) in [
        ("POST", messages, json!({ "chatId": "15551234567@c.us" }), 400, "VALIDATION_ERROR"),
        ("POST", messages, json!({ "chatId": "15551234567@c.us", "text": "" }), 400, "VALIDATION_ERROR"),
        ("POST", messages, json!({ "chatId": "15551234567@c.us", "text": long }), 400, "VALIDATION_ERROR"),
        ("POST", messages, json!({ "chatId": "+15551234567", "text": "x" }), 400, "INVALID_CHAT_ID"),
        (
            "POST",
            messages,
            json!({ "chatId": "x", "text": "x".repeat(limits::SANDBOX_BODY) }),
            413,
            "PAYLOAD_TOO_LARGE",
        ),
        (
            "POST",
            "/sessions/nobody/messages",
            json!({ "chatId": "15551234567@c.us", "text": "x" }),
            404,
            "SESSION_NOT_FOUND",
        ),
        (
            "POST",
            "/sessions/sales-bot/messages",
            json!({ "chatId": "15551234567@c.us", "text": "x" }),
            400,
            "SESSION_NOT_WORKING",
        ),
        ("POST", "/sessions", json!({ "name": "support-team" }), 400, "SESSION_EXISTS"),
        ("POST", "/sessions", json!({ "name": "a b" }), 400, "VALIDATION_ERROR"),
        ("POST", "/sessions", json!({ "name": "x", "status": "working" }), 400, "VALIDATION_ERROR"),
        ("GET", "/sessions/nobody", json!(null), 404, "SESSION_NOT_FOUND"),
        ("DELETE", "/sessions/nobody", json!(null), 404, "SESSION_NOT_FOUND"),
        ("GET", "/sessions/nobody/groups", json!(null), 404, "SESSION_NOT_FOUND"),
        ("POST", "/groups", json!({ "wa_group_id": "15551234567@c.us" }), 400, "VALIDATION_ERROR"),
        ("POST", "/webhooks", json!({ "url": "https://x.example", "events": ["nonsense"] }), 400, "VALIDATION_ERROR"),
        ("POST", "/auth/login", json!({ "email": "x", "password": "y" }), 401, "UNAUTHORIZED"),
        ("GET", "/nonsense", json!(null), 404, "NOT_FOUND"),
        ("PATCH", "/sessions", json!(null), 405, "METHOD_NOT_ALLOWED"),
    ] {
        let answer = caller.refused(method, path, Some(body)).await;
        assert_eq!((answer.0, answer.1.as_str()), (status, code), "{method} {path}");
    }
    for number in 0..limits::SANDBOX_OBJECTS {
        let response = caller.raw("POST", "/sessions", Some(&json!({ "name": format!("n{number}") }))).await;
        assert_eq!(response.status, if number < limits::SANDBOX_OBJECTS - 2 { 200 } else { 403 });
    }
    for auth in ["", "wrong"] {
        caller.auth.1 = auth.to_string();
        assert_eq!(caller.refused("GET", "/sessions", None).await, (401, "UNAUTHORIZED".to_string()));
    }
    assert_eq!(sandbox.ledger().len(), 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_rate_limit_headers() {
    let rate_limit = Some(crate::sandbox::RateLimit { requests: 1, window_ms: 60_000 });
    let (sandbox, clock) = start(Options { rate_limit, ..Options::default() }).await;
    let caller = caller(&sandbox, &clock);
    let reset = (NOW / 1_000 + 60).to_string();
    for (status, retry_after) in [(200, None), (429, Some("60"))] {
        let response = caller.raw("GET", "/sessions", None).await;
        assert_eq!((response.status, response.header("retry-after")), (status, retry_after));
        for (name, value) in [("limit", "1"), ("remaining", "0"), ("reset", &reset)] {
            assert_eq!(response.header(&format!("x-ratelimit-{name}")), Some(value), "{name}");
        }
    }
    assert_eq!(caller.refused("GET", "/sessions", None).await.1, "RATE_LIMIT_EXCEEDED");
    sandbox.stop().await;
}
