//! The one door out of the process (invariant 7): every request to MoltFlow, to a model or to the web goes through [`Net`].
//!
//! What it guarantees:
//!
//! - **Only http and https.** Credentials in a URL are refused: they belong in headers, which are never printed.
//! - **No private address after DNS**, unless the configuration names that host and port. Names are judged by the very
//!   addresses that are then connected to, so a name cannot be rebound between check and use (`resolve`); addresses
//!   written in a URL are judged before connecting.
//! - **No request is sent twice.** The client's own retries are off; the one that remains below it (a pooled connection
//!   found closed) happens only to a request of which no byte was written. Idle connections are dropped early, so that
//!   servers rarely close one under a request.
//! - **Redirects are followed by hand**, at most [`limits::REDIRECTS`](crate::base::limits::REDIRECTS), judged anew at each
//!   hop, without credentials across origins, and never so that a request with an effect is sent again.
//! - **Answers are bounded** while they are read, and a deadline covers all of it.
//! - **No proxy**: one would resolve names on its side, behind the checks. `HTTP_PROXY` and its kin are ignored.
//! - **Errors say what they prove** ([`NetError::proves_not_sent`]) and never hold headers, bodies or query strings.
//!
//! Direction of failure: what cannot be judged is refused, what may have been sent counts as sent.

mod address;
mod client;
mod error;
mod opened;
mod policy;
mod pool;
mod redact;
mod redirect;
mod request;
mod resolve;
mod retry_after;
mod sse;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use client::Net;
pub use error::{NetError, NetErrorKind};
pub use opened::Opened;
pub use policy::{Policy, PolicyError};
pub use redact::{redact, shown_url};
pub use request::{Redirects, Request, Response, Target};
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub use reqwest::{Method, Url};
pub use resolve::{Lookup, SystemLookup};
pub use retry_after::retry_after_ms;
pub use sse::{SseEvent, SseParser, SseTooLarge};
