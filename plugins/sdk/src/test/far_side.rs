//! What a connector reaches, in tests: values, secrets, and a script of answers.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;

use super::Fake;
use crate::Context;
use crate::http::{Fate, HttpError, Request, Response};
use crate::secrets::SecretError;
use crate::state::StateError;

/// Limits of the state, as the host has them.
const KEY_BYTES: usize = 512;
const VALUE_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct FarSide {
    kept: BTreeMap<String, Vec<u8>>,
    staged: BTreeMap<String, Option<Vec<u8>>>,
    secrets: BTreeMap<String, String>,
    answers: VecDeque<Answer>,
    sent: Vec<Sent>,
    /// Keys that another call holds.
    busy: BTreeSet<String>,
}

thread_local! {
    /// As in a component, where an error of the state does not know its context.
    static HAS_ACTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this call has sent a request that may have changed something.
pub(crate) fn has_acted() -> bool {
    HAS_ACTED.get()
}

/// A new call has sent nothing.
pub(crate) fn begin() {
    HAS_ACTED.set(false);
}

impl FarSide {
    fn is_free(&self, key: &str) -> Result<(), StateError> {
        if self.busy.contains(key) {
            return Err(StateError::Unavailable(format!("the key `{key}` is held by another call")));
        }
        Ok(())
    }
}

/// A request as it left, with placeholders as `<NAME>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Sent {
    /// The first value of a header, whose name may be in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What a scripted request is met with.
#[derive(Clone, Debug)]
pub struct Answer(Result<Response, HttpError>);

impl Answer {
    pub fn status(status: u16) -> Self {
        Self(Ok(Response { method: String::new(), status, headers: Vec::new(), body: Vec::new(), is_cut: false }))
    }

    /// The connection was refused: nothing was sent.
    pub fn refused() -> Self {
        Self(Err(HttpError::new(Fate::NotSent, "connection_refused", "the connection was refused")))
    }

    /// The connection was lost before the answer.
    pub fn lost() -> Self {
        Self(Err(HttpError::new(Fate::Unknown, "connection_lost", "the connection was lost before the answer")))
    }

    /// The host is not granted.
    pub fn denied() -> Self {
        Self(Err(HttpError::new(Fate::Refused, "request_denied", "the host is not granted")))
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(response) = &mut self.0 {
            response.headers.push((name.to_lowercase(), value.to_string()));
        }
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        if let Ok(response) = &mut self.0 {
            response.body = body.into();
        }
        self
    }

    #[must_use]
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        let body = serde_json::to_vec(value).unwrap_or_else(|e| panic!("a scripted answer is no JSON: {e}"));
        self.header("content-type", "application/json").body(body)
    }
}

impl Fake {
    /// A secret that is asked for and granted.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.inner().far.secrets.insert(name.to_string(), value.to_string());
        self
    }

    /// A value that an earlier call has kept, as JSON.
    #[must_use]
    pub fn value<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Self {
        let bytes = serde_json::to_vec(value).unwrap_or_else(|e| panic!("a value of a test is no JSON: {e}"));
        self.inner().far.kept.insert(key.to_string(), bytes);
        self
    }

    /// A key that another call holds.
    #[must_use]
    pub fn busy(self, key: &str) -> Self {
        self.inner().far.busy.insert(key.to_string());
        self
    }

    /// What the next requests are met with, in their order. A request for which there is none is refused.
    #[must_use]
    pub fn answers(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.inner().far.answers.extend(answers);
        self
    }

    /// The requests that were sent so far, with or without an answer.
    pub fn sent(&self) -> Vec<Sent> {
        self.inner().far.sent.clone()
    }

    /// The values as the next call finds them: what was staged by a call that did not end yet is not among them.
    pub fn kept(&self) -> BTreeMap<String, Vec<u8>> {
        self.inner().far.kept.clone()
    }

    /// The end of a call: what it staged is kept, or forgotten.
    pub(crate) fn settle(&self, has_succeeded: bool) {
        let far = &mut self.inner().far;
        for (key, value) in std::mem::take(&mut far.staged) {
            match value {
                _ if !has_succeeded => {}
                Some(value) => drop(far.kept.insert(key, value)),
                None => drop(far.kept.remove(&key)),
            }
        }
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        too_large(key.len(), KEY_BYTES)?;
        let far = &self.inner().far;
        far.is_free(key)?;
        Ok(far.staged.get(key).cloned().unwrap_or_else(|| far.kept.get(key).cloned()))
    }

    pub(crate) fn set(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), StateError> {
        too_large(key.len(), KEY_BYTES)?;
        too_large(value.as_ref().map_or(0, Vec::len), VALUE_BYTES)?;
        let far = &mut self.inner().far;
        far.is_free(key)?;
        far.staged.insert(key.to_string(), value);
        Ok(())
    }

    pub(crate) fn with_secret<T>(&self, name: &str, f: impl FnOnce(&str) -> T) -> Result<T, SecretError> {
        self.inner().far.secrets.get(name).map(|value| f(value)).ok_or_else(|| SecretError::Denied(name.to_string()))
    }

    pub(crate) fn send(&self, request: Request) -> Result<Response, HttpError> {
        let far = &mut self.inner().far;
        let (most, acts) = (request.max_body_bytes, request.acts());
        let Request { method, url, headers, body, .. } = request;
        far.sent.push(Sent { method: method.clone(), url, headers, body });
        let answer = far.answers.pop_front().unwrap_or_else(Answer::refused).0;
        if acts && !answer.as_ref().is_err_and(HttpError::proves_not_sent) {
            HAS_ACTED.set(true);
        }
        let mut response = answer?;
        response.method = method;
        response.is_cut = response.body.len() > most;
        response.body.truncate(most);
        Ok(response)
    }
}

fn too_large(bytes: usize, limit: usize) -> Result<(), StateError> {
    if bytes > limit { Err(StateError::TooLarge(limit as u64)) } else { Ok(()) }
}

impl Context {
    /// The requests that were sent so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.fake.sent()
    }
}
