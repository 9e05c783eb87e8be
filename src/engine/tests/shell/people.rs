//! What people say: yes and no, stop, again, and what became of a held item.

use serde_json::json;

use super::house::House;
use crate::engine::decide::{Approval, Refused, Resolution};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Failure, Outcome, StepError};
use crate::engine::run::WordError;

const APPROVE: &str = "
  - {id: ask, uses: approve, with: {title: Go?, ms: 9000}}
  - {id: go, uses: t.act, needs: [ask]}
  - {id: no, uses: t.act, needs: [ask.rejected]}
  - {id: late, uses: t.act, needs: [ask.timeout]}";

fn word(approved: bool) -> Approval {
    Approval { approved, by: Some("ann".to_string()), comment: None }
}

fn unknown() -> Result<Outcome, StepError> {
    Err(StepError::Unknown(Failure::new("t.lost", "the answer was lost")))
}

#[test]
fn an_approval_takes_one_word_or_its_time() {
    let house = House::new(APPROVE);
    let (run, later) = house.live(async |room| {
        let (run, no, late) = (room.submit().await, room.submit().await, room.submit().await);
        assert_eq!(room.status(run).await, RunStatus::Waiting);
        let nowhere = room.engine.approve(run, "go", &[], word(true)).await;
        assert!(matches!(nowhere, Err(WordError::NoApproval { .. })), "{nowhere:?}");
        room.engine.approve(no, "ask", &[], word(false)).await.unwrap();
        assert_eq!(room.steps(no).await, "ask=succeeded go=skipped no=succeeded late=skipped");
        assert_eq!(room.output(no, "ask").await, json!({"by": "ann", "comment": null}));
        let again = room.engine.approve(no, "ask", &[], word(true)).await;
        assert!(matches!(again, Err(WordError::NoApproval { .. })), "{again:?}");
        (run, late)
    });
    house.live(async |room| {
        room.engine.approve(run, "ask", &[], word(true)).await.unwrap();
        assert_eq!(room.steps(run).await, "ask=succeeded go=succeeded no=skipped late=skipped");
        room.advance(9_000).await;
        assert_eq!(room.steps(later).await, "ask=succeeded go=skipped no=skipped late=succeeded");
    });
}

#[test]
fn cancel_ends_what_waits_and_lets_what_must_not_be_cut_off_end() {
    let steps = "
  - {id: send, uses: t.send}
  - {id: read, uses: t.read, needs: []}
  - {id: pause, uses: t.wait, needs: []}
  - {id: after, uses: t.act, needs: [send]}";
    House::new(steps).live(async |room| {
        let run = room.submit().await;
        room.engine.cancel(run, Some("enough")).await.unwrap();
        assert_eq!(room.status(run).await, RunStatus::Running, "the send is in flight");
        // The pause is over meanwhile, which is nothing to do any more.
        room.advance(10_000).await;
        assert_eq!(room.status(run).await, RunStatus::Running);
        room.done(run, "send").await;
        assert_eq!(room.status(run).await, RunStatus::Cancelled);
        assert_eq!(room.steps(run).await, "send=succeeded read=running pause=waiting after=pending");
        let again = room.engine.cancel(run, None).await;
        assert_eq!(again, Err(WordError::Refused(Refused::Ended(RunStatus::Cancelled))));
        assert_eq!(room.calls("after"), 0);
    });
    // Parked, after a restart.
    let house = House::new(APPROVE);
    let run = house.live(async |room| room.submit().await);
    house.live(async |room| {
        room.engine.cancel(run, None).await.unwrap();
        let row = room.row(run).await;
        assert_eq!((row.status, row.wake_at, row.finished_at.is_some()), (RunStatus::Cancelled, None, true));
        room.advance(20_000).await;
        assert_eq!(room.calls("late"), 0);
    });
}

#[test]
fn a_run_that_is_cancelled_and_retried_at_once_has_one_attempt_at_work() {
    House::new("\n  - {id: read, uses: t.read}\n  - {id: send, uses: t.act}").live(async |room| {
        let run = room.submit().await;
        let (cancelled, retried) = futures::join!(room.engine.cancel(run, None), room.engine.retry(run, None));
        assert_eq!((cancelled, retried), (Ok(()), Ok(())));
        room.settle().await;
        assert_eq!(room.calls("read"), 2);
        room.done(run, "read").await;
        assert_eq!((room.status(run).await, room.calls("send")), (RunStatus::Succeeded, 1));
    });
}

#[test]
fn retry_does_again_what_failed_and_what_needs_it() {
    let steps = "
  - {id: first, uses: t.act}
  - {id: read, uses: t.read}
  - {id: last, uses: t.act}";
    let house = House::new(steps);
    let run = house.live(async |room| {
        let run = room.submit().await;
        let early = room.engine.retry(run, None).await;
        assert_eq!(early, Err(WordError::Refused(Refused::NotEnded(RunStatus::Running))));
        room.end(run, "read", Err(StepError::Permanent(Failure::new("t.no", "no")))).await;
        assert_eq!(room.status(run).await, RunStatus::Failed);
        room.engine.retry(run, None).await.unwrap();
        assert_eq!(room.status(run).await, RunStatus::Running);
        assert_eq!(room.row(run).await.finished_at, None);
        run
    });
    house.live(async |room| {
        room.done(run, "read").await;
        assert_eq!((room.status(run).await, room.calls("last"), room.calls("first")), (RunStatus::Succeeded, 1, 0));
        let nothing = room.engine.retry(run, None).await;
        assert_eq!(nothing, Err(WordError::Refused(Refused::NothingToRetry)));
        let nowhere = room.engine.retry(run, Some("lost")).await;
        assert_eq!(nowhere, Err(WordError::NoStep("lost".to_string())));
        room.engine.retry(run, Some("read")).await.unwrap();
        room.done(run, "read").await;
        assert_eq!((room.status(run).await, room.calls("last"), room.calls("first")), (RunStatus::Succeeded, 2, 0));
    });
}

#[test]
fn retry_of_a_for_each_does_its_failed_items_again() {
    let each = "
  - {id: each, uses: t.read, for_each: {in: '[0, 1, 2]', concurrency: 3}}
  - {id: last, uses: t.act}";
    House::new(each).live(async |room| {
        let run = room.submit().await;
        room.done(run, "each[0]").await;
        room.end(run, "each[1]", Err(StepError::Permanent(Failure::new("t.no", "no")))).await;
        room.done(run, "each[2]").await;
        assert_eq!((room.status(run).await, room.calls("last")), (RunStatus::Succeeded, 1));
        room.engine.retry(run, None).await.unwrap();
        room.done(run, "each[1]").await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        assert_eq!((room.calls("each[0]"), room.calls("each[1]"), room.calls("each[2]")), (1, 2, 1));
        assert_eq!(room.output(run, "each").await["failed"], 0);
    });
}

#[test]
fn retry_from_before_a_for_each_walks_the_new_list() {
    let each = "
  - {id: people, uses: t.rows}
  - {id: each, uses: t.act, for_each: {in: steps.people, as: who, collect: who}}";
    let house = House::new(each);
    *house.world.source.lock().unwrap() = vec![json!(1), json!(2)];
    house.live(async |room| {
        let run = room.submit().await;
        assert_eq!(room.output(run, "each").await["collected"], json!([1, 2]));
        *room.hands.world.source.lock().unwrap() = vec![json!(7), json!(8), json!(9)];
        room.engine.retry(run, Some("people")).await.unwrap();
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        assert_eq!(room.output(run, "each").await["collected"], json!([7, 8, 9]));
    });
}

#[test]
fn a_held_step_of_an_item_is_resolved_by_its_path() {
    let each = "
  - id: each
    for_each: {in: '[0, 1]', concurrency: 2, collect: item}
    steps:
      - id: inner
        for_each: {in: '[5, 6]', as: who}
        steps:
          - {id: send, uses: t.send}
          - {id: act, uses: t.act}";
    let house = House::new(each);
    let run = house.live(async |room| {
        let run = room.submit().await;
        room.end(run, "send[1.0]", unknown()).await;
        room.done(run, "send[0.0]").await;
        room.done(run, "send[0.1]").await;
        room.done(run, "send[1.1]").await;
        assert_eq!(room.status(run).await, RunStatus::Attention);
        let unnamed = room.engine.resolve(run, "send", &[], Resolution::Sent).await;
        assert!(matches!(unnamed, Err(WordError::NotHeld { help, .. }) if !help.is_empty()), "{unnamed:?}");
        let other = room.engine.resolve(run, "send", &[1, 1], Resolution::Sent).await;
        assert!(matches!(other, Err(WordError::NotHeld { .. })), "{other:?}");
        run
    });
    house.live(async |room| {
        assert_eq!(room.status(run).await, RunStatus::Attention);
        room.engine.resolve(run, "send", &[1, 0], Resolution::NotSent).await.unwrap();
        room.done(run, "send[1.0]").await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        assert_eq!((room.calls("send[1.0]"), room.calls("act[1.0]")), (1, 1));
    });
}

#[test]
fn the_time_of_a_workflow_ends_a_run_wherever_it_is() {
    let house = House::of(&[("t", "timeout: 10s\nsteps:\n  - {id: send, uses: t.send}\n  - {id: last, uses: t.act}")]);
    let run = house.live(async |room| {
        let run = room.submit().await;
        room.end(run, "send", unknown()).await;
        assert_eq!(room.status(run).await, RunStatus::Attention);
        run
    });
    // Held, and nobody there when the time was over.
    house.clock.advance(20_000);
    house.live(async |room| {
        let status = room.status(run).await;
        assert_eq!((status, room.calls("last")), (RunStatus::Failed, 0));
        let journal = room.journal(run).await;
        let Some(Event::RunEnded { failure: Some(failure), .. }) = journal.last() else { panic!("{journal:?}") };
        assert_eq!(failure.code, "run.timeout");
    });
}
