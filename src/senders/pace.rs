//! How fast a session may send: a token bucket in whole numbers, and a pause between two sends that nobody can foresee.

use std::fmt;
use std::str::FromStr;

use crate::base::{duration, limits};

/// How fast a session may send. The slower of rate and jitter decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// `20/min`, `2/s`, `100/h`.
    pub rate: Rate,
    /// Sends that may go out on one another's heels after a pause; at least 1. The jitter stays between them.
    pub burst: u32,
    /// The least and the longest pause after a send that the session itself makes; drawn anew for each send.
    pub jitter: Jitter,
}

impl Pace {
    pub fn new(rate: Rate, burst: u32) -> Self {
        Self { rate, burst: burst.max(1), jitter: Jitter::default() }
    }

    /// What one send costs. Every millisecond brings [`Self::gain`] of it, so that any rate is exact.
    pub(super) fn cost(&self) -> i128 {
        i128::from(self.rate.period_ms)
    }

    pub(super) fn gain(&self) -> i128 {
        i128::from(self.rate.count)
    }

    /// What a bucket holds at most.
    pub(super) fn full(&self) -> i128 {
        self.cost() * i128::from(self.burst.max(1))
    }

    /// The time that one send of many takes, in milliseconds, rounded up.
    pub(super) fn slot_ms(&self) -> i64 {
        let of_rate = (self.cost() + self.gain() - 1) / self.gain();
        let of_jitter = i64::from(self.jitter.min_ms).midpoint(i64::from(self.jitter.max_ms));
        i64::try_from(of_rate).unwrap_or(i64::MAX).max(of_jitter)
    }
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

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = PERIODS.into_iter().find(|(_, ms)| *ms == self.period_ms).map_or("ms", |(name, _)| name);
        write!(f, "{}/{name}", self.count)
    }
}

/// A range of pauses, both ends included, in milliseconds. The default is none at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jitter {
    min_ms: u32,
    max_ms: u32,
}

/// A text that is no range of pauses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no jitter; write the shortest and the longest pause, at most 1h: 2s..8s")]
pub struct BadJitter(String);

impl FromStr for Jitter {
    type Err = BadJitter;

    fn from_str(text: &str) -> Result<Self, BadJitter> {
        let bad = || BadJitter(text.chars().take(40).collect());
        let (min, max) = text.split_once("..").ok_or_else(bad)?;
        let ms = |text: &str| duration::parse_ms(text.trim()).ok().filter(|ms| *ms <= limits::SENDER_JITTER_MS);
        let (min, max) = ms(min).zip(ms(max)).filter(|(min, max)| min <= max).ok_or_else(bad)?;
        let whole = |ms: u64| u32::try_from(ms).map_err(|_| bad());
        Ok(Self { min_ms: whole(min)?, max_ms: whole(max)? })
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |ms: u32| if ms.is_multiple_of(1_000) { format!("{}s", ms / 1_000) } else { format!("{ms}ms") };
        write!(f, "{}..{}", text(self.min_ms), text(self.max_ms))
    }
}

impl Jitter {
    pub(super) fn min_ms(self) -> i64 {
        i64::from(self.min_ms)
    }

    pub(super) fn max_ms(self) -> i64 {
        i64::from(self.max_ms)
    }

    /// The pause after send number `number` of a session. It looks drawn by lot and is always the same for one seed: what
    /// is planned for sends that wait is what will be.
    pub(super) fn after(self, seed: u64, number: u64) -> i64 {
        let span = u64::from(self.max_ms - self.min_ms) + 1;
        i64::from(self.min_ms) + i64::try_from(mixed(seed ^ number.wrapping_mul(GOLDEN)) % span).unwrap_or_default()
    }
}

/// 2^64 divided by the golden ratio: neighbours land far apart.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the answer depends on every bit of `x`.
fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(GOLDEN);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn jitters_people_write() {
        for (text, shown) in [("2s..8s", "2s..8s"), (" 0s .. 1500ms ", "0s..1500ms"), ("1m..1h", "60s..3600s")] {
            assert_eq!(text.parse::<Jitter>().unwrap().to_string(), shown);
        }
        for text in ["", "2s", "8s..2s", "2..8", "2s..", "..8s", "2s..61m", "-1s..2s", "2s...8s"] {
            assert!(text.parse::<Jitter>().is_err(), "{text}");
        }
    }

    #[test]
    fn pauses_fill_their_range_and_nothing_else() {
        let jitter: Jitter = "2s..8s".parse().unwrap();
        let drawn: Vec<_> = (0..10_000).map(|number| jitter.after(7, number)).collect();
        assert!(drawn.iter().all(|ms| (2_000..=8_000).contains(ms)));
        let mean = drawn.iter().sum::<i64>() / 10_000;
        assert!((4_900..5_100).contains(&mean), "{mean}");
        assert!(drawn.iter().any(|ms| *ms < 2_100) && drawn.iter().any(|ms| *ms > 7_900));
        assert_ne!(jitter.after(7, 1), jitter.after(8, 1));
        assert_eq!(Jitter::default().after(7, 1), 0);
    }
}
