//! Thirty days of random sends in four zones, over their changes of clocks, with restarts at every point and clocks that are
//! set back. What is checked is computed here anew, from the instants at which sends went out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use crate::base::Millis;
use crate::senders::Policy;
use crate::senders::pace::Pace;
use crate::senders::quiet::QuietHours;
use crate::senders::standing::{Decision, Standing, decide, forecast};

/// A zone, and a start from which a change of its clocks lies within 30 days (Kolkata has none).
const STARTS: [(&str, &str); 7] = [
    ("Europe/Madrid", "2026-03-10T12:00:00Z"),
    ("Europe/Madrid", "2026-10-08T12:00:00Z"),
    ("America/New_York", "2026-02-20T12:00:00Z"),
    ("America/New_York", "2026-10-15T12:00:00Z"),
    ("Asia/Kolkata", "2026-03-10T12:00:00Z"),
    ("Australia/Lord_Howe", "2026-03-20T12:00:00Z"),
    ("Australia/Lord_Howe", "2026-09-18T12:00:00Z"),
];

const HOUR_MS: Millis = 3_600_000;
const DAYS_30_MS: Millis = 30 * 24 * HOUR_MS;

/// A policy in numbers that the checks below use, too.
#[derive(Clone, Debug)]
struct Rules {
    zone: &'static str,
    start: Millis,
    count: u32,
    period: (&'static str, u32),
    burst: u32,
    jitter: (u32, u32),
    cap: Option<u32>,
    warm_up: Vec<u32>,
    /// In minutes of the day.
    quiet: Option<(u16, u16)>,
}

impl Rules {
    fn policy(&self) -> Policy {
        let zone = TimeZone::get(self.zone).unwrap();
        let time = |minutes: u16| jiff::civil::time((minutes / 60) as i8, (minutes % 60) as i8, 0, 0);
        let jitter = format!("{}ms..{}ms", self.jitter.0, self.jitter.1).parse().unwrap();
        let rate = format!("{}/{}", self.count, self.period.0).parse().unwrap();
        Policy {
            pace: Pace { jitter, ..Pace::new(rate, self.burst) },
            daily_cap: self.cap,
            warm_up: self.warm_up.clone(),
            quiet_hours: self.quiet.and_then(|(from, to)| QuietHours::new(time(from), time(to), zone.clone())),
            opt_out: None,
            timezone: zone,
        }
    }

    fn wall(&self, at: Millis) -> jiff::civil::DateTime {
        Timestamp::from_millisecond(at).unwrap().to_zoned(TimeZone::get(self.zone).unwrap()).datetime()
    }

    fn is_quiet(&self, at: Millis) -> bool {
        let wall = self.wall(at);
        let minute = wall.hour() as u16 * 60 + wall.minute() as u16;
        self.quiet.is_some_and(|(from, to)| match from < to {
            true => (from..to).contains(&minute),
            false => minute >= from || minute < to,
        })
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let pace = (1u32..120, 0usize..3, 1u32..6, 0u32..4_000, 0u32..8_000);
    let caps = (prop::option::of(1u32..60), prop::collection::vec(1u32..40, 0..6));
    let quiet = prop::option::of((0u16..1440, 0u16..1440).prop_filter("all day", |(from, to)| from != to));
    (0..STARTS.len(), pace, caps, quiet).prop_map(|(start, pace, (cap, warm_up), quiet)| {
        let (zone, start) = STARTS[start];
        let (count, period, burst, min, more) = pace;
        Rules {
            zone,
            start: start.parse::<Timestamp>().unwrap().as_millisecond(),
            count,
            period: [("s", 1_000), ("min", 60_000), ("h", 3_600_000)][period],
            burst,
            jitter: (min, min + more),
            cap,
            warm_up,
            quiet,
        }
    })
}

/// One moment of a history.
#[derive(Clone, Debug)]
struct Moment {
    /// Time that passes before it, in milliseconds.
    after: Millis,
    reply: bool,
    /// The process dies before it, and another one reads what it left.
    restart: bool,
    /// By so much the clock is set back before it.
    back: Millis,
    /// It is not asked now but as soon as it may go out.
    patient: bool,
}

fn moment() -> impl Strategy<Value = Moment> {
    let after = prop_oneof![5 => 0..10_000i64, 3 => 0..HOUR_MS, 1 => 0..12 * HOUR_MS];
    let back = prop_oneof![30 => Just(0i64), 1 => 1..10_000i64, 1 => 1..50 * HOUR_MS];
    (after, prop::bool::weighted(0.2), prop::bool::weighted(0.3), back, any::<bool>())
        .prop_map(|(after, reply, restart, back, patient)| Moment { after, reply, restart, back, patient })
}

#[derive(Debug)]
struct Sent {
    /// By a clock that nobody sets.
    truly: Millis,
    wall: Millis,
    reply: bool,
}

/// Plays the moments again and again until 30 days are over, and says what was sent.
fn play(rules: &Rules, moments: &[Moment]) -> Vec<Sent> {
    let policy = rules.policy();
    let (mut truly, mut off) = (rules.start, 0);
    let mut standing = Standing::new(&policy, 42, truly);
    let mut sent = Vec::new();
    // Bounded besides: a lively history with a fast pace is long before its 30 days are over.
    for moment in moments.iter().cycle().take(3_000) {
        truly += moment.after;
        off -= moment.back;
        if truly - rules.start > DAYS_30_MS {
            break;
        }
        if moment.restart {
            standing = serde_json::from_str(&serde_json::to_string(&standing).unwrap()).unwrap();
        }
        let mut now = truly + off;
        standing.observe(&policy, now);
        let mut decision = decide(&policy, &standing, moment.reply, now);
        if let Decision::Wait { until, .. } = decision {
            assert!(until > now);
            let before = decide(&policy, &standing, moment.reply, until - 1);
            assert!(matches!(before, Decision::Wait { until: same, .. } if same == until), "{until}: {before:?}");
            if moment.patient {
                truly += until - now;
                now = until;
                decision = decide(&policy, &standing, moment.reply, now);
                assert!(matches!(decision, Decision::Go(_)), "the time named is kept: {decision:?}");
            }
        }
        if let Decision::Go(after) = decision {
            standing = after;
            sent.push(Sent { truly, wall: now, reply: moment.reply });
        }
    }
    sent
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_a_rule(rules in rules(), moments in prop::collection::vec(moment(), 1..120)) {
        let sent = play(&rules, &moments);
        // Not at night, but for replies.
        for send in sent.iter().filter(|send| !send.reply) {
            prop_assert!(!rules.is_quiet(send.wall), "{send:?}");
        }
        // On no day more than its cap, whenever the clock showed that day.
        let mut days: BTreeMap<jiff::civil::Date, u32> = BTreeMap::new();
        let mut first = None;
        for send in &sent {
            let day = rules.wall(send.wall).date();
            let since = *first.get_or_insert(day);
            first = Some(since.min(day));
            let age = day.duration_since(since.min(day)).as_hours() as usize / 24;
            let cap = rules.warm_up.get(age).copied().unwrap_or(u32::MAX).min(rules.cap.unwrap_or(u32::MAX));
            let count = days.entry(day).or_default();
            *count += 1;
            prop_assert!(*count <= cap, "{count} on {day}, which allows {cap}");
        }
        // In every window of t at most burst + rate·t, and the pause is never shorter than the shortest.
        for (from, start) in sent.iter().enumerate() {
            for (to, end) in sent.iter().enumerate().skip(from) {
                let beyond = (to - from + 1) as i128 - i128::from(rules.burst);
                let time = i128::from(end.truly - start.truly);
                prop_assert!(beyond * i128::from(rules.period.1) <= time * i128::from(rules.count));
            }
        }
        for pair in sent.windows(2) {
            prop_assert!(pair[1].truly - pair[0].truly >= i64::from(rules.jitter.0), "{pair:?}");
        }
    }

    #[test]
    fn a_forecast_is_what_happens(
        rules in rules(),
        moments in prop::collection::vec(moment(), 0..20),
        later in 0..48 * HOUR_MS,
        count in 0u64..400,
    ) {
        let policy = rules.policy();
        let mut standing = Standing::new(&policy, 7, rules.start);
        let mut now = rules.start;
        for moment in moments {
            now += moment.after;
            if let Decision::Go(after) = decide(&policy, &standing, false, now) {
                standing = after;
            }
        }
        now += later;
        let foreseen = forecast(&policy, &standing, now, count);
        for _ in 0..count {
            standing = match decide(&policy, &standing, false, now) {
                Decision::Go(after) => after,
                Decision::Wait { until, .. } => {
                    now = until;
                    let Decision::Go(after) = decide(&policy, &standing, false, now) else {
                        return Err(TestCaseError::fail("the time named is not kept"));
                    };
                    after
                }
            };
        }
        prop_assert_eq!(foreseen, now);
    }
}
