//! Whether a session is connected to WhatsApp, and how long its sends wait if it is not.

use serde::{Deserialize, Serialize};

use crate::base::Millis;

/// The status of a session that can send.
pub const WORKING: &str = "working";

/// What is known of a session. The word is MoltFlow's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// None: not known yet.
    status: Option<String>,
    /// Since when it has been working, or has not been.
    since: Millis,
    #[serde(skip)]
    asked_at: Option<Millis>,
}

/// The shortest and the longest pause of a send whose session has been down for less than [`LONG_MS`], in milliseconds; a
/// session is down for seconds when it restarts, for minutes when somebody has to scan its code.
const PAUSE_MIN_MS: i64 = 5_000;
const PAUSE_MAX_MS: i64 = 2 * 60_000;

/// After an hour it is nothing that ends by itself; a send that asks every two minutes for days would fill its journal.
const LONG_MS: i64 = 60 * 60_000;
const PAUSE_LONG_MAX_MS: i64 = 15 * 60_000;

/// How long an answer of the API stands, in milliseconds: however many sends wait, it is asked no more often.
const ASKED_MS: i64 = 5_000;

/// The same where it did not answer and sends go on.
const UNANSWERED_MS: i64 = 60_000;

impl Health {
    pub fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    pub fn since(&self) -> Option<Millis> {
        self.status.as_ref().map(|_| self.since)
    }

    /// Known not to be working.
    pub fn is_down(&self) -> bool {
        self.status.as_deref().is_some_and(|status| status != WORKING)
    }

    /// Notes a status. Says whether it is news.
    pub fn saw(&mut self, status: &str, now: Millis) -> bool {
        if self.status.as_deref() == Some(status) {
            return false;
        }
        let was_down = self.is_down();
        self.status = Some(status.chars().take(64).collect());
        if was_down != self.is_down() || self.since == 0 {
            self.since = now;
        }
        true
    }

    /// After a restart only that it was down is worth believing: it is asked about before anything is sent.
    pub fn restored(self) -> Self {
        if self.is_down() { self } else { Self::default() }
    }

    /// Is it time to ask the API? Whoever is told yes does so, and the others need not.
    pub fn ask(&mut self, now: Millis) -> bool {
        let pause = match &self.status {
            Some(status) if status == WORKING => return false,
            Some(_) => ASKED_MS,
            None => UNANSWERED_MS,
        };
        let due = self.asked_at.is_none_or(|at| now < at || now - at >= pause);
        if due {
            self.asked_at = Some(now);
        }
        due
    }

    /// How long a send waits before it looks again, in milliseconds: a quarter of the time that the session has been down,
    /// so that what waited goes on soon after it comes back. Up to a quarter longer by `random`, so that not all of them
    /// look at once.
    pub fn pause_ms(&self, now: Millis, random: u128) -> u64 {
        let down = now.saturating_sub(self.since).max(0);
        let pause = if down < LONG_MS {
            (down / 4).clamp(PAUSE_MIN_MS, PAUSE_MAX_MS)
        } else {
            (down / 30).clamp(PAUSE_MAX_MS, PAUSE_LONG_MAX_MS)
        };
        let more = i64::try_from(random % u128::from(pause.unsigned_abs() / 4 + 1)).unwrap_or_default();
        (pause + more).unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_with_the_outage() {
        let mut health = Health::default();
        assert!(health.saw("failed", 1_000) && !health.saw("failed", 2_000));
        for (minutes, least, most) in [
            (0, 5_000, 6_250),
            (4, 60_000, 75_000),
            (30, 120_000, 150_000),
            (60, 120_000, 150_000),
            (3_000, 900_000, 1_125_000),
        ] {
            let now = 1_000 + minutes * 60_000;
            assert_eq!(health.pause_ms(now, 0), least, "{minutes} min");
            assert!((0..1_000u128).all(|random| health.pause_ms(now, random * 7_919) <= most));
        }
        // An outage of a week does not end a run by its number of pauses.
        let (mut now, mut pauses) = (1_000, 0);
        while now < 7 * 86_400_000 {
            now += health.pause_ms(now, 0) as i64;
            pauses += 1;
        }
        assert!(pauses < crate::base::limits::LATER_IN_A_ROW, "{pauses}");
    }

    #[test]
    fn another_word_for_down_is_the_same_outage() {
        let mut health = Health::default();
        health.saw("failed", 1_000);
        assert!(health.saw("qr_code", 5_000));
        assert_eq!((health.since(), health.is_down()), (Some(1_000), true));
        assert!(health.saw(WORKING, 9_000));
        assert_eq!((health.since(), health.is_down()), (Some(9_000), false));
        assert_eq!(health.clone().restored(), Health::default());
    }

    #[test]
    fn one_asks_for_all() {
        let mut health = Health::default();
        assert!(health.ask(1_000) && !health.ask(1_001));
        health.saw("starting", 1_002);
        assert!(!health.ask(1_002) && health.ask(6_000));
        // A clock that was set back does not stop it.
        assert!(health.ask(0));
        health.saw(WORKING, 10_000);
        assert!(!health.ask(1_000_000));
    }
}
