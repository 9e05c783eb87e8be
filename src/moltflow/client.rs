//! The client, and how one call is made: signed, counted against the rate limit, judged.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::ApiError;
use super::auth::{Auth, Credentials, Pass, Renewal};
use super::error::{Kind, RATE_LIMITED};
use super::rate::{Permit, Rate};
use crate::base::Json;
use crate::base::phone::Region;
use crate::engine::ports::Clock;
use crate::net::{HeaderMap, Method, Net, Redirects, Request, Response, Url, redact, shown_url};

/// Time for one exchange with the API, in milliseconds. Half of a step's default: a step can sign in and still send.
pub(super) const TIMEOUT_MS: u64 = 30_000;

/// 401s in one call that are put down to the token's end, of which the API may know earlier than we do. Tokens of a second
/// on a machine that is out of breath need a few; an API that never accepts a token ends there.
const EXPIRIES: u32 = 8;

/// Where the API is and who asks.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ends in `/api/v2`; must be trusted by the net's policy if it is a private address.
    pub base_url: String,
    pub credentials: Credentials,
}

/// The client. One for the process: its callers share token and rate limit.
pub struct MoltFlow {
    pub(super) base: Url,
    auth: Auth,
    rate: Rate,
    pub(super) net: Arc<Net>,
    pub(super) clock: Arc<dyn Clock>,
    region: Option<Region>,
}

/// Who asks in one call, and what has been tried when the API did not believe it.
pub(super) struct Signer {
    pub pass: Pass,
    refusals: u32,
    expiries: u32,
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
        Ok(Self { base, auth, rate: Rate::default(), net, clock, region: None })
    }

    /// The same with a region, in which phone numbers without a country code are meant.
    pub fn in_region(self, region: Option<Region>) -> Self {
        Self { region, ..self }
    }

    /// Where phone numbers without a country code are meant; None: they are refused.
    pub fn region(&self) -> Option<Region> {
        self.region
    }

    /// How long the credential is paused, if it is: nothing needs to be tried before.
    fn paused(&self) -> Result<(), ApiError> {
        match self.rate.paused_ms(self.clock.now()) {
            Some(after_ms) => Err(limited(after_ms)),
            None => Ok(()),
        }
    }

    /// One call below the base URL. The answer is a success.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Json>,
        kind: Kind,
    ) -> Result<Response, ApiError> {
        self.exchange(method, self.url(path)?, body, kind).await
    }

    /// One call: signed, sent, at a 401 renewed and sent again (a 401 proves that nothing was done).
    pub(super) async fn exchange(
        &self,
        method: Method,
        url: Url,
        body: Option<&Json>,
        kind: Kind,
    ) -> Result<Response, ApiError> {
        let mut signer = self.signer().await?;
        loop {
            let mut request =
                Request::new(method.clone(), url.clone()).timeout_ms(TIMEOUT_MS).redirects(Redirects::HandBack);
            if let Some(body) = body {
                request = request.json(body);
            }
            let request = signer.pass.sign(request)?;
            let permit = self.permit().await?;
            let answer = match self.net.send(request).await {
                // Its head says that nothing was done, and what to do about it.
                Err(error) if error.status == Some(401) => {
                    Ok(Response { status: 401, headers: HeaderMap::new(), body: Bytes::new() })
                }
                answer => answer.map_err(|error| ApiError::of_net(error, kind)),
            };
            let response = self.answered(permit, answer)?;
            if response.is_success() {
                return Ok(response);
            }
            if !self.renewed(&mut signer, response.status).await? {
                return Err(self.refused(&response, kind, &signer));
            }
        }
    }

    /// Signs in, if that is due: what takes time is done before a sender's permission is used up, and before a send may count
    /// as begun.
    pub async fn ready(&self) -> Result<(), ApiError> {
        self.signer().await.map(|_| ())
    }

    pub(super) async fn signer(&self) -> Result<Signer, ApiError> {
        self.paused()?;
        let pass = self.auth.pass(&self.net, &*self.clock, &self.rate).await?;
        Ok(Signer { pass, refusals: 0, expiries: 0 })
    }

    /// Leave to send one request; the answer goes to [`Self::answered`].
    pub(super) async fn permit(&self) -> Result<Permit<'_>, ApiError> {
        self.rate.permit(&*self.clock).await.map_err(limited)
    }

    /// Learns from an answer what it says of the rate limit; a 429 becomes its pause.
    pub(super) fn answered(
        &self,
        permit: Permit<'_>,
        answer: Result<Response, ApiError>,
    ) -> Result<Response, ApiError> {
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                if let ApiError::Later { after_ms, .. } = &error {
                    self.rate.pause(*after_ms, self.clock.now());
                }
                return Err(error);
            }
        };
        match permit.answered(&response, self.clock.now()) {
            Some(after_ms) => Err(limited(after_ms)),
            None => Ok(response),
        }
    }

    /// Whether an answer of `status` is worth another try, with the credential that replaces the signer's.
    pub(super) async fn renewed(&self, signer: &mut Signer, status: u16) -> Result<bool, ApiError> {
        let Some(generation) = signer.pass.generation().filter(|_| status == 401) else { return Ok(false) };
        let how = if signer.pass.is_over(self.clock.now()) && signer.expiries < EXPIRIES {
            signer.expiries += 1;
            Renewal::Refresh
        } else {
            signer.refusals += 1;
            match signer.refusals {
                1 => Renewal::Refresh,
                2 => Renewal::Login,
                _ => return Ok(false),
            }
        };
        signer.pass = self.auth.renew(generation, how, &self.net, &*self.clock, &self.rate).await?;
        Ok(true)
    }

    /// The error of an answer that is no success.
    pub(super) fn refused(&self, response: &Response, kind: Kind, signer: &Signer) -> ApiError {
        ApiError::of_answer(response, kind, self.clock.now(), &self.auth.secrets(&signer.pass))
    }

    /// The address of `path` below the base URL, each of its parts encoded.
    pub(super) fn url(&self, path: &[&str]) -> Result<Url, ApiError> {
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
        code: RATE_LIMITED,
        message: format!("MoltFlow's rate limit is reached; next try in {human}"),
        after_ms,
    }
}

/// The body of a success as a model. Of a write whose answer cannot be read the outcome is unknown.
pub(super) fn read<T: DeserializeOwned>(response: &Response, kind: Kind) -> Result<T, ApiError> {
    serde_json::from_slice(&response.body).map_err(|error| {
        let message = format!("MoltFlow's answer cannot be read: {error}");
        ApiError::lost(kind, "moltflow.bad_answer", redact(&message, &[]))
    })
}

/// The body of a success whose form the guide does not show: JSON, else its text, else null.
pub(super) fn any(response: &Response) -> Json {
    match response.json() {
        Some(json) => json,
        None if response.body.iter().all(u8::is_ascii_whitespace) => Json::Null,
        None => Json::String(String::from_utf8_lossy(&response.body).into_owned()),
    }
}
