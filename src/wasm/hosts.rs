//! Places on the web, as plugins ask for them and operators grant them.
//!
//! | written as | means |
//! |---|---|
//! | `api.crm.example:443` | this host and port |
//! | `*.crm.example:443` | every name below `crm.example`, at any depth, and not `crm.example` itself |
//! | `*:443` | every host (plugins may ask for it; nobody can grant it) |
//!
//! Hosts are compared as they are written in a URL after normalisation (case, IDNA, forms of IPv4), never by what they
//! resolve to. A grant may leave the port out: then it is 443.

use std::fmt;

use crate::net::Url;

/// The port of a grant that names none.
const HTTPS: u16 = 443;

/// One entry of `hosts` or of `grants.<plugin>.http`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPattern {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    Any,
    /// Every name that ends with a dot and this.
    Below(String),
    Exact(String),
}

impl HostPattern {
    /// Reads what a plugin asks for: with a port, and in the form that is compared. The error is a clause about the entry.
    pub fn asked(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').ok_or("has no port; write host:port")?;
        let pattern = Self { host: Host::read(host)?, port: read_port(port)? };
        match pattern.to_string() {
            form if form == text => Ok(pattern),
            form => Err(format!("is written `{form}`")),
        }
    }

    /// Reads what an operator grants. The error is a clause about the entry.
    pub fn granted(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, read_port(port)?),
            _ => (text, HTTPS),
        };
        match Host::read(&host.to_ascii_lowercase())? {
            Host::Any => Err("would grant every host; name the hosts, or the names below one as *.shop.example".into()),
            host => Ok(Self { host, port }),
        }
    }

    /// Whether a request to `host` (as a [`Url`] gives it) and `port` is one of these.
    pub fn holds(&self, host: &str, port: u16) -> bool {
        self.port == port
            && match &self.host {
                Host::Any => true,
                Host::Below(parent) => is_below(host, parent),
                Host::Exact(exact) => exact == host,
            }
    }

    /// Whether some place is in both.
    pub fn meets(&self, other: &Self) -> bool {
        use Host::*;
        self.port == other.port
            && match (&self.host, &other.host) {
                (Any, _) | (_, Any) => true,
                (Exact(a), Exact(b)) => a == b,
                (Exact(name), Below(parent)) | (Below(parent), Exact(name)) => is_below(name, parent),
                (Below(a), Below(b)) => a == b || is_below(a, b) || is_below(b, a),
            }
    }

    /// Whether every host at its port is meant.
    pub fn is_any(&self) -> bool {
        self.host == Host::Any
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// With the port, always.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => write!(f, "*:{}", self.port),
            Host::Below(parent) => write!(f, "*.{parent}:{}", self.port),
            Host::Exact(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

impl Host {
    fn read(text: &str) -> Result<Self, String> {
        match text.strip_prefix('*') {
            Some("") => Ok(Self::Any),
            Some(rest) => {
                let parent = rest.strip_prefix('.').ok_or("has a `*` that is not followed by a dot")?;
                let parent = name(parent)?;
                // An address has nothing below it.
                if parent.starts_with('[') || parent.parse::<std::net::Ipv4Addr>().is_ok() {
                    return Err("has an address behind its `*`".to_string());
                }
                Ok(Self::Below(parent))
            }
            None => name(text).map(Self::Exact),
        }
    }
}

/// A host as URLs have it.
fn name(text: &str) -> Result<String, String> {
    const NO_HOST: &str = "names no host; write a name or an address, without scheme and path";
    let is_plain = text.len() <= 253
        && !text.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "/\\@?#%*,".contains(c));
    // A colon outside brackets would be read as that of a port.
    let is_bare = !text.contains(':') || text.starts_with('[') && text.ends_with(']');
    let url = (is_plain && is_bare).then(|| Url::parse(&format!("http://{text}/")).ok()).flatten();
    url.as_ref().and_then(Url::host_str).map(str::to_string).ok_or_else(|| NO_HOST.to_string())
}

fn read_port(text: &str) -> Result<u16, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = is_number.then(|| text.parse().ok()).flatten().filter(|port| *port > 0);
    port.ok_or_else(|| "has no port from 1 to 65535".to_string())
}

fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(text: &str) -> HostPattern {
        HostPattern::asked(text).unwrap_or_else(|error| panic!("{text} {error}"))
    }

    #[test]
    fn what_a_pattern_holds() {
        for (pattern, host, port, expected) in [
            ("api.crm.example:443", "api.crm.example", 443, true),
            ("api.crm.example:443", "api.crm.example", 80, false),
            ("api.crm.example:443", "www.crm.example", 443, false),
            ("*.crm.example:443", "api.crm.example", 443, true),
            ("*.crm.example:443", "a.b.crm.example", 443, true),
            ("*.crm.example:443", "crm.example", 443, false),
            ("*.crm.example:443", ".crm.example", 443, false),
            ("*.crm.example:443", "evilcrm.example", 443, false),
            ("*:8080", "whatever.example", 8080, true),
            ("*:8080", "whatever.example", 443, false),
            ("127.0.0.1:80", "127.0.0.1", 80, true),
            ("[::1]:80", "[::1]", 80, true),
        ] {
            assert_eq!(asked(pattern).holds(host, port), expected, "{pattern} {host}:{port}");
        }
    }

    #[test]
    fn what_is_asked_for_is_in_the_form_that_is_compared() {
        for text in [
            "a.example:443",
            "*.a.example:8443",
            "*:1",
            "10.0.0.1:65535",
            "[2001:db8::1]:443",
            "xn--bcher-kva.example:443",
        ] {
            assert_eq!(asked(text).to_string(), text);
        }
        for (text, reason) in [
            ("a.example", "has no port"),
            ("a.example:", "has no port from"),
            ("a.example:0", "has no port from"),
            ("a.example:65536", "has no port from"),
            ("a.example:+80", "has no port from"),
            ("A.example:443", "is written `a.example:443`"),
            ("a.example:0443", "is written `a.example:443`"),
            ("2130706433:80", "is written `127.0.0.1:80`"),
            ("bücher.example:443", "is written `xn--bcher-kva.example:443`"),
            ("https://a.example:443", "names no host"),
            ("a.example/x:443", "names no host"),
            ("u@a.example:443", "names no host"),
            (":443", "names no host"),
            ("a:b:443", "names no host"),
            ("*a.example:443", "has a `*` that"),
            ("a.*.example:443", "names no host"),
            ("*.10.0.0.1:443", "has an address behind"),
            ("*.:443", "names no host"),
        ] {
            let error = HostPattern::asked(text).unwrap_err();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_grant_names_its_hosts() {
        for (text, form) in [
            ("api.crm.example", "api.crm.example:443"),
            ("API.crm.example:8443", "api.crm.example:8443"),
            (" *.shop.example ", "*.shop.example:443"),
            ("[::1]", "[::1]:443"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(HostPattern::granted(text).unwrap().to_string(), form);
        }
        for (text, reason) in [
            ("*", "would grant every host"),
            ("*:443", "would grant every host"),
            ("", "names no host"),
            ("https://api.crm.example", "has no port from"),
            ("api.crm.example/v1", "names no host"),
            ("a b", "names no host"),
        ] {
            let error = HostPattern::granted(text).unwrap_err();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }

    #[test]
    fn asks_and_grants_meet() {
        for (ask, grant, expected) in [
            ("*:443", "api.crm.example", true),
            ("*:443", "api.crm.example:80", false),
            ("*.crm.example:443", "eu.crm.example", true),
            ("eu.crm.example:443", "*.crm.example", true),
            ("*.eu.crm.example:443", "*.crm.example", true),
            ("*.crm.example:443", "*.eu.crm.example", true),
            ("*.crm.example:443", "crm.example", false),
            ("a.example:443", "b.example", false),
        ] {
            let grant = HostPattern::granted(grant).unwrap();
            assert_eq!(asked(ask).meets(&grant), expected, "{ask} {grant}");
            assert_eq!(grant.meets(&asked(ask)), expected, "{ask} {grant}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_or_refused(text in "[*a-zA-Z0-9.:@/\\[\\]%ü -]{0,24}") {
            for pattern in [HostPattern::asked(&text), HostPattern::granted(&text)].into_iter().flatten() {
                // What was read is read again as the same.
                prop_assert_eq!(HostPattern::asked(&pattern.to_string()), Ok(pattern.clone()));
                prop_assert!(pattern.meets(&pattern));
            }
        }
    }
}
