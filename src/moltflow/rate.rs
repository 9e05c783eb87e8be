//! What the rate limit headers say, shared by all callers of one credential.
//!
//! Honoured: a 429 pauses the credential for the time it names, `X-RateLimit-Remaining: 0` until the reset. Anticipated: when
//! `n` requests remain, at most `n` are under way until the next answer says how many there are then, so that a crowd does
//! not run into the limit that one of them has just been told of. The pause ends with a window as large as the limit.

use std::pin::pin;
use std::sync::Mutex;

use futures::future::{Either, select};
use tokio::sync::Notify;

use crate::base::{Millis, limits};
use crate::engine::ports::Clock;
use crate::net::{Response, retry_after_ms};

/// The credential's pause and budget.
#[derive(Debug, Default)]
pub(super) struct Rate {
    state: Mutex<State>,
    /// Rung when there may be room for another request.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    paused_until: Millis,
    /// The pause as it was named, in milliseconds: a clock that is set back must not make it longer.
    paused_for: Millis,
    /// 429s in a row that named no time.
    unnamed: u32,
    /// Requests without an answer so far.
    in_flight: u64,
    /// Requests that remain, by the latest answer; None: nobody said.
    left: Option<u64>,
    /// When the window ends that `left` is of.
    reset: Option<Millis>,
    /// Requests of a whole window.
    limit: Option<u64>,
}

/// The first pause after a 429 that names no time, in milliseconds; doubled with each further one up to a minute.
const FIRST_BACKOFF_MS: u64 = 1_000;
const LAST_BACKOFF_MS: u64 = 60_000;

/// How long a caller waits for others' answers when they may use up what remains, in milliseconds. A few exchanges; then
/// it is put off, long before its step's time is over: a send that was given up while it waited would count as unknown.
const PATIENCE_MS: u64 = 5_000;

/// For how long it is put off then, in milliseconds.
const CROWDED_MS: u64 = 1_000;

/// Leave for one request. Dropped without an answer, the request counts as one the API has counted.
pub(super) struct Permit<'a> {
    rate: &'a Rate,
    answered: bool,
}

impl Rate {
    /// How long the credential is still paused at `now`, in milliseconds.
    pub(super) fn paused_ms(&self, now: Millis) -> Option<u64> {
        self.lock().paused_ms(now)
    }

    /// Pauses the credential for `ms`.
    pub(super) fn pause(&self, ms: u64, now: Millis) {
        self.lock().pause(ms, now);
    }

    /// Waits until one more request cannot exceed what remains. The error is the pause in milliseconds.
    pub(super) async fn permit(&self, clock: &dyn Clock) -> Result<Permit<'_>, u64> {
        let mut patience = None;
        loop {
            let mut freed = pin!(self.freed.notified());
            // Before the look: room that is made after it must not go unnoticed.
            freed.as_mut().enable();
            if self.lock().admit(clock.now())? {
                return Ok(Permit { rate: self, answered: false });
            }
            let patience = patience.get_or_insert_with(|| clock.pause(PATIENCE_MS));
            if let Either::Right(_) = select(freed, patience).await {
                return Err(CROWDED_MS);
            }
        }
    }

    /// Learns from an answer to a request that had no permit. For a 429 the result is the pause in milliseconds.
    pub(super) fn observe(&self, response: &Response, now: Millis) -> Option<u64> {
        self.lock().learn(response, now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is a few numbers, valid whatever happened to their last holder.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Learns from the answer. For a 429 the result is the pause in milliseconds.
    pub(super) fn answered(mut self, response: &Response, now: Millis) -> Option<u64> {
        self.answered = true;
        let mut state = self.rate.lock();
        if response.header(REMAINING).is_none() {
            state.uncounted();
        }
        state.learn(response, now)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.rate.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if !self.answered {
            state.uncounted();
        }
        drop(state);
        self.rate.freed.notify_waiters();
    }
}

const REMAINING: &str = "x-ratelimit-remaining";

impl State {
    fn paused_ms(&mut self, now: Millis) -> Option<u64> {
        self.paused_until = self.paused_until.min(now.saturating_add(self.paused_for));
        u64::try_from(self.paused_until - now).ok().filter(|left| *left > 0)
    }

    fn pause(&mut self, ms: u64, now: Millis) {
        let left = self.paused_ms(now).unwrap_or(0);
        self.paused_for = Millis::try_from(ms.max(left)).unwrap_or(Millis::MAX);
        self.paused_until = now.saturating_add(self.paused_for);
    }

    /// Whether one more request may leave; then it is counted. The error is the pause in milliseconds.
    fn admit(&mut self, now: Millis) -> Result<bool, u64> {
        if let Some(ms) = self.paused_ms(now) {
            return Err(ms);
        }
        // What is further away than any window was named under another time.
        let beyond = now.saturating_add_unsigned(limits::RETRY_AFTER_MS);
        if self.reset.is_some_and(|reset| reset <= now || reset > beyond) {
            (self.left, self.reset) = (self.limit, None);
        }
        let room = match (self.left, self.reset) {
            (None, _) => u64::MAX,
            // The window's last request is on its way, or was lost.
            (Some(0), Some(reset)) => return Err(u64::try_from(reset - now).unwrap_or(0)),
            (Some(left), Some(_)) => left,
            // Nobody said when there are more: one of us has to ask.
            (Some(left), None) => left.max(1),
        };
        let admitted = self.in_flight < room;
        self.in_flight += u64::from(admitted);
        Ok(admitted)
    }

    fn learn(&mut self, response: &Response, now: Millis) -> Option<u64> {
        let number = |name| response.header(name).and_then(|text| text.trim().parse::<u64>().ok());
        let reset = response.header("x-ratelimit-reset").and_then(|text| until_reset(text, now));
        self.limit = number("x-ratelimit-limit").filter(|limit| *limit > 0).or(self.limit);
        if response.status != 429 {
            self.unnamed = 0;
            // An answer about a window that is over, which came late, says nothing of this one.
            let over = reset.is_none() && response.header("x-ratelimit-reset").is_some();
            if let Some(left) = number(REMAINING).filter(|_| !over) {
                self.counted(left, reset.map(|ms| now.saturating_add_unsigned(ms)));
                if let (0, Some(ms)) = (left, reset) {
                    self.pause(ms, now);
                }
            }
            return None;
        }
        let pause = retry_after_ms(response, now).or(reset).unwrap_or_else(|| {
            self.unnamed = self.unnamed.saturating_add(1);
            (FIRST_BACKOFF_MS << (self.unnamed - 1).min(16)).min(LAST_BACKOFF_MS)
        });
        // What remained is of a window that is over when the pause is.
        (self.left, self.reset) = (self.limit, None);
        self.pause(pause, now);
        Some(pause)
    }

    /// `left` requests remain until `reset`, by an answer that may have been overtaken by another one.
    fn counted(&mut self, left: u64, reset: Option<Millis>) {
        match (self.reset, reset) {
            (Some(known), Some(reset)) if reset < known => {}
            (Some(known), Some(reset)) if reset == known => {
                self.left = Some(self.left.map_or(left, |before| before.min(left)));
            }
            _ => (self.left, self.reset) = (Some(left), reset),
        }
    }

    /// A request was made of which nobody said whether it counted.
    fn uncounted(&mut self) {
        self.left = match self.reset {
            Some(_) => self.left.map(|left| left.saturating_sub(1)),
            // An API that has stopped to count.
            None => None,
        };
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
    fn a_clock_that_is_set_back_makes_no_pause_longer() {
        let rate = Rate::default();
        assert_eq!(rate.observe(&answer(429, &[("retry-after", "30")]), NOW), Some(30_000));
        assert_eq!(rate.paused_ms(NOW + 10_000), Some(20_000));
        let back = NOW - 3_600_000;
        assert_eq!(rate.paused_ms(back), Some(30_000));
        assert_eq!(rate.paused_ms(back + 29_999), Some(1));
        assert_eq!(rate.paused_ms(back + 30_000), None);
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
    fn at_most_as_many_are_under_way_as_remain() {
        let rate = Rate::default();
        let admit = |now| {
            let admitted = rate.lock().admit(now);
            admitted.map(|admitted| admitted.then(|| Permit { rate: &rate, answered: false }))
        };
        let headers =
            |left, reset| [("x-ratelimit-limit", "4"), ("x-ratelimit-remaining", left), ("x-ratelimit-reset", reset)];
        let first = admit(NOW).unwrap().unwrap();
        assert_eq!(first.answered(&answer(200, &headers("3", "1706195410")), NOW), None);
        let mut permits: Vec<_> = (0..3).map(|_| admit(NOW).unwrap().unwrap()).collect();
        assert!(admit(NOW).unwrap().is_none());
        // Answers in any order: the lowest count is the latest.
        permits.pop().unwrap().answered(&answer(200, &headers("1", "1706195410")), NOW);
        permits.pop().unwrap().answered(&answer(200, &headers("2", "1706195410")), NOW);
        assert!(admit(NOW).unwrap().is_none());
        // One that is given up may have been counted.
        drop(permits.pop());
        assert_eq!(admit(NOW).err(), Some(10_000));
        // The next window is as large as the limit, before anybody says so.
        let permits: Vec<_> = (0..4).map(|_| admit(NOW + 10_000).unwrap().unwrap()).collect();
        assert!(admit(NOW + 10_000).unwrap().is_none());
        // A late word about the window before says nothing of this one; without counts there is no bound.
        for permit in permits {
            permit.answered(&answer(200, &[]), NOW + 10_000);
        }
        let permits: Vec<_> = (0..50).map(|_| admit(NOW + 10_000).unwrap().unwrap()).collect();
        assert_eq!(rate.lock().in_flight, 50);
        drop(permits);
        assert_eq!(rate.lock().in_flight, 0);
    }

    #[test]
    fn an_overtaken_answer_does_not_reopen_a_window() {
        let rate = Rate::default();
        rate.observe(&answer(200, &[("x-ratelimit-remaining", "2"), ("x-ratelimit-reset", "1706195470")]), NOW);
        rate.observe(&answer(200, &[("x-ratelimit-remaining", "90"), ("x-ratelimit-reset", "1706195410")]), NOW);
        assert_eq!(rate.lock().left, Some(2));
        rate.observe(&answer(200, &[("x-ratelimit-remaining", "90"), ("x-ratelimit-reset", "1706195530")]), NOW);
        assert_eq!(rate.lock().left, Some(90));
        // Nor does one about a window that has ended meanwhile.
        rate.observe(&answer(200, &[("x-ratelimit-remaining", "99"), ("x-ratelimit-reset", "1706195400")]), NOW);
        assert_eq!(rate.lock().left, Some(90));
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
