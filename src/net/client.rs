//! The client itself.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use bytes::BytesMut;
use futures::future::{Either, select};
use reqwest::Url;

use super::pool::{Pool, Roots};
use super::redact::shown;
use super::redirect::{Hop, Next, next};
use super::resolve::check;
use super::{
    HeaderMap, Lookup, NetError, NetErrorKind, Opened, Policy, Redirects, Request, Response, SystemLookup, Target,
};
use crate::base::limits;
use crate::engine::ports::Clock;

/// The guarded HTTP client. Cheap to share by `Arc`; one serves the whole process, so that connections are reused.
pub struct Net {
    guarded: Pool,
    /// Serves the policy's exceptions. Its connections are its own, so that none it opened is lent to the other.
    open: Pool,
    policy: Policy,
    clock: Arc<dyn Clock>,
}

impl Net {
    /// Cannot fail: on a machine without certificate authorities plain http works, and https fails with a message that
    /// says so.
    pub fn new(policy: Policy, clock: Arc<dyn Clock>) -> Self {
        Self::with_lookup(policy, clock, Arc::new(SystemLookup))
    }

    /// The same, with names resolved by `lookup`.
    pub fn with_lookup(policy: Policy, clock: Arc<dyn Clock>, lookup: Arc<dyn Lookup>) -> Self {
        Self::with_roots(policy, clock, lookup, Roots::System)
    }

    pub(super) fn with_roots(policy: Policy, clock: Arc<dyn Clock>, lookup: Arc<dyn Lookup>, roots: Roots) -> Self {
        let (guarded, open) = (Pool::new(lookup.clone(), true, roots), Pool::new(lookup, false, roots));
        Self { guarded, open, policy, clock }
    }

    /// Sends `request` once and reads the whole answer, whatever its status.
    pub async fn send(&self, request: Request) -> Result<Response, NetError> {
        Ok(self.send_traced(request).await?.0)
    }

    /// The same, and whether a redirect was followed: then the request itself was answered before, so that the answer's
    /// status says nothing about what became of it.
    pub async fn send_traced(&self, request: Request) -> Result<(Response, bool), NetError> {
        self.in_time(request, async |mut answer, hop, redirected| {
            let (status, headers) = (answer.status().as_u16(), std::mem::take(answer.headers_mut()));
            Ok((Response { status, headers, body: self.read(answer, &hop.place()).await? }, redirected))
        })
        .await
    }

    /// Sends `request` once and reads the head of the answer, whatever its status; the body is read as it comes. The
    /// request's time is for the head, and then for every silence: an answer may go on for ever, and its size is the
    /// caller's to bound.
    pub async fn open(&self, request: Request) -> Result<Opened, NetError> {
        let (clock, timeout_ms) = (self.clock.clone(), request.timeout_ms);
        self.in_time(request, async |answer, hop, _| {
            Ok(Opened::new(answer, hop.place().to_string(), clock, timeout_ms))
        })
        .await
    }

    /// One exchange: the head of the answer, and of the rest what `read` wants, all of it in the request's time. `read` is
    /// told whether a redirect was followed.
    async fn in_time<T>(
        &self,
        request: Request,
        read: impl AsyncFnOnce(reqwest::Response, Hop, bool) -> Result<T, NetError>,
    ) -> Result<T, NetError> {
        let Request { method, url, headers, body, timeout_ms, redirects } = request;
        let url = parse(&method, url)?;
        let (asked, to) = (method.clone(), url.clone());
        let progress = Progress::default();
        let until = self.clock.now().saturating_add(i64::try_from(timeout_ms).unwrap_or(i64::MAX));
        let deadline = self.clock.sleep_until(until);
        let exchange = pin!(async {
            let (answer, hop) = self.head(Hop { method, url, headers, body }, redirects, &progress).await?;
            read(answer, hop, progress.redirected.load(Ordering::Relaxed)).await
        });
        let mut result = match select(exchange, deadline).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => {
                let (place, human) = (Place(&asked, &to), crate::base::duration::human(timeout_ms));
                Err(NetError::new(NetErrorKind::Timeout, format!("{place}: no complete answer within {human}")))
            }
        };
        if let Err(error) = &mut result {
            error.status = Some(progress.status.load(Ordering::Relaxed)).filter(|status| *status != 0);
            error.redirected = progress.redirected.load(Ordering::Relaxed);
        }
        result
    }

    /// The head of the answer, and the request that it answers.
    async fn head(
        &self,
        mut hop: Hop,
        redirects: Redirects,
        progress: &Progress,
    ) -> Result<(reqwest::Response, Hop), NetError> {
        let mut opened = self.policy.opens(&hop.url);
        for _ in 0..=limits::REDIRECTS {
            progress.status.store(0, Ordering::Relaxed);
            let headers = match redirects {
                Redirects::Follow => hop.headers.clone(),
                // Sent once only.
                Redirects::HandBack => std::mem::take(&mut hop.headers),
            };
            let answer = self.one(&hop, headers, opened).await?;
            let status = answer.status().as_u16();
            progress.status.store(status, Ordering::Relaxed);
            let next = match redirects {
                Redirects::Follow => next(&hop, status, answer.headers()),
                Redirects::HandBack => Next::Answer,
            };
            match next {
                Next::Answer => return Ok((answer, hop)),
                Next::Nowhere => {
                    return Err(NetError::new(
                        NetErrorKind::Redirects,
                        format!("{}: redirected to something that is no URL", hop.place()),
                    ));
                }
                Next::Go(next) => {
                    progress.redirected.store(true, Ordering::Relaxed);
                    judge(&next.url, &next.method)?;
                    if next.url.origin() != hop.url.origin() {
                        opened = self.policy.opens_redirect(&next.url);
                    }
                    hop = *next;
                }
            }
        }
        Err(NetError::new(
            NetErrorKind::Redirects,
            format!("{}: redirected more than {} times", hop.place(), limits::REDIRECTS),
        ))
    }

    /// One request, up to the head of its answer.
    async fn one(&self, hop: &Hop, headers: HeaderMap, opened: bool) -> Result<reqwest::Response, NetError> {
        let blocked =
            |error: NetError| if error.kind == NetErrorKind::Blocked { with_paste(error, &hop.url) } else { error };
        if !opened && let Some(address) = literal(&hop.url) {
            // The client connects to an address as it stands, without asking the resolver.
            check(address).map_err(|refused| {
                blocked(NetError::new(NetErrorKind::Blocked, format!("{}: {refused}", hop.place())))
            })?;
        }
        let mut request = reqwest::Request::new(hop.method.clone(), hop.url.clone());
        *request.headers_mut() = headers;
        if !hop.body.is_empty() || !matches!(hop.method, reqwest::Method::GET | reqwest::Method::HEAD) {
            *request.body_mut() = Some(hop.body.clone().into());
        }
        let (client, roots) = if opened { &self.open } else { &self.guarded }.client(&hop.url)?;
        client.execute(request).await.map_err(|error| blocked(NetError::of(&error, &hop.place().to_string(), roots)))
    }

    async fn read(&self, mut answer: reqwest::Response, place: &Place<'_>) -> Result<bytes::Bytes, NetError> {
        let limit = limits::HTTP_RESPONSE;
        let too_large =
            || NetError::new(NetErrorKind::TooLarge, format!("{place}: the answer is larger than {limit} bytes"));
        if answer.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| NetError::of(&error, &place.to_string(), true))? {
            if body.is_empty() && answer.content_length() == Some(chunk.len() as u64) {
                // The whole of it at once, which is what small answers are.
                return Ok(chunk);
            }
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// What an exchange has seen so far; read when it is given up.
#[derive(Default)]
struct Progress {
    /// 0: no head of an answer yet.
    status: AtomicU16,
    redirected: AtomicBool,
}

/// Where a request goes, for messages.
struct Place<'a>(&'a reqwest::Method, &'a Url);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, shown(self.1))
    }
}

impl Hop {
    fn place(&self) -> Place<'_> {
        Place(&self.method, &self.url)
    }
}

fn parse(method: &reqwest::Method, target: Target) -> Result<Url, NetError> {
    let url = match target {
        Target::Url(url) => url,
        Target::Text(text) => Url::parse(&text).map_err(|error| {
            NetError::new(NetErrorKind::Invalid, format!("{method} `{}` is no URL: {error}", super::shown_url(&text)))
        })?,
    };
    judge(&url, method)?;
    Ok(url)
}

/// What every hop must be.
fn judge(url: &Url, method: &reqwest::Method) -> Result<(), NetError> {
    let place = Place(method, url);
    if !matches!(url.scheme(), "http" | "https") {
        return Err(NetError::new(NetErrorKind::Blocked, format!("{place}: only http and https are allowed")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = format!("{place}: credentials in a URL are refused, because URLs get printed; use a header");
        return Err(NetError::new(NetErrorKind::Invalid, message));
    }
    Ok(())
}

/// The address a URL is written with.
fn literal(url: &Url) -> Option<std::net::IpAddr> {
    let host = url.host_str()?;
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// A refusal prints the configuration that would allow it.
fn with_paste(mut error: NetError, url: &Url) -> NetError {
    if let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) {
        error.message +=
            &format!("; if it should be, put `net: {{ allow_private: [\"{host}:{port}\"] }}` in moltrun.yaml");
    }
    error
}
