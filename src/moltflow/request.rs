//! Any other endpoint of the API, with the same credentials and limits.

use super::client::any;
use super::error::Kind;
use super::{ApiError, MoltFlow};
use crate::base::{Effect, Json};
use crate::net::{Method, Url, redact};

/// What an endpoint answered: a success.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    /// JSON, else the text, else null.
    pub body: Json,
}

/// A path below the base URL, in bytes. Arbitrary, many times what an API's paths are.
const PATH: usize = 1_024;

impl MoltFlow {
    /// Calls `path` below the base URL: `/sessions/support-team/contacts`. With [`Effect::AtMostOnce`] a lost answer is an
    /// unknown outcome; with another effect it may be asked again.
    ///
    /// A path that would leave the base URL (`..`, `//`, an address with a host) is refused, however it is encoded, and so
    /// is one with a query: that has a place of its own, where it is encoded.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(String, String)],
        json: Option<&Json>,
        effect: Effect,
    ) -> Result<Answer, ApiError> {
        let mut url = below(&self.base, path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let kind = if effect == Effect::AtMostOnce { Kind::Write } else { Kind::Read };
        let response = self.exchange(method, url, json, kind).await?;
        Ok(Answer { status: response.status, body: any(&response) })
    }
}

/// `path` below `base`.
pub(super) fn below(base: &Url, path: &str) -> Result<Url, ApiError> {
    let bad = |why: &str| {
        let shown = redact(path, &[]);
        ApiError::Invalid(format!("the path `{shown}` {why}; write it like /sessions/support-team/groups"))
    };
    let rest = path.strip_prefix('/').unwrap_or(path);
    if rest.is_empty() || path.len() > PATH {
        return Err(bad("is empty or too long"));
    }
    // A colon before the first slash would be read as a scheme.
    if rest.starts_with('/') || rest.split('/').next().is_some_and(|first| first.contains(':')) {
        return Err(bad("is an address of its own, not a path below `moltflow.base_url`"));
    }
    if rest.contains(['?', '#']) {
        return Err(bad("holds a query; give that under `query`"));
    }
    if rest.contains('\\') || rest.contains(char::is_control) {
        return Err(bad("holds a backslash or a control character"));
    }
    let mut url = base.clone();
    {
        let mut segments =
            url.path_segments_mut().map_err(|()| bad("cannot be put below `moltflow.base_url`, which has no path"))?;
        segments.pop_if_empty();
        for part in rest.trim_end_matches('/').split('/') {
            let plain = decoded(part).ok_or_else(|| bad("holds a broken %-escape"))?;
            // A slash that is encoded would be one again for a server that decodes before it routes.
            if plain.is_empty() || plain == "." || plain == ".." || plain.contains(['/', '\\']) {
                return Err(bad("would leave `moltflow.base_url`"));
            }
            if plain.contains(char::is_control) {
                return Err(bad("holds a backslash or a control character"));
            }
            segments.push(&plain);
        }
    }
    // Whatever was thought of above: what is not below the base is not sent, because it would be signed.
    let inside = url.path().strip_prefix(base.path().trim_end_matches('/')).is_some_and(|tail| tail.starts_with('/'));
    if url.origin() != base.origin() || !inside {
        return Err(bad("would leave `moltflow.base_url`"));
    }
    Ok(url)
}

/// A part of a path without its %-escapes; None if one is broken.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex = std::str::from_utf8(rest.get(..2)?).ok().filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base() -> Url {
        Url::parse("https://api.example.com/api/v2").unwrap()
    }

    #[test]
    fn paths_stay_below_the_base() {
        for (path, expected) in [
            ("/sessions", "/api/v2/sessions"),
            ("sessions/support-team/contacts/", "/api/v2/sessions/support-team/contacts"),
            ("/a b/ü", "/api/v2/a%20b/%C3%BC"),
            ("/a%20b/15551234567@c.us", "/api/v2/a%20b/15551234567@c.us"),
            ("/chats/x:y", "/api/v2/chats/x:y"),
            ("/...", "/api/v2/..."),
        ] {
            assert_eq!(below(&base(), path).unwrap().path(), expected, "{path}");
        }
        for path in [
            "",
            "/",
            "//evil.example",
            "///x",
            "https://evil.example/x",
            "HTTPS:evil",
            "/..",
            "/../admin",
            "/a/../../b",
            "/./a",
            "/%2e%2e/admin",
            "/%2E./admin",
            "/.%2e",
            "/a//b",
            "/a%2f..%2fb",
            "/a\\..\\b",
            "/%5c..",
            "/a?b=c",
            "/a#b",
            "/a%",
            "/a%zz",
            "/a%ff",
            "/a\nb",
            "/a%0ab",
            "\\\\evil.example",
        ] {
            assert!(matches!(below(&base(), path), Err(ApiError::Invalid(_))), "{path}");
        }
    }

    proptest! {
        #[test]
        fn nothing_leads_elsewhere(parts in prop::collection::vec(prop::sample::select(vec![
            "/", "..", ".", "%2e", "%2F", "\\", "a", ":", "@", "?", "#", "%", "https:", "evil.example", " ", "\t", "é", "%5C",
        ]), 0..10)) {
            if let Ok(url) = below(&base(), &parts.concat()) {
                prop_assert!(url.as_str().starts_with("https://api.example.com/api/v2/"), "{}", url);
                prop_assert!(!url.path().contains("/../") && !url.path().ends_with("/.."), "{}", url);
            }
        }
    }
}
