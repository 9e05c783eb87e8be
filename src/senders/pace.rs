//! A token bucket in whole numbers: no rounding ever lends a send.

use std::fmt;
use std::str::FromStr;

use crate::base::Millis;

/// How fast a session may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// `20/min`, `2/s`, `100/h`.
    pub rate: Rate,
    /// Sends that may go out at once after a pause; at least 1.
    pub burst: u32,
}

/// Sends in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    period_ms: u32,
}

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rate; write a whole number above 0 and a period: 20/min, 2/s, 100/h")]
pub struct BadRate(String);

const PERIODS: [(&str, u32); 3] = [("s", 1_000), ("min", 60_000), ("h", 3_600_000)];

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let bad = || BadRate(text.chars().take(40).collect());
        let (count, period) = text.trim().split_once('/').ok_or_else(bad)?;
        let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(bad)?;
        let (_, period_ms) = PERIODS.into_iter().find(|(name, _)| *name == period.trim()).ok_or_else(bad)?;
        Ok(Self { count, period_ms })
    }
}

impl Rate {
    /// The time that `count` sends take, in milliseconds.
    pub fn ms_for(self, count: u64) -> u64 {
        let ms = u128::from(count) * u128::from(self.period_ms) / u128::from(self.count.max(1));
        u64::try_from(ms).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = PERIODS.into_iter().find(|(_, ms)| *ms == self.period_ms).map_or("ms", |(name, _)| name);
        write!(f, "{}/{name}", self.count)
    }
}

/// The bucket of one session. One send costs `period_ms` units and every millisecond brings `count` of them, so that
/// any rate is exact.
#[derive(Debug)]
pub(super) struct Bucket {
    cost: i128,
    gain: i128,
    full: i128,
    level: i128,
    at: Millis,
    /// The last time that was named to a refused caller.
    promised: Millis,
}

/// The longest time named to a refused caller, in milliseconds. Those named may never come back (their run was
/// cancelled), and a later caller must not wait for all of them.
const LONGEST_WAIT_MS: Millis = 15 * 60_000;

impl Bucket {
    /// With one send at `now`: a full bucket would lend a burst at every start, and a process that keeps crashing starts
    /// often.
    pub(super) fn new(pace: Pace, now: Millis) -> Self {
        let cost = i128::from(pace.rate.period_ms);
        let full = cost * i128::from(pace.burst.max(1));
        Self { cost, gain: i128::from(pace.rate.count), full, level: cost, at: now, promised: now }
    }

    pub(super) fn acquire(&mut self, now: Millis) -> Result<(), u64> {
        // A clock that was set back brings nothing, and counts from where it is.
        let elapsed = i128::from(now.saturating_sub(self.at).max(0));
        if now < self.at {
            self.promised = now;
        }
        self.at = now;
        self.level = (self.level + elapsed * self.gain).min(self.full);
        if self.level == self.full {
            // Nobody has asked for a while: whoever was named a time is gone.
            self.promised = now;
        }
        if self.level >= self.cost {
            self.level -= self.cost;
            return Ok(());
        }
        let ms = |units: i128| Millis::try_from((units + self.gain - 1) / self.gain).unwrap_or(LONGEST_WAIT_MS);
        let first = now.saturating_add(ms(self.cost - self.level));
        let turn = first.max(self.promised.saturating_add(ms(self.cost)));
        // One send may take longer than the longest wait (1/h): then its own time counts.
        let turn = turn.min(first.max(now.saturating_add(LONGEST_WAIT_MS)));
        self.promised = turn;
        Err((turn - now).max(1) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pace(rate: &str, burst: u32) -> Pace {
        Pace { rate: rate.parse().unwrap(), burst }
    }

    #[test]
    fn rates_people_write() {
        for (text, shown) in [("20/min", "20/min"), (" 2 / s ", "2/s"), ("100/h", "100/h")] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), shown);
        }
        for text in ["", "20", "0/min", "-1/s", "1.5/s", "20/day", "20/m", "/s", "99999999999/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_burst_then_one_at_a_time() {
        let mut bucket = Bucket::new(pace("20/min", 4), -60_000);
        let answers: Vec<_> = (0..6).map(|_| bucket.acquire(0)).collect();
        assert_eq!(answers, [Ok(()), Ok(()), Ok(()), Ok(()), Err(3_000), Err(6_000)]);
        assert_eq!(bucket.acquire(3_000), Ok(()));
        assert_eq!(bucket.acquire(6_000), Ok(()));
        assert_eq!(bucket.acquire(6_000), Err(3_000));
    }

    #[test]
    fn a_start_lends_one_send_and_no_burst() {
        let mut bucket = Bucket::new(pace("20/min", 4), 0);
        assert_eq!(bucket.acquire(0), Ok(()));
        assert_eq!(bucket.acquire(0), Err(3_000));
    }

    #[test]
    fn a_clock_set_back_lends_nothing_and_blocks_nobody() {
        let mut bucket = Bucket::new(pace("1/s", 1), 1_000_000);
        assert_eq!(bucket.acquire(1_000_000), Ok(()));
        assert_eq!(bucket.acquire(0), Err(1_000));
        assert_eq!(bucket.acquire(1_000), Ok(()));
    }

    #[test]
    fn named_times_are_bounded() {
        let mut bucket = Bucket::new(pace("1/min", 1), 0);
        assert_eq!(bucket.acquire(0), Ok(()));
        let longest = (0..1_000).filter_map(|_| bucket.acquire(0).err()).max();
        assert_eq!(longest, Some(LONGEST_WAIT_MS as u64));
        assert_eq!(Bucket { level: 0, ..Bucket::new(pace("1/h", 1), 0) }.acquire(0), Err(3_600_000));
    }

    proptest! {
        /// In every window of t milliseconds at most burst + rate·t sends.
        #[test]
        fn never_more_than_the_pace(
            count in 1u32..200,
            period in 0usize..3,
            burst in 1u32..50,
            gaps in prop::collection::vec(0i64..5_000, 1..300),
        ) {
            let (_, period_ms) = PERIODS[period];
            let mut bucket = Bucket::new(Pace { rate: Rate { count, period_ms }, burst }, 0);
            let mut now = 0;
            let mut sent: Vec<Millis> = Vec::new();
            for gap in gaps {
                now += gap;
                match bucket.acquire(now) {
                    Ok(()) => sent.push(now),
                    Err(wait) => prop_assert!(wait >= 1),
                }
            }
            for (from, start) in sent.iter().enumerate() {
                for (to, end) in sent.iter().enumerate().skip(from) {
                    let sends = (to - from + 1) as i128 - i128::from(burst);
                    prop_assert!(sends * i128::from(period_ms) <= i128::from(end - start) * i128::from(count));
                }
            }
        }

        /// Who comes back at the time named to them is served, if all keep to theirs.
        #[test]
        fn a_named_time_is_kept(count in 1u32..100, callers in 1usize..60) {
            let pace = Pace { rate: Rate { count, period_ms: 60_000 }, burst: 1 };
            let mut bucket = Bucket::new(pace, 0);
            let mut turns: Vec<_> = (0..callers).filter_map(|_| bucket.acquire(0).err()).filter(|ms| *ms < LONGEST_WAIT_MS as u64).collect();
            turns.sort_unstable();
            for turn in turns {
                prop_assert_eq!(bucket.acquire(turn as Millis), Ok(()));
            }
        }
    }
}
