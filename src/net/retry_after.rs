//! The pause that an answer names.

use super::Response;
use crate::base::{Millis, limits};

/// The shortest pause, in milliseconds, whatever the far side names: a `Retry-After: 0` would be a loop.
const SHORTEST_MS: u64 = 1_000;

/// `Retry-After` in milliseconds: seconds, or an HTTP date. None if it is absent or neither.
pub fn retry_after_ms(response: &Response, now: Millis) -> Option<u64> {
    let text = response.header("retry-after")?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000).clamp(SHORTEST_MS, limits::RETRY_AFTER_MS));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(u64::try_from(date - now).unwrap_or(0).clamp(SHORTEST_MS, limits::RETRY_AFTER_MS))
}
