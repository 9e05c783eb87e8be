//! The typed client of the MoltFlow API: credentials, rate limits, the calls that are needed, and the webhook events it sends.
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
//! | `client` | [`MoltFlow`], the calls |
//! | `auth` | API key, or login and refresh for all callers at once |
//! | `rate` | what the rate limit headers say, shared by all callers |
//! | `error` | [`ApiError`] and its one mapping to a step's failure |
//! | `chat_id` | where a message goes |
//! | `event` | what webhooks bring, and how a redelivery is recognised |
//! | `signature` | who sent a webhook |

mod auth;
pub mod chat_id;
mod client;
mod error;
pub mod event;
mod models;
mod rate;
pub mod signature;

#[cfg(test)]
mod tests;

pub use auth::Credentials;
pub use chat_id::ChatId;
pub use client::{Config, MoltFlow};
pub use error::ApiError;
pub use event::{Event, dedupe_key};
#[cfg(test)]
pub use models::Session;
pub use models::{Sent, Webhook};
