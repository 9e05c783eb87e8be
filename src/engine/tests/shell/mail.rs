//! Mail: what a person says reaches a run that is parked, at work, or over; and a wake never runs a run twice.

use super::house::{House, Room};
use crate::base::RunId;
use crate::engine::decide::Resolution;
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Failure, Outcome, StepError};
use crate::engine::run::WordError;

const HELD: &str = "
  - {id: send, uses: t.send}
  - {id: read, uses: t.read}
  - {id: after, uses: t.send}";

fn unknown() -> Result<Outcome, StepError> {
    Err(StepError::Unknown(Failure::new("t.lost", "the answer was lost")))
}

fn transient() -> Result<Outcome, StepError> {
    Err(StepError::Transient(Failure::new("t.busy", "not now")))
}

/// A run whose first step is held, and which is parked.
async fn held(room: &Room) -> RunId {
    let run = room.submit().await;
    room.end(run, "send", unknown()).await;
    assert_eq!(room.status(run).await, RunStatus::Attention);
    run
}

#[test]
fn sent_lets_a_parked_run_go_on_and_every_step_runs_once() {
    House::new(HELD).live(async |room| {
        let run = held(&room).await;
        room.engine.resolve(run, "send", &[], Resolution::Sent).await.unwrap();
        assert_eq!(room.steps(run).await, "send=succeeded read=running after=pending");
        room.done(run, "read").await;
        assert_eq!(room.steps(run).await, "send=succeeded read=succeeded after=running");
        room.done(run, "after").await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        let calls = ["send", "read", "after"].map(|step| room.calls(step));
        assert_eq!(calls, [1, 1, 1]);
    });
}

#[test]
fn not_sent_sends_again_and_what_that_brings_is_taken() {
    House::new(HELD).live(async |room| {
        let run = held(&room).await;
        room.engine.resolve(run, "send", &[], Resolution::NotSent).await.unwrap();
        assert_eq!(room.steps(run).await, "send=running read=pending after=pending");
        let held = |journal: &[Event]| journal.iter().filter(|event| matches!(event, Event::StepHeld { .. })).count();
        assert_eq!(held(&room.journal(run).await), 1, "it is not held while it is sent again");
        room.end(run, "send", unknown()).await;
        assert_eq!(held(&room.journal(run).await), 2);
        room.engine.resolve(run, "send", &[], Resolution::NotSent).await.unwrap();
        room.end(run, "send", transient()).await;
        assert_eq!(room.status(run).await, RunStatus::Failed);
        assert_eq!(room.calls("send"), 3);
    });
}

#[test]
fn an_answer_is_given_when_the_decision_is_durable() {
    House::new(HELD).live(async |room| {
        let run = held(&room).await;
        room.engine.resolve(run, "send", &[], Resolution::Skip).await.unwrap();
        // No turn of the runtime between the answer and this look.
        let row = room.engine.report(run).await.unwrap();
        assert_eq!(row.row.status, RunStatus::Succeeded);
    });
}

fn not_held() -> Result<(), WordError> {
    Err(WordError::NotHeld { step: "send".to_string(), help: "" })
}

#[test]
fn mail_reaches_a_run_at_work_and_is_refused_where_nothing_is_held() {
    let two = "
  - {id: send, uses: t.send}
  - {id: other, uses: t.send, needs: []}";
    House::new(two).live(async |room| {
        let run = room.submit().await;
        let early = room.engine.resolve(run, "send", &[], Resolution::Sent).await;
        assert_eq!(early, not_held());
        room.end(run, "send", unknown()).await;
        assert_eq!(room.status(run).await, RunStatus::Running);
        let nobody = room.engine.resolve(run, "sent", &[], Resolution::Sent).await;
        assert_eq!(nobody, Err(WordError::NoStep("sent".to_string())));
        let item = room.engine.resolve(run, "send", &[0], Resolution::Sent).await;
        assert_eq!(item, Err(WordError::NotHeld { step: "send[0]".to_string(), help: "" }));
        room.engine.resolve(run, "send", &[], Resolution::Sent).await.unwrap();
        room.done(run, "other").await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        let late = room.engine.resolve(run, "send", &[], Resolution::Sent).await;
        assert_eq!(late, not_held());
    });
}

#[test]
fn two_people_at_once_resolve_it_once() {
    House::new(HELD).live(async |room| {
        let run = held(&room).await;
        let resolve = || room.engine.resolve(run, "send", &[], Resolution::Sent);
        let answers = futures::future::join_all([resolve(), resolve(), resolve()]).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        assert_eq!(room.steps(run).await, "send=succeeded read=running after=pending");
        assert_eq!(room.calls("read"), 1);
    });
}

#[test]
fn a_parked_run_is_woken_by_its_timer() {
    let pause = "
  - {id: pause, uses: t.wait}
  - {id: send, uses: t.send}";
    let house = House::new(pause);
    let run = house.live(async |room| {
        let run = room.submit().await;
        assert_eq!((room.status(run).await, room.engine.load()), (RunStatus::Waiting, 0));
        room.advance(4_999).await;
        assert_eq!(room.steps(run).await, "pause=waiting send=pending");
        room.advance(1).await;
        assert_eq!(room.steps(run).await, "pause=succeeded send=running");
        room.done(run, "send").await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        // Parked, and the process goes away before the timer.
        room.submit().await
    });
    house.live(async |room| {
        assert_eq!(room.status(run).await, RunStatus::Waiting);
        room.advance(5_000).await;
        assert_eq!(room.steps(run).await, "pause=succeeded send=running");
    });
}

#[test]
fn a_timer_that_is_no_longer_needed_runs_nothing_twice() {
    let both = "
  - {id: pause, uses: t.wait}
  - {id: send, uses: t.send, needs: []}
  - {id: read, uses: t.read, needs: [send]}";
    House::new(both).live(async |room| {
        let run = room.submit().await;
        room.end(run, "send", unknown()).await;
        assert_eq!(room.status(run).await, RunStatus::Waiting);
        // Taken up by the mail and parked a second time: now there are two timers.
        room.engine.resolve(run, "send", &[], Resolution::Sent).await.unwrap();
        assert_eq!(room.steps(run).await, "pause=waiting send=succeeded read=running");
        room.advance(5_000).await;
        assert_eq!(room.steps(run).await, "pause=succeeded send=succeeded read=running");
        room.done(run, "read").await;
        room.advance(60_000).await;
        assert_eq!((room.status(run).await, room.calls("read")), (RunStatus::Succeeded, 1));
    });
}
