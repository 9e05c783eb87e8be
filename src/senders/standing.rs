//! What a session has sent, and the one rule of when it may send again. Pure: no clock, no store, no randomness.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use super::policy::Policy;
use crate::base::Millis;

/// Days whose counts are kept, those nearest to the last send: a clock that is set forth and back finds what was sent on the
/// days that it comes to again.
const DAYS_KEPT: usize = 71;

/// Looks at most at this many days and quiet hours for a free instant: those in [`DAYS_KEPT`] and a few more.
const LOOKS: usize = 256;

/// Where a session stands. Kept across restarts as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Of the pauses between sends.
    seed: u64,
    /// Sends ever.
    sent: u64,
    /// Sends of each of the last days, by the day's number.
    days: BTreeMap<i32, u32>,
    /// The day of the first send ever.
    first_day: Option<i32>,
    /// What is in the bucket at `at`.
    level: i64,
    at: Millis,
    /// The pace that `level` is counted in.
    rate: String,
    /// The end of the pause after the last send.
    free_at: Millis,
}

/// Why a send must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    Paced,
    DailyCap,
    WarmUp,
    QuietHours,
    SessionNotWorking,
}

impl Why {
    /// The code of the failure that says so.
    pub fn code(self) -> &'static str {
        match self {
            Self::Paced => "sender.paced",
            Self::DailyCap => "sender.daily_cap",
            Self::WarmUp => "sender.warm_up",
            Self::QuietHours => "sender.quiet_hours",
            Self::SessionNotWorking => "sender.session_not_working",
        }
    }
}

/// What becomes of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may go out once this standing is durable.
    Go(Standing),
    /// Not before `until`, if nothing else is sent meanwhile.
    Wait { until: Millis, why: Why },
}

/// May something be sent at `now`? A `reply` answers somebody who wrote: quiet hours do not hold it. The order of the
/// reasons: quiet hours, caps, pace. Whoever asks lets the standing [`observe`](Standing::observe) the time first.
pub fn decide(policy: &Policy, standing: &Standing, reply: bool, now: Millis) -> Decision {
    let mut calendar = Calendar::new(policy);
    let until = standing.earliest(&mut calendar, reply, now);
    if until <= now {
        let mut after = standing.clone();
        after.take(&mut calendar, now);
        return Decision::Go(after);
    }
    Decision::Wait { until, why: standing.why(&mut calendar, reply, now, until) }
}

/// When the last of `count` broadcast sends goes out, if the first may go out at `now` and nobody else sends: by the very
/// steps that [`decide`] allows, so there is nothing to be wrong about.
pub fn forecast(policy: &Policy, standing: &Standing, now: Millis, count: u64) -> Millis {
    standing.clone().plan(&mut Calendar::new(policy), false, now, count)
}

impl Standing {
    /// Of a session that has never sent. With one send in the bucket: a full one would lend a burst to every process that
    /// starts with an empty database.
    pub fn new(policy: &Policy, seed: u64, now: Millis) -> Self {
        Self {
            seed,
            sent: 0,
            days: BTreeMap::new(),
            first_day: None,
            level: clipped(policy.pace.cost()),
            at: now,
            rate: policy.pace.rate.to_string(),
            free_at: now,
        }
    }

    /// The same under another policy: what is in the bucket counts in units of the rate, so a changed one begins empty.
    pub fn under(mut self, policy: &Policy) -> Self {
        let rate = policy.pace.rate.to_string();
        if self.rate != rate {
            self.rate = rate;
            self.level = 0;
        }
        self.level = self.level.clamp(0, clipped(policy.pace.full()));
        self
    }

    /// The instant of the last send, or of the beginning.
    pub(super) fn at(&self) -> Millis {
        self.at
    }

    pub(super) fn first_day(&self) -> Option<i32> {
        self.first_day
    }

    pub(super) fn sent_on(&self, day: i32) -> u32 {
        self.days.get(&day).copied().unwrap_or(0)
    }

    /// Has this day still room?
    fn is_spent(&self, policy: &Policy, day: i32) -> bool {
        policy.cap(day, self.first_day).is_some_and(|cap| self.sent_on(day) >= cap)
    }

    /// The level, its instant and the end of the pause as they count at `now`: a clock that was set back brings nothing, and
    /// counts from where it is.
    fn counted(&self, policy: &Policy, now: Millis) -> (i128, Millis, Millis) {
        let at = self.at.min(now);
        let elapsed = i128::from(now) - i128::from(at);
        let level = (i128::from(self.level) + elapsed * policy.pace.gain()).min(policy.pace.full());
        (level, at, self.free_at.min(at.saturating_add(policy.pace.jitter.max_ms())))
    }

    /// Takes notice of the time. Only after a clock was set back this changes anything: from then on the bucket fills by
    /// the new time, instead of waiting for the old one to come again.
    pub fn observe(&mut self, policy: &Policy, now: Millis) {
        if now < self.at {
            let (_, at, free_at) = self.counted(policy, now);
            (self.at, self.free_at) = (at, free_at);
        }
    }

    /// The first instant from `now` on at which a send may go out.
    pub(super) fn earliest(&self, calendar: &mut Calendar<'_>, reply: bool, now: Millis) -> Millis {
        let policy = calendar.policy;
        let (level, _, free_at) = self.counted(policy, now);
        let (cost, gain) = (policy.pace.cost(), policy.pace.gain());
        let lacking = (cost - level).max(0);
        let filled = Millis::try_from((lacking + gain - 1) / gain).unwrap_or(Millis::MAX);
        let mut time = now.saturating_add(filled).max(free_at);
        for _ in 0..LOOKS {
            let stretch = calendar.at(time);
            time = if stretch.quiet && !reply {
                stretch.until
            } else if self.is_spent(policy, stretch.day) {
                stretch.next_day
            } else {
                break;
            };
        }
        time
    }

    /// Counts a send at `at`, which is allowed then.
    pub(super) fn take(&mut self, calendar: &mut Calendar<'_>, at: Millis) {
        let policy = calendar.policy;
        let (level, _, free_at) = self.counted(policy, at);
        self.level = clipped(level - policy.pace.cost()).max(0);
        self.at = at;
        self.sent += 1;
        let day = calendar.at(at).day;
        *self.days.entry(day).or_default() += 1;
        self.first_day = Some(self.first_day.map_or(day, |first| first.min(day)));
        while self.days.len() > DAYS_KEPT
            && let Some(furthest) = self.days.keys().copied().max_by_key(|other| other.abs_diff(day))
        {
            self.days.remove(&furthest);
        }
        // Who is a little late (it takes a moment to be woken) keeps the rhythm of those that wait behind it.
        let jitter = policy.pace.jitter;
        let rhythm = if at.saturating_sub(free_at) <= LATE_MS { free_at } else { at };
        let pause = jitter.after(self.seed, self.sent);
        self.free_at = rhythm.saturating_add(pause).max(at.saturating_add(jitter.min_ms()));
    }

    /// A send that was allowed on the day of `at` has not been made. Its pace is spent all the same.
    pub(super) fn refund(&mut self, calendar: &mut Calendar<'_>, at: Millis) {
        let day = calendar.at(at).day;
        let Some(sent) = self.days.get_mut(&day) else { return };
        *sent = sent.saturating_sub(1);
        if *sent == 0 {
            self.days.remove(&day);
            // A clock that was wrong must not have begun the warm-up; nor does a message that was refused.
            if self.first_day == Some(day) {
                self.first_day = self.days.keys().next().copied();
            }
        }
    }

    /// Counts `count` sends, each at the first instant it may go out, and says the last one's; `now` if there are none.
    pub(super) fn plan(&mut self, calendar: &mut Calendar<'_>, reply: bool, now: Millis, count: u64) -> Millis {
        let mut time = now;
        for _ in 0..count {
            time = self.earliest(calendar, reply, time);
            if time == Millis::MAX {
                break;
            }
            self.take(calendar, time);
        }
        time
    }

    /// What keeps a send from `now` to `until`.
    pub(super) fn why(&self, calendar: &mut Calendar<'_>, reply: bool, now: Millis, until: Millis) -> Why {
        let policy = calendar.policy;
        let today = calendar.at(now);
        if today.quiet && !reply {
            return Why::QuietHours;
        }
        let another_day = calendar.at(until).day != today.day;
        if self.is_spent(policy, today.day)
            // What is left of today has been given to sends that wait already.
            || another_day && policy.cap(today.day, self.first_day).is_some()
        {
            let warming = policy.warm_up_day(today.day, self.first_day).is_some();
            return if warming { Why::WarmUp } else { Why::DailyCap };
        }
        let over_quiet_hours = || policy.quiet_hours.as_ref().is_some_and(|hours| hours.next_change(now) <= until);
        if !reply && over_quiet_hours() { Why::QuietHours } else { Why::Paced }
    }
}

/// How late a send may be and still count as one at its time for the pause after it, in milliseconds.
const LATE_MS: Millis = 2_000;

fn clipped(units: i128) -> i64 {
    i64::try_from(units).unwrap_or(if units < 0 { 0 } else { i64::MAX })
}
