//! What may be reached besides the public internet.
//!
//! | entry | written as | opens |
//! |---|---|---|
//! | trusted base URL | `https://apiv2.waiflow.app/api/v2` | that scheme, host and port, wherever it resolves to |
//! | private host | `127.0.0.1:9100`, `crm.internal:8080`, `[::1]:9100` | http and https to that host and port, as it is written |
//!
//! Hosts are compared as written after normalisation (case, IDNA, forms of IPv4), never by what they resolve to:
//! `127.0.0.1:9100` does not open `localhost:9100`. The default is: nothing private.

use reqwest::Url;

/// The list of exceptions.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    trusted: Vec<Origin>,
    private: Vec<(String, u16)>,
    any_private: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// An entry of the configuration that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("`{0}` is no base URL; write it like https://apiv2.waiflow.app/api/v2")]
    BaseUrl(String),
    #[error("`{0}` is no host and port; write it like 127.0.0.1:9100 or crm.internal:8080")]
    HostPort(String),
}

impl Policy {
    /// Opens the origin of a base URL from the configuration.
    pub fn trust(&mut self, base_url: &str) -> Result<(), PolicyError> {
        let bad = || PolicyError::BaseUrl(super::shown_url(base_url));
        let url = Url::parse(base_url).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad());
        }
        self.trusted.push(Origin::of(&url).ok_or_else(bad)?);
        Ok(())
    }

    /// Opens one host and port, by an entry of `net.allow_private`.
    pub fn allow_private(&mut self, entry: &str) -> Result<(), PolicyError> {
        let bad = || PolicyError::HostPort(entry.chars().take(100).collect());
        let (host, port) = entry.trim().rsplit_once(':').ok_or_else(bad)?;
        let port: u16 = port.parse().map_err(|_| bad())?;
        if host.is_empty() || host.contains(['/', '@', '?', '#']) {
            return Err(bad());
        }
        let url = Url::parse(&format!("http://{host}/")).map_err(|_| bad())?;
        // A second colon outside brackets would have been read as a port.
        if url.port().is_some() || port == 0 {
            return Err(bad());
        }
        self.private.push((url.host_str().ok_or_else(bad)?.to_string(), port));
        Ok(())
    }

    /// Opens every private address: for the sandbox, whose webhooks are on this machine by nature. Never for what
    /// workflows or plugins fetch.
    pub fn any_private() -> Self {
        Self { any_private: true, ..Self::default() }
    }

    /// The same without the base URLs: for what workflows fetch. They are trusted for the clients that are configured with
    /// them, not for any URL that an event may bring.
    pub fn without_trusted(&self) -> Self {
        Self { trusted: Vec::new(), ..self.clone() }
    }

    /// Whether `url` is an exception, so that it may resolve to any address.
    pub(super) fn opens(&self, url: &Url) -> bool {
        self.opens_redirect(url) || self.trusted.iter().any(|origin| origin.is_of(url))
    }

    /// The same for a redirect from another origin: trust in a base URL is for who was configured with it, not for
    /// whoever points there.
    pub(super) fn opens_redirect(&self, url: &Url) -> bool {
        let (Some(own_host), Some(own_port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        self.any_private || self.private.iter().any(|(host, port)| *host == own_host && *port == own_port)
    }
}

impl Origin {
    fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_string(),
            host: url.host_str()?.to_string(),
            port: url.port_or_known_default()?,
        })
    }

    fn is_of(&self, url: &Url) -> bool {
        self.scheme == url.scheme()
            && url.host_str() == Some(&self.host)
            && url.port_or_known_default() == Some(self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(policy: &Policy, url: &str) -> bool {
        policy.opens(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_trusted_base_url_opens_its_origin_only() {
        let mut policy = Policy::default();
        policy.trust("http://127.0.0.1:4010/api/v2").unwrap();
        assert!(opens(&policy, "http://127.0.0.1:4010/anything"));
        assert!(!opens(&policy, "https://127.0.0.1:4010/"));
        assert!(!opens(&policy, "http://127.0.0.1:4011/"));
        assert!(!opens(&policy, "http://localhost:4010/"));
        policy.trust("https://API.example.com").unwrap();
        assert!(opens(&policy, "https://api.example.com:443/x"));
        policy.allow_private("10.0.0.5:8080").unwrap();
        let fetched = policy.without_trusted();
        assert!(!opens(&fetched, "http://127.0.0.1:4010/anything"));
        assert!(opens(&fetched, "http://10.0.0.5:8080/"));
    }

    #[test]
    fn a_private_entry_opens_one_host_and_port() {
        let mut policy = Policy::default();
        for entry in ["127.0.0.1:9100", "CRM.internal:8080", "[::1]:9100"] {
            policy.allow_private(entry).unwrap();
        }
        assert!(opens(&policy, "http://127.0.0.1:9100/x"));
        // The same address in another form of writing.
        assert!(opens(&policy, "http://2130706433:9100/x"));
        assert!(opens(&policy, "https://crm.internal:8080/"));
        assert!(opens(&policy, "http://[0:0::1]:9100/"));
        assert!(!opens(&policy, "http://127.0.0.1:9101/"));
        assert!(!opens(&policy, "http://localhost:9100/"));
    }

    #[test]
    fn entries_that_name_no_place_are_refused() {
        let mut policy = Policy::default();
        for entry in ["", "127.0.0.1", ":80", "host:port", "http://host:80", "a:b:80", "::1:80", "host:0", "host:70000"]
        {
            assert!(policy.allow_private(entry).is_err(), "{entry}");
        }
        for base in ["", "localhost", "ftp://host/", "https://"] {
            assert!(policy.trust(base).is_err(), "{base}");
        }
    }
}
