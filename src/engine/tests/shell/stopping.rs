//! Stopping: what runs ends and is journaled, nothing begins, and nothing is held for having been cut off.

use super::house::{Answer, House, Room};
use crate::base::Json;
use crate::engine::decide::Resolution;
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Failure, Outcome, StepError};
use crate::engine::run::{SubmitError, WordError};

const BROADCAST: &str = "
  - {id: send, uses: t.send, for_each: {in: '[1, 2, 3, 4, 5, 6]', concurrency: 2}}";

/// Stops while `end` ends what runs.
async fn stop(room: &Room, end: impl FnOnce(&Room)) {
    let ending = async {
        room.settle().await;
        end(room);
    };
    futures::join!(room.engine.stop(), ending);
}

fn ok() -> Answer {
    Ok(Outcome::ok(Json::Null))
}

fn holds(journal: &[Event]) -> usize {
    journal.iter().filter(|event| matches!(event, Event::StepHeld { .. })).count()
}

#[test]
fn a_broadcast_that_is_stopped_goes_on_without_a_hold_or_a_repeat() {
    let house = House::new(BROADCAST);
    let run = house.live(async |room| {
        let run = room.submit().await;
        stop(&room, |room| ["send[0]", "send[1]"].iter().for_each(|item| room.end_now(run, item, ok()))).await;
        assert_eq!(room.status(run).await, RunStatus::Running);
        assert_eq!(room.calls("send[2]"), 0);
        run
    });
    house.live(async |room| {
        let (status, journal) = (room.status(run).await, room.journal(run).await);
        assert_eq!((status, holds(&journal)), (RunStatus::Running, 0));
        for item in 2..6 {
            room.settle().await;
            room.done(run, &format!("send[{item}]")).await;
        }
        assert_eq!((room.status(run).await, room.calls("send[0]")), (RunStatus::Succeeded, 0));
        assert_eq!(room.calls("send[1]"), 0);
    });
}

#[test]
fn an_intention_that_was_not_acted_on_is_not_said() {
    let next = "
  - {id: read, uses: t.read}
  - {id: send, uses: t.send}";
    let house = House::new(next);
    let run = house.live(async |room| {
        let run = room.submit().await;
        stop(&room, |room| room.end_now(run, "read", ok())).await;
        assert_eq!(room.steps(run).await, "read=succeeded send=pending");
        assert_eq!((room.status(run).await, room.calls("send")), (RunStatus::Running, 0));
        run
    });
    house.live(async |room| {
        assert_eq!(room.steps(run).await, "read=succeeded send=running");
        assert_eq!(room.calls("read"), 0);
        room.done(run, "send").await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}

#[test]
fn what_was_cut_off_by_force_is_held() {
    let house = House::new(BROADCAST);
    let run = house.live(async |room| room.submit().await);
    house.live(async |room| {
        let (status, journal) = (room.status(run).await, room.journal(run).await);
        assert_eq!((status, holds(&journal)), (RunStatus::Running, 2));
        for item in 2..6 {
            room.settle().await;
            room.done(run, &format!("send[{item}]")).await;
        }
        assert_eq!(room.status(run).await, RunStatus::Attention);
        room.engine.resolve(run, "send", &[0], Resolution::Sent).await.unwrap();
        room.engine.resolve(run, "send", &[1], Resolution::NotSent).await.unwrap();
        room.settle().await;
        room.done(run, "send[1]").await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}

#[test]
fn a_failure_that_ends_while_stopping_keeps_its_pause() {
    let again = "
  - {id: read, uses: t.read, retry: {attempts: 2, initial: 1s, jitter: false}}";
    let house = House::new(again);
    let run = house.live(async |room| {
        let run = room.submit().await;
        let busy = || Err(StepError::Transient(Failure::new("t.busy", "not now")));
        stop(&room, |room| room.end_now(run, "read", busy())).await;
        assert_eq!(room.status(run).await, RunStatus::Waiting);
        run
    });
    house.live(async |room| {
        assert_eq!(room.steps(run).await, "read=waiting");
        room.advance(1_000).await;
        room.done(run, "read").await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}

#[test]
fn a_stopped_engine_takes_nothing_and_says_so() {
    let house = House::new(BROADCAST);
    let run = house.live(async |room| {
        let run = room.submit().await;
        stop(&room, |room| ["send[0]", "send[1]"].iter().for_each(|item| room.end_now(run, item, ok()))).await;
        assert_eq!(room.try_submit("t", Json::Null, 1).await, Err(SubmitError::Stopping));
        let late = room.engine.resolve(run, "send", &[0], Resolution::Sent).await;
        assert_eq!(late, Err(WordError::Stopping));
        room.engine.stop().await;
        run
    });
    house.live(async |room| {
        assert_eq!((room.unfinished().await.len(), room.status(run).await), (1, RunStatus::Running));
    });
}

#[test]
fn mail_during_a_stop_is_not_answered_with_yes() {
    let two = "
  - {id: send, uses: t.send}
  - {id: other, uses: t.send, needs: []}";
    let house = House::new(two);
    let run = house.live(async |room| {
        let run = room.submit().await;
        room.end(run, "send", Err(StepError::Unknown(Failure::new("t.lost", "lost")))).await;
        room.settle().await;
        let resolve = room.engine.resolve(run, "send", &[], Resolution::NotSent);
        let ending = async {
            room.settle().await;
            room.done(run, "other").await;
        };
        let ((), answer, ()) = futures::join!(room.engine.stop(), resolve, ending);
        assert_eq!(answer, Err(WordError::Stopping));
        assert_eq!(room.calls("send"), 1);
        run
    });
    house.live(async |room| assert_eq!(room.steps(run).await, "send=held other=succeeded"));
}

/// The word is in the driver's hands when the stop comes: it was not refused at the door, and it is not carried out.
#[test]
fn a_word_that_a_stop_cuts_short_is_not_confirmed_and_can_be_said_again() {
    // At work when the word comes, and parked.
    for other in ["\n  - {id: other, uses: t.send, needs: []}", ""] {
        let house = House::new(&format!("\n  - {{id: send, uses: t.send}}{other}"));
        let run = house.live(async |room| {
            let run = room.submit().await;
            room.end(run, "send", Err(StepError::Unknown(Failure::new("t.lost", "lost")))).await;
            room.settle().await;
            // Polled in this order: the word is posted, then the engine stops, and only then the run's driver has a turn.
            let resolve = room.engine.resolve(run, "send", &[], Resolution::NotSent);
            let ending = async {
                room.settle().await;
                if !other.is_empty() {
                    room.done(run, "other").await;
                }
            };
            let (answer, (), ()) = futures::join!(resolve, room.engine.stop(), ending);
            assert_eq!(answer, Err(WordError::Stopping));
            assert_eq!(room.calls("send"), 1);
            run
        });
        house.live(async |room| {
            assert!(room.steps(run).await.starts_with("send=held"));
            room.engine.resolve(run, "send", &[], Resolution::NotSent).await.unwrap();
            room.settle().await;
            room.done(run, "send").await;
            assert_eq!(room.status(run).await, RunStatus::Succeeded);
        });
    }
}
