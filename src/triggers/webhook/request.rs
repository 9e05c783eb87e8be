//! What a delivery looks like to a workflow: `{event: "webhook", path, headers, query, body}`.

use std::sync::Arc;

use serde_json::json;

use crate::base::Json;
use crate::base::json::JsonMap;
use crate::net::{HeaderMap, Url};

/// One delivery, as it came.
#[derive(Clone, Copy)]
pub struct Received<'r> {
    pub headers: &'r HeaderMap,
    /// After the `?`, without it.
    pub query: &'r str,
    pub body: &'r [u8],
}

/// What a delivery is to a workflow, and what it is compared by.
pub struct Delivery {
    /// The event, without what guards something.
    pub event: Arc<Json>,
    /// The same with it: two deliveries may differ in what is redacted alone. Only digests of it are kept.
    pub(super) whole: Arc<Json>,
}

/// A body that is not what its `Content-Type` says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("the body is no JSON: {0}")]
    NotJson(String),
    #[error("the body is neither JSON nor a form nor text")]
    NotText,
}

/// What stands in place of a value that guards something.
const REDACTED: &str = "[redacted]";

/// Headers and parameters whose names hold one of these carry what guards something. Journals are kept and shown, so that
/// their values do not get into events.
const GUARDING: [&str; 11] =
    ["auth", "key", "cookie", "signature", "secret", "token", "password", "api-key", "apikey", "api_key", "hmac"];

impl Received<'_> {
    /// A delivery to `path`; the headers `signatures` are redacted whatever they are called.
    pub fn delivery<'s>(&self, path: &str, signatures: impl Iterator<Item = &'s str>) -> Result<Delivery, BadBody> {
        let signatures: Vec<&str> = signatures.collect();
        let mut headers = JsonMap::new();
        for name in self.headers.keys() {
            let values = self.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            headers.insert(name.as_str().to_string(), values.collect::<Vec<_>>().join(", ").into());
        }
        let (query, body) = (pairs(self.query), self.body()?);
        let whole = json!({"event": "webhook", "path": path, "headers": headers, "query": query, "body": body});
        let mut event = whole.clone();
        redact(&mut event["headers"], |name| signatures.contains(&name) || is_guarding(name));
        redact(&mut event["query"], is_guarding);
        Ok(Delivery { event: Arc::new(event), whole: Arc::new(whole) })
    }

    fn body(&self) -> Result<Json, BadBody> {
        let kind = self.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if self.body.is_empty() {
            return Ok(Json::Null);
        }
        if kind == "application/json" || kind.ends_with("+json") {
            return serde_json::from_slice(self.body).map_err(|error| BadBody::NotJson(error.to_string()));
        }
        let text = std::str::from_utf8(self.body).map_err(|_| BadBody::NotText)?;
        // Many senders forget to say what they send, and some say that it is a form, as `curl -d` does. A bare word or number
        // stays what it is by its looks too.
        let looks = text.trim_start().starts_with(['{', '[']);
        if let Some(json) = looks.then(|| serde_json::from_str(text).ok()).flatten() {
            return Ok(json);
        }
        if kind == "application/x-www-form-urlencoded" {
            return Ok(Json::Object(pairs(text)));
        }
        Ok(text.into())
    }
}

/// Puts [`REDACTED`] in place of the values whose names guard something.
fn redact(map: &mut Json, guards: impl Fn(&str) -> bool) {
    for (_, value) in map.as_object_mut().into_iter().flatten().filter(|(name, _)| guards(name)) {
        *value = REDACTED.into();
    }
}

fn is_guarding(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // `author` and its kin are no secrets, and neither is an idempotency key; a parameter that is just called so is one.
    GUARDING.iter().any(|word| match *word {
        "auth" => name.contains("authorization") || name.contains("authentication") || name == "auth",
        "key" => name == "key",
        word => name.contains(word),
    })
}

/// The pairs of a form or a query; one that comes twice is a list.
fn pairs(text: &str) -> JsonMap {
    let mut map = JsonMap::new();
    // A base that parses, for its decoder alone.
    let Ok(mut url) = Url::parse("http://form.invalid/") else { return map };
    url.set_query(Some(text));
    for (name, value) in url.query_pairs().filter(|(name, value)| !name.is_empty() || !value.is_empty()) {
        let value = Json::from(value.into_owned());
        match map.get_mut(&*name) {
            None => drop(map.insert(name.into_owned(), value)),
            Some(Json::Array(list)) => list.push(value),
            Some(one) => *one = Json::Array(vec![one.take(), value]),
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn event(headers: &[(&'static str, &'static str)], query: &str, body: &[u8]) -> Result<Json, BadBody> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let delivery = Received { headers: &map, query, body }.delivery("shop", ["x-proof"].into_iter());
        delivery.map(|delivery| (*delivery.event).clone())
    }

    #[test]
    fn a_body_is_what_it_says_or_looks_like() {
        let json = "application/json; charset=utf-8";
        let form = "application/x-www-form-urlencoded";
        for (kind, body, expected) in [
            (json, r#"{"id": 1}"#, json!({"id": 1})),
            ("application/cloudevents+json", "[1]", json!([1])),
            (json, "", Json::Null),
            (form, "a=1&b=x+y%21&a=2&a=3&c", json!({"a": ["1", "2", "3"], "b": "x y!", "c": ""})),
            (form, "note=a#b", json!({"note": "a#b"})),
            (form, r#"{"id": 1}"#, json!({"id": 1})),
            (form, "{a}=1", json!({"{a}": "1"})),
            ("text/plain", r#" {"id": 1}"#, json!({"id": 1})),
            ("text/plain", "{half", json!("{half")),
            ("text/plain", "17", json!("17")),
            ("text/plain", "hi", json!("hi")),
        ] {
            assert_eq!(
                event(&[("content-type", kind)], "", body.as_bytes()).unwrap()["body"],
                expected,
                "{kind} {body}"
            );
        }
        assert_eq!(event(&[], "", b"{}").unwrap()["body"], json!({}));
        assert!(matches!(event(&[("content-type", json)], "", b"{half"), Err(BadBody::NotJson(_))));
        assert_eq!(event(&[], "", &[0xff, 0xfe]), Err(BadBody::NotText));
        // Deeper than anything reads.
        let deep = "[".repeat(100_000);
        assert!(matches!(event(&[("content-type", json)], "", deep.as_bytes()), Err(BadBody::NotJson(_))));
    }

    #[test]
    fn what_guards_something_is_not_journaled() {
        let headers = [
            ("authorization", "Bearer planted"),
            ("cookie", "planted"),
            ("x-api-key", "planted"),
            ("x-hub-signature-256", "planted"),
            ("x-shop-hmac-sha256", "planted"),
            ("x-proof", "planted"),
            ("x-gitlab-token", "planted"),
            ("x-topic", "orders"),
            ("x-topic", "paid"),
            ("x-author", "ann"),
        ];
        let event = event(&headers, "token=planted&page=2&page=3", b"x").unwrap();
        assert!(!event.to_string().contains("planted"), "{event}");
        assert_eq!(
            (&event["headers"]["x-topic"], &event["headers"]["x-author"]),
            (&json!("orders, paid"), &json!("ann"))
        );
        assert_eq!(event["query"], json!({"token": "[redacted]", "page": ["2", "3"]}));
        assert_eq!((&event["event"], &event["path"]), (&json!("webhook"), &json!("shop")));
    }

    proptest! {
        #[test]
        fn no_delivery_panics(query in "\\PC{0,40}", body in prop::collection::vec(any::<u8>(), 0..60), form: bool) {
            let kind = if form { "application/x-www-form-urlencoded" } else { "text/plain" };
            let event = event(&[("content-type", kind)], &query, &body);
            prop_assert_eq!(event.is_err(), std::str::from_utf8(&body).is_err());
        }
    }
}
