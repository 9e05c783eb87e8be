//! A request, and what is wrong with it before it is sent.

use std::time::Duration;

use serde::Serialize;

use super::{Fate, HttpError, Response};
use crate::Context;

/// Bytes of a body that the host takes.
const BODY_BYTES: usize = 1 << 20;

/// Bytes of an answer's body that are read unless [`Request::max_body_bytes`] says otherwise: what the host lets through.
const ANSWER_BYTES: usize = 4 << 20;

/// A request; nothing is sent before [`Request::send`], which also tells what is wrong with it.
#[derive(Clone, Debug)]
#[must_use = "a request is sent by `.send(context)`"]
pub struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_body_bytes: usize,
    fault: Option<String>,
}

/// A URL in the parts that `wasi:http` wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) is_https: bool,
    pub(crate) authority: &'a str,
    pub(crate) path: String,
}

impl Request {
    /// `method` in capitals.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
            max_body_bytes: ANSWER_BYTES,
            fault: None,
        }
    }

    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    pub fn patch(url: impl Into<String>) -> Self {
        Self::new("PATCH", url)
    }

    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// `Authorization: Bearer`, with the placeholder of a secret.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Adds to the query of the URL, encoded. A fragment, which is never sent, is left out.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.truncate(self.url.find('#').unwrap_or(self.url.len()));
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        encode(name, &mut self.url);
        self.url.push('=');
        encode(value, &mut self.url);
        self
    }

    /// A body of JSON, with its `Content-Type`.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.body = body,
            Err(e) => self.fault = Some(format!("the body cannot be written as JSON: {e}")),
        }
        if self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            return self;
        }
        self.header("content-type", "application/json")
    }

    /// A body, as it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// How long each of connecting, the first byte of the answer and the pauses in it may take. Without it that is the time
    /// which the call has left.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How much of the answer's body is read; more than that is left and [`Response::is_cut`].
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes.min(ANSWER_BYTES);
        self
    }

    /// Sends it and waits for the answer; whatever its status is, an answer is no error.
    pub fn send(self, context: &Context) -> Result<Response, HttpError> {
        self.check()?;
        self.send_checked(context)
    }

    /// Whether it may change something on the far side.
    pub(crate) fn acts(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }

    fn check(&self) -> Result<(), HttpError> {
        let refused = |what: String| Err(HttpError::new(Fate::Refused, "bad_request", what));
        if let Some(fault) = &self.fault {
            return refused(fault.clone());
        }
        if self.method.is_empty() || !self.method.bytes().all(is_token) {
            return refused(format!("`{}` is no method", self.method));
        }
        if let Err(reason) = self.target() {
            return refused(reason);
        }
        for (name, value) in &self.headers {
            if name.is_empty() || !name.bytes().all(is_token) {
                return refused(format!("`{name}` is no name of a header"));
            }
            if value.bytes().any(|byte| byte != b'\t' && byte.is_ascii_control()) {
                return refused(format!("the header `{name}` holds a control character"));
            }
        }
        if self.body.len() > BODY_BYTES {
            return refused(format!("the body is {} bytes, more than the {BODY_BYTES} allowed", self.body.len()));
        }
        Ok(())
    }

    /// The parts of the URL, without its fragment.
    pub(crate) fn target(&self) -> Result<Target<'_>, String> {
        let bad = |what: &str| format!("the URL `{}` {what}", self.url.chars().take(100).collect::<String>());
        let (scheme, rest) = self.url.split_once("://").ok_or_else(|| bad("must begin with https:// or http://"))?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(bad("must begin with https:// or http://")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err(bad("has no host"));
        }
        if authority.contains('@') {
            return Err(bad("holds a user or password; put it into a header"));
        }
        if rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(bad("holds white space; encode it"));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Target { is_https, authority, path: format!("{slash}{path}") })
    }

    #[cfg(target_arch = "wasm32")]
    fn send_checked(self, context: &Context) -> Result<Response, HttpError> {
        super::send::send(&self, context)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn send_checked(self, context: &Context) -> Result<Response, HttpError> {
        context.fake.send(self)
    }
}

/// What names of methods and headers are made of (RFC 9110, `token`).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn encode(text: &str, url: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, is_https, authority, path) in [
            ("https://api.crm.example", true, "api.crm.example", "/"),
            ("HTTP://h:8080/a/b?c=d#e", false, "h:8080", "/a/b?c=d"),
            ("https://h?q=a/b", true, "h", "/?q=a/b"),
            ("https://[::1]:1/x", true, "[::1]:1", "/x"),
        ] {
            let request = Request::get(url);
            assert_eq!(request.target(), Ok(Target { is_https, authority, path: path.to_string() }), "{url}");
        }
        for (url, what) in [
            ("api.crm.example", "must begin with"),
            ("ftp://h", "must begin with"),
            ("https:///x", "has no host"),
            ("https://u:p@h/", "put it into a header"),
            ("https://h/a b", "encode it"),
        ] {
            let error = Request::get(url).target().unwrap_err();
            assert!(error.contains(what), "{url}: {error}");
        }
    }

    #[test]
    fn queries_are_encoded() {
        let request = Request::get("https://h/x").query("q", "a b&c").query("ü", "1");
        assert_eq!(request.url, "https://h/x?q=a%20b%26c&%C3%BC=1");
        for (url, expected) in [("https://h/x#top", "https://h/x?q=1"), ("https://h/x?a=b#top?", "https://h/x?a=b&q=1")]
        {
            assert_eq!(Request::get(url).query("q", "1").url, expected);
        }
    }

    #[test]
    fn what_is_no_request_is_refused_before_anything_is_sent() {
        let context = Context::fake();
        let ok = || Request::post("https://h/");
        for (request, what) in [
            (Request::get("h"), "must begin with"),
            (Request::new("GET /", "https://h"), "is no method"),
            (ok().header("a b", "c"), "is no name of a header"),
            (ok().header("a", "b\r\nc: d"), "control character"),
            (ok().body(vec![0; BODY_BYTES + 1]), "more than the 1048576 allowed"),
            (ok().json(&std::collections::BTreeMap::from([((1, 2), 3)])), "cannot be written as JSON"),
        ] {
            let error = request.send(&context).unwrap_err();
            assert!(error.proves_not_sent() && error.message.contains(what), "{error}");
        }
        assert!(context.sent().is_empty());
    }
}
