//! One schedule: what is due, what is missed, what is let go.

use std::sync::Arc;

use super::*;
use crate::base::limits;
use crate::lang::cron::Cron;
use crate::triggers::schedule::slot::{LetGo, Slot, jitter};

/// A schedule that has considered nothing since the epoch.
fn slot(cron: &str, fields: &str) -> Slot {
    let plan = scheduled(&format!("cron: '{cron}', {fields}"));
    Slot::new(plan, 0, Arc::new(Cron::parse(cron, "UTC").unwrap()), "s", 0)
}

/// The instants that are due at `now` after nothing ran since the epoch, and what is let go.
fn due(cron: &str, fields: &str, now: Millis) -> (Vec<(Millis, bool)>, LetGo) {
    let (due, let_go) = slot(cron, fields).due(now, "s");
    (due.into_iter().map(|due| (due.at, due.missed)).collect(), let_go)
}

#[test]
fn missed_instants_are_met_as_catch_up_says() {
    let now = 600 * MINUTE + 5;
    let on_time = (600 * MINUTE, false);
    let let_go = |count, last: Millis| LetGo { count, last: Some(last * MINUTE) };
    assert_eq!(due("*/10 * * * *", "catch_up: none", now), (vec![on_time], let_go(59, 590)));
    assert_eq!(due("*/10 * * * *", "catch_up: last", now), (vec![(590 * MINUTE, true), on_time], let_go(58, 580)));
    let all: Vec<_> = (55..60).map(|tens| (tens * 10 * MINUTE, true)).chain([on_time]).collect();
    assert_eq!(due("*/10 * * * *", "catch_up: all", now), (all, let_go(54, 540)));
    let all: Vec<_> = (1..60).map(|tens| (tens * 10 * MINUTE, true)).chain([on_time]).collect();
    assert_eq!(due("*/10 * * * *", "catch_up: all, catch_up_window: 1d", now), (all, LetGo::default()));
}

#[test]
fn on_time_instants_never_stand_back_for_each_other() {
    let (instants, let_go) = due("*/10 * * * * *", "catch_up: last, catch_up_window: 0s", 45_000);
    assert_eq!(instants, [10, 20, 30, 40].map(|second| (second * 1_000, false)));
    assert_eq!(let_go, LetGo::default());
}

#[test]
fn the_newest_of_too_many_are_kept() {
    let (instants, let_go) = due("* * * * *", "catch_up: all, catch_up_window: 1d", DAY);
    // The last two are on time.
    assert_eq!(instants.len(), limits::CATCH_UP_INSTANTS + 2);
    assert_eq!((instants[0].0, instants[1_001].0), (DAY - 1_001 * MINUTE, DAY));
    assert_eq!(let_go, LetGo { count: 438, last: Some(DAY - 1_002 * MINUTE) });
}

#[test]
fn a_long_outage_is_not_walked_through() {
    // Ten years of seconds; walking over each would take minutes.
    let now = 3_650 * DAY;
    let (instants, let_go) = due("0 * * * * *", "catch_up: none", now);
    assert_eq!(instants, [(now - MINUTE, false), (now, false)]);
    assert_eq!(let_go, LetGo { count: limits::CATCH_UP_INSTANTS as u64, last: Some(now - 2 * MINUTE) });
    let (instants, _) = due("* * * * * *", "catch_up: all, catch_up_window: 3650d", now);
    assert_eq!(instants.len(), limits::CATCH_UP_INSTANTS + 61);
    // Dense once a year, long ago.
    let (instants, _) = due("* * * 2 1 *", "catch_up: last, catch_up_window: 3650d", 3_650 * DAY + 300 * DAY);
    assert_eq!(instants.len(), 1);
}

#[test]
fn jitter_moves_the_start_and_not_the_instant() {
    let mut slot = slot("0 * * * *", "jitter: 30m");
    let pause = jitter("s", HOUR, 30 * MINUTE as u64);
    assert!((0..=30 * MINUTE).contains(&pause));
    assert_eq!((slot.next, slot.wake), (Some(HOUR), Some(HOUR + pause)));
    assert_eq!(slot.due(HOUR + pause - 1, "s").0.len(), 0);
    // A restart draws the same pause.
    assert_eq!(super::super::slot::jitter("s", HOUR, 30 * MINUTE as u64), pause);
    let (due, _) = slot.due(HOUR + pause, "s");
    assert_eq!(due.iter().map(|due| (due.at, due.missed)).collect::<Vec<_>>(), [(HOUR, false)]);
    // Later by its jitter is not late.
    let draws: Vec<Millis> = (1..200).map(|hour| jitter("s", hour * HOUR, 30 * MINUTE as u64)).collect();
    assert!(draws.iter().all(|pause| (0..=30 * MINUTE).contains(pause)));
    assert!(draws.iter().any(|pause| *pause < 5 * MINUTE) && draws.iter().any(|pause| *pause > 25 * MINUTE));
    assert_ne!(jitter("s", HOUR, 30 * MINUTE as u64), jitter("t", HOUR, 30 * MINUTE as u64));
}

#[test]
fn what_is_refused_by_itself_lets_the_others_go_first() {
    use crate::triggers::schedule::board::Board;
    let both = crate::triggers::testing::plan(
        "name: w\ntriggers: [{ schedule: { cron: '0 * * * *' } }, { schedule: { cron: '0 1 * * *' } }]",
    );
    let mut board = Board::default();
    board.keep([&both], &Default::default(), 30 * MINUTE);
    board.pass(HOUR, usize::MAX);
    let [first, second] = &board.batch(9)[..] else { panic!("two are due") };
    board.put_off(first, HOUR + 1_000);
    assert_eq!(board.batch(9).len(), 1);
    board.settle(second, true);
    assert!(!board.is_ready());
    assert_eq!(board.next(), Some(HOUR + 1_000));
    board.pass(HOUR + 999, usize::MAX);
    assert!(!board.is_ready());
    board.pass(HOUR + 1_000, usize::MAX);
    assert_eq!(board.batch(9)[0].name, first.name);
    // A workflow that goes takes it along.
    board.keep([], &Default::default(), HOUR + 1_000);
    assert_eq!((board.is_ready(), board.next()), (false, None));
}
