//! Schedules: a cron pattern in a time zone.
//!
//! Patterns have 5 fields, or 6 with seconds first, or are one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
//!
//! When clocks change, a pattern whose hour field begins with `*` follows the elapsed time: it fires whenever the wall
//! shows a match, so `0 * * * *` fires every real hour. Every other pattern names times of the day and fires once for
//! each: a time that does not exist (clocks go forward) fires at the first instant after the gap, together with any
//! other such time; a time that exists twice (clocks go back) fires the first time only.

use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::base::{Millis, limits};

/// A parsed schedule.
#[derive(Clone, Debug)]
pub struct Cron {
    pattern: croner::Cron,
    zone: TimeZone,
    /// The hour field begins with `*`.
    every_hour: bool,
}

/// A schedule that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error("`{pattern}` is no cron pattern: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("`{pattern}` never fires")]
    Never { pattern: String },
    #[error("`{0}` is no time zone; write one such as Europe/Madrid")]
    Zone(String),
}

const NAMES: &[&str] = &["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"];

impl Cron {
    /// The schedule of `text` in `timezone`, an IANA name.
    pub fn parse(text: &str, timezone: &str) -> Result<Self, CronError> {
        let zone = zone(timezone)?;
        let text = text.trim();
        let bad = |reason: String| CronError::Pattern { pattern: text.chars().take(80).collect(), reason };
        if text.len() > limits::CRON_PATTERN {
            return Err(bad(format!("it is longer than {} characters", limits::CRON_PATTERN)));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let named = text.starts_with('@');
        if named && !NAMES.contains(&text.to_ascii_lowercase().as_str()) {
            return Err(bad(format!("the names are {}", NAMES.join(", "))));
        }
        if !named && !matches!(fields.len(), 5 | 6) {
            return Err(bad(format!("it has {} fields, not 5 (minute hour day month weekday) or 6", fields.len())));
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let pattern = parser.parse(text).map_err(|error| bad(reason(&error)))?;
        let hour = fields.get(fields.len().saturating_sub(4)).copied().unwrap_or_default();
        let every_hour = if named { text.eq_ignore_ascii_case("@hourly") } else { hour.starts_with('*') };
        let cron = Self { pattern, zone, every_hour };
        if cron.next_after(0).is_none() {
            return Err(CronError::Never { pattern: text.to_string() });
        }
        Ok(cron)
    }

    /// The first instant after `at` that it fires, in whole seconds; None when there is none before the year 5000.
    pub fn next_after(&self, at: Millis) -> Option<Millis> {
        let after = Timestamp::from_millisecond(at).ok()?;
        if self.every_hour {
            let next = self.pattern.find_next_occurrence(&after.to_zoned(self.zone.clone()), false).ok()?;
            // Its fraction of a second is that of the start.
            let next = next.timestamp().as_second().checked_mul(1000)?;
            return (next > at).then_some(next);
        }
        // Walked along the wall clock, which in the second half of a repeated hour is behind what already fired.
        let mut wall = after.to_zoned(self.zone.clone()).datetime();
        loop {
            wall = self.pattern.find_next_occurrence(&wall, false).ok()?;
            let next = self.instant(wall)?.as_millisecond();
            if next > at {
                return Some(next);
            }
        }
    }

    /// When the wall shows `wall` for the first time, or the end of the gap it falls into.
    fn instant(&self, wall: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                // With the later offset the wall time lies before the change, which is the next transition then.
                let before_change = after.to_timestamp(wall).ok()?;
                self.zone.following(before_change).next().map(|transition| transition.timestamp())
            }
        }
    }
}

/// The time zone of this IANA name.
fn zone(name: &str) -> Result<TimeZone, CronError> {
    TimeZone::get(name).map_err(|_| CronError::Zone(name.chars().take(80).collect()))
}

/// Does this time zone exist?
pub fn is_timezone(name: &str) -> bool {
    zone(name).is_ok()
}

/// croner's words as a fragment.
fn reason(error: &croner::errors::CronError) -> String {
    use croner::errors::CronError as E;
    let text = match error {
        E::InvalidPattern(text) | E::IllegalCharacters(text) | E::ComponentError(text) => text.clone(),
        other => other.to_string(),
    };
    let text = text.trim().trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    /// The next `count` instants after `from`.
    fn fires(pattern: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(pattern, zone).unwrap();
        let mut now = at(from);
        (0..count)
            .map(|_| {
                now = cron.next_after(now).unwrap();
                Timestamp::from_millisecond(now).unwrap().to_string()
            })
            .collect()
    }

    #[test]
    fn weekdays_are_those_of_posix() {
        // 2026-03-02 is a Monday.
        assert_eq!(fires("0 9 * * 1", "UTC", "2026-03-01T00:00:00Z", 1), ["2026-03-02T09:00:00Z"]);
        assert_eq!(fires("0 9 * * 7", "UTC", "2026-03-02T00:00:00Z", 1), ["2026-03-08T09:00:00Z"]);
        assert_eq!(fires("30 0 0 1 1 *", "UTC", "2026-03-02T00:00:00Z", 1), ["2027-01-01T00:00:30Z"]);
        assert_eq!(fires("@daily", "UTC", "2026-03-02T00:00:00Z", 1), ["2026-03-03T00:00:00Z"]);
    }

    #[test]
    fn the_start_itself_is_over() {
        assert_eq!(fires("0 9 * * *", "UTC", "2026-03-02T09:00:00Z", 1), ["2026-03-03T09:00:00Z"]);
        assert_eq!(fires("0 9 * * *", "UTC", "2026-03-02T08:59:59.999Z", 1), ["2026-03-02T09:00:00Z"]);
        assert_eq!(
            fires("* * * * *", "UTC", "2026-03-02T08:59:59.999Z", 2),
            ["2026-03-02T09:00:00Z", "2026-03-02T09:01:00Z"]
        );
        assert_eq!(
            fires("* * * * * *", "UTC", "2026-03-02T08:59:59.5Z", 2),
            ["2026-03-02T09:00:00Z", "2026-03-02T09:00:01Z"]
        );
    }

    #[test]
    fn madrid_2026_clocks_go_forward() {
        // 2026-03-29, 02:00 +01:00 becomes 03:00 +02:00, which is 01:00Z.
        let day = "2026-03-28T12:00:00Z";
        assert_eq!(fires("30 2 * * *", "Europe/Madrid", day, 2), ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        assert_eq!(fires("*/20 2 * * *", "Europe/Madrid", day, 2), ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]);
        assert_eq!(
            fires("0,30 1-3 * * *", "Europe/Madrid", "2026-03-28T23:30:00Z", 5),
            [
                "2026-03-29T00:00:00Z",
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-29T23:00:00Z"
            ]
        );
        assert_eq!(
            fires("*/30 * * * *", "Europe/Madrid", "2026-03-29T00:15:00Z", 3),
            ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
        );
    }

    #[test]
    fn madrid_2026_clocks_go_back() {
        // 2026-10-25, 03:00 +02:00 becomes 02:00 +01:00, which is 01:00Z.
        let day = "2026-10-24T12:00:00Z";
        assert_eq!(fires("30 2 * * *", "Europe/Madrid", day, 2), ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        assert_eq!(
            fires("*/30 2,3 * * *", "Europe/Madrid", day, 5),
            [
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T02:00:00Z",
                "2026-10-25T02:30:00Z",
                "2026-10-26T01:00:00Z"
            ]
        );
        assert_eq!(
            fires("30 * * * *", "Europe/Madrid", "2026-10-24T23:45:00Z", 3),
            ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]
        );
        // Asked in the second half of the repeated hour.
        assert_eq!(fires("30 2 * * *", "Europe/Madrid", "2026-10-25T01:10:00Z", 1), ["2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn every_start_finds_the_same_instants() {
        for pattern in ["*/7 * * * *", "5,35 1-3 * * *", "0 2 * * *", "@hourly"] {
            let cron = Cron::parse(pattern, "Europe/Madrid").unwrap();
            for day in ["2026-03-28T22:00:00Z", "2026-10-24T22:00:00Z"] {
                let (start, end) = (at(day), at(day) + 8 * 3_600_000);
                let mut walked = Vec::new();
                let mut now = start;
                while let Some(next) = cron.next_after(now).filter(|next| *next <= end) {
                    assert!(next > now, "{pattern}");
                    walked.push(next);
                    now = next;
                }
                for probe in (start..end).step_by(61_000) {
                    let expected = walked.iter().find(|instant| **instant > probe).copied();
                    assert_eq!(cron.next_after(probe).filter(|next| *next <= end), expected, "{pattern} {probe}");
                }
            }
        }
    }

    #[test]
    fn bad_patterns_say_why() {
        for (pattern, part) in [
            ("", "0 fields"),
            ("* * * *", "4 fields"),
            ("* * * * * * *", "7 fields"),
            ("61 * * * *", "61 * * * *"),
            ("a b c d e", "no cron pattern"),
            ("@sometimes", "the names are"),
            ("0 0 30 2 *", "never fires"),
            ("99999999999999999999 * * * *", "no cron pattern"),
            ("*/0 * * * *", "no cron pattern"),
            ("é * * * *", "no cron pattern"),
        ] {
            let error = Cron::parse(pattern, "UTC").unwrap_err().to_string();
            assert!(error.contains(part), "{pattern}: {error}");
        }
        let error = Cron::parse("@daily", "Europe/Madird").unwrap_err();
        assert_eq!(error, CronError::Zone("Europe/Madird".to_string()));
        for zone in ["", "../../etc/passwd", "/etc/passwd", "\0"] {
            assert!(Cron::parse("@daily", zone).is_err(), "{zone}");
        }
    }
}
