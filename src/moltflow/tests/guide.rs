//! Every sample of the guide, byte for byte: its requests are made, its responses are read. Addresses that the guide elides
//! are those of the contract.

use super::*;

/// A client whose next calls are answered so, each with 200.
async fn answering(bodies: &[&str]) -> (Scripted, MoltFlow) {
    let server = Scripted::start(bodies.iter().map(|body| full(200, body)).collect()).await;
    let (client, _) = client(&server.url, key());
    (server, client)
}

fn head_and_body(request: &str) -> (&str, Json) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    (head.split(" HTTP/").next().unwrap(), serde_json::from_str(body).unwrap_or(Json::Null))
}

use crate::base::Json;
use serde_json::json;

const SESSIONS: &str = r#"[
{
"id": 42,
"name": "support-team",
"status": "working",
"created_at": "2026-01-20T10:00:00Z",
"updated_at": "2026-01-25T14:30:00Z"
},
{
"id": 43,
"name": "sales-bot",
"status": "qr_code",
"created_at": "2026-01-25T09:00:00Z",
"updated_at": "2026-01-25T09:01:00Z"
}
]"#;

const CREATED: &str = r#"{
"id": 44,
"name": "my-new-session",
"status": "starting",
"created_at": "2026-01-25T15:00:00Z"
}"#;

const ONE: &str = r#"{
"id": 44,
"name": "my-new-session",
"status": "qr_code",
"created_at": "2026-01-25T15:00:00Z",
"updated_at": "2026-01-25T15:00:15Z"
}"#;

const DELETED: &str = r#"{
"message": "Session deleted successfully"
}"#;

#[tokio::test]
async fn sessions() {
    let (server, client) = answering(&[SESSIONS, CREATED, ONE, DELETED]).await;
    let sessions = client.list_sessions().await.unwrap();
    assert_eq!(json!(sessions), serde_json::from_str::<Json>(SESSIONS).unwrap());
    let created = client.create_session("my-new-session").await.unwrap();
    assert_eq!((created.id.clone(), created.status.as_str()), (json!(44), "starting"));
    assert_eq!(json!(created), serde_json::from_str::<Json>(CREATED).unwrap());
    let one = client.get_session("my-new-session").await.unwrap();
    assert_eq!(json!(one), serde_json::from_str::<Json>(ONE).unwrap());
    let deleted = client.delete_session("my-new-session").await.unwrap();
    assert_eq!(deleted, json!({"message": "Session deleted successfully"}));
    let requests = server.requests();
    let asked: Vec<_> = requests.iter().map(|request| head_and_body(request)).collect();
    assert_eq!(
        asked,
        [
            ("GET /api/v2/sessions", Json::Null),
            ("POST /api/v2/sessions", json!({"name": "my-new-session", "status": "starting"})),
            ("GET /api/v2/sessions/my-new-session", Json::Null),
            ("DELETE /api/v2/sessions/my-new-session", Json::Null),
        ]
    );
}

const SENT: &str = r#"{
"success": true,
"result": {
"key": {
"id": "3EB0F2A4B5C6D7E8F9"
},
"timestamp": 1706195400
}
}"#;

#[tokio::test]
async fn messages_to_contacts_and_groups() {
    let (server, client) = answering(&[SENT, SENT]).await;
    let text = "Hello! Your order has shipped. Track it here: https://track.example.com/12345";
    for to in ["15551234567@c.us", "120363012345678901@g.us"] {
        let sent = client.send_message("support-team", &chat_id::parse(to).unwrap(), text).await.unwrap();
        let expected = Sent { message_id: "3EB0F2A4B5C6D7E8F9".to_string(), timestamp: Some(1_706_195_400) };
        assert_eq!(sent, expected);
        let requests = server.requests();
        let expected = ("POST /api/v2/sessions/support-team/messages", json!({"chatId": to, "text": text}));
        assert_eq!(head_and_body(requests.last().unwrap()), expected);
    }
}

const GROUPS: &str = r#"[
{
"id": "120363012345678901@g.us",
"name": "Customer Support Team",
"participant_count": 12,
"created_at": "2025-06-15T08:00:00Z"
},
{
"id": "120363012345678901@g.us",
"name": "Sales Pipeline",
"participant_count": 8,
"created_at": "2025-11-20T14:30:00Z"
}
]"#;

const MONITORED: &str = r#"{
"id": 5,
"wa_group_id": "120363012345678901@g.us",
"keywords": ["urgent", "help", "bug", "down"],
"created_at": "2026-01-25T15:30:00Z"
}"#;

#[tokio::test]
async fn groups() {
    let listed = format!("[{MONITORED}]");
    let (server, client) = answering(&[GROUPS, MONITORED, &listed]).await;
    let groups = client.list_groups("support-team").await.unwrap();
    assert_eq!(json!(groups), serde_json::from_str::<Json>(GROUPS).unwrap());
    let keywords = ["urgent", "help", "bug", "down"].map(String::from);
    let monitored = client.monitor_group("120363012345678901@g.us", &keywords).await.unwrap();
    assert_eq!(monitored.keywords, keywords);
    assert_eq!(json!(monitored), serde_json::from_str::<Json>(MONITORED).unwrap());
    assert_eq!(client.list_monitored_groups().await.unwrap(), [monitored]);
    let requests = server.requests();
    let asked: Vec<_> = requests.iter().map(|request| head_and_body(request)).collect();
    let body = json!({"wa_group_id": "120363012345678901@g.us", "keywords": ["urgent", "help", "bug", "down"]});
    assert_eq!(
        asked,
        [
            ("GET /api/v2/sessions/support-team/groups", Json::Null),
            ("POST /api/v2/groups", body),
            ("GET /api/v2/groups", Json::Null),
        ]
    );
}

const WEBHOOK: &str = r#"{
"id": 7,
"url": "https://your-server.com/webhooks/moltflow",
"events": ["message", "session_status", "group_join"],
"created_at": "2026-01-25T16:00:00Z"
}"#;

#[tokio::test]
async fn webhooks() {
    let listed = format!("[{WEBHOOK}]");
    let (server, client) = answering(&[WEBHOOK, &listed]).await;
    let url = "https://your-server.com/webhooks/moltflow";
    let events = ["message", "session_status", "group_join"];
    let webhook = client.create_webhook(url, &events).await.unwrap();
    assert_eq!(json!(webhook), serde_json::from_str::<Json>(WEBHOOK).unwrap());
    assert_eq!(client.list_webhooks().await.unwrap(), [webhook]);
    let requests = server.requests();
    assert_eq!(head_and_body(&requests[0]), ("POST /api/v2/webhooks", json!({"url": url, "events": events})));
    assert_eq!(head_and_body(&requests[1]), ("GET /api/v2/webhooks", Json::Null));
}

#[tokio::test]
async fn the_apis_own_ai() {
    let (server, client) = answering(&["", "{\"job\": 1}"]).await;
    let settings = AutoReply {
        enabled: true,
        session_name: "support-team".to_string(),
        prompt: Some("You are a helpful customer support assistant.".to_string()),
        model: Some("gpt-4o-mini".to_string()),
    };
    assert_eq!(client.set_auto_reply(&settings).await.unwrap(), Json::Null);
    assert_eq!(client.train_learn_mode("support-team", 500).await.unwrap(), json!({"job": 1}));
    let requests = server.requests();
    let body = json!({
        "enabled": true, "session_name": "support-team", "prompt": "You are a helpful customer support assistant.",
        "model": "gpt-4o-mini",
    });
    assert_eq!(head_and_body(&requests[0]), ("POST /api/v2/ai/auto-reply/settings", body));
    let body = json!({"session_name": "support-team", "message_count": 500});
    assert_eq!(head_and_body(&requests[1]), ("POST /api/v2/ai/learn-mode/train", body));
}

const TOKEN: &str = r#"{
"access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...",
"refresh_token": "dGhpcyBpcyBhIHJlZnJlc2ggdG9rZW4...",
"token_type": "bearer",
"expires_in": 3600
}"#;

#[tokio::test]
async fn authentication() {
    let server = Scripted::start([TOKEN, SESSIONS, TOKEN, SESSIONS].map(|body| full(200, body)).into()).await;
    let (client, clock) = client(&server.url, login());
    client.list_sessions().await.unwrap();
    clock.advance(3_599_000);
    client.list_sessions().await.unwrap();
    let requests = server.requests();
    let body = json!({"email": "a@example.com", "password": "password-1"});
    assert_eq!(head_and_body(&requests[0]), ("POST /api/v2/auth/login", body));
    assert!(requests[1].contains("authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...\r\n"));
    let body = json!({"refresh_token": "dGhpcyBpcyBhIHJlZnJlc2ggdG9rZW4..."});
    assert_eq!(head_and_body(&requests[2]), ("POST /api/v2/auth/refresh", body));
}

#[tokio::test]
async fn errors_and_limits() {
    let body = r#"{
"detail": "Session 'invalid-session' not found",
"error_code": "SESSION_NOT_FOUND",
"status": 404
}"#;
    let headers =
        "X-RateLimit-Limit: 100\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1706199600\r\nRetry-After: 3600\r\n";
    let server = Scripted::start(vec![full(404, body), Answer::full(429, headers, "{}")]).await;
    let (client, _) = client(&server.url, key());
    let error = client.get_session("invalid-session").await.unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::SessionNotFound));
    let StepError::Permanent(failure) = error.into() else { panic!("not permanent") };
    assert_eq!(failure.code, "moltflow.session_not_found");
    let error = client.get_session("invalid-session").await.unwrap_err();
    assert!(error.is_rate_limited() && matches!(error, ApiError::Later { after_ms: 3_600_000, .. }), "{error:?}");
}
