//! The calls.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::json;

#[cfg(test)]
use super::Session;
use super::auth::{Auth, Credentials, Renewal};
use super::error::Kind;
use super::rate::Rate;
use super::{ApiError, ChatId, Sent, Webhook};
use crate::base::Json;
use crate::engine::ports::Clock;
use crate::net::{Method, Net, Redirects, Request, Response, Url, redact, shown_url};

/// Time for one exchange with the API, in milliseconds. Half of a step's default: a step can sign in and still send.
pub(super) const TIMEOUT_MS: u64 = 30_000;

/// Where the API is and who asks.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ends in `/api/v2`; must be trusted by the net's policy if it is a private address.
    pub base_url: String,
    pub credentials: Credentials,
}

/// The client. One for the process: its callers share token and rate limit.
pub struct MoltFlow {
    base: Url,
    auth: Auth,
    rate: Rate,
    net: Arc<Net>,
    clock: Arc<dyn Clock>,
}

impl MoltFlow {
    /// Fails if `base_url` is no http or https URL.
    pub fn new(config: Config, net: Arc<Net>, clock: Arc<dyn Clock>) -> Result<Self, ApiError> {
        let text = config.base_url.trim_end_matches('/');
        let base =
            Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none());
        let base = base.ok_or_else(|| {
            ApiError::Invalid(format!(
                "`{}` is no base URL for MoltFlow; write it like https://apiv2.waiflow.app/api/v2",
                shown_url(text)
            ))
        })?;
        let auth = Auth::new(config.credentials, text.to_string());
        Ok(Self { base, auth, rate: Rate::default(), net, clock })
    }

    /// How long the credential is paused, if it is: nothing needs to be tried before.
    pub fn paused(&self) -> Result<(), ApiError> {
        match self.rate.paused_ms(self.clock.now()) {
            Some(after_ms) => Err(limited(after_ms)),
            None => Ok(()),
        }
    }

    /// Sends a text. An error other than [`ApiError::Unknown`] proves that nothing was sent.
    pub async fn send_message(&self, session: &str, chat: &ChatId, text: &str) -> Result<Sent, ApiError> {
        let body = json!({ "chatId": chat.as_str(), "text": text });
        let response = self.call(Method::POST, &["sessions", session, "messages"], Some(&body), Kind::Write).await?;
        response.json().as_ref().and_then(Sent::read).ok_or_else(|| {
            let message = format!("MoltFlow answered {} without a message id at result.key.id", response.status);
            ApiError::lost(Kind::Write, "moltflow.bad_answer", message)
        })
    }

    /// The plainest call there is: tests of credentials and limits make it.
    #[cfg(test)]
    pub async fn list_sessions(&self) -> Result<Vec<Session>, ApiError> {
        read(&self.call(Method::GET, &["sessions"], None, Kind::Read).await?, Kind::Read)
    }

    /// Registers `url` for `events` (`message`, `session_status`, `group_join`).
    pub async fn create_webhook(&self, url: &str, events: &[&str]) -> Result<Webhook, ApiError> {
        let body = json!({ "url": url, "events": events });
        read(&self.call(Method::POST, &["webhooks"], Some(&body), Kind::Write).await?, Kind::Write)
    }

    /// One call: signed, sent, at a 401 renewed and sent again (a 401 proves that nothing was done).
    async fn call(&self, method: Method, path: &[&str], body: Option<&Json>, kind: Kind) -> Result<Response, ApiError> {
        let url = self.url(path)?;
        let mut renewals = [Renewal::Refresh, Renewal::Login].into_iter();
        self.paused()?;
        let mut pass = self.auth.pass(&self.net, &*self.clock, &self.rate).await?;
        loop {
            self.paused()?;
            let mut request =
                Request::new(method.clone(), url.clone()).timeout_ms(TIMEOUT_MS).redirects(Redirects::HandBack);
            if let Some(body) = body {
                request = request.json(body);
            }
            let response = self.net.send(pass.sign(request)?).await.map_err(|error| ApiError::of_net(error, kind))?;
            let now = self.clock.now();
            if let Some(after_ms) = self.rate.observe(&response, now) {
                return Err(limited(after_ms));
            }
            if response.is_success() {
                return Ok(response);
            }
            if response.status == 401
                && let Some(generation) = pass.generation()
                && let Some(how) = renewals.next()
            {
                pass = self.auth.renew(generation, how, &self.net, &*self.clock, &self.rate).await?;
                continue;
            }
            return Err(ApiError::of_answer(&response, kind, now, &self.auth.secrets(&pass)));
        }
    }

    fn url(&self, path: &[&str]) -> Result<Url, ApiError> {
        for part in path {
            // `.` and `..` would be resolved away; the rest is encoded.
            if part.is_empty() || *part == "." || *part == ".." || part.len() > 128 || part.contains(char::is_control) {
                return Err(ApiError::Invalid(format!("`{}` is no name of a session", redact(part, &[]))));
            }
        }
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        Ok(url)
    }
}

/// The credential is paused.
pub(super) fn limited(after_ms: u64) -> ApiError {
    let human = crate::base::duration::human(after_ms);
    ApiError::Later {
        code: "moltflow.rate_limited",
        message: format!("MoltFlow's rate limit is reached; next try in {human}"),
        after_ms,
    }
}

fn read<T: DeserializeOwned>(response: &Response, kind: Kind) -> Result<T, ApiError> {
    serde_json::from_slice(&response.body).map_err(|error| {
        let message = format!("MoltFlow's answer cannot be read: {error}");
        ApiError::lost(kind, "moltflow.bad_answer", message)
    })
}
