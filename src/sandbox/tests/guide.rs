//! The guide's own examples, one after another, with its bodies; and every documented refusal.

use serde_json::json;

use super::*;
use crate::base::{Json, limits};
use crate::net::{Method, Request, Response};

struct Caller {
    net: Arc<Net>,
    base: String,
    auth: (&'static str, String),
}

impl Caller {
    async fn raw(&self, method: &str, path: &str, body: Option<&Json>) -> Response {
        let mut request = Request::new(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.base));
        if !self.auth.1.is_empty() {
            request = request.header(self.auth.0, &self.auth.1).unwrap();
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.net.send(request).await.unwrap()
    }

    async fn ok(&self, method: &str, path: &str, body: Option<Json>) -> Json {
        let response = self.raw(method, path, body.as_ref()).await;
        assert_eq!(response.status, 200, "{method} {path}: {:?}", response.body);
        response.json().unwrap()
    }

    async fn refused(&self, method: &str, path: &str, body: Option<Json>) -> (u16, String) {
        let response = self.raw(method, path, body.as_ref()).await;
        let error = response.json().unwrap_or_else(|| panic!("{method} {path}: {:?}", response.body));
        assert_eq!(error["status"], response.status, "{error}");
        assert!(error["detail"].is_string(), "{error}");
        (response.status, error["error_code"].as_str().unwrap().to_string())
    }
}

fn caller(sandbox: &Sandbox, clock: &Arc<ManualClock>) -> Caller {
    let auth = ("x-api-key", Options::default().api_key.expose().to_string());
    Caller { net: net(sandbox, clock.clone()), base: sandbox.moltflow_url.clone(), auth }
}

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

#[tokio::test]
async fn the_control_routes() {
    let (sandbox, clock) = start(Options::default()).await;
    let mut caller = caller(&sandbox, &clock);
    for text in ["a", "b"] {
        caller
            .ok("POST", "/sessions/support-team/messages", Some(json!({ "chatId": "15551234567@c.us", "text": text })))
            .await;
    }
    caller.base = format!("{}/sandbox", sandbox.origin);
    caller.auth.1 = String::new();
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
async fn the_model() {
    let (sandbox, clock) = start(Options::default()).await;
    let mut caller = caller(&sandbox, &clock);
    caller.base = sandbox.model_url.clone();
    caller.auth = ("authorization", format!("Bearer {}", Options::default().model_key.expose()));
    let ask = json!({ "model": "any", "messages": [{ "role": "system", "content": "Be kind." }, { "role": "user", "content": "Do you sell bread?" }] });
    let answer = caller.ok("POST", "/chat/completions", Some(ask.clone())).await;
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().contains("Do you sell bread?"), "{answer}");
    assert_eq!((answer["usage"]["prompt_tokens"].clone(), answer["model"].clone()), (json!(6), json!("any")));
    let mut short = ask.clone();
    short["max_tokens"] = json!(2);
    let answer = caller.ok("POST", "/chat/completions", Some(short)).await;
    assert_eq!(
        (answer["usage"]["completion_tokens"].clone(), answer["choices"][0]["finish_reason"].clone()),
        (json!(2), json!("length"))
    );
    assert_eq!(caller.ok("GET", "/models", None).await["data"][0]["id"], "sandbox-support");
    for (body, word) in [
        (json!({}), "missing field"),
        (json!({ "model": "m", "messages": [] }), "role `user`"),
        (json!({ "model": "m", "messages": [], "stream": true }), "stream"),
    ] {
        let response = caller.raw("POST", "/chat/completions", Some(&body)).await;
        let error = response.json().unwrap();
        assert_eq!((response.status, error["error"]["type"].clone()), (400, json!("invalid_request_error")));
        assert!(error["error"]["message"].as_str().unwrap().contains(word), "{error}");
    }
    caller.auth.1 = "Bearer wrong".to_string();
    let response = caller.raw("POST", "/chat/completions", Some(&ask)).await;
    assert_eq!((response.status, response.json().unwrap()["error"]["code"].clone()), (401, json!("invalid_api_key")));
    sandbox.stop().await;
}
