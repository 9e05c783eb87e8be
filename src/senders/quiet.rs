//! Hours in which nobody wants to be written to without having asked.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::base::Millis;

/// From `from` on and before `to`, as the wall clock of the zone shows it; over midnight if `to` is the earlier one.
///
/// When clocks change, what the wall shows decides: an hour that is shown twice is quiet twice, and a gap ends the quiet
/// hours if the wall is past `to` after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietHours {
    from: Time,
    to: Time,
    zone: TimeZone,
}

impl QuietHours {
    /// None if they would be all day or nothing: `from` equals `to`.
    pub fn new(from: Time, to: Time, zone: TimeZone) -> Option<Self> {
        (from != to).then_some(Self { from, to, zone })
    }

    pub fn from(&self) -> Time {
        self.from
    }

    pub fn to(&self) -> Time {
        self.to
    }

    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Is `at` within them?
    pub fn holds(&self, at: Millis) -> bool {
        let Ok(at) = Timestamp::from_millisecond(at) else { return false };
        let wall = at.to_zoned(self.zone.clone()).time();
        if self.from < self.to { self.from <= wall && wall < self.to } else { self.from <= wall || wall < self.to }
    }

    /// The first instant after `at` at which they begin (if `at` is not within them) or end (if it is).
    pub fn next_change(&self, at: Millis) -> Millis {
        let quiet = self.holds(at);
        let changes = self.candidates(at).into_iter().filter(|time| *time > at && self.holds(*time) != quiet);
        // There is always one: the wall shows every time of the day within two days, but for a gap, which is a candidate.
        changes.min().unwrap_or_else(|| at.saturating_add(DAY_MS))
    }

    /// Every instant soon after `at` at which the answer can change: the wall shows one of the two times, or jumps.
    fn candidates(&self, at: Millis) -> Vec<Millis> {
        let Ok(at) = Timestamp::from_millisecond(at) else { return Vec::new() };
        let mut found = Vec::with_capacity(10);
        let mut day: Option<Date> = Some(at.to_zoned(self.zone.clone()).date());
        for _ in 0..3 {
            let Some(date) = day else { break };
            for time in [self.from, self.to] {
                let shown = self.zone.to_ambiguous_timestamp(date.to_datetime(time));
                found.extend([shown.earlier(), shown.later()].into_iter().flatten().map(Timestamp::as_millisecond));
            }
            day = date.tomorrow().ok();
        }
        found.extend(self.zone.following(at).take(2).map(|change| change.timestamp().as_millisecond()));
        found
    }
}

/// A day without a change of clocks, in milliseconds.
pub(super) const DAY_MS: Millis = 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(from: &str, to: &str, zone: &str) -> QuietHours {
        QuietHours::new(from.parse().unwrap(), to.parse().unwrap(), TimeZone::get(zone).unwrap()).unwrap()
    }

    fn ms(text: &str) -> Millis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn from_belongs_to_them_and_to_does_not() {
        let night = hours("21:00", "08:00", "Europe/Madrid");
        for (at, quiet, change) in [
            ("2026-01-10T19:59:59.999Z", false, "2026-01-10T20:00:00Z"),
            ("2026-01-10T20:00:00Z", true, "2026-01-11T07:00:00Z"),
            ("2026-01-11T06:59:59.999Z", true, "2026-01-11T07:00:00Z"),
            ("2026-01-11T07:00:00Z", false, "2026-01-11T20:00:00Z"),
        ] {
            assert_eq!((night.holds(ms(at)), night.next_change(ms(at))), (quiet, ms(change)), "{at}");
        }
        let noon = hours("12:00", "14:00", "UTC");
        assert!(noon.holds(ms("2026-01-10T13:00:00Z")) && !noon.holds(ms("2026-01-10T14:00:00Z")));
        assert_eq!(noon.next_change(ms("2026-01-10T14:00:00Z")), ms("2026-01-11T12:00:00Z"));
    }

    #[test]
    fn the_wall_decides_when_clocks_change() {
        for (from, to, zone, at, change) in [
            // The night of the change is an hour shorter, or longer.
            ("21:00", "08:00", "Europe/Madrid", "2026-03-28T22:00:00Z", "2026-03-29T06:00:00Z"),
            ("21:00", "08:00", "Europe/Madrid", "2026-10-24T22:00:00Z", "2026-10-25T07:00:00Z"),
            // 02:30 is not shown that night; at the end of the gap it is past it.
            ("22:00", "02:30", "Europe/Madrid", "2026-03-28T22:00:00Z", "2026-03-29T01:00:00Z"),
            // 02:30 is shown twice: it ends, begins again with the second two o'clock, and ends again.
            ("22:00", "02:30", "Europe/Madrid", "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z"),
            ("22:00", "02:30", "Europe/Madrid", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z"),
            ("22:00", "02:30", "Europe/Madrid", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"),
            // Half an hour.
            ("22:00", "01:45", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", "2026-04-04T14:45:00Z"),
            ("22:00", "02:15", "Australia/Lord_Howe", "2026-10-03T14:00:00Z", "2026-10-03T15:30:00Z"),
        ] {
            let quiet = hours(from, to, zone);
            assert_eq!(quiet.next_change(ms(at)), ms(change), "{from} to {to} in {zone} after {at}");
        }
    }

    #[test]
    fn every_change_is_found_and_none_is_invented() {
        for zone in ["Europe/Madrid", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"] {
            let quiet = hours("01:10", "02:20", zone);
            for start in ["2026-03-01T00:00:00Z", "2026-10-01T00:00:00Z"].map(ms) {
                let mut change = quiet.next_change(start);
                // Minute by minute over 40 days.
                for minute in 1..40 * 24 * 60 {
                    let at = start + minute * 60_000;
                    assert_eq!(quiet.holds(at) != quiet.holds(at - 60_000), at == change, "{zone} at {at}");
                    if at == change {
                        change = quiet.next_change(at);
                    }
                }
            }
        }
    }
}
