//! Attempts: retries, pauses, unknown outcomes, what a person says, and crashes between.

use super::script::{Play, failure, table};
use crate::engine::decide::{Command, Input, Resolution};
use crate::engine::event::{Event, Place};
use crate::engine::report::Report;

const READ: &str = "
  - {id: a, uses: t.read, retry: {attempts: 3, initial: 100ms, factor: 3, max: 250ms, jitter: false}}";
const SEND: &str = "
  - {id: a, uses: t.send}
  - {id: b, uses: t.pure}";

#[test]
fn transient_failures_are_tried_again_after_growing_pauses() {
    table(&[
        (READ, "a~", "a=wait1+100 waiting"),
        (READ, "a~ +99", "a=wait1+1 waiting"),
        (READ, "a~ +100", "a=run2 running"),
        (READ, "a~ +100 a~", "a=wait2+250 waiting"),
        (READ, "a~ +100 a~ +250 a~", "a=failed failed"),
        (READ, "a~ +100 a", "a=ok succeeded"),
        (READ, "a!", "a=failed failed"),
        (READ, "a?", "a=wait1+100 waiting"),
        (SEND, "a~", "a=failed b=skipped:not_reached failed"),
    ]);
}

#[test]
fn a_pause_the_far_side_names_costs_no_attempt() {
    table(&[
        (READ, "a^700", "a=wait1+700 waiting"),
        (READ, "a^0", "a=wait1+50 waiting"),
        (READ, "a^700 +700", "a=run1 running"),
        (READ, "a^700 +700 a^50 +50 a~ +100 a~ +250", "a=run3 running"),
        (SEND, "a^60 +60 a^60 +60 a b", "a=ok b=ok succeeded"),
        (READ, "a^18446744073709551615", "a=wait1+9223372036854774807 waiting"),
    ]);
}

#[test]
fn an_unknown_outcome_is_held_sent_again_or_let_go() {
    let again = "
  - {id: a, uses: t.send, on_unknown: resend, retry: {initial: 10ms, jitter: false}}
  - {id: b, uses: t.pure}";
    let skip = "
  - {id: a, uses: t.send, on_unknown: skip}
  - {id: b, uses: t.pure}";
    table(&[
        (SEND, "a?", "a=held1 b=- attention"),
        (again, "a?", "a=wait1+10 b=- waiting"),
        (again, "a? +10 a? +20 a?", "a=held3 b=- attention"),
        (again, "a? +10 a b", "a=ok b=ok succeeded"),
        (again, "a? +10 a~", "a=failed b=skipped:not_reached failed"),
        (skip, "a?", "a=skipped:unknown b=skipped:not_reached succeeded"),
    ]);
}

#[test]
fn a_person_says_what_became_of_it() {
    table(&[
        (SEND, "a? a:sent", "a=ok b=run1 running"),
        (SEND, "a? a:not", "a=run2 b=- running"),
        (SEND, "a? a:not a b", "a=ok b=ok succeeded"),
        (SEND, "a? a:not a? a:not", "a=run3 b=- running"),
        (SEND, "a? a:skip", "a=skipped:resolved b=skipped:not_reached succeeded"),
        (SEND, "a? xb:sent xa[0]:sent a:sent xa:sent b xa:sent", "a=ok b=ok succeeded"),
        (SEND, "xa:not", "a=run1 b=- running"),
    ]);
    let mut play = Play::begin(SEND);
    play.play("a?");
    for step in [2, 99, u32::MAX] {
        for items in [vec![], vec![0], vec![9, 9, 9]] {
            let resolve = Input::Resolve { place: Place { step, items }, resolution: Resolution::Sent };
            assert!(play.input(resolve).is_err());
        }
    }
}

#[test]
fn a_crash_repeats_what_may_be_repeated() {
    let held_then_sent = "a=ok b=run1 running";
    table(&[
        (READ, "crash", "a=run1 running"),
        (READ, "a~ crash", "a=wait1+100 waiting"),
        (READ, "a~ +100 crash crash a~ +250 a~", "a=failed failed"),
        (SEND, "crash", "a=held1 b=- attention"),
        (SEND, "crash crash", "a=held1 b=- attention"),
        (SEND, "crash a:sent", held_then_sent),
        (SEND, "crash a:not crash", "a=held2 b=- attention"),
        (SEND, "a crash crash b", "a=ok b=ok succeeded"),
    ]);
    let mut play = Play::begin(READ);
    play.now += 5_000;
    play.play("crash");
    // The same attempt at the same logical time.
    assert_eq!(play.commands, [Command::Execute { place: Place::root(0), attempt: 1, started_at: 1_000 }]);
    play.play("a~").now += 100;
    play.play("crash");
    assert_eq!(play.picture(), "a=run2 running", "a timer that was due while nothing ran");
}

#[test]
fn a_wait_is_a_timer_and_nothing_else() {
    let wait = "
  - {id: a, uses: t.wait}
  - {id: b, uses: t.read}";
    table(&[
        (wait, "a@500", "a=wait1+500 b=- waiting"),
        (wait, "a@500 +499 crash", "a=wait1+1 b=- waiting"),
        (wait, "a@500 +500", "a=ok b=run1 running"),
        (wait, "a@0", "a=ok b=run1 running"),
        (wait, "a@-5 b", "a=ok b=ok succeeded"),
        (wait, "a@500 +9000 b", "a=ok b=ok succeeded"),
    ]);
}

#[test]
fn one_wake_serves_all_that_is_due() {
    let three = "
  - {id: a, uses: t.wait}
  - {id: b, uses: t.wait, needs: []}
  - {id: c, uses: t.wait, needs: []}
  - {id: d, uses: t.send, needs: [a, b]}";
    table(&[
        (three, "a@100 b@200 c@300", "a=wait1+100 b=wait1+200 c=wait1+300 d=- waiting"),
        (three, "a@100 b@200 c@300 +200", "a=ok b=ok c=wait1+100 d=run1 running"),
        (three, "a@100 b@200 c@300 +300 d?", "a=ok b=ok c=ok d=held1 attention"),
        (three, "a@100 b@200 c@300 +200 d?", "a=ok b=ok c=wait1+100 d=held1 waiting"),
    ]);
    let mut play = Play::begin(three);
    play.play("a@100 b@200 c@300");
    assert_eq!(play.state.wake_at(&play.plan), Some(1_100));
}

#[test]
fn time_in_a_journal_never_runs_backwards() {
    let mut play = Play::begin(READ);
    play.play("a~");
    play.now -= 50_000;
    play.play("wake crash");
    assert_eq!(play.state.latest_at, 1_000);
    play.now += 100_000;
    play.play("wake");
    play.now -= 60_000;
    play.play("a");
    let times: Vec<_> = play.journal.iter().map(Event::at).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn what_is_put_off_for_ever_fails_at_last() {
    let mut play = Play::begin("\n  - {id: a, uses: t.read}");
    for _ in 0..crate::base::limits::LATER_IN_A_ROW {
        play.play("a^100 +100");
    }
    play.play("a^100");
    assert_eq!(play.picture(), "a=failed failed");
}

#[test]
fn a_repeated_key_skips_the_step() {
    let once = "
  - {id: a, uses: t.send, once: {key: k}}
  - {id: b, uses: t.pure}";
    table(&[(once, "a*", "a=skipped:repeated b=skipped:not_reached succeeded")]);
}

#[test]
fn a_step_that_declines_is_skipped_and_says_why() {
    let steps = "
  - {id: a, uses: t.send}
  - {id: b, uses: t.pure}";
    table(&[
        (steps, "a-", "a=skipped:declined b=skipped:not_reached succeeded"),
        (steps, "a^100 +100 a-", "a=skipped:declined b=skipped:not_reached succeeded"),
        (steps, "a- crash", "a=skipped:declined b=skipped:not_reached succeeded"),
    ]);
    let mut play = Play::begin(steps);
    play.play("a-");
    let report = Report::of(&play.plan, &play.state);
    assert_eq!(report.steps["a"]["error"], serde_json::json!(failure()));
}
