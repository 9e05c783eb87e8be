//! The typed client of the MoltFlow API: credentials, rate limits, every call of the guide, and the webhook events it sends.
//!
//! The API guide is the authority; where it leaves room:
//!
//! - Any 2xx is success. A 2xx answer to a write that cannot be read is an *unknown* outcome.
//! - Errors are told apart by status and `error_code`, never by `detail`.
//! - A 4xx (429 among them) proves that nothing was done, and so do 301, 307 and 308; a 5xx or another redirect on a
//!   write proves nothing.
//!
//! | file | holds |
//! |---|---|
//! | `client` | [`MoltFlow`], and how one call is made |
//! | `calls` | the endpoints of the guide |
//! | `session_events` | what happens to a session, as it happens |
//! | `request` | every other endpoint |
//! | `models` | what the API answers |
//! | `auth` | API key, or login and refresh for all callers at once |
//! | `rate` | what the rate limit headers say, shared by all callers |
//! | `error` | [`ApiError`] and its one mapping to a step's failure |
//! | `event` | what webhooks bring, and how a redelivery is recognised |
//! | `signature` | who sent a webhook |

mod auth;
mod calls;
mod client;
mod error;
pub mod event;
mod models;
mod rate;
mod request;
mod session_events;
pub mod signature;

#[cfg(test)]
mod tests;

pub use crate::base::chat_id::{self, ChatId};
pub use auth::Credentials;
pub use client::{Config, MoltFlow};
pub use error::{ApiError, Refusal};
pub use event::{Event, dedupe_key};
pub use models::{AutoReply, DeliveryStats, Group, MonitoredGroup, Sent, Session, Webhook};
pub use request::Answer;
pub use session_events::{SessionEvent, SessionEvents};
