//! Many who wait for one session: each has a turn of its own, and comes back for it once.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::base::{Millis, RunId};
use crate::senders::desk::{Ask, Desk, Verdict};
use crate::senders::pace::Pace;
use crate::senders::quiet::QuietHours;
use crate::senders::standing::Why;
use crate::senders::{Policy, forecast};

pub fn ms(text: &str) -> Millis {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn madrid() -> TimeZone {
    TimeZone::get("Europe/Madrid").unwrap()
}

pub fn pace(rate: &str, burst: u32, jitter: &str) -> Pace {
    Pace { jitter: jitter.parse().unwrap(), ..Pace::new(rate.parse().unwrap(), burst) }
}

fn night(pace: Pace, daily_cap: Option<u32>) -> Policy {
    let hours = QuietHours::new("21:00".parse().unwrap(), "08:00".parse().unwrap(), madrid());
    Policy { daily_cap, quiet_hours: hours, timezone: madrid(), ..Policy::paced(pace) }
}

pub fn ask(number: usize, reply: bool) -> Ask {
    Ask {
        session: "s".into(),
        to: "15551234567@c.us".into(),
        run: RunId::new(0, number as u128),
        workflow: "w".into(),
        step: "send".into(),
        key: number.to_string().into(),
        reply,
    }
}

/// Lets `count` ask at `now` and then come back when they were told to, each `late` after it; the instants at which they
/// went out and how often somebody asked.
fn play(desk: &Desk, count: usize, now: Millis, late: Millis) -> (Vec<Millis>, usize) {
    let mut due: BTreeMap<(Millis, usize), ()> = (0..count).map(|number| ((now, number), ())).collect();
    let (mut sent, mut asked) = (Vec::new(), 0);
    while let Some(((at, number), ())) = due.pop_first() {
        asked += 1;
        match desk.ask(&ask(number, false), at).0 {
            Verdict::Go => sent.push(at),
            Verdict::Wait { again, .. } => {
                assert!(again > at);
                due.insert((again + late, number), ());
            }
        }
    }
    (sent, asked)
}

#[test]
fn thousands_of_a_quiet_night_come_back_one_by_one() {
    let policy = night(pace("20/min", 4, "2s..8s"), Some(700));
    let now = ms("2026-03-28T22:00:00Z");
    let desk = Desk::new("s".into(), policy.clone(), 7, now);
    let expected = forecast(&policy, &desk.state().standing, now, 3_400);
    let (sent, asked) = play(&desk, 3_400, now, 0);
    assert_eq!(sent.len(), 3_400);
    // Over five days, as foreseen; the first in the morning, an hour earlier than the night before. Two who look at the same
    // millisecond may cost a place.
    assert_eq!(sent[0], ms("2026-03-29T06:00:00Z"));
    assert!((expected..expected + 300_000).contains(sent.last().unwrap()), "{sent:?}");
    // Each came back for its turn, and now and then before to see whether others had given up.
    assert!(asked < 3_400 * 12, "{asked}");
    let mut apart: Vec<_> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
    apart.sort_unstable();
    assert!(apart[0] >= 2_000);
}

#[test]
fn who_is_woken_late_holds_nobody_up() {
    for (rate, burst, jitter) in
        [("20/min", 1, "0s..0s"), ("20/min", 4, "2s..8s"), ("2/s", 1, "0s..0s"), ("60/min", 2, "3s..3s")]
    {
        let policy = Policy::paced(pace(rate, burst, jitter));
        let desk = Desk::new("s".into(), policy.clone(), 7, 0);
        let ideal = forecast(&policy, &desk.state().standing, 0, 500);
        let (sent, asked) = play(&desk, 500, 0, 20);
        let last = *sent.last().unwrap();
        assert!(sent.len() == 500 && last < ideal + ideal / 8, "{rate} {jitter}: {last} for {ideal}");
        assert!(asked < 500 * 8, "{rate} {jitter}: {asked}");
    }
}

#[test]
fn a_reply_does_not_wait_for_a_broadcast() {
    let desk = Desk::new("s".into(), Policy::paced(pace("1/min", 1, "0s..0s")), 7, 0);
    assert_eq!(desk.ask(&ask(0, false), 0).0, Verdict::Go);
    let turns: Vec<_> = (1..100).map(|number| desk.ask(&ask(number, false), 0).0).collect();
    let wait = |turn| Verdict::Wait { turn, again: turn, why: Why::Paced };
    assert_eq!((turns[0], turns[1]), (wait(60_000), wait(120_000)));
    assert_eq!(desk.ask(&ask(1_000, true), 10).0, wait(60_000));
    // Both come at once, and the broadcast first.
    assert!(matches!(desk.ask(&ask(1, false), 60_000).0, Verdict::Wait { .. }));
    assert_eq!(desk.ask(&ask(1_000, true), 60_001).0, Verdict::Go);
    // The place of the others is kept, but for the one whose it was.
    assert_eq!(desk.ask(&ask(2, false), 120_001).0, Verdict::Go);
}

#[test]
fn quiet_hours_hold_broadcasts_and_caps_hold_everything() {
    let policy = Policy { warm_up: vec![2], ..night(pace("1/s", 5, "0s..0s"), Some(3)) };
    let evening = ms("2026-01-10T21:00:00Z");
    let desk = Desk::new("s".into(), policy, 7, evening - 60_000);
    let morning = ms("2026-01-11T07:00:00Z");
    let wait = |turn, again, why| Verdict::Wait { turn, again, why };
    let half = |turn: Millis| evening + (turn - evening) / 2;
    assert_eq!(desk.ask(&ask(0, false), evening).0, wait(morning, half(morning), Why::QuietHours));
    assert_eq!(desk.ask(&ask(1, true), evening).0, Verdict::Go);
    assert_eq!(desk.ask(&ask(2, true), evening).0, Verdict::Go);
    let midnight = ms("2026-01-10T23:00:00Z");
    assert_eq!(desk.ask(&ask(3, true), evening).0, wait(midnight, evening + 3_600_000, Why::WarmUp));
    // The first morning's place of the broadcast is still there.
    assert_eq!(desk.ask(&ask(3, true), midnight).0, Verdict::Go);
    assert_eq!(desk.ask(&ask(0, false), morning).0, Verdict::Go);
    assert_eq!(desk.ask(&ask(4, false), morning).0, Verdict::Go);
    let next = ms("2026-01-12T07:00:00Z");
    let Verdict::Wait { turn, why, .. } = desk.ask(&ask(5, false), morning).0 else { panic!("a fourth went out") };
    assert_eq!((turn, why), (next, Why::DailyCap));
}

#[test]
fn those_who_gave_up_block_nobody() {
    let desk = Desk::new("s".into(), Policy::paced(pace("1/min", 1, "0s..0s")), 7, 0);
    assert_eq!(desk.ask(&ask(0, false), 0).0, Verdict::Go);
    for number in 1..1_000 {
        desk.ask(&ask(number, false), 0);
    }
    let Verdict::Wait { turn, .. } = desk.ask(&ask(1_000, false), 1_000).0 else { panic!("out of turn") };
    assert_eq!(turn, 1_000 * 60_000);
    // Their runs have ended: the line is as short as those who are left.
    {
        let state = &mut *desk.state();
        let ended = (1..1_000).map(|number| RunId::new(0, number)).collect();
        let gone = state.turns.forget(&desk.policy, &state.standing, &ended, 2_000);
        assert_eq!((gone.len(), state.turns.held().count()), (999, 1));
    }
    let Verdict::Wait { turn, .. } = desk.ask(&ask(2_000, false), 2_000).0 else { panic!("out of turn") };
    assert_eq!(turn, 120_000);
    // And if nobody knows that they have, the places that they leave are taken by whoever asks then.
    assert_eq!(desk.ask(&ask(3_000, false), 200_000).0, Verdict::Go);
}

#[test]
fn a_clock_set_back_blocks_nobody() {
    let desk = Desk::new("s".into(), Policy::paced(pace("1/min", 1, "1s..2s")), 7, 0);
    let later = 86_400_000;
    assert_eq!(desk.ask(&ask(0, false), later).0, Verdict::Go);
    desk.ask(&ask(1, false), later);
    let Verdict::Wait { turn, .. } = desk.ask(&ask(2, false), 1_000).0 else { panic!("the bucket is empty") };
    assert_eq!(turn, 61_000);
    assert_eq!(desk.ask(&ask(2, false), 61_000).0, Verdict::Go);
}

#[test]
fn a_key_has_one_place() {
    let desk = Desk::new(Arc::from("s"), Policy::paced(pace("1/min", 1, "0s..0s")), 7, 0);
    assert_eq!(desk.ask(&ask(0, false), 0).0, Verdict::Go);
    for _ in 0..10 {
        let Verdict::Wait { turn, .. } = desk.ask(&ask(1, false), 10).0 else { panic!("out of turn") };
        assert_eq!(turn, 60_000);
    }
    assert_eq!(desk.state().turns.held().count(), 1);
}
