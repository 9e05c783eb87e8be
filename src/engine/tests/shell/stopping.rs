//! Stopping: what runs ends and is journaled, nothing begins, and nothing is held for having been cut off.

use super::house::{House, Room, settle};
use crate::engine::decide::Resolution;
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Failure, StepError};
use crate::engine::run::{ResolveError, SubmitError};

const BROADCAST: &str = "
  - {id: send, uses: t.send, for_each: {in: '[1, 2, 3, 4, 5, 6]', concurrency: 2}}";

/// Stops while `end` ends what runs.
async fn stop(room: &Room, end: impl FnOnce(&Room)) {
    let ending = async {
        settle().await;
        end(room);
    };
    futures::join!(room.engine.stop(), ending);
}

fn holds(journal: &[Event]) -> usize {
    journal.iter().filter(|event| matches!(event, Event::StepHeld { .. })).count()
}

#[test]
fn a_broadcast_that_is_stopped_goes_on_without_a_hold_or_a_repeat() {
    let house = House::new(BROADCAST);
    let run = house.live(async |room| {
        let run = room.submit().await;
        stop(&room, |room| [0, 1].into_iter().for_each(|item| room.hands.done("send", Some(item)))).await;
        assert_eq!(room.status(run).await, RunStatus::Running);
        assert_eq!(room.hands.calls("send", Some(2)), 0);
        run
    });
    house.live(async |room| {
        let (status, journal) = room.journal(run).await;
        assert_eq!((status, holds(&journal)), (RunStatus::Running, 0));
        for item in 2..6 {
            settle().await;
            room.hands.done("send", Some(item));
        }
        assert_eq!((room.status(run).await, room.hands.calls("send", Some(0))), (RunStatus::Succeeded, 0));
        assert_eq!(room.hands.calls("send", Some(1)), 0);
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
        stop(&room, |room| room.hands.done("read", None)).await;
        assert_eq!(room.steps(run).await, "read=succeeded send=pending");
        assert_eq!((room.status(run).await, room.hands.calls("send", None)), (RunStatus::Running, 0));
        run
    });
    house.live(async |room| {
        assert_eq!(room.steps(run).await, "read=succeeded send=running");
        assert_eq!(room.hands.calls("read", None), 0);
        room.hands.done("send", None);
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}

#[test]
fn what_was_cut_off_by_force_is_held() {
    let house = House::new(BROADCAST);
    let run = house.live(async |room| room.submit().await);
    house.live(async |room| {
        let (status, journal) = room.journal(run).await;
        assert_eq!((status, holds(&journal)), (RunStatus::Running, 2));
        for item in 2..6 {
            settle().await;
            room.hands.done("send", Some(item));
        }
        assert_eq!(room.status(run).await, RunStatus::Attention);
        room.engine.resolve(run, "send", Some(0), Resolution::Sent).await.unwrap();
        room.engine.resolve(run, "send", Some(1), Resolution::NotSent).await.unwrap();
        settle().await;
        room.hands.done("send", Some(1));
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
        stop(&room, |room| room.hands.end("read", None, busy())).await;
        assert_eq!(room.status(run).await, RunStatus::Waiting);
        run
    });
    house.live(async |room| {
        assert_eq!(room.steps(run).await, "read=waiting");
        room.advance(1_000).await;
        room.hands.done("read", None);
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}

#[test]
fn a_stopped_engine_takes_nothing_and_says_so() {
    let house = House::new(BROADCAST);
    let run = house.live(async |room| {
        let run = room.submit().await;
        stop(&room, |room| [0, 1].into_iter().for_each(|item| room.hands.done("send", Some(item)))).await;
        assert_eq!(room.try_submit(1).await, Err(SubmitError::Stopping));
        let late = room.engine.resolve(run, "send", Some(0), Resolution::Sent).await;
        assert_eq!(late, Err(ResolveError::Stopping));
        room.engine.stop().await;
        run
    });
    house.live(async |room| {
        assert_eq!((room.unfinished().await, room.status(run).await), (1, RunStatus::Running));
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
        room.hands.end("send", None, Err(StepError::Unknown(Failure::new("t.lost", "lost"))));
        settle().await;
        let resolve = room.engine.resolve(run, "send", None, Resolution::NotSent);
        let ending = async {
            settle().await;
            room.hands.done("other", None);
        };
        let ((), answer, ()) = futures::join!(room.engine.stop(), resolve, ending);
        assert_eq!(answer, Err(ResolveError::Stopping));
        assert_eq!(room.hands.calls("send", None), 1);
        run
    });
    house.live(async |room| assert_eq!(room.steps(run).await, "send=held other=succeeded"));
}
