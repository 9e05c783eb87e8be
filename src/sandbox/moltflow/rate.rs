//! Rate limits: a fixed window for each credential, announced in the documented headers. A limit can be set, changed and lifted while requests come.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use std::str::FromStr;

use crate::base::Millis;
use crate::base::duration::parse_ms;

/// A fixed window of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub requests: u32,
    pub window_ms: u64,
}

/// A limit that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a rate limit is a number of requests from 1 and a window of 1ms to 30d, like 100/1h")]
pub struct BadRateLimit;

/// A longer window is longer than any trial.
const WINDOW_MS: u64 = 30 * 86_400_000;

impl RateLimit {
    /// Checked.
    pub fn new(requests: u32, window_ms: u64) -> Result<Self, BadRateLimit> {
        let is_one = requests > 0 && (1..=WINDOW_MS).contains(&window_ms);
        if is_one { Ok(Self { requests, window_ms }) } else { Err(BadRateLimit) }
    }
}

/// `100/1h`, or `100/h`.
impl FromStr for RateLimit {
    type Err = BadRateLimit;

    fn from_str(text: &str) -> Result<Self, BadRateLimit> {
        let (requests, window) = text.split_once('/').ok_or(BadRateLimit)?;
        let window =
            if window.starts_with(|c: char| c.is_ascii_digit()) { window.to_string() } else { format!("1{window}") };
        Self::new(requests.parse().map_err(|_| BadRateLimit)?, parse_ms(&window).map_err(|_| BadRateLimit)?)
    }
}

/// The limit, and the windows of all credentials; there are two (the key and the login).
pub struct Windows {
    kept: Mutex<Kept>,
}

struct Kept {
    limit: Option<RateLimit>,
    windows: HashMap<&'static str, Window>,
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
    pub fn new(limit: Option<RateLimit>) -> Self {
        Self { kept: Mutex::new(Kept { limit, windows: HashMap::new() }) }
    }

    pub fn limit(&self) -> Option<RateLimit> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).limit
    }

    /// Begins new windows.
    pub fn set_limit(&self, limit: Option<RateLimit>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Kept { limit, windows: HashMap::new() };
    }

    /// Counts one request; an error if the window is used up, None if there is no limit.
    pub fn take(&self, credential: &'static str, now: Millis) -> Option<Result<Headers, Headers>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = kept.limit?;
        let length = Millis::try_from(limit.window_ms).unwrap_or(Millis::MAX / 2);
        let window = kept.windows.entry(credential).or_insert(Window { ends_at: now + length, used: 0 });
        if now >= window.ends_at {
            *window = Window { ends_at: now + length, used: 0 };
        }
        let allowed = window.used < limit.requests;
        window.used += u32::from(allowed);
        let headers = Headers {
            limit: limit.requests,
            remaining: limit.requests - window.used,
            reset: round_up(window.ends_at),
            seconds_left: round_up(window.ends_at - now),
        };
        Some(if allowed { Ok(headers) } else { Err(headers) })
    }
}

/// Whole seconds; up, so that who waits that long is not early.
fn round_up(ms: Millis) -> i64 {
    ms.div_euclid(1_000) + Millis::from(ms.rem_euclid(1_000) > 0)
}

/// The limit in the guide's example, for refusals on cue while there is no other.
const GUIDE_LIMIT: u32 = 100;

impl Headers {
    /// Those of a refusal which ends after `ms` milliseconds.
    pub fn exhausted(limit: Option<RateLimit>, now: Millis, ms: u64) -> Self {
        let limit = limit.map_or(GUIDE_LIMIT, |limit| limit.requests);
        let left = Millis::try_from(ms).unwrap_or(Millis::MAX / 2);
        Self { limit, remaining: 0, reset: round_up(now.saturating_add(left)), seconds_left: round_up(left) }
    }

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
    fn limits_people_write() {
        for (text, limit) in [
            ("100/1h", Some((100, 3_600_000))),
            ("1/s", Some((1, 1_000))),
            ("5/1m30s", Some((5, 90_000))),
            ("0/s", None),
            ("5/0s", None),
            ("5/31d", None),
            ("5", None),
            ("5/", None),
            ("-1/s", None),
            ("x/s", None),
        ] {
            let read = text.parse::<RateLimit>().ok().map(|limit| (limit.requests, limit.window_ms));
            assert_eq!(read, limit, "{text}");
        }
    }

    #[test]
    fn a_window_counts_down_and_begins_again() {
        let windows = Windows::new(Some(RateLimit { requests: 2, window_ms: 1_500 }));
        let remaining = |now| windows.take("key", now).unwrap().map(|headers| headers.remaining);
        assert_eq!(remaining(0), Ok(1));
        assert_eq!(remaining(0), Ok(0));
        let refused = windows.take("key", 100).unwrap().unwrap_err();
        assert_eq!((refused.remaining, refused.reset, refused.seconds_left), (0, 2, 2));
        assert!(windows.take("login", 100).unwrap().is_ok());
        assert_eq!(remaining(1_500), Ok(1));
        windows.set_limit(Some(RateLimit { requests: 5, window_ms: 1_500 }));
        assert_eq!(remaining(1_500), Ok(4));
        windows.set_limit(None);
        assert_eq!(windows.take("key", 1_500), None);
    }
}
