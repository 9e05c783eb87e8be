//! The HTTP clients underneath, made when first needed: reading this machine's certificate authorities takes a while, and
//! who only talks to loopback needs none.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::resolve::Resolver;
use super::{Lookup, NetError, NetErrorKind, Url};

/// How long connecting may take, DNS and TLS included, in milliseconds. Shorter than every default timeout of a step, so
/// that a host that swallows packets is a failure to connect (nothing was sent) and not an unknown outcome.
const CONNECT_TIMEOUT_MS: u64 = 10_000;

/// How long an idle connection is kept, in milliseconds. Below the shortest keep-alive among common servers (5 s: Node,
/// uvicorn): a connection that its server closes just as a send begins makes that send's outcome unknown.
const IDLE_TIMEOUT_MS: u64 = 4_000;

/// Idle connections kept to one host: what the busiest `for_each` (256 at once) needs at moderate latency.
const IDLE_PER_HOST: usize = 64;

/// Whom to trust for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// The authorities this machine trusts; nobody if it has none.
    System,
    /// Nobody: every https request fails.
    #[cfg(test)]
    Nobody,
}

/// Clients of one kind of resolver, each with its own connections.
pub(super) struct Pool {
    lookup: Arc<dyn Lookup>,
    guarded: bool,
    roots: Roots,
    plain: OnceLock<Result<reqwest::Client, NetError>>,
    secure: OnceLock<Result<Secure, NetError>>,
}

struct Secure {
    client: reqwest::Client,
    /// Whether there is anyone to trust.
    roots: bool,
}

impl Pool {
    /// `guarded`: connect to public addresses only.
    pub(super) fn new(lookup: Arc<dyn Lookup>, guarded: bool, roots: Roots) -> Self {
        Self { lookup, guarded, roots, plain: OnceLock::new(), secure: OnceLock::new() }
    }

    /// The client for `url`, and whether it has certificate authorities.
    pub(super) fn client(&self, url: &Url) -> Result<(&reqwest::Client, bool), NetError> {
        if url.scheme() == "http" {
            let plain = self.plain.get_or_init(|| self.build(false));
            return plain.as_ref().map(|client| (client, true)).map_err(Clone::clone);
        }
        let secure = self.secure.get_or_init(|| match self.roots {
            Roots::System => self
                .build(true)
                .map(|client| Secure { client, roots: true })
                .or_else(|_| self.build(false).map(|client| Secure { client, roots: false })),
            #[cfg(test)]
            Roots::Nobody => self.build(false).map(|client| Secure { client, roots: false }),
        });
        secure.as_ref().map(|secure| (&secure.client, secure.roots)).map_err(Clone::clone)
    }

    /// Fails with `roots` if this machine has no certificate authorities.
    fn build(&self, roots: bool) -> Result<reqwest::Client, NetError> {
        // An error means that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("moltrun/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .dns_resolver(Arc::new(Resolver { lookup: self.lookup.clone(), guarded: self.guarded }))
            .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
            .pool_idle_timeout(Duration::from_millis(IDLE_TIMEOUT_MS))
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .tcp_nodelay(true);
        if !roots {
            builder = builder.tls_certs_only([]);
        }
        builder.build().map_err(|error| {
            NetError::new(NetErrorKind::Invalid, format!("the HTTP client cannot be set up: {}", error.without_url()))
        })
    }
}
