//! The guide's own answers, as it prints them, held against the sandbox's: the same fields, in the same order, of the same
//! types. Ids, times and tokens are the sandbox's own.

use serde_json::json;

use super::*;
use crate::net::testing::{Answer, Scripted};
use crate::sandbox::RateLimit;

/// A value with its types in place of what varies. A list must be of one shape.
fn shape(value: &Json) -> String {
    match value {
        Json::Null => "null".to_string(),
        Json::Bool(_) => "bool".to_string(),
        Json::Number(_) => "number".to_string(),
        Json::String(text) if text.parse::<jiff::Timestamp>().is_ok() => "instant".to_string(),
        Json::String(_) => "text".to_string(),
        Json::Array(items) => {
            let mut shapes: Vec<String> = items.iter().map(shape).collect();
            shapes.dedup();
            format!("[{}]", shapes.join(" or "))
        }
        Json::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {}", shape(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

/// Method, path and body of the guide's requests, and its answers. An empty answer is one that the guide leaves out.
const EXAMPLES: [(&str, &str, &str, &str); 14] = [
    (
        "GET",
        "/sessions",
        "",
        r#"[
            {"id": 42, "name": "support-team", "status": "working", "created_at": "2026-01-20T10:00:00Z", "updated_at": "2026-01-25T14:30:00Z"},
            {"id": 43, "name": "sales-bot", "status": "qr_code", "created_at": "2026-01-25T09:00:00Z", "updated_at": "2026-01-25T09:01:00Z"}
        ]"#,
    ),
    (
        "POST",
        "/sessions",
        r#"{"name": "my-new-session", "status": "starting"}"#,
        r#"{"id": 44, "name": "my-new-session", "status": "starting", "created_at": "2026-01-25T15:00:00Z"}"#,
    ),
    (
        "GET",
        "/sessions/my-new-session",
        "",
        r#"{"id": 44, "name": "my-new-session", "status": "qr_code", "created_at": "2026-01-25T15:00:00Z", "updated_at": "2026-01-25T15:00:15Z"}"#,
    ),
    ("DELETE", "/sessions/my-new-session", "", r#"{"message": "Session deleted successfully"}"#),
    (
        "POST",
        "/sessions/support-team/messages",
        r#"{"chatId": "15551234567@c.us", "text": "Hello! Your order has shipped. Track it here: https://track.example.com/12345"}"#,
        r#"{"success": true, "result": {"key": {"id": "3EB0F2A4B5C6D7E8F9"}, "timestamp": 1706195400}}"#,
    ),
    (
        "POST",
        "/sessions/support-team/messages",
        r#"{"chatId": "120363012345678901@g.us", "text": "Team update: We hit our Q1 target! Great work everyone."}"#,
        r#"{"success": true, "result": {"key": {"id": "3EB0F2A4B5C6D7E8F9"}, "timestamp": 1706195400}}"#,
    ),
    (
        "GET",
        "/sessions/support-team/groups",
        "",
        r#"[
            {"id": "120363012345678901@g.us", "name": "Customer Support Team", "participant_count": 12, "created_at": "2025-06-15T08:00:00Z"},
            {"id": "120363098765432109@g.us", "name": "Sales Pipeline", "participant_count": 8, "created_at": "2025-11-20T14:30:00Z"}
        ]"#,
    ),
    (
        "POST",
        "/groups",
        r#"{"wa_group_id": "120363012345678901@g.us", "keywords": ["urgent", "help", "bug", "down"]}"#,
        r#"{"id": 5, "wa_group_id": "120363012345678901@g.us", "keywords": ["urgent", "help", "bug", "down"], "created_at": "2026-01-25T15:30:00Z"}"#,
    ),
    (
        "GET",
        "/groups",
        "",
        r#"[{"id": 5, "wa_group_id": "120363012345678901@g.us", "keywords": ["urgent", "help", "bug", "down"], "created_at": "2026-01-25T15:30:00Z"}]"#,
    ),
    (
        "POST",
        "/webhooks",
        r#"{"url": "https://your-server.com/webhooks/moltflow", "events": ["message", "session_status", "group_join"]}"#,
        r#"{"id": 7, "url": "https://your-server.com/webhooks/moltflow", "events": ["message", "session_status", "group_join"], "created_at": "2026-01-25T16:00:00Z"}"#,
    ),
    // The guide names the three statistics and prints none.
    (
        "GET",
        "/webhooks",
        "",
        r#"[{"id": 7, "url": "https://your-server.com/webhooks/moltflow", "events": ["message"], "created_at": "2026-01-25T16:00:00Z", "success_count": 0, "failure_count": 0, "last_delivered_at": null}]"#,
    ),
    (
        "POST",
        "/ai/auto-reply/settings",
        r#"{"enabled": true, "session_name": "support-team", "prompt": "You are a helpful customer support assistant. Answer questions about our products and services. If you don't know something, ask the customer to contact human support.", "model": "gpt-4o-mini"}"#,
        r#"{"enabled": true, "session_name": "support-team", "prompt": "You are", "model": "gpt-4o-mini", "updated_at": "2026-01-25T16:00:00Z"}"#,
    ),
    (
        "POST",
        "/ai/learn-mode/train",
        r#"{"session_name": "support-team", "message_count": 500}"#,
        r#"{"id": 1, "session_name": "support-team", "message_count": 500, "status": "training", "created_at": "2026-01-25T16:00:00Z"}"#,
    ),
    (
        "DELETE",
        "/sessions/invalid-session",
        "",
        r#"{"detail": "Session 'invalid-session' not found", "error_code": "SESSION_NOT_FOUND", "status": 404}"#,
    ),
];

#[tokio::test]
async fn the_guides_answers() {
    let (sandbox, clock) = start(Options::default()).await;
    let mut caller = caller(&sandbox, &clock);
    let grant = r#"{"access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...", "refresh_token": "dGhpcyBpcyBhIHJlZnJlc2ggdG9rZW4...", "token_type": "bearer", "expires_in": 3600}"#;
    let grant = shape(&serde_json::from_str(grant).unwrap());
    let login = json!({ "email": Options::default().email, "password": Options::default().password.expose() });
    let first = caller.ok("POST", "/auth/login", Some(login)).await;
    let refresh = json!({ "refresh_token": first["refresh_token"] });
    let second = caller.ok("POST", "/auth/refresh", Some(refresh)).await;
    assert_eq!((shape(&first), shape(&second)), (grant.clone(), grant));
    // Both ways in see the same.
    let bearer = format!("Bearer {}", second["access_token"].as_str().unwrap());
    let key = Options::default().api_key.expose().to_string();
    for (place, (method, path, body, answer)) in EXAMPLES.into_iter().enumerate() {
        caller.auth = if place % 2 == 0 { ("authorization", bearer.clone()) } else { ("x-api-key", key.clone()) };
        let body: Option<Json> = (!body.is_empty()).then(|| serde_json::from_str(body).unwrap());
        let wanted: Json = serde_json::from_str(answer).unwrap();
        let response = caller.raw(method, path, body.as_ref()).await;
        assert_eq!(response.header("content-type"), Some("application/json"), "{method} {path}");
        let found = response.json().unwrap();
        assert_eq!(shape(&found), shape(&wanted), "{method} {path}");
        match wanted.get("error_code") {
            Some(_) => assert_eq!((response.status, found), (404, wanted), "{method} {path}"),
            None => assert_eq!(response.status, 200, "{method} {path}"),
        }
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn the_guides_webhook_payload() {
    let (sandbox, clock) = start(Options::default()).await;
    let receiver = Scripted::start(vec![Answer::full(200, "", "")]).await;
    let hook = json!({ "url": format!("{}/webhooks/moltflow", receiver.url), "events": ["message"] });
    caller(&sandbox, &clock).ok("POST", "/webhooks", Some(hook)).await;
    sandbox.inbound("support-team", "15551234567@c.us", "Hi, I need help with my order").unwrap();
    receiver.arrived(1).await;
    let (head, body) =
        receiver.requests()[0].split_once("\r\n\r\n").map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
    assert!(head.starts_with("POST /webhooks/moltflow HTTP/1.1\r\n"), "{head}");
    let wanted = r#"{"event": "message", "session": "support-team", "timestamp": "2026-01-25T16:05:00Z", "data": {"id": "3EB0F2A4B5C6D7E8F9", "from": "15551234567@c.us", "body": "Hi, I need help with my order", "timestamp": 1706197500}}"#;
    let (found, wanted): (Json, Json) = (serde_json::from_str(&body).unwrap(), serde_json::from_str(wanted).unwrap());
    assert_eq!(shape(&found), shape(&wanted));
    assert_eq!(
        (found["data"]["from"].clone(), found["data"]["body"].clone()),
        (wanted["data"]["from"].clone(), wanted["data"]["body"].clone())
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn the_guides_rate_limit_headers() {
    let rate_limit = Some("100/1h".parse::<RateLimit>().unwrap());
    let (sandbox, clock) = start(Options { rate_limit, ..Options::default() }).await;
    let caller = caller(&sandbox, &clock);
    for _ in 0..100 {
        caller.ok("GET", "/groups", None).await;
    }
    let response = caller.raw("GET", "/groups", None).await;
    let reset = (NOW / 1_000 + 3_600).to_string();
    for (name, value) in [
        ("x-ratelimit-limit", "100"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", reset.as_str()),
        ("retry-after", "3600"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let error = response.json().unwrap();
    assert_eq!(
        (response.status, error["error_code"].clone(), error["status"].clone()),
        (429, json!("RATE_LIMIT_EXCEEDED"), json!(429))
    );
    sandbox.stop().await;
}
