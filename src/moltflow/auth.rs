//! Credentials: an API key, or a login whose token is renewed once for all callers.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;
use serde_json::json;

use super::ApiError;
use super::error::Kind;
use super::rate::Rate;
use crate::base::{Json, Millis, Secret};
use crate::engine::ports::Clock;
use crate::net::{Method, Net, Redirects, Request};

/// How to prove who asks.
#[derive(Clone)]
pub enum Credentials {
    /// Sent as `X-API-Key`; never expires.
    ApiKey(Secret),
    /// Exchanged for a bearer token.
    Login { email: String, password: Secret },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey([redacted])",
            Self::Login { .. } => "Login([redacted])",
        })
    }
}

/// What a request is signed with.
#[derive(Clone)]
pub(super) enum Pass {
    Key(Secret),
    Bearer(Arc<Token>),
}

pub(super) struct Token {
    access: Secret,
    refresh: Option<Secret>,
    expires_at: Millis,
    /// When to renew: before it expires, later if renewing just failed.
    renew_at: AtomicI64,
    /// Counts tokens, so that a caller can say which one was refused.
    generation: u64,
}

/// How to replace a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// By refresh token, by login if that is refused.
    Refresh,
    Login,
}

pub(super) struct Auth {
    credentials: Credentials,
    base_url: String,
    current: RwLock<Option<Arc<Token>>>,
    /// Held by the one caller that renews; the others wait for it and use what it got.
    flight: tokio::sync::Mutex<Flight>,
    landed: AtomicU64,
}

#[derive(Default)]
struct Flight {
    /// Why the last renewal failed: shared by those who waited for it, so that a wrong password is not tried by each.
    error: Option<ApiError>,
    /// A login that was refused, and until when nobody repeats it.
    refused: Option<(ApiError, Millis)>,
    generation: u64,
}

/// Renewed this long before it expires, in milliseconds, or at nine tenths of its life if that is later: a request that
/// leaves just before expiry must still arrive in time.
const MARGIN_MS: Millis = 60_000;

/// After a renewal failed while the old token still works, wait this long before the next one, in milliseconds.
const RENEW_PAUSE_MS: Millis = 5_000;

/// After a login was refused, nobody tries it for this long, in milliseconds. A password does not become right by itself, and
/// an account that sees many wrong ones is locked.
const REFUSED_PAUSE_MS: Millis = 60_000;

/// The life of a token that does not say, in milliseconds: the guide's one hour.
const DEFAULT_LIFE_MS: Millis = 3_600_000;

#[derive(Deserialize)]
struct Grant {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<f64>,
}

impl Auth {
    pub(super) fn new(credentials: Credentials, base_url: String) -> Self {
        Self {
            credentials,
            base_url,
            current: RwLock::default(),
            flight: tokio::sync::Mutex::default(),
            landed: AtomicU64::new(0),
        }
    }

    /// What to sign the next request with. An error proves that the request itself was not sent.
    pub(super) async fn pass(&self, net: &Net, clock: &dyn Clock, rate: &Rate) -> Result<Pass, ApiError> {
        if let Credentials::ApiKey(key) = &self.credentials {
            return Ok(Pass::Key(key.clone()));
        }
        let current = self.current();
        let now = clock.now();
        match current {
            Some(token) if now < token.renew_at.load(Ordering::Relaxed) => Ok(Pass::Bearer(token)),
            Some(token) => match self.renew(token.generation, Renewal::Refresh, net, clock, rate).await {
                Err(_) if clock.now() < token.expires_at => {
                    let renew_at = (clock.now() + RENEW_PAUSE_MS).min(token.expires_at);
                    token.renew_at.store(renew_at, Ordering::Relaxed);
                    Ok(Pass::Bearer(token))
                }
                renewed => renewed,
            },
            None => self.renew(0, Renewal::Login, net, clock, rate).await,
        }
    }

    /// Replaces the token of `generation`, unless somebody has already.
    pub(super) async fn renew(
        &self,
        generation: u64,
        how: Renewal,
        net: &Net,
        clock: &dyn Clock,
        rate: &Rate,
    ) -> Result<Pass, ApiError> {
        let landed = self.landed.load(Ordering::Acquire);
        let mut flight = self.flight.lock().await;
        let current = self.current();
        if let Some(token) = current.as_ref().filter(|token| token.generation > generation) {
            return Ok(Pass::Bearer(token.clone()));
        }
        if self.landed.load(Ordering::Acquire) != landed
            && let Some(error) = &flight.error
        {
            return Err(error.clone());
        }
        let refresh = current.and_then(|token| token.refresh.clone()).filter(|_| how == Renewal::Refresh);
        let renewed = self.fetch(refresh, &mut flight, net, clock, rate).await;
        self.landed.fetch_add(1, Ordering::Release);
        match renewed {
            Ok(token) => {
                let token = Arc::new(token);
                flight.generation = token.generation;
                flight.error = None;
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
                Ok(Pass::Bearer(token))
            }
            Err(error) => {
                flight.error = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn fetch(
        &self,
        refresh: Option<Secret>,
        flight: &mut Flight,
        net: &Net,
        clock: &dyn Clock,
        rate: &Rate,
    ) -> Result<Token, ApiError> {
        let generation = flight.generation + 1;
        if let Some(refresh) = refresh {
            let body = json!({ "refresh_token": refresh.expose() });
            // Its life counts from its making, of which we only know that it was not before it was asked for.
            let asked_at = clock.now();
            match self.ask("/auth/refresh", &body, &[refresh.expose()], net, clock, rate).await {
                Ok(grant) => return Ok(token(grant, Some(refresh), generation, asked_at)),
                // The refresh token is spent or revoked: begin anew.
                Err(ApiError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Credentials::Login { email, password } = &self.credentials else {
            return Err(ApiError::Invalid("an API key cannot be renewed".to_string()));
        };
        let asked_at = clock.now();
        if let Some((error, until)) = &flight.refused
            && asked_at < *until
            // A clock that was set back must not make it longer.
            && *until - asked_at <= REFUSED_PAUSE_MS
        {
            return Err(error.clone());
        }
        let body = json!({ "email": email, "password": password.expose() });
        let grant = self.ask("/auth/login", &body, &[password.expose()], net, clock, rate).await.map_err(refused_login);
        flight.refused = match &grant {
            Err(error @ ApiError::Refused { .. }) => Some((error.clone(), clock.now() + REFUSED_PAUSE_MS)),
            _ => None,
        };
        Ok(token(grant?, None, generation, asked_at))
    }

    async fn ask(
        &self,
        path: &str,
        body: &Json,
        secrets: &[&str],
        net: &Net,
        clock: &dyn Clock,
        rate: &Rate,
    ) -> Result<Grant, ApiError> {
        // It may have been paused since the call was begun.
        if let Some(after_ms) = rate.paused_ms(clock.now()) {
            return Err(super::client::limited(after_ms));
        }
        let request = Request::new(Method::POST, format!("{}{path}", self.base_url))
            .json(body)
            .timeout_ms(super::client::TIMEOUT_MS)
            .redirects(Redirects::HandBack);
        // Signing in changes nothing that matters: whatever goes wrong, the call it is for was not sent.
        let response = net.send(request).await.map_err(|error| match ApiError::of_net(error, Kind::Read) {
            ApiError::Failed { code, message } => ApiError::NotSent { code, message, permanent: false },
            other => other,
        })?;
        if let Some(after_ms) = rate.observe(&response, clock.now()) {
            return Err(super::client::limited(after_ms));
        }
        if !response.is_success() {
            return Err(match ApiError::of_answer(&response, Kind::Read, clock.now(), secrets) {
                ApiError::Failed { code, message } => ApiError::NotSent { code, message, permanent: false },
                other => other,
            });
        }
        serde_json::from_slice(&response.body).map_err(|_| ApiError::NotSent {
            code: "moltflow.bad_answer",
            // Not even the parser's complaint: it could quote a token.
            message: format!("MoltFlow's answer to {path} holds no access token"),
            permanent: false,
        })
    }

    fn current(&self) -> Option<Arc<Token>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Values that no error message may hold.
    pub(super) fn secrets<'a>(&'a self, pass: &'a Pass) -> Vec<&'a str> {
        let mut secrets = vec![match pass {
            Pass::Key(key) => key.expose(),
            Pass::Bearer(token) => token.access.expose(),
        }];
        if let Credentials::Login { password, .. } = &self.credentials {
            secrets.push(password.expose());
        }
        secrets
    }
}

impl Pass {
    pub(super) fn sign(&self, request: Request) -> Result<Request, ApiError> {
        let signed = match self {
            Pass::Key(key) => request.secret_header("x-api-key", "", key),
            Pass::Bearer(token) => request.secret_header("authorization", "Bearer ", &token.access),
        };
        signed.map_err(|error| ApiError::of_net(error, Kind::Read))
    }

    /// The token itself, for the one place that takes it in an address.
    pub(super) fn secret(&self) -> &Secret {
        match self {
            Pass::Key(key) => key,
            Pass::Bearer(token) => &token.access,
        }
    }

    /// The token's life is over at `now`, by what the API said when it was given out.
    pub(super) fn is_over(&self, now: Millis) -> bool {
        match self {
            Pass::Key(_) => false,
            Pass::Bearer(token) => now >= token.expires_at,
        }
    }

    /// The token's number; None for an API key, which cannot be renewed.
    pub(super) fn generation(&self) -> Option<u64> {
        match self {
            Pass::Key(_) => None,
            Pass::Bearer(token) => Some(token.generation),
        }
    }
}

/// Says whose refusal it is, and what to look at.
fn refused_login(error: ApiError) -> ApiError {
    match error {
        ApiError::Refused { status, error_code, detail } => {
            let detail = format!("the login: {detail}; check `moltflow.email` and `moltflow.password`");
            ApiError::Refused { status, error_code, detail }
        }
        other => other,
    }
}

fn token(grant: Grant, old_refresh: Option<Secret>, generation: u64, now: Millis) -> Token {
    // Nonsense (negative, infinite) becomes 0 or a year.
    let life =
        grant.expires_in.map_or(DEFAULT_LIFE_MS, |seconds| (seconds.clamp(0.0, 31_536_000.0) * 1_000.0) as Millis);
    Token {
        access: Secret::new(grant.access_token),
        refresh: grant.refresh_token.map(Secret::new).or(old_refresh),
        expires_at: now + life,
        renew_at: AtomicI64::new(now + (life - MARGIN_MS).max(life / 10 * 9)),
        generation,
    }
}
