//! Named credentials: what `auth:` of a step stands for. A workflow knows the name alone, and a credential goes to the hosts
//! that it names and nowhere else, whatever URL a workflow was given.

use std::collections::BTreeMap;

use super::permanent;
use crate::base::nearest::nearest;
use crate::base::{Json, Secret};
use crate::engine::ports::StepError;
use crate::net::{Request, Target, Url, redact, shown_url};

/// All of them, by name.
#[derive(Clone, Debug, Default)]
pub struct Keyring(pub BTreeMap<String, Credential>);

#[derive(Clone, Debug)]
pub struct Credential {
    pub proof: Proof,
    /// Where it may be sent; none: nowhere.
    pub allow: Vec<Host>,
}

/// How it is shown.
#[derive(Clone, Debug)]
pub enum Proof {
    /// `Authorization: Bearer …`
    Bearer(Secret),
    /// `Authorization: Basic …`
    Basic { user: String, password: Secret },
    /// A header of its own.
    Header { name: String, value: Secret },
}

/// A host that may get a credential: `api.example.com`, which means https on its usual port, or `10.0.0.5:8080`, which means
/// that port, with https or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    host: String,
    port: Option<u16>,
}

/// An entry of `allow` that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host; write it like api.example.com, or with a port like crm.internal:8080")]
pub struct BadHost(String);

impl std::str::FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let bad = || BadHost(text.chars().take(100).collect());
        // A URL's own rules for hosts: case, IDNA, forms of IPv4. `*` is no host: a credential is for few.
        if text.trim().is_empty()
            || text.contains(['/', '@', '?', '#', '*', '\\'])
            || text.contains(char::is_whitespace)
        {
            return Err(bad());
        }
        let url = Url::parse(&format!("https://{text}/")).map_err(|_| bad())?;
        let host = url.host_str().ok_or_else(bad)?.to_string();
        // A URL leaves out the port that is usual for it: here it says that plain http is allowed there.
        let port = url.port().or_else(|| text.ends_with(":443").then_some(443));
        Ok(Self { host, port })
    }
}

impl Host {
    fn is_of(&self, url: &Url) -> bool {
        let port = match self.port {
            Some(port) => url.port_or_known_default() == Some(port),
            None => url.scheme() == "https" && url.port_or_known_default() == Some(443),
        };
        port && url.host_str() == Some(&self.host)
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl Keyring {
    /// The credential of this name, if it may go where `request` goes; then the request carries it. Errors are permanent.
    pub fn sign(&self, name: &str, request: Request) -> Result<(Request, &Credential), StepError> {
        let Some(credential) = self.0.get(name) else {
            let known = self.0.keys().map(String::as_str);
            let help = match nearest(name, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.0.is_empty() => "moltrun.yaml has none under credentials".to_string(),
                None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
            };
            let message = format!("there is no credential `{}`; {help}", redact(name, &[]));
            return Err(permanent("http.unknown_credential", message));
        };
        let url = match &request.url {
            Target::Url(url) => Some(url.clone()),
            Target::Text(text) => Url::parse(text).ok(),
        };
        let Some(url) = url.filter(|url| credential.allow.iter().any(|host| host.is_of(url))) else {
            let shown = match &request.url {
                Target::Url(url) => shown_url(url.as_str()),
                Target::Text(text) => shown_url(text),
            };
            let allowed = credential.allow.iter().map(Host::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("the credential `{name}` is not for {shown}; its `allow` says {allowed}");
            return Err(permanent("http.credential_refused", message));
        };
        let request = Request { url: Target::Url(url), ..request };
        let invalid = |error: crate::net::NetError| permanent(error.code(), error.to_string());
        if request.headers.contains_key(credential.proof.header()) {
            let message = format!("`headers` and `auth` both set `{}`", credential.proof.header());
            return Err(permanent("http.invalid", message));
        }
        let signed = match &credential.proof {
            Proof::Bearer(token) => request.secret_header("authorization", "Bearer ", token),
            Proof::Basic { user, password } => {
                let pair = Secret::new(base64(format!("{user}:{}", password.expose()).as_bytes()));
                request.secret_header("authorization", "Basic ", &pair)
            }
            Proof::Header { name, value } => request.secret_header(name, "", value),
        };
        Ok((signed.map_err(invalid)?, credential))
    }
}

impl Proof {
    fn header(&self) -> &str {
        match self {
            Self::Bearer(_) | Self::Basic { .. } => "authorization",
            Self::Header { name, .. } => name,
        }
    }
}

impl Credential {
    /// What must not be in any output or message, even where the far side repeats it.
    pub fn secrets(&self) -> Vec<String> {
        match &self.proof {
            Proof::Bearer(secret) | Proof::Header { value: secret, .. } => vec![secret.expose().to_string()],
            Proof::Basic { user, password } => {
                let pair = base64(format!("{user}:{}", password.expose()).as_bytes());
                vec![password.expose().to_string(), pair]
            }
        }
    }
}

/// Cuts `secrets` out of every text of `value`: what the far side repeats of a credential must not be journaled.
pub(super) fn hide(value: &mut Json, secrets: &[String]) {
    match value {
        Json::String(text) => {
            // A secret of a few characters would cut up ordinary words, and guards nothing.
            for secret in secrets.iter().filter(|secret| secret.len() >= 6) {
                if text.contains(secret.as_str()) {
                    *text = text.replace(secret.as_str(), "[redacted]");
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| hide(item, secrets)),
        Json::Object(map) => map.values_mut().for_each(|item| hide(item, secrets)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// With the usual alphabet and padding (RFC 4648, 4).
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Method;

    fn ring(allow: &[&str]) -> Keyring {
        let allow = allow.iter().map(|host| host.parse().unwrap()).collect();
        let proof = Proof::Bearer(Secret::new("token-123"));
        Keyring([("crm".to_string(), Credential { proof, allow })].into())
    }

    #[test]
    fn a_credential_goes_where_it_may_and_nowhere_else() {
        let ring = ring(&["api.example.com", "10.0.0.5:8080", "[::1]:443", "Bücher.example"]);
        for (url, goes) in [
            ("https://api.example.com/x", true),
            ("https://API.example.com:443/x", true),
            ("https://xn--bcher-kva.example/", true),
            ("http://10.0.0.5:8080/x", true),
            ("https://10.0.0.5:8080/x", true),
            ("http://api.example.com/x", false),
            ("https://api.example.com:8443/x", false),
            ("https://api.example.com.evil.example/x", false),
            ("https://evil.example/api.example.com", false),
            ("https://sub.api.example.com/", false),
            ("https://api.example.com@evil.example/", false),
            ("https://api.example.com\\@evil.example/", true),
            ("http://10.0.0.5/", false),
            ("https://[::1]/", true),
            ("no url", false),
        ] {
            let signed = ring.sign("crm", Request::new(Method::GET, url));
            match signed {
                Ok((request, _)) => {
                    assert!(goes, "{url}");
                    assert!(request.headers["authorization"].is_sensitive());
                }
                Err(StepError::Permanent(failure)) => {
                    assert!(!goes && failure.code == "http.credential_refused", "{url}: {failure:?}");
                    assert!(!failure.message.contains("token-123"));
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_host_or_no_name_is_refused() {
        for text in ["", "*", "*.example.com", "https://x", "a/b", "user@host", "host:port", "a b", "host:70000"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
        let error = ring(&["x.example"]).sign("crn", Request::new(Method::GET, "https://x.example")).unwrap_err();
        assert!(matches!(error, StepError::Permanent(failure) if failure.message.contains("did you mean `crm`?")));
        let twice = Request::new(Method::GET, "https://x.example").header("Authorization", "x").unwrap();
        assert!(ring(&["x.example"]).sign("crm", twice).is_err());
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfb]), "//77");
    }
}
