//! Days of a zone and quiet hours, as stretches of time in which neither changes: looking up many instants in order asks the
//! time zone only a few times a day.

use jiff::Timestamp;
use jiff::civil::{Date, date};

use super::policy::Policy;
use super::quiet::DAY_MS;
use crate::base::Millis;

/// What one stretch of time is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// From here on, as far as it was looked at.
    from: Millis,
    /// Before this instant nothing changes.
    pub until: Millis,
    /// The calendar day, as days since 1970-01-01.
    pub day: i32,
    /// The first instant of the next day.
    pub next_day: Millis,
    pub quiet: bool,
}

/// The days and the quiet hours of a policy.
#[derive(Clone, Debug)]
pub struct Calendar<'p> {
    pub policy: &'p Policy,
    latest: Option<Stretch>,
}

impl<'p> Calendar<'p> {
    pub fn new(policy: &'p Policy) -> Self {
        Self { policy, latest: None }
    }

    pub fn at(&mut self, at: Millis) -> Stretch {
        if let Some(stretch) = self.latest.filter(|stretch| stretch.from <= at && at < stretch.until) {
            return stretch;
        }
        let (day, next_day) = self.day(at);
        let quiet = self.policy.quiet_hours.as_ref();
        let change = quiet.map_or(next_day, |hours| hours.next_change(at));
        let quiet = quiet.is_some_and(|hours| hours.holds(at));
        let stretch = Stretch { from: at, until: next_day.min(change), day, next_day, quiet };
        self.latest = Some(stretch);
        stretch
    }

    fn day(&self, at: Millis) -> (i32, Millis) {
        let zone = &self.policy.timezone;
        let today = Timestamp::from_millisecond(at).map(|at| at.to_zoned(zone.clone()).date());
        let begins = |day: Date| day.to_zoned(zone.clone()).ok().map(|start| start.timestamp().as_millisecond());
        let found = today.ok().and_then(|today| {
            let next = begins(today.tomorrow().ok()?)?;
            Some((number(today), next))
        });
        // Beyond jiff's years, or where a zone shows midnight twice: a day of UTC, or the time until something is past.
        let (day, next) = found.unwrap_or_else(|| {
            let day = at.div_euclid(DAY_MS);
            (i32::try_from(day).unwrap_or(i32::MAX), day.saturating_add(1).saturating_mul(DAY_MS))
        });
        (day, if next > at { next } else { at.saturating_add(1) })
    }
}

/// Days from 1970-01-01 to `day`.
fn number(day: Date) -> i32 {
    let days = day.duration_since(date(1970, 1, 1)).as_secs().div_euclid(DAY_MS / 1000);
    i32::try_from(days).unwrap_or(i32::MAX)
}

/// A day's number as people read it: `2026-11-22`.
pub fn shown(day: i32) -> String {
    let since = jiff::Span::new().try_days(day).and_then(|days| date(1970, 1, 1).checked_add(days));
    since.map_or_else(|_| day.to_string(), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::senders::pace::Pace;

    #[test]
    fn days_are_those_of_the_zone() {
        let zone = TimeZone::get("Australia/Lord_Howe").unwrap();
        let policy = Policy { timezone: zone, ..Policy::paced(Pace::new("1/s".parse().unwrap(), 1)) };
        let mut calendar = Calendar::new(&policy);
        let ms = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let before = calendar.at(ms("2026-10-03T13:29:59Z"));
        assert_eq!((shown(before.day).as_str(), before.next_day), ("2026-10-03", ms("2026-10-03T13:30:00Z")));
        // The day on which the clocks go forward by half an hour.
        let after = calendar.at(ms("2026-10-03T13:30:00Z"));
        assert_eq!((after.day, after.next_day), (before.day + 1, ms("2026-10-04T13:00:00Z")));
        assert_eq!(shown(0), "1970-01-01");
        assert_eq!(shown(-1), "1969-12-31");
    }

    #[test]
    fn no_instant_panics_or_stands_still() {
        let policy = Policy::paced(Pace::new("1/s".parse().unwrap(), 1));
        for at in [i64::MIN, -1, 0, i64::MAX - 1] {
            let stretch = Calendar::new(&policy).at(at);
            assert!(stretch.until > at && stretch.next_day > at, "{at}: {stretch:?}");
        }
    }
}
