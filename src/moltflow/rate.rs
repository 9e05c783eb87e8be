//! What the rate limit headers say, shared by all callers of one credential.

use std::sync::Mutex;

use crate::base::{Millis, limits};
use crate::net::{Response, retry_after_ms};

/// The credential's pause.
#[derive(Debug, Default)]
pub(super) struct Rate {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    paused_until: Millis,
    /// 429s in a row that named no time.
    unnamed: u32,
}

/// The first pause after a 429 that names no time, in milliseconds; doubled with each further one up to a minute.
const FIRST_BACKOFF_MS: u64 = 1_000;
const LAST_BACKOFF_MS: u64 = 60_000;

impl Rate {
    /// How long the credential is still paused at `now`, in milliseconds.
    pub(super) fn paused_ms(&self, now: Millis) -> Option<u64> {
        let until = self.lock().paused_until;
        u64::try_from(until - now).ok().filter(|left| *left > 0)
    }

    /// Learns from an answer. For a 429 the result is the pause in milliseconds.
    pub(super) fn observe(&self, response: &Response, now: Millis) -> Option<u64> {
        let limited = response.status == 429;
        let exhausted = response.header("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
        let reset = response.header("x-ratelimit-reset").and_then(|text| until_reset(text, now));
        let mut state = self.lock();
        if !limited {
            state.unnamed = 0;
            if let (true, Some(reset)) = (exhausted, reset) {
                state.paused_until = state.paused_until.max(now + reset as Millis);
            }
            return None;
        }
        let pause = retry_after_ms(response, now).or(reset).unwrap_or_else(|| {
            state.unnamed = state.unnamed.saturating_add(1);
            (FIRST_BACKOFF_MS << (state.unnamed - 1).min(16)).min(LAST_BACKOFF_MS)
        });
        state.paused_until = state.paused_until.max(now + pause as Millis);
        Some(pause)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is two numbers, valid whatever happened to their last holder.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Milliseconds from `now` to a Unix timestamp in seconds; None if it is past, which names no time.
fn until_reset(text: &str, now: Millis) -> Option<u64> {
    let at = text.trim().parse::<i64>().ok()?.saturating_mul(1_000);
    let left = u64::try_from(at.saturating_sub(now)).ok().filter(|left| *left > 0)?;
    Some(left.min(limits::RETRY_AFTER_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{HeaderMap, HeaderName, HeaderValue};

    const NOW: Millis = 1_706_195_400_000;

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Response {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Response { status, headers, body: Default::default() }
    }

    #[test]
    fn a_429_pauses_for_the_time_it_names() {
        for (headers, pause) in [
            (vec![("retry-after", "30"), ("x-ratelimit-reset", "1706195410")], 30_000),
            (vec![("x-ratelimit-reset", "1706195410")], 10_000),
            (vec![("retry-after", "soon"), ("x-ratelimit-reset", "1706195410")], 10_000),
            (vec![("retry-after", "Thu, 25 Jan 2024 15:10:20 GMT")], 20_000),
            (vec![("retry-after", "99999999999999999999")], 1_000),
            (vec![("retry-after", "99999999999")], limits::RETRY_AFTER_MS),
            (vec![("retry-after", "0")], 1_000),
            (vec![("retry-after", "Thu, 25 Jan 1990 15:10:20 GMT")], 1_000),
            (vec![("x-ratelimit-reset", "1")], 1_000),
            (vec![], 1_000),
        ] {
            let rate = Rate::default();
            assert_eq!(rate.observe(&answer(429, &headers), NOW), Some(pause), "{headers:?}");
            assert_eq!(rate.paused_ms(NOW), Some(pause), "{headers:?}");
            assert_eq!(rate.paused_ms(NOW + pause as Millis), None, "{headers:?}");
        }
    }

    #[test]
    fn unnamed_pauses_double_up_to_a_minute_and_start_again_after_a_success() {
        let rate = Rate::default();
        let pauses: Vec<_> = (0..8).filter_map(|_| rate.observe(&answer(429, &[]), NOW)).collect();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(rate.observe(&answer(200, &[]), NOW), None);
        assert_eq!(rate.observe(&answer(429, &[]), NOW), Some(1_000));
    }

    #[test]
    fn nothing_remaining_pauses_until_the_reset() {
        let rate = Rate::default();
        rate.observe(&answer(200, &[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "1706195410")]), NOW);
        assert_eq!(rate.paused_ms(NOW), None);
        rate.observe(&answer(200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1706195410")]), NOW);
        assert_eq!(rate.paused_ms(NOW), Some(10_000));
    }
}
