//! Another MoltFlow, written from the API guide alone: it shares no code and no assumption with the product's own
//! sandbox, so that the two cannot be wrong in the same way. It also plays the model behind `ai.prompt`.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, watch};

use super::cut::{Cut, CuttableListener};
use super::faults::{Account, Fate, Faults, Shares};
use super::ledger::{Ledger, Received};

pub const API_KEY: &str = "molt_sk_1234567890abcdef";
pub const MODEL_KEY: &str = "sk-model";
pub const EMAIL: &str = "ops@example.com";
pub const PASSWORD: &str = "correct horse";

/// What the far side does with one request to send a message.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 429, and again until `retry_after_s` have really passed.
    RateLimited { retry_after_s: u64 },
    /// The connection ends before the message is taken.
    CutBefore,
    /// The message is taken; the connection ends before the answer.
    CutAfter,
    /// The message is taken; the answer is 200 with a body that is not the guide's.
    Garbage,
    /// Nothing is taken; the guide's error body.
    Refused { status: u16, error_code: &'static str },
}

/// A running far side. Cloning shares it.
#[derive(Clone)]
pub struct GuideServer {
    far: Arc<Far>,
    address: SocketAddr,
}

struct Far {
    ledger: Ledger,
    /// Requests to send a message, refused ones included.
    send_requests: AtomicUsize,
    script: Mutex<VecDeque<Answer>>,
    limited_until: Mutex<Option<Instant>>,
    /// What requests to send meet by their shares.
    faults: Mutex<Option<Arc<Faults>>>,
    /// Messages from this place on are taken, but their answers wait.
    hold_answers_from: watch::Sender<usize>,
    model_answers: watch::Sender<bool>,
    model_calls: AtomicUsize,
    model_errors: Mutex<VecDeque<u16>>,
    /// The messages of each question.
    model_asked: Mutex<Vec<Vec<Value>>>,
    /// What it answers instead of repeating the question.
    model_said: Mutex<Option<String>>,
    lead: Mutex<Lead>,
    /// Rung when there may be room in `lead`.
    confirmed: Notify,
    tokens: Mutex<BTreeSet<String>>,
    logins: AtomicUsize,
    refreshes: AtomicUsize,
    sessions: Mutex<Vec<Value>>,
    groups: Mutex<Vec<Value>>,
    webhooks: Mutex<Vec<Value>>,
}

/// Questions `ID: …` that the model has answered while nobody has said what came of them. The message `sent ID` says so; it
/// is for this server, and is not in the ledger.
struct Lead {
    unconfirmed: BTreeSet<String>,
    /// The model waits at so many.
    limit: usize,
}

impl Lead {
    /// Counts the answer to `id`'s question, if there is room for it.
    fn admits(&mut self, id: &str) -> bool {
        let admitted = self.unconfirmed.contains(id) || self.unconfirmed.len() < self.limit;
        if admitted {
            self.unconfirmed.insert(id.to_string());
        }
        admitted
    }
}

/// An address at which nothing listens yet: connections are refused, and nobody else can take the port.
pub struct Reserved(TcpSocket);

impl Reserved {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub fn open(self) -> GuideServer {
        GuideServer::on(self.0.listen(1024).unwrap())
    }
}

impl GuideServer {
    pub fn start() -> Self {
        Reserved::new().open()
    }

    fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let far = Arc::new(Far {
            ledger: Ledger::default(),
            send_requests: AtomicUsize::new(0),
            script: Mutex::default(),
            limited_until: Mutex::default(),
            faults: Mutex::default(),
            hold_answers_from: watch::Sender::new(usize::MAX),
            model_answers: watch::Sender::new(true),
            model_calls: AtomicUsize::new(0),
            model_errors: Mutex::default(),
            model_asked: Mutex::default(),
            model_said: Mutex::default(),
            lead: Mutex::new(Lead { unconfirmed: BTreeSet::new(), limit: usize::MAX }),
            confirmed: Notify::new(),
            tokens: Mutex::default(),
            logins: AtomicUsize::new(0),
            refreshes: AtomicUsize::new(0),
            sessions: Mutex::new(vec![json!({
                "id": 42, "name": "support-team", "status": "working",
                "created_at": "2026-01-20T10:00:00Z", "updated_at": "2026-01-25T14:30:00Z",
            })]),
            groups: Mutex::default(),
            webhooks: Mutex::default(),
        });
        let service = router(far.clone()).into_make_service_with_connect_info::<Cut>();
        tokio::spawn(async move { axum::serve(CuttableListener(listener), service).await });
        Self { far, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn ledger(&self) -> &Ledger {
        &self.far.ledger
    }

    /// The next requests to send are answered so, in this order; later ones are accepted.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.far.script.lock().unwrap().extend(answers);
    }

    /// From here on requests to send meet faults by these shares.
    pub fn faults(&self, shares: Shares) {
        *self.far.faults.lock().unwrap() = Some(Arc::new(Faults::new(shares)));
    }

    /// What became of them.
    pub fn fault_account(&self) -> Account {
        self.far.faults.lock().unwrap().as_ref().map(|faults| faults.account()).unwrap_or_default()
    }

    /// The next calls of the model are answered with these statuses; later ones are answered well.
    pub fn model_fails_with(&self, statuses: impl IntoIterator<Item = u16>) {
        self.far.model_errors.lock().unwrap().extend(statuses);
    }

    /// Messages after the first `count` are taken, but their answers wait for [`Self::release_answers`].
    pub fn hold_answers_after(&self, count: usize) {
        self.far.hold_answers_from.send_replace(count);
    }

    pub fn release_answers(&self) {
        self.far.hold_answers_from.send_replace(usize::MAX);
    }

    /// Whether the model answers; while it does not, its callers wait.
    pub fn model_answers(&self, answers: bool) {
        self.far.model_answers.send_replace(answers);
    }

    /// The model answers a question `ID: …` only while fewer than `limit` of its answers wait for the message `sent ID`.
    pub fn model_leads_by(&self, limit: usize) {
        self.far.lead.lock().unwrap().limit = limit;
    }

    /// The ids whose questions are answered and whose `sent ID` has not come; from here on nobody waits for those.
    pub fn take_unconfirmed(&self) -> BTreeSet<String> {
        let taken = std::mem::take(&mut self.far.lead.lock().unwrap().unconfirmed);
        self.far.confirmed.notify_waiters();
        taken
    }

    /// The messages of each question that the model was asked, in order: `{role, content}`.
    pub fn model_asked(&self) -> Vec<Vec<Value>> {
        self.far.model_asked.lock().unwrap().clone()
    }

    /// The model answers this to everything, from now on.
    pub fn model_says(&self, text: &str) {
        *self.far.model_said.lock().unwrap() = Some(text.to_string());
    }

    pub fn model_calls(&self) -> usize {
        self.far.model_calls.load(Ordering::SeqCst)
    }

    pub fn send_requests(&self) -> usize {
        self.far.send_requests.load(Ordering::SeqCst)
    }

    /// What becomes of a session, such as when somebody scans its code; it is made if there is none.
    pub fn session_is(&self, name: &str, status: &str) {
        let mut sessions = self.far.sessions.lock().unwrap();
        match sessions.iter_mut().find(|session| session["name"] == name) {
            Some(session) => session["status"] = json!(status),
            None => {
                let id = 42 + sessions.len();
                sessions.push(json!({"id": id, "name": name, "status": status, "created_at": "2026-01-25T09:00:00Z"}));
            }
        }
    }

    /// Logins and refreshes so far.
    pub fn authentications(&self) -> (usize, usize) {
        (self.far.logins.load(Ordering::SeqCst), self.far.refreshes.load(Ordering::SeqCst))
    }

    /// Every access token given out so far is worthless now.
    pub fn revoke_tokens(&self) {
        self.far.tokens.lock().unwrap().clear();
    }
}

fn router(far: Arc<Far>) -> Router {
    let guarded = Router::new()
        .route("/sessions", get(list_sessions).post(create_session))
        .route("/sessions/{name}", get(get_session).delete(delete_session))
        .route("/sessions/{name}/messages", post(send_message))
        .route("/sessions/{name}/groups", get(session_groups))
        .route("/groups", get(list_groups).post(create_group))
        .route("/webhooks", get(list_webhooks).post(create_webhook))
        .route("/ai/auto-reply/settings", post(echo_accepted))
        .route("/ai/learn-mode/train", post(echo_accepted))
        .layer(middleware::from_fn_with_state(far.clone(), authenticated));
    let api = Router::new()
        .route("/auth/login", post(login))
        .route("/auth/refresh", post(refresh))
        .route("/sessions/{name}/events", get(session_events))
        .merge(guarded);
    Router::new().nest("/api/v2", api).route("/v1/chat/completions", post(model)).with_state(far)
}

fn error(status: u16, error_code: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    // The detail is for people and may change, says the guide: nobody may depend on this sentence.
    let body = json!({"detail": "Something people read", "error_code": error_code, "status": status.as_u16()});
    (status, Json(body)).into_response()
}

async fn authenticated(State(far): State<Arc<Far>>, request: Request, next: Next) -> Response {
    if !has_credential(&far, request.headers()) {
        return error(401, "UNAUTHORIZED");
    }
    next.run(request).await
}

fn has_credential(far: &Far, headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let token = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    header("x-api-key") == Some(API_KEY) || token.is_some_and(|token| far.tokens.lock().unwrap().contains(token))
}

fn issue_token(far: &Far, kind: &str, number: usize) -> Response {
    let token = format!("access-{kind}-{number}");
    far.tokens.lock().unwrap().insert(token.clone());
    Json(json!({
        "access_token": token, "refresh_token": "refresh-me", "token_type": "bearer", "expires_in": 3600,
    }))
    .into_response()
}

async fn login(State(far): State<Arc<Far>>, Json(body): Json<Value>) -> Response {
    if body["email"] != EMAIL || body["password"] != PASSWORD {
        return error(401, "INVALID_CREDENTIALS");
    }
    let number = far.logins.fetch_add(1, Ordering::SeqCst);
    issue_token(&far, "login", number)
}

async fn refresh(State(far): State<Arc<Far>>, Json(body): Json<Value>) -> Response {
    if body["refresh_token"] != "refresh-me" {
        return error(401, "INVALID_TOKEN");
    }
    let number = far.refreshes.fetch_add(1, Ordering::SeqCst);
    issue_token(&far, "refresh", number)
}

async fn send_message(
    State(far): State<Arc<Far>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path(session): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    far.send_requests.fetch_add(1, Ordering::SeqCst);
    if !far.sessions.lock().unwrap().iter().any(|known| known["name"] == session.as_str()) {
        return error(404, "SESSION_NOT_FOUND");
    }
    let (Some(to), Some(text)) = (body["chatId"].as_str(), body["text"].as_str()) else {
        return error(400, "INVALID_REQUEST");
    };
    if !(to.ends_with("@c.us") || to.ends_with("@g.us")) {
        return error(400, "INVALID_CHAT_ID");
    }
    if let Some(left) = still_limited(&far) {
        return rate_limited(left);
    }
    if let Some(id) = text.strip_prefix("sent ") {
        far.lead.lock().unwrap().unconfirmed.remove(id);
        far.confirmed.notify_waiters();
        return accepted(0);
    }
    let faults = far.faults.lock().unwrap().clone();
    let fate = match faults {
        Some(faults) => faults.next().await,
        None => Fate::Taken,
    };
    let answer = match fate {
        Fate::Taken => far.script.lock().unwrap().pop_front(),
        Fate::Unavailable => return error(503, "SERVICE_UNAVAILABLE"),
        Fate::CutBefore => Some(Answer::CutBefore),
        Fate::CutAfter => Some(Answer::CutAfter),
        Fate::Limited(seconds) => return rate_limited(seconds),
    };
    match answer {
        Some(Answer::RateLimited { retry_after_s }) => {
            *far.limited_until.lock().unwrap() = Some(Instant::now() + Duration::from_secs(retry_after_s));
            return rate_limited(retry_after_s);
        }
        Some(Answer::CutBefore) => {
            cut.throw();
            return StatusCode::OK.into_response();
        }
        Some(Answer::Refused { status, error_code }) => return error(status, error_code),
        _ => {}
    }
    let message = Received { session, to: to.to_string(), text: text.to_string() };
    let place = far.ledger.record(message);
    match answer {
        Some(Answer::CutAfter) => {
            cut.throw();
            return StatusCode::OK.into_response();
        }
        Some(Answer::Garbage) => return "<html>welcome to the proxy</html>".into_response(),
        _ => {}
    }
    let mut hold = far.hold_answers_from.subscribe();
    hold.wait_for(|from| place < *from).await.unwrap();
    accepted(place)
}

fn accepted(place: usize) -> Response {
    Json(json!({
        "success": true,
        "result": {"key": {"id": format!("3EB0{place:014X}")}, "timestamp": 1706195400 + place},
    }))
    .into_response()
}

/// Whole seconds, rounded up, that a limit announced before still has to run.
fn still_limited(far: &Far) -> Option<u64> {
    let until = (*far.limited_until.lock().unwrap())?;
    let left = until.checked_duration_since(Instant::now())?;
    (!left.is_zero()).then(|| left.as_millis().div_ceil(1000) as u64)
}

fn rate_limited(retry_after_s: u64) -> Response {
    let headers = [("retry-after", retry_after_s.to_string()), ("x-ratelimit-limit", "100".to_string())];
    (headers, error(429, "RATE_LIMITED")).into_response()
}

async fn list_sessions(State(far): State<Arc<Far>>) -> Json<Value> {
    Json(Value::Array(far.sessions.lock().unwrap().clone()))
}

async fn create_session(State(far): State<Arc<Far>>, Json(body): Json<Value>) -> Json<Value> {
    let mut sessions = far.sessions.lock().unwrap();
    let session = json!({
        "id": 42 + sessions.len(), "name": body["name"], "status": "starting", "created_at": "2026-01-25T15:00:00Z",
    });
    sessions.push(session.clone());
    Json(session)
}

async fn get_session(State(far): State<Arc<Far>>, Path(name): Path<String>) -> Response {
    match far.sessions.lock().unwrap().iter().find(|session| session["name"] == name.as_str()) {
        Some(session) => Json(session.clone()).into_response(),
        None => error(404, "SESSION_NOT_FOUND"),
    }
}

async fn delete_session(State(far): State<Arc<Far>>, Path(name): Path<String>) -> Response {
    let mut sessions = far.sessions.lock().unwrap();
    let before = sessions.len();
    sessions.retain(|session| session["name"] != name.as_str());
    match sessions.len() < before {
        true => Json(json!({"message": "Session deleted successfully"})).into_response(),
        false => error(404, "SESSION_NOT_FOUND"),
    }
}

#[derive(serde::Deserialize)]
struct EventsQuery {
    token: String,
}

async fn session_events(
    State(far): State<Arc<Far>>,
    Path(_): Path<String>,
    Query(query): Query<EventsQuery>,
) -> Response {
    if query.token != API_KEY && !far.tokens.lock().unwrap().contains(&query.token) {
        return error(401, "UNAUTHORIZED");
    }
    let events = "event: status\ndata: {\"status\": \"qr_code\"}\n\n\
        event: qr\ndata: {\"qr\": \"data:image/png;base64,iVBORw0KGgo=\"}\n\n\
        event: status\ndata: {\"status\": \"working\"}\n\n";
    ([(header::CONTENT_TYPE, "text/event-stream")], events).into_response()
}

async fn session_groups(Path(_): Path<String>) -> Json<Value> {
    Json(json!([{
        "id": "120363012345678901@g.us", "name": "Customer Support Team", "participant_count": 12,
        "created_at": "2025-06-15T08:00:00Z",
    }]))
}

async fn list_groups(State(far): State<Arc<Far>>) -> Json<Value> {
    Json(Value::Array(far.groups.lock().unwrap().clone()))
}

async fn create_group(State(far): State<Arc<Far>>, Json(body): Json<Value>) -> Json<Value> {
    let mut groups = far.groups.lock().unwrap();
    let group = json!({
        "id": 5 + groups.len(), "wa_group_id": body["wa_group_id"], "keywords": body["keywords"],
        "created_at": "2026-01-25T15:30:00Z",
    });
    groups.push(group.clone());
    Json(group)
}

async fn list_webhooks(State(far): State<Arc<Far>>) -> Json<Value> {
    Json(Value::Array(far.webhooks.lock().unwrap().clone()))
}

async fn create_webhook(State(far): State<Arc<Far>>, Json(body): Json<Value>) -> Json<Value> {
    let mut webhooks = far.webhooks.lock().unwrap();
    let webhook = json!({
        "id": 7 + webhooks.len(), "url": body["url"], "events": body["events"], "created_at": "2026-01-25T16:00:00Z",
    });
    webhooks.push(webhook.clone());
    Json(webhook)
}

async fn echo_accepted(Json(body): Json<Value>) -> Json<Value> {
    Json(body)
}

/// The model says what it was asked, so that a reply can be traced to its question.
async fn model(State(far): State<Arc<Far>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    far.model_calls.fetch_add(1, Ordering::SeqCst);
    let key = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if key != Some(&format!("Bearer {MODEL_KEY}")) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": {"message": "no such key"}}))).into_response();
    }
    if let Some(status) = far.model_errors.lock().unwrap().pop_front() {
        let status = StatusCode::from_u16(status).unwrap();
        return (status, Json(json!({"error": {"message": "try later"}}))).into_response();
    }
    far.model_answers.subscribe().wait_for(|answers| *answers).await.unwrap();
    let asked = body["messages"].as_array().cloned().unwrap_or_default();
    far.model_asked.lock().unwrap().push(asked);
    let question = body["messages"]
        .as_array()
        .and_then(|messages| messages.iter().rfind(|message| message["role"] == "user"))
        .and_then(|message| message["content"].as_str())
        .unwrap_or_default();
    if let Some((id, _)) = question.split_once(": ") {
        loop {
            let confirmed = far.confirmed.notified();
            if far.lead.lock().unwrap().admits(id) {
                break;
            }
            confirmed.await;
        }
    }
    let said = far.model_said.lock().unwrap().clone();
    Json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1706195400, "model": body["model"],
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": said.unwrap_or_else(|| format!("You asked: {question}"))},
        }],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }))
    .into_response()
}
