//! A run that a person has stand still: what still ends, what no longer begins, and how it goes on.

use serde_json::json;

use super::script::{Play, table};
use crate::engine::decide::Command;

const CHAIN: &str = "
  - {id: a, uses: t.send}
  - {id: b, uses: t.pure}";
const EACH: &str = "
  - {id: a, uses: t.send, for_each: {in: '[]', concurrency: 2, collect: index}}
  - {id: b, uses: t.pure}";
const RETRY: &str = "
  - {id: a, uses: t.read, retry: {attempts: 3, initial: 10ms, jitter: false}}
  - {id: b, uses: t.pure}";

#[test]
fn what_is_at_work_ends_and_nothing_begins() {
    table(&[
        (CHAIN, "pause", "a=run1 b=- running"),
        (CHAIN, "pause a", "a=ok b=- paused"),
        (CHAIN, "pause a wake crash crash", "a=ok b=- paused"),
        (CHAIN, "pause a unpause", "a=ok b=run1 running"),
        (CHAIN, "pause a crash unpause b", "a=ok b=ok succeeded"),
        (CHAIN, "pause unpause a b", "a=ok b=ok succeeded"),
        (CHAIN, "xunpause pause xpause unpause xunpause", "a=run1 b=- running"),
        (CHAIN, "pause a!", "a=failed b=skipped:not_reached failed"),
        (CHAIN, "a pause b", "a=ok b=ok succeeded"),
        (CHAIN, "a b xpause xunpause", "a=ok b=ok succeeded"),
    ]);
}

#[test]
fn no_further_item_begins() {
    table(&[
        (EACH, "a=4 pause a[0] a[0]#", "a=2/4[1:run1] b=- running"),
        (EACH, "a=4 pause a[0] a[0]# a[1] a[1]#", "a=2/4[] b=- paused"),
        (EACH, "a=4 pause a[0] a[0]# a[1] a[1]# unpause", "a=4/4[2:run1,3:run1] b=- running"),
        (EACH, "a=4 pause a[0] a[0]# a[1] a[1]# crash wake", "a=2/4[] b=- paused"),
        (EACH, "pause a=4", "a=0/4[] b=- paused"),
        (EACH, "pause a=0", "a=ok b=- paused"),
        // What an item leaves is evaluated all the same, or asked for again.
        (EACH, "a=2 pause a[0] unpause", "a=2/2[0:ok,1:run1] b=- running"),
        (EACH, "a=2 pause a[0] unpause a[0]# a[0]# a[1] a[1]# b", "a=ok b=ok succeeded"),
        // The last one ends the step, but nothing comes after it.
        (EACH, "a=1 pause a[0] a[0]#", "a=ok b=- paused"),
    ]);
}

#[test]
fn what_is_due_is_done_at_the_resume() {
    let wait = "
  - {id: a, uses: t.wait}
  - {id: b, uses: t.pure}";
    table(&[
        (RETRY, "a~ pause +50", "a=wait1+-40 b=- paused"),
        (RETRY, "a~ pause +50 crash wake unpause", "a=run2 b=- running"),
        (RETRY, "pause a~ +50 unpause", "a=run2 b=- running"),
        (RETRY, "a^60 pause unpause", "a=wait1+60 b=- waiting"),
        (wait, "a@500 pause +500", "a=wait1+0 b=- paused"),
        (wait, "a@500 pause +900 unpause", "a=ok b=run1 running"),
        (wait, "pause a@0", "a=wait1+0 b=- paused"),
    ]);
    let mut play = Play::begin(wait);
    play.play("a@500 pause");
    assert_eq!(play.state.wake_at(&play.plan), None, "a paused run is not woken by its timers");
}

#[test]
fn what_comes_from_outside_is_taken() {
    let asks = "
  - {id: a, uses: t.approve}
  - {id: b, uses: t.send}";
    let event = "
  - {id: a, uses: t.event}
  - {id: b, uses: t.send}";
    let call = "
  - {id: a, uses: t.call}
  - {id: b, uses: t.send}";
    table(&[
        (asks, "a% pause a:yes", "a=ok b=- paused"),
        (asks, "a% pause a:yes unpause", "a=ok b=run1 running"),
        (event, "a& pause a:key=1", "a=ok b=- paused"),
        (event, "a& pause a:key=1 crash unpause xa:key=1", "a=ok b=run1 running"),
        (call, "a> pause a:back", "a=ok b=- paused"),
        (call, "a> pause a:back unpause", "a=ok b=run1 running"),
    ]);
}

#[test]
fn a_held_attempt_is_resolved_and_begins_at_the_resume() {
    table(&[
        (CHAIN, "a? pause", "a=held1 b=- paused"),
        (CHAIN, "a? pause a:sent", "a=ok b=- paused"),
        (CHAIN, "a? pause a:skip", "a=skipped:resolved b=skipped:not_reached succeeded"),
        (CHAIN, "a? pause a:not", "a=wait1+0 b=- paused"),
        (CHAIN, "a? pause a:not xa:sent crash unpause", "a=run2 b=- running"),
    ]);
}

#[test]
fn a_crash_keeps_it_paused() {
    table(&[
        // It may have happened.
        (CHAIN, "pause crash", "a=held1 b=- paused"),
        // It may be made again: the same attempt.
        (RETRY, "pause crash", "a=wait1+0 b=- paused"),
        (RETRY, "pause crash crash wake", "a=wait1+0 b=- paused"),
        (RETRY, "pause crash unpause", "a=run1 b=- running"),
        (EACH, "a=4 pause crash", "a=2/4[0:held1,1:held1] b=- paused"),
        (EACH, "a=4 pause crash unpause", "a=4/4[0:held1,1:held1,2:run1,3:run1] b=- running"),
    ]);
}

#[test]
fn it_ends_by_a_word_or_by_its_time() {
    let timed = "
timeout: 1s
steps:
  - {id: a, uses: t.read}
  - {id: b, uses: t.pure}";
    table(&[
        (CHAIN, "pause cancel a", "a=ok b=- cancelled"),
        (CHAIN, "a? pause cancel", "a=held1 b=- cancelled"),
        // A retry of an ended run knows nothing of the pause.
        (CHAIN, "pause a! retry", "a=run1 b=- running"),
        (CHAIN, "a pause cancel retry", "a=ok b=run1 running"),
        (timed, "pause a +999", "a=ok b=- paused"),
        (timed, "pause a +1000", "a=ok b=- failed"),
        (timed, "pause +1000", "a=run1 b=- failed"),
    ]);
    let mut play = Play::begin(timed);
    play.play("pause a");
    assert_eq!(play.state.wake_at(&play.plan), Some(2_000), "only its time wakes it");
}

#[test]
fn a_run_that_has_not_begun_is_not_paused() {
    let mut play = Play::queued(CHAIN);
    play.play("xpause xunpause");
    assert_eq!(play.journal.len(), 1);
}

#[test]
fn what_has_ended_ends_the_run() {
    let mut play = Play::begin("output: {x: '{{ 1 }}'}\nsteps:\n  - {id: a, uses: t.send}");
    play.play("pause a");
    assert!(play.commands.iter().any(|command| matches!(command, Command::Finish { .. })));
    play.play("finish");
    assert_eq!(play.picture(), "a=ok succeeded");
}

#[test]
fn a_report_says_since_when_and_why() {
    let mut play = Play::begin(CHAIN);
    play.play("+7 pause");
    let report = json!(crate::engine::report::Report::of(&play.plan, &play.state));
    assert_eq!(report["paused"], json!({"since": 1_007, "reason": "lunch"}));
    play.play("unpause");
    let report = json!(crate::engine::report::Report::of(&play.plan, &play.state));
    assert!(report["paused"].is_null());
}
