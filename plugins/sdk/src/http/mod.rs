//! A small blocking HTTP client over `wasi:http`.
//!
//! ```
//! use moltrun_step::http::{Answer, Request};
//! use moltrun_step::{Error, test::Fake};
//! use serde_json::json;
//!
//! let fake = Fake::new().secret("CRM_TOKEN", "s3cret").answers([Answer::status(201).json(&json!({"id": 7}))]);
//! let context = fake.context();
//! let token = context.secrets().placeholder("CRM_TOKEN")?;
//! let response = Request::post("https://api.crm.example/contacts")
//!     .bearer(&token)
//!     .header("idempotency-key", &context.idempotency_key())
//!     .json(&json!({"name": "Ana"}))
//!     .send(&context)?
//!     .success(&context)?;
//! assert_eq!(response.json::<serde_json::Value>()?["id"], 7);
//! # Ok::<(), Error>(())
//! ```
//!
//! Redirects are not followed but answered. Bodies are bounded: 1 MiB out, 4 MiB in.

mod error;
mod request;
mod response;
mod retry_after;
#[cfg(target_arch = "wasm32")]
pub(crate) mod send;

pub use error::{Fate, HttpError};
pub use request::Request;
pub use response::Response;

#[cfg(not(target_arch = "wasm32"))]
pub use crate::test::{Answer, Sent};
