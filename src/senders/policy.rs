//! What a session may do, as `senders:` of `moltrun.yaml` says it.

use jiff::tz::TimeZone;

use super::pace::Pace;
use super::quiet::QuietHours;
use super::words::OptOut;

/// One entry of `senders:`, by session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub pace: Pace,
    /// Sends of one calendar day, at most.
    pub daily_cap: Option<u32>,
    /// The cap of each of the first days of a new number, counted from the day of its first send.
    pub warm_up: Vec<u32>,
    pub quiet_hours: Option<QuietHours>,
    pub opt_out: Option<OptOut>,
    /// Whose calendar the days are of: `timezone`, else that of the quiet hours, else UTC.
    pub timezone: TimeZone,
}

impl Policy {
    /// Nothing but a pace.
    pub fn paced(pace: Pace) -> Self {
        Self { pace, daily_cap: None, warm_up: Vec::new(), quiet_hours: None, opt_out: None, timezone: TimeZone::UTC }
    }

    /// Which day of the warm-up `day` is, from 1; None when it is over, or there is none. Days are numbers of [`Calendar`].
    ///
    /// [`Calendar`]: super::calendar::Calendar
    pub(super) fn warm_up_day(&self, day: i32, first: Option<i32>) -> Option<usize> {
        let age = day.saturating_sub(first.unwrap_or(day)).max(0);
        let number = usize::try_from(age).unwrap_or(usize::MAX).saturating_add(1);
        (number <= self.warm_up.len()).then_some(number)
    }

    /// How many sends `day` allows, if the first one ever was on `first`.
    pub(super) fn cap(&self, day: i32, first: Option<i32>) -> Option<u32> {
        let young = self.warm_up_day(day, first).map(|number| self.warm_up[number - 1]);
        match (young, self.daily_cap) {
            (Some(young), Some(cap)) => Some(young.min(cap)),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_number_is_warmed_up_day_by_day() {
        let policy = Policy {
            warm_up: vec![20, 50, 700],
            daily_cap: Some(500),
            ..Policy::paced(Pace::new("1/s".parse().unwrap(), 1))
        };
        let caps = |first| [9, 10, 11, 12, 13, 99].map(|day| policy.cap(day, first).unwrap());
        // Before the first send every day would be the first one; so is a day before it, when the clock was set back.
        assert_eq!(caps(None), [20; 6]);
        assert_eq!(caps(Some(10)), [20, 20, 50, 500, 500, 500]);
        assert_eq!(policy.warm_up_day(12, Some(10)), Some(3));
        assert_eq!(policy.warm_up_day(13, Some(10)), None);
        let no_cap = Policy { daily_cap: None, ..policy };
        assert_eq!(no_cap.cap(13, Some(10)), None);
    }
}
