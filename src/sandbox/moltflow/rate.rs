//! Rate limits: a fixed window for each credential, announced in the documented headers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::base::Millis;
use crate::sandbox::RateLimit;

/// The windows of all credentials; there are two (the key and the login).
pub struct Windows {
    limit: RateLimit,
    windows: Mutex<HashMap<&'static str, Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    ends_at: Millis,
    used: u32,
}

/// What the headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    limit: u32,
    remaining: u32,
    /// Unix seconds.
    reset: i64,
    pub seconds_left: i64,
}

impl Windows {
    pub fn new(limit: RateLimit) -> Self {
        Self { limit, windows: Mutex::default() }
    }

    /// Counts one request; an error if the window is used up.
    pub fn take(&self, credential: &'static str, now: Millis) -> Result<Headers, Headers> {
        let length = Millis::try_from(self.limit.window_ms).unwrap_or(Millis::MAX / 2);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(credential).or_insert(Window { ends_at: now + length, used: 0 });
        if now >= window.ends_at {
            *window = Window { ends_at: now + length, used: 0 };
        }
        let allowed = window.used < self.limit.requests;
        window.used += u32::from(allowed);
        let round_up = |ms: Millis| ms.div_euclid(1_000) + Millis::from(ms.rem_euclid(1_000) > 0);
        let headers = Headers {
            limit: self.limit.requests,
            remaining: self.limit.requests - window.used,
            // Rounded up, so that who waits that long is not early.
            reset: round_up(window.ends_at),
            seconds_left: round_up(window.ends_at - now),
        };
        if allowed { Ok(headers) } else { Err(headers) }
    }
}

impl Headers {
    pub fn list(self) -> [(&'static str, String); 3] {
        [
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-reset", self.reset.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_down_and_begins_again() {
        let windows = Windows::new(RateLimit { requests: 2, window_ms: 1_500 });
        let remaining = |now| windows.take("key", now).map(|headers| headers.remaining);
        assert_eq!(remaining(0), Ok(1));
        assert_eq!(remaining(0), Ok(0));
        let refused = windows.take("key", 100).unwrap_err();
        assert_eq!((refused.remaining, refused.reset, refused.seconds_left), (0, 2, 2));
        assert!(windows.take("login", 100).is_ok());
        assert_eq!(remaining(1_500), Ok(1));
    }
}
