//! A person has an ended run go on: what is done again, and what must not be.

use super::script::{Play, table};
use crate::engine::decide::Command;
use crate::engine::event::{Event, RunStatus};

const CHAIN: &str = "
  - {id: a, uses: t.send}
  - {id: b, uses: t.read}
  - {id: c, uses: t.send}
  - {id: d, uses: t.pure, needs: [a]}";

#[test]
fn what_failed_is_done_again_and_what_needs_it() {
    table(&[
        (CHAIN, "a d b! retry", "a=ok b=run1 c=- d=ok running"),
        (CHAIN, "a d b! retry b c", "a=ok b=ok c=ok d=ok succeeded"),
        (CHAIN, "a d b c! retry", "a=ok b=ok c=run1 d=ok running"),
        (CHAIN, "a d b c! retry c! retry c", "a=ok b=ok c=ok d=ok succeeded"),
        (CHAIN, "xretry a d b! xcancel retry xretry", "a=ok b=run1 c=- d=ok running"),
        (CHAIN, "a d b c xretry", "a=ok b=ok c=ok d=ok succeeded"),
        (CHAIN, "a d b c? cancel retry", "a=ok b=ok c=held1 d=ok attention"),
        (CHAIN, "a d b c? cancel retry c:not", "a=ok b=ok c=run2 d=ok running"),
        (CHAIN, "a d b c? cancel xc:sent retry c:sent", "a=ok b=ok c=ok d=ok succeeded"),
        (CHAIN, "a d b! retry crash", "a=ok b=run1 c=- d=ok running"),
    ]);
}

#[test]
fn a_person_names_the_step_to_start_from() {
    table(&[
        (CHAIN, "a d b c retry:b", "a=ok b=run1 c=- d=ok running"),
        (CHAIN, "a d b c retry:b b c", "a=ok b=ok c=ok d=ok succeeded"),
        (CHAIN, "a d b c retry:a", "a=run1 b=- c=- d=- running"),
        (CHAIN, "a d b c retry:d", "a=ok b=ok c=ok d=run1 running"),
        (CHAIN, "a d b c! retry:d", "a=ok b=ok c=run1 d=run1 running"),
    ]);
}

#[test]
fn a_handled_failure_is_not_done_again() {
    let handled = "
  - {id: a, uses: t.read}
  - {id: h, uses: t.send, needs: [a.error]}
  - {id: b, uses: t.read, needs: [h]}";
    table(&[
        (handled, "a! h b! retry", "a=failed h=ok b=run1 running"),
        (handled, "a! h! retry h b", "a=failed h=ok b=ok succeeded"),
        (handled, "a! h b retry:a a", "a=ok h=skipped:not_reached b=skipped:not_reached succeeded"),
    ]);
}

#[test]
fn what_was_let_go_with_an_unknown_outcome_is_not_done_again() {
    // `s` ran because `b` did; its effect may have happened.
    let join = "
  - {id: a, uses: t.read}
  - {id: b, uses: t.read, needs: []}
  - {id: s, uses: t.send, needs: [a, b], join: any, on_unknown: skip}";
    table(&[
        (join, "a! b s? retry", "a=run1 b=ok s=skipped:unknown running"),
        (join, "a! b s? retry a", "a=ok b=ok s=skipped:unknown succeeded"),
    ]);
    let held = join.replace(", on_unknown: skip", "");
    table(&[
        (held.as_str(), "a! b s? s:skip retry a", "a=ok b=ok s=skipped:resolved succeeded"),
        (held.as_str(), "a! b s? s:skip retry:s", "a=run1 b=ok s=- running"),
    ]);
}

const TIMED: &str = "
timeout: 1s
steps:
  - {id: a, uses: t.read}
  - {id: w, uses: t.wait}
  - {id: c, uses: t.call}";

#[test]
fn a_cancelled_or_late_run_goes_on_with_new_time() {
    table(&[
        (TIMED, "+1000 retry", "a=run1 w=- c=- running"),
        (TIMED, "+1000 retry +999", "a=run1 w=- c=- running"),
        (TIMED, "+1000 retry +1000", "a=run1 w=- c=- failed"),
        (TIMED, "a w@900 +700 cancel +500 retry", "a=ok w=run1 c=- running"),
        (TIMED, "a w@0 c> cancel retry", "a=ok w=ok c=run1 running"),
        (TIMED, "cancel retry a", "a=ok w=run1 c=- running"),
    ]);
    let mut play = Play::queued(TIMED);
    play.play("cancel retry");
    assert_eq!(play.picture(), "a=run1 w=- c=- running");
}

#[test]
fn what_is_done_at_the_end_is_done_again() {
    let output = "
output: {x: '{{ 1 }}'}
steps:
  - {id: a, uses: t.send}";
    let mut play = Play::begin(output);
    play.play("a finish!");
    assert_eq!(play.state.ended, Some(RunStatus::Failed));
    play.play("retry");
    assert_eq!(play.commands, [Command::Finish { status: RunStatus::Succeeded }]);
    play.play("finish");
    assert_eq!((play.state.ended, play.starts("a")), (Some(RunStatus::Succeeded), 1));
}

const ITEMS: &str = "
  - {id: a, uses: t.send, for_each: {in: '[]', concurrency: 2}}
  - {id: b, uses: t.send}";
const STOP: &str = "
  - {id: a, uses: t.send, for_each: {in: '[]', concurrency: 2, on_item_error: stop}}
  - {id: b, uses: t.pure}";

#[test]
fn of_a_for_each_only_what_failed_is_done_again() {
    table(&[
        (ITEMS, "a=4 a[0] a[1]! a[2] a[3]! b retry", "a=4/4[1:run1,3:run1] b=ok running"),
        (ITEMS, "a=4 a[0] a[1]! a[2] a[3]! b retry a[1] a[3]", "a=ok b=ok succeeded"),
        (ITEMS, "a=4 a[0] a[1]! a[2] a[3]! b retry a[1] a[3]!", "a=ok b=ok succeeded"),
        (ITEMS, "a=2 a[0]! a[1]! retry", "a=2/2[0:run1,1:run1] b=- running"),
        (ITEMS, "a=2 a[0]! a[1]! retry a[1] a[0]", "a=ok b=run1 running"),
        (ITEMS, "a=3 a[0]? a[1] a[2] a[0]:skip b! retry", "a=ok b=run1 running"),
        (ITEMS, "a=2 a[0] a[1] b xretry", "a=ok b=ok succeeded"),
        (ITEMS, "a=2 a[0] a[1] b retry:a b", "a=ok b=ok succeeded"),
        (STOP, "a=5 a[0]! a[1] retry", "a=3/5[0:run1,2:run1] b=- running"),
        (STOP, "a=5 a[0]! a[1]! retry", "a=2/5[0:run1,1:run1] b=- running"),
        (STOP, "a=5 a[0]! a[1]! retry a[0] a[1] a[2] a[3] a[4]", "a=ok b=run1 running"),
        (STOP, "a=5 a[0]! a[1]! retry a[0]! a[1]", "a=failed b=skipped:not_reached failed"),
    ]);
    let mut play = Play::begin(ITEMS);
    play.play("a=4 a[0] a[1]! a[2] a[3]! b retry a[1] a[3]!");
    let output = play.output("a");
    assert_eq!((&output["succeeded"], &output["failed"]), (&3.into(), &1.into()));
    assert_eq!(output["failures"].as_array().unwrap().len(), 1);
    let mut play =
        Play::begin("\n  - {id: a, uses: t.send, for_each: {in: '[]', concurrency: 1, on_item_error: stop}}");
    play.play("a=5 a[0] a[1]! retry a[1] a[2]! retry");
    assert_eq!(play.picture(), "a=3/5[2:run1] running");
    play.play("a[2] a[3] a[4]");
    assert_eq!((play.picture().as_str(), play.starts("a")), ("a=ok succeeded", 8));
}

#[test]
fn a_cancelled_for_each_goes_on_where_it_was() {
    table(&[
        (ITEMS, "a=5 a[0] cancel a[1] a[2] retry", "a=5/5[3:run1,4:run1] b=- running"),
        (ITEMS, "a=5 a[0] cancel a[1] a[2] retry a[3] a[4] b", "a=ok b=ok succeeded"),
        (ITEMS, "a=5 cancel a[0]? a[1] retry", "a=4/5[0:held1,2:run1,3:run1] b=- running"),
        (ITEMS, "a=5 cancel crash retry", "a=4/5[0:held1,1:held1,2:run1,3:run1] b=- running"),
        (ITEMS, "a=5 cancel a[0]~ a[1] retry", "a=4/5[2:run1,3:run1] b=- running"),
    ]);
}

const BLOCK: &str = "
  - id: e
    for_each: {in: '[]', concurrency: 2, collect: steps.t}
    steps:
      - {id: s, uses: t.send}
      - {id: r, uses: t.read}
      - {id: t, uses: t.send}";

#[test]
fn what_succeeded_in_a_failed_item_is_not_done_again() {
    table(&[
        (BLOCK, "e=3 s[0] r[0]! s[1]! s[2]! retry", "e=2|3/3[0:(s=ok r=run1 t=-),1:(s=run1 r=- t=-)] running"),
        (BLOCK, "e=1 s[0] r[0] t[0]! retry", "e=1/1[0:(s=ok r=ok t=run1)] running"),
        (BLOCK, "e=1 s[0] r[0] t[0]! retry t[0] e[0]#", "e=ok succeeded"),
        (BLOCK, "e=1 s[0] r[0] t[0]! retry t[0]! retry crash", "e=1/1[0:(s=ok r=ok t=held1)] attention"),
    ]);
    // The steps are done; only what they leave is asked for again.
    let mut play = Play::begin(BLOCK);
    play.play("e=1 s[0] r[0] t[0] e[0]#! retry");
    assert_eq!((play.starts("s"), play.starts("t")), (1, 1));
    assert!(matches!(play.commands[..], [Command::Collect { item: 0, .. }]), "{:?}", play.commands);
    play.play("e[0]#");
    assert_eq!(play.picture(), "e=ok succeeded");
    let mut play = Play::begin("\n  - {id: a, uses: t.send, for_each: {in: '[]', collect: output}}");
    play.play("a=1 a[0] a[0]#! retry crash a[0]#");
    // The `for_each` and its item, each once.
    assert_eq!((play.picture().as_str(), play.starts("a")), ("a=ok succeeded", 2));
}

#[test]
fn nor_in_the_blocks_of_a_failed_item() {
    let nested = "
  - id: o
    for_each: {in: '[]'}
    steps:
      - id: i
        for_each: {in: '[]', as: j, on_item_error: stop}
        steps:
          - {id: s, uses: t.send}
          - {id: r, uses: t.read}
      - {id: z, uses: t.send}";
    table(&[
        (nested, "o=1 i[0]=2 s[0.0] r[0.0] s[0.1] r[0.1]! retry", "o=1/1[0:(i=2/2[1:(s=ok r=run1)] z=-)] running"),
        (nested, "o=1 i[0]=1 s[0.0] r[0.0] z[0]! retry", "o=1/1[0:(i=ok z=run1)] running"),
        (nested, "o=1 i[0]=3 s[0.0] r[0.0]! retry r[0.0]", "o=1/1[0:(i=2/3[1:(s=run1 r=-)] z=-)] running"),
    ]);
}

#[test]
fn a_retry_keeps_to_the_concurrency() {
    let mut play = Play::begin(BLOCK);
    play.play("e=6");
    for item in 0..6 {
        play.play(&format!("s[{item}] r[{item}]!"));
    }
    assert_eq!(play.state.ended, Some(RunStatus::Failed));
    play.play("retry");
    let at_work = play.commands.iter().filter(|command| matches!(command, Command::Execute { .. })).count();
    assert_eq!(at_work, 2, "{}", play.picture());
    play.play("crash");
    let at_work = play.commands.iter().filter(|command| matches!(command, Command::Execute { .. })).count();
    assert_eq!(at_work, 2, "{}", play.picture());
    for item in 0..6 {
        play.play(&format!("r[{item}] t[{item}] e[{item}]#"));
    }
    assert_eq!((play.picture().as_str(), play.starts("s"), play.starts("t")), ("e=ok succeeded", 6, 6));
}

#[test]
fn parked_steps_of_a_cancelled_block_begin_anew() {
    let block = "
  - id: e
    for_each: {in: '[]', concurrency: 4}
    steps:
      - {id: c, uses: t.call}
      - {id: w, uses: t.wait, needs: []}
      - {id: r, uses: t.read, needs: []}";
    let mut play = Play::begin(block);
    play.play("e=1 c[0]> w[0]@500 r[0]~ cancel");
    assert_eq!(play.state.ended, Some(RunStatus::Cancelled));
    play.play("+9000 retry");
    assert_eq!(play.picture(), "e=1/1[0:(c=run1 w=run1 r=failed)] running");
    assert!(!play.commands.iter().any(|command| matches!(command, Command::Call { .. })), "that run was cancelled");
}

#[test]
fn a_journal_says_what_is_done_again() {
    let mut play = Play::begin(CHAIN);
    play.play("a d b! retry");
    assert!(play.journal.iter().any(|event| matches!(event, Event::RunRetried { steps, .. } if steps[..] == [1, 2])));
}
