//! Another MoltFlow, written from the guide alone, over real HTTP. It shares nothing with the sandbox, so that the two cannot
//! be wrong in the same way. Its time is the test's clock, which each of its requests moves on a little.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{KEY, login};
use crate::engine::ports::Clock;
use crate::moltflow::{Config, Credentials, MoltFlow};
use crate::net::testing::ManualClock;
use crate::net::{Net, Policy};

pub(super) const EMAIL: &str = "a@example.com";
pub(super) const PASSWORD: &str = "password-1";

/// What this MoltFlow is like.
#[derive(Clone)]
pub(super) struct Nature {
    /// How long a token is good for, and how long it is said to be, in milliseconds.
    pub life_ms: i64,
    pub said_ms: i64,
    /// How far each request moves the clock, in milliseconds.
    pub step_ms: i64,
    /// Requests in a window, and its length in milliseconds.
    pub limit: Option<(u64, i64)>,
    pub refreshes: bool,
    pub password: &'static str,
}

impl Default for Nature {
    fn default() -> Self {
        Self { life_ms: 3_600_000, said_ms: 3_600_000, step_ms: 0, limit: None, refreshes: true, password: PASSWORD }
    }
}

/// What it has seen.
#[derive(Default)]
pub(super) struct Seen {
    pub requests: u64,
    pub logins: u64,
    pub refused_logins: u64,
    pub refreshes: u64,
    /// Refresh tokens that came a second time.
    pub reused: u64,
    pub unauthorized: u64,
    /// Requests beyond the limit.
    pub overshoots: u64,
    /// Access tokens, and when each ends.
    tokens: BTreeMap<String, i64>,
    /// Refresh tokens that are still good.
    spares: Vec<String>,
    windows: BTreeMap<i64, u64>,
    sessions: Vec<Value>,
    groups: Vec<Value>,
    webhooks: Vec<Value>,
    pub messages: Vec<Value>,
    pub settings: Option<Value>,
    pub trainings: Vec<Value>,
}

pub(super) struct Far {
    pub clock: Arc<ManualClock>,
    pub url: String,
    far: Arc<Inner>,
}

struct Inner {
    clock: Arc<ManualClock>,
    nature: Mutex<Nature>,
    seen: Mutex<Seen>,
}

impl Far {
    pub(super) async fn start(nature: Nature) -> Self {
        let clock = ManualClock::at(super::NOW);
        let far = Arc::new(Inner { clock: clock.clone(), nature: Mutex::new(nature), seen: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = router(far.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { clock, url, far }
    }

    pub(super) fn client(&self, credentials: Credentials) -> MoltFlow {
        let mut policy = Policy::default();
        policy.trust(&self.url).unwrap();
        let net = Arc::new(Net::new(policy, self.clock.clone()));
        let config = Config { base_url: format!("{}/api/v2", self.url), credentials };
        MoltFlow::new(config, net, self.clock.clone()).unwrap()
    }

    pub(super) fn signed_in(&self) -> MoltFlow {
        self.client(login())
    }

    pub(super) fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.far.seen.lock().unwrap())
    }

    pub(super) fn changes(&self, change: impl FnOnce(&mut Nature)) {
        change(&mut self.far.nature.lock().unwrap());
    }

    /// Every access token given out so far is worthless now.
    pub(super) fn revoke(&self) {
        self.seen(|seen| seen.tokens.clear());
    }
}

fn router(far: Arc<Inner>) -> Router {
    let guarded = Router::new()
        .route("/sessions", get(sessions).post(create_session))
        .route("/sessions/{name}", get(session).delete(delete_session))
        .route("/sessions/{name}/messages", post(send))
        .route("/sessions/{name}/groups", get(session_groups))
        .route("/groups", get(groups).post(monitor))
        .route("/webhooks", get(webhooks).post(create_webhook))
        .route("/ai/auto-reply/settings", post(auto_reply))
        .route("/ai/learn-mode/train", post(train))
        .route("/extras/{name}", get(extra).post(extra).put(extra).patch(extra).delete(extra))
        .layer(middleware::from_fn_with_state(far.clone(), guard));
    let api = Router::new()
        .route("/auth/login", post(sign_in))
        .route("/auth/refresh", post(refresh))
        .route("/sessions/{name}/events", get(events))
        .merge(guarded);
    Router::new().nest("/api/v2", api).layer(middleware::from_fn_with_state(far.clone(), tick)).with_state(far)
}

/// Time goes on.
async fn tick(State(far): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    let step = far.nature.lock().unwrap().step_ms;
    far.clock.advance(step);
    far.seen.lock().unwrap().requests += 1;
    next.run(request).await
}

fn error(status: u16, error_code: &str) -> Response {
    let body = json!({"detail": "Something people read", "error_code": error_code, "status": status});
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn guard(State(far): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    if !allowed(&far, request.headers()) {
        far.seen.lock().unwrap().unauthorized += 1;
        return error(401, "UNAUTHORIZED");
    }
    let (limit, now) = (far.nature.lock().unwrap().limit, far.clock.now());
    let Some((limit, window_ms)) = limit else { return next.run(request).await };
    let window = now.div_euclid(window_ms);
    let used = {
        let mut seen = far.seen.lock().unwrap();
        let used = seen.windows.entry(window).or_default();
        *used += 1;
        let used = *used;
        seen.overshoots += u64::from(used > limit);
        used
    };
    let reset = (window + 1) * window_ms / 1_000;
    let mut answer = match used > limit {
        true => error(429, "RATE_LIMITED"),
        false => next.run(request).await,
    };
    let headers = answer.headers_mut();
    headers.insert("x-ratelimit-limit", limit.into());
    headers.insert("x-ratelimit-remaining", limit.saturating_sub(used).into());
    headers.insert("x-ratelimit-reset", reset.into());
    answer
}

fn allowed(far: &Inner, headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    header("x-api-key") == Some(KEY) || bearer.is_some_and(|token| is_good(far, token))
}

fn is_good(far: &Inner, token: &str) -> bool {
    let now = far.clock.now();
    far.seen.lock().unwrap().tokens.get(token).is_some_and(|ends| now < *ends)
}

fn grant(far: &Inner, seen: &mut Seen) -> Response {
    let number = seen.logins + seen.refreshes;
    let nature = far.nature.lock().unwrap().clone();
    let (access, spare) = (format!("access-{number}"), format!("refresh-{number}"));
    seen.tokens.insert(access.clone(), far.clock.now() + nature.life_ms);
    seen.spares.push(spare.clone());
    let body = json!({
        "access_token": access, "refresh_token": spare, "token_type": "bearer", "expires_in": nature.said_ms / 1_000,
    });
    Json(body).into_response()
}

async fn sign_in(State(far): State<Arc<Inner>>, Json(body): Json<Value>) -> Response {
    let password = far.nature.lock().unwrap().password;
    let mut seen = far.seen.lock().unwrap();
    if body["email"] != EMAIL || body["password"] != password {
        seen.refused_logins += 1;
        return error(401, "INVALID_CREDENTIALS");
    }
    seen.logins += 1;
    grant(&far, &mut seen)
}

/// Each refresh token is good once.
async fn refresh(State(far): State<Arc<Inner>>, Json(body): Json<Value>) -> Response {
    let refreshes = far.nature.lock().unwrap().refreshes;
    let mut seen = far.seen.lock().unwrap();
    let place = seen.spares.iter().position(|spare| body["refresh_token"] == spare.as_str());
    let Some(place) = place.filter(|_| refreshes) else {
        seen.reused += u64::from(refreshes);
        return error(401, "INVALID_TOKEN");
    };
    seen.spares.remove(place);
    seen.refreshes += 1;
    grant(&far, &mut seen)
}

async fn sessions(State(far): State<Arc<Inner>>) -> Json<Value> {
    Json(Value::Array(far.seen.lock().unwrap().sessions.clone()))
}

async fn create_session(State(far): State<Arc<Inner>>, Json(body): Json<Value>) -> Response {
    let mut seen = far.seen.lock().unwrap();
    if body["status"] != "starting" {
        return error(400, "INVALID_REQUEST");
    }
    let id = 44 + seen.sessions.len();
    let session = json!({"id": id, "name": body["name"], "status": "starting", "created_at": "2026-01-25T15:00:00Z"});
    seen.sessions.push(session.clone());
    Json(session).into_response()
}

/// Each look brings a session a step further.
async fn session(State(far): State<Arc<Inner>>, Path(name): Path<String>) -> Response {
    let mut seen = far.seen.lock().unwrap();
    let Some(session) = seen.sessions.iter_mut().find(|session| session["name"] == name.as_str()) else {
        return error(404, "SESSION_NOT_FOUND");
    };
    let next = match session["status"].as_str() {
        Some("starting") if name.starts_with("broken") => "failed",
        Some("starting") => "qr_code",
        Some("qr_code") if name.starts_with("stuck") => "qr_code",
        Some("failed") => "failed",
        _ => "working",
    };
    session["status"] = json!(next);
    session["updated_at"] = json!("2026-01-25T15:00:15Z");
    Json(session.clone()).into_response()
}

async fn delete_session(State(far): State<Arc<Inner>>, Path(name): Path<String>) -> Response {
    let mut seen = far.seen.lock().unwrap();
    let before = seen.sessions.len();
    seen.sessions.retain(|session| session["name"] != name.as_str());
    match seen.sessions.len() < before {
        true => Json(json!({"message": "Session deleted successfully"})).into_response(),
        false => error(404, "SESSION_NOT_FOUND"),
    }
}

async fn send(State(far): State<Arc<Inner>>, Path(name): Path<String>, Json(body): Json<Value>) -> Response {
    let mut seen = far.seen.lock().unwrap();
    if !seen.sessions.iter().any(|session| session["name"] == name.as_str()) {
        return error(404, "SESSION_NOT_FOUND");
    }
    let to = body["chatId"].as_str().unwrap_or_default();
    if !(to.ends_with("@c.us") || to.ends_with("@g.us")) || body["text"].as_str().is_none() {
        return error(400, "INVALID_REQUEST");
    }
    seen.messages.push(body);
    let id = format!("3EB0{:014X}", seen.messages.len());
    Json(json!({"success": true, "result": {"key": {"id": id}, "timestamp": 1706195400}})).into_response()
}

async fn session_groups(Path(name): Path<String>) -> Json<Value> {
    Json(json!([{
        "id": "120363012345678901@g.us", "name": format!("Team of {name}"), "participant_count": 12,
        "created_at": "2025-06-15T08:00:00Z",
    }]))
}

async fn groups(State(far): State<Arc<Inner>>) -> Json<Value> {
    Json(Value::Array(far.seen.lock().unwrap().groups.clone()))
}

async fn monitor(State(far): State<Arc<Inner>>, Json(body): Json<Value>) -> Json<Value> {
    let mut seen = far.seen.lock().unwrap();
    let group = json!({
        "id": 5 + seen.groups.len(), "wa_group_id": body["wa_group_id"], "keywords": body["keywords"],
        "created_at": "2026-01-25T15:30:00Z",
    });
    seen.groups.push(group.clone());
    Json(group)
}

async fn webhooks(State(far): State<Arc<Inner>>) -> Json<Value> {
    let mut webhooks = far.seen.lock().unwrap().webhooks.clone();
    for webhook in &mut webhooks {
        webhook["success_count"] = json!(41);
        webhook["failure_count"] = json!(2);
        webhook["last_delivered_at"] = json!("2026-01-25T16:05:00Z");
    }
    Json(Value::Array(webhooks))
}

async fn create_webhook(State(far): State<Arc<Inner>>, Json(body): Json<Value>) -> Json<Value> {
    let mut seen = far.seen.lock().unwrap();
    let webhook = json!({
        "id": 7 + seen.webhooks.len(), "url": body["url"], "events": body["events"],
        "created_at": "2026-01-25T16:00:00Z",
    });
    seen.webhooks.push(webhook.clone());
    Json(webhook)
}

async fn auto_reply(State(far): State<Arc<Inner>>, Json(body): Json<Value>) -> Json<Value> {
    far.seen.lock().unwrap().settings = Some(body.clone());
    Json(body)
}

async fn train(State(far): State<Arc<Inner>>, Json(body): Json<Value>) -> Response {
    far.seen.lock().unwrap().trainings.push(body);
    // The guide shows no answer: this one has none.
    StatusCode::ACCEPTED.into_response()
}

/// An endpoint that the guide does not know: it says what it was asked.
async fn extra(Path(name): Path<String>, Query(query): Query<Vec<(String, String)>>, request: Request) -> Json<Value> {
    let method = request.method().to_string();
    let body = axum::body::to_bytes(request.into_body(), 100_000).await.unwrap();
    Json(json!({
        "method": method, "name": name, "query": query,
        "body": serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null),
    }))
}

#[derive(serde::Deserialize)]
struct Token {
    token: String,
}

async fn events(State(far): State<Arc<Inner>>, Path(name): Path<String>, Query(query): Query<Token>) -> Response {
    if query.token != KEY && !is_good(&far, &query.token) {
        far.seen.lock().unwrap().unauthorized += 1;
        return error(401, "UNAUTHORIZED");
    }
    if name == "nobody" {
        return error(404, "SESSION_NOT_FOUND");
    }
    // As the guide shows them.
    let events = "event: status\ndata: {\"status\": \"qr_code\"}\n\n\
        event: qr\ndata: {\"qr\": \"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA...\"}\n\n\
        event: status\ndata: {\"status\": \"working\"}\n\n: still here\n\nevent: battery\ndata: low\n\n";
    ([(header::CONTENT_TYPE, "text/event-stream")], events).into_response()
}
