//! Plain values shared by every layer: ids, durations, bounded JSON, the table of limits, secrets.
//!
//! What is *absent*: I/O, async, time, randomness.

pub mod chat_id;
pub mod duration;
pub mod effect;
pub mod hex;
pub mod id;
pub mod json;
pub mod limits;
pub mod nearest;
pub mod phone;
pub mod secret;
pub mod time;

pub use effect::Effect;
pub use id::RunId;
pub use json::Json;
pub use secret::Secret;

/// Milliseconds since the Unix epoch, UTC.
pub type Millis = i64;
