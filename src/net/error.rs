//! Why an exchange failed, and what that proves.

use super::resolve::Refused;

/// A failed exchange. The message is a lowercase fragment with the method and the shown URL; it never holds headers,
/// bodies, query strings or credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NetError {
    pub kind: NetErrorKind,
    pub message: String,
    /// The status of the answer, when its head had arrived.
    pub status: Option<u16>,
    /// A redirect had been followed: the first request was answered, so nothing is proven any more.
    pub redirected: bool,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetErrorKind {
    /// The request cannot be sent as it is: a broken URL, another scheme, a header that is no header.
    Invalid,
    /// The policy forbids the address.
    Blocked,
    /// The name has no address.
    Dns,
    /// Nobody answers there.
    Connect,
    /// There was no trust before the request was sent.
    Tls,
    /// No complete answer in time.
    Timeout,
    /// The connection ended, or spoke nonsense, after the request may have been sent.
    Cut,
    /// The answer is larger than its bound.
    TooLarge,
    /// More redirects than allowed, or one that leads nowhere.
    Redirects,
}

/// Why connecting took too long.
const SILENCE: &str = "nobody answered in time";

impl NetError {
    pub(super) fn new(kind: NetErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: None, redirected: false }
    }

    /// Nothing can have been done: the request never left. Everything else may have been carried out.
    pub fn proves_not_sent(&self) -> bool {
        use NetErrorKind::*;
        !self.redirected
            && match self.kind {
                Invalid | Blocked | Dns | Connect | Tls => true,
                Timeout | Cut | TooLarge | Redirects => false,
            }
    }

    /// Of [`NetErrorKind::Connect`]: nobody refused, nobody answered.
    pub fn is_silence(&self) -> bool {
        self.kind == NetErrorKind::Connect && self.message.ends_with(SILENCE)
    }

    /// Of [`NetErrorKind::Tls`]: it is about somebody's certificate.
    pub fn is_certificate(&self) -> bool {
        self.kind == NetErrorKind::Tls && self.message.contains("certificate")
    }

    /// Trying again cannot help.
    pub fn is_permanent(&self) -> bool {
        use NetErrorKind::*;
        matches!(self.kind, Invalid | Blocked | TooLarge | Redirects)
    }

    /// The stable code for a step's failure.
    pub fn code(&self) -> &'static str {
        match self.kind {
            NetErrorKind::Invalid => "http.invalid",
            NetErrorKind::Blocked => "http.blocked",
            NetErrorKind::Dns => "http.dns",
            NetErrorKind::Connect => "http.connect",
            NetErrorKind::Tls => "http.tls",
            NetErrorKind::Timeout => "http.timeout",
            NetErrorKind::Cut => "http.cut",
            NetErrorKind::TooLarge => "http.too_large",
            NetErrorKind::Redirects => "http.redirects",
        }
    }

    /// Reads a client error. `place` is the method and the shown URL; `roots` says whether this machine has any
    /// certificate authorities.
    pub(super) fn of(error: &reqwest::Error, place: &str, roots: bool) -> Self {
        use NetErrorKind::*;
        let cause = root_cause(error);
        if let Some(refused) = find::<Refused>(error) {
            return Self::new(Blocked, format!("{place}: {refused}"));
        }
        if error.is_builder() {
            return Self::new(Invalid, format!("{place}: the request cannot be sent: {cause}"));
        }
        if error.is_dns() {
            return Self::new(Dns, format!("{place}: the name cannot be resolved: {cause}"));
        }
        if error.is_connect() {
            if speaks_of_tls(error) {
                let help =
                    if roots { "" } else { "; this machine has no certificate authorities, install ca-certificates" };
                return Self::new(Tls, format!("{place}: no secure connection: {cause}{help}"));
            }
            let cause = if error.is_timeout() { SILENCE.to_string() } else { cause };
            return Self::new(Connect, format!("{place}: cannot connect: {cause}"));
        }
        Self::new(Cut, format!("{place}: the connection ended before the answer was complete: {cause}"))
    }
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source())
}

/// The innermost error's text, which is the one that says something.
fn root_cause(error: &reqwest::Error) -> String {
    let text = match chain(error).last() {
        // The client's own text would print the URL, query and all.
        Some(last) if !last.is::<reqwest::Error>() => last.to_string(),
        _ => "no cause given".to_string(),
    };
    super::redact(&text, &[])
}

fn find<T: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    chain(error).find_map(|error| error.downcast_ref::<T>())
}

fn speaks_of_tls(error: &reqwest::Error) -> bool {
    chain(error).any(is_tls)
}

fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    // `source` of an I/O error skips the error it wraps, which may be another I/O error.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|inner| is_tls(inner))
}
