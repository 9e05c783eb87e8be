//! A request and its answer, whole in memory.

use std::fmt;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::redact::shown;
use super::{NetError, NetErrorKind, shown_url};
use crate::base::{Json, Secret};

/// What to do when the answer is a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Follow where that repeats no effect; hand back the rest.
    Follow,
    /// Hand back every one: for APIs, where a redirect means that the base URL is wrong.
    HandBack,
}

/// Where a request goes: a text, which is checked when it is sent, or a URL that was parsed before.
#[derive(Clone, Debug)]
pub enum Target {
    Text(String),
    Url(Url),
}

impl From<&str> for Target {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<&String> for Target {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Target {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Url> for Target {
    fn from(url: Url) -> Self {
        Self::Url(url)
    }
}

/// A request. `Debug` shows neither header values nor the query nor the body.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    pub url: Target,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// For the whole exchange, redirects and body included, in milliseconds.
    pub timeout_ms: u64,
    pub redirects: Redirects,
}

impl Request {
    pub fn new(method: Method, url: impl Into<Target>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout_ms: crate::base::limits::STEP_TIMEOUT_MS,
            redirects: Redirects::Follow,
        }
    }

    pub fn timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.timeout_ms = timeout_ms;
        self
    }

    pub fn redirects(mut self, redirects: Redirects) -> Self {
        self.redirects = redirects;
        self
    }

    /// Sets a header. The error names the header, never the value.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, NetError> {
        self.set(name, value, false)?;
        Ok(self)
    }

    /// Sets a header whose value is a secret, after `prefix` (`Bearer `).
    pub fn secret_header(mut self, name: &str, prefix: &str, secret: &Secret) -> Result<Self, NetError> {
        self.set(name, &format!("{prefix}{}", secret.expose()), true)?;
        Ok(self)
    }

    /// A JSON body with its content type.
    pub fn json(mut self, value: &Json) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = Bytes::from(value.to_string());
        self
    }

    fn set(&mut self, name: &str, value: &str, secret: bool) -> Result<(), NetError> {
        let bad = |what: &str| NetError::new(NetErrorKind::Invalid, format!("header `{}`: {what}", shown_name(name)));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("this is no header name"))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| bad("its value holds a line break or another control character"))?;
        value.set_sensitive(secret);
        self.headers.insert(key, value);
        Ok(())
    }
}

fn shown_name(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match &self.url {
            Target::Text(text) => shown_url(text),
            Target::Url(url) => shown(url),
        };
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &url)
            .field("headers", &self.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .field("timeout_ms", &self.timeout_ms)
            .finish()
    }
}

/// A complete answer of any status. `Debug` shows neither header values nor the body: an answer may hold a token.
#[derive(Clone)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    /// At most [`limits::HTTP_RESPONSE`](crate::base::limits::HTTP_RESPONSE) bytes.
    pub body: Bytes,
}

impl Response {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's text, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON; None when it is something else.
    pub fn json(&self) -> Option<Json> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}
