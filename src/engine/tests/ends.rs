//! How a run ends: by itself, by its time, by a person; and what is done at the end.

use serde_json::json;

use super::script::{Play, table};
use crate::engine::decide::{Command, Input};
use crate::engine::event::{Event, RunStatus};

const TIMED: &str = "
timeout: 1s
steps:
  - {id: a, uses: t.read}
  - {id: b, uses: t.send}
  - {id: c, uses: t.pure}";

#[test]
fn a_run_has_its_time() {
    table(&[
        (TIMED, "+999", "a=run1 b=- c=- running"),
        (TIMED, "+1000", "a=run1 b=- c=- failed"),
        (TIMED, "a^5000 +999", "a=wait1+4001 b=- c=- waiting"),
        (TIMED, "a^5000 +1000", "a=wait1+4000 b=- c=- failed"),
        (TIMED, "a b? +1000", "a=ok b=held1 c=- failed"),
        // What must not be cut off is waited for, and its outcome is kept.
        (TIMED, "a +1000", "a=ok b=run1 c=- running"),
        (TIMED, "a +1000 b", "a=ok b=ok c=- failed"),
        (TIMED, "a +1000 b?", "a=ok b=held1 c=- failed"),
        (TIMED, "a +1000 b~", "a=ok b=failed c=- failed"),
        (TIMED, "a +1000 crash", "a=ok b=held1 c=- failed"),
        (TIMED, "a b c +1000", "a=ok b=ok c=ok succeeded"),
    ]);
    let mut play = Play::begin(TIMED);
    assert_eq!(play.state.wake_at(&play.plan), Some(2_000));
    play.play("a +1000");
    assert_eq!(play.state.wake_at(&play.plan), None, "a timer that is over must not fire again and again");
    play.play("b");
    assert_eq!(play.state.failure.as_ref().unwrap().code, "run.timeout");
}

#[test]
fn nothing_begins_when_the_time_is_over() {
    // The daemon was down when the time was over, or the timer is late.
    for script in ["crash", "a", "a^50"] {
        let mut play = Play::begin(TIMED);
        play.now += 1_000;
        play.play(script);
        assert_eq!(play.starts("b"), 0, "{script}");
        play.play("wake");
        assert_eq!(play.state.ended, Some(RunStatus::Failed), "{script}: {}", play.picture());
    }
    let many = "
timeout: 1s
steps:
  - {id: a, uses: t.send, for_each: {in: '[]', concurrency: 3}}";
    let mut play = Play::begin(many);
    play.now += 1_000;
    play.play("a=9");
    assert_eq!((play.starts("a"), play.picture().as_str()), (1, "a=0/9[] failed"));
    let mut play = Play::begin(many);
    play.play("a=9 a[0] a[1]").now += 1_000;
    play.play("a[2]");
    assert_eq!(play.picture(), "a=5/9[3:run1,4:run1] running");
    play.play("crash");
    assert_eq!(play.picture(), "a=5/9[3:held1,4:held1] failed");
}

#[test]
fn a_wait_that_is_due_while_a_run_ends_is_no_busy_loop() {
    let beside = "
  - {id: a, uses: t.wait}
  - {id: b, uses: t.send, needs: []}";
    let mut play = Play::begin(beside);
    play.play("a@100 cancel");
    assert_eq!((play.picture().as_str(), play.state.wake_at(&play.plan)), ("a=wait1+100 b=run1 running", None));
    play.play("+500 b");
    assert_eq!(play.picture(), "a=wait1+-400 b=ok cancelled");
    assert_eq!(play.state.wake_at(&play.plan), None);
}

const MIXED: &str = "
  - {id: a, uses: t.read}
  - {id: b, uses: t.send, needs: []}
  - {id: c, uses: t.call, needs: []}
  - {id: d, uses: t.pure, needs: [a, b]}";

#[test]
fn a_cancelled_run_begins_nothing() {
    table(&[
        (MIXED, "cancel", "a=run1 b=run1 c=run1 d=- running"),
        (MIXED, "cancel b", "a=run1 b=ok c=run1 d=- cancelled"),
        (MIXED, "b cancel", "a=run1 b=ok c=run1 d=- cancelled"),
        (MIXED, "cancel cancel a b", "a=ok b=ok c=run1 d=- cancelled"),
        (MIXED, "cancel crash", "a=run1 b=held1 c=run1 d=- cancelled"),
        (MIXED, "b cancel a xcancel wake crash", "a=run1 b=ok c=run1 d=- cancelled"),
        (MIXED, "b a~ cancel", "a=failed b=ok c=run1 d=skipped:not_reached cancelled"),
        (MIXED, "b? cancel xb:sent", "a=run1 b=held1 c=run1 d=- cancelled"),
        (MIXED, "c> cancel b", "a=run1 b=ok c=call d=- cancelled"),
    ]);
    let block = "
  - id: e
    for_each: {in: '[]', concurrency: 3, collect: steps.s}
    steps:
      - {id: s, uses: t.send}
      - {id: p, uses: t.read}";
    table(&[
        (block, "e=9 s[0] cancel s[1] s[2]", "e=3/9[0:(s=ok p=run1),1:(s=ok p=-),2:(s=ok p=-)] cancelled"),
        (block, "e=9 s[0] p[0] cancel e[0]# s[1] s[2]?", "e=3/9[1:(s=ok p=-),2:(s=held1 p=-)] cancelled"),
        (block, "e=9 s[0] cancel crash", "e=3/9[0:(s=ok p=run1),1:(s=held1 p=-),2:(s=held1 p=-)] cancelled"),
    ]);
    let mut play = Play::queued(MIXED);
    play.play("cancel");
    assert_eq!(play.state.ended, Some(RunStatus::Cancelled), "one that had not begun");
    assert_eq!(play.starts("b"), 0);
}

#[test]
fn called_runs_are_cancelled_with_their_caller() {
    let mut play = Play::begin(MIXED);
    play.play("c>");
    let child = Play::child(&play.place("c", &[]));
    play.play("cancel");
    assert_eq!(play.commands, [Command::CancelCalled { child }]);
    play.play("crash");
    assert!(play.commands.contains(&Command::CancelCalled { child }), "it may not have been told");
    // What begins to wait after the word calls nobody.
    let mut play = Play::begin(MIXED);
    play.play("cancel c>");
    assert_eq!(play.commands, []);
    play.play("b");
    assert_eq!(play.state.ended, Some(RunStatus::Cancelled));
}

#[test]
fn what_a_person_says_of_a_held_step_while_the_run_ends_is_not_lost() {
    let two = "
  - {id: a, uses: t.send}
  - {id: b, uses: t.send, needs: []}";
    table(&[
        (two, "a? cancel a:sent b", "a=ok b=ok cancelled"),
        // It cannot be done again now; whoever says so must know.
        (two, "a? cancel xa:not b", "a=held1 b=ok cancelled"),
    ]);
}

const FOLLOWED: &str = "
on_failure: alarm
output: {x: '{{ 1 }}'}
timeout: 1s
steps:
  - {id: a, uses: t.read}";

#[test]
fn the_end_comes_after_what_is_done_at_the_end() {
    table(&[
        (FOLLOWED, "a", "a=ok running"),
        (FOLLOWED, "a finish", "a=ok succeeded"),
        (FOLLOWED, "a crash wake finish finish", "a=ok succeeded"),
        (FOLLOWED, "a!", "a=failed running"),
        (FOLLOWED, "a! finish", "a=failed failed"),
        (FOLLOWED, "a cancel", "a=ok cancelled"),
        (FOLLOWED, "cancel", "a=run1 cancelled"),
        (FOLLOWED, "finish a", "a=ok running"),
    ]);
    let mut play = Play::begin(FOLLOWED);
    play.play("a");
    assert_eq!(play.commands, [Command::Finish { status: RunStatus::Succeeded }]);
    play.play("finish");
    assert_eq!(play.state.output.as_deref(), Some(&json!("out")));
    // An output that fails is a failure of the run, and `on_failure` hears of it.
    let mut play = Play::begin(FOLLOWED);
    play.play("a finish!");
    assert_eq!(play.commands, [Command::Finish { status: RunStatus::Failed }]);
    finish(&mut play, RunStatus::Failed);
    assert_eq!((play.state.ended, play.state.output.clone()), (Some(RunStatus::Failed), None));
    assert_eq!(play.state.failure.as_ref().unwrap().code, "t.failed");
}

fn finish(play: &mut Play, status: RunStatus) {
    play.input(Input::Finished { status, output: Ok(None) }).unwrap();
}

#[test]
fn what_was_done_for_another_end_does_not_count() {
    // `output` is being evaluated when the time is over: the answer is not that of `on_failure`.
    let mut play = Play::begin(FOLLOWED);
    play.play("a +1000");
    assert_eq!(play.commands, [Command::Finish { status: RunStatus::Failed }]);
    finish(&mut play, RunStatus::Succeeded);
    assert_eq!(play.commands, [Command::Finish { status: RunStatus::Failed }]);
    finish(&mut play, RunStatus::Failed);
    assert_eq!(play.state.ended, Some(RunStatus::Failed));
}

#[test]
fn an_output_of_nothing_is_none() {
    let mut play = Play::begin(FOLLOWED);
    play.play("a");
    play.input(Input::Finished { status: RunStatus::Succeeded, output: Ok(Some(json!(null))) }).unwrap();
    assert_eq!(play.state.output, None);
}

#[test]
fn a_list_beside_the_journal_is_an_output() {
    let mut play = Play::begin("\n  - {id: a, uses: t.read}");
    let done =
        crate::engine::decide::Ended::Done { port: crate::engine::ports::OK, output: json!(null), rows: Some(70_000) };
    let place = play.place("a", &[]);
    play.input(Input::Ended { place, result: Ok(done), lines: Vec::new(), took_us: 1 }).unwrap();
    assert!(play.journal.iter().any(|event| matches!(event, Event::StepSucceeded { rows: Some(70_000), .. })));
    assert_eq!(play.picture(), "a=ok succeeded");
}
