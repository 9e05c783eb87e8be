//! Words to a run that waits for a worker: heard, and the run begins by its turn alone.

use std::sync::Arc;

use serde_json::json;

use super::house::House;
use crate::engine::decide::Resolution;
use crate::engine::event::RunStatus;
use crate::engine::run::WordError;

const READ: &str = "
  - {id: read, uses: t.read}
  - {id: send, uses: t.act}";

#[test]
fn a_queued_run_that_is_cancelled_never_begins() {
    House::new(READ).with_workers(1).live(async |room| {
        let (first, second) = (room.submit().await, room.submit().await);
        assert_eq!(room.status(second).await, RunStatus::Queued);
        room.engine.cancel(second, None).await.unwrap();
        assert_eq!(room.status(second).await, RunStatus::Cancelled);
        room.done(first, "read").await;
        assert_eq!((room.status(first).await, room.status(second).await), (RunStatus::Succeeded, RunStatus::Cancelled));
        assert_eq!(room.calls("read"), 1, "not even what may be done twice");
    });
}

#[test]
fn a_word_to_a_queued_run_does_not_begin_it_and_it_begins_in_its_turn() {
    House::new(READ).with_workers(1).live(async |room| {
        let (first, second) = (room.submit().await, room.submit().await);
        let early = room.engine.resolve(second, "send", &[], Resolution::Sent).await;
        assert!(matches!(early, Err(WordError::NotHeld { .. })), "{early:?}");
        assert_eq!((room.status(second).await, room.calls("read")), (RunStatus::Queued, 1));
        room.done(first, "read").await;
        room.done(second, "read").await;
        assert_eq!((room.status(second).await, room.calls("read")), (RunStatus::Succeeded, 2));
    });
}

#[test]
fn a_run_whose_turn_comes_while_it_hears_a_word_begins() {
    House::new(READ).with_workers(1).live(async |room| {
        let (first, second) = (room.submit().await, room.submit().await);
        room.frail.hold_loads(true);
        let word = room.engine.resolve(second, "send", &[], Resolution::Sent);
        let turn = async {
            room.settle().await;
            room.done(first, "read").await;
            room.settle().await;
            room.frail.hold_loads(false);
        };
        let (early, ()) = futures::join!(word, turn);
        assert!(matches!(early, Err(WordError::NotHeld { .. })), "{early:?}");
        room.done(second, "read").await;
        assert_eq!(room.status(second).await, RunStatus::Succeeded);
    });
}

#[test]
fn a_run_that_is_queued_at_a_crash_begins_after_it() {
    let house = House::new(READ).with_workers(1);
    let second = house.live(async |room| {
        room.submit().await;
        room.submit().await
    });
    house.live(async |room| {
        room.settle().await;
        let first = room.unfinished().await[0].id;
        room.done(first, "read").await;
        room.done(second, "read").await;
        assert_eq!(room.status(second).await, RunStatus::Succeeded);
        let payload = Arc::new(json!({}));
        assert_eq!(room.engine.deliver("message", "1", &payload).await, Ok(0));
    });
}
