//! Trouble: too many runs, a store that is away, steps that panic or never answer.

use super::house::House;
use crate::base::{Json, limits};
use crate::engine::event::RunStatus;
use crate::engine::run::SubmitError;
use crate::engine::tests::store::Verb;

const READ_SEND: &str = "
  - {id: read, uses: t.read}
  - {id: send, uses: t.send}";

#[test]
fn at_the_bound_nothing_is_created() {
    House::new(READ_SEND).live(async |room| {
        let most = limits::QUEUED_RUNS;
        assert_eq!(room.try_submit("t", Json::Null, most + 1).await, Err(SubmitError::Busy(most)));
        assert_eq!((room.unfinished().await.len(), room.engine.load()), (0, 0));
        assert_eq!(room.try_submit("t", Json::Null, most - 1).await.unwrap().len(), most - 1);
        assert_eq!(room.try_submit("t", Json::Null, 2).await, Err(SubmitError::Busy(most)));
        assert_eq!((room.unfinished().await.len(), room.engine.load()), (most - 1, most - 1));
        assert_eq!(room.try_submit("t", Json::Null, 1).await.unwrap().len(), 1);
    });
}

#[test]
fn room_comes_back_when_runs_end_or_park() {
    House::new("  - {id: pause, uses: t.wait}").live(async |room| {
        let run = room.submit().await;
        assert_eq!((room.status(run).await, room.engine.load()), (RunStatus::Waiting, 0));
    });
    House::new("  - {id: read, uses: t.read}").live(async |room| {
        let run = room.submit().await;
        assert_eq!(room.engine.load(), 1);
        room.done(run, "read").await;
        assert_eq!((room.status(run).await, room.engine.load()), (RunStatus::Succeeded, 0));
    });
}

#[test]
fn a_store_that_is_away_delays_and_loses_nothing() {
    House::new(READ_SEND).live(async |room| {
        let run = room.submit().await;
        room.frail.refuse(Verb::Commit, 5);
        room.done(run, "read").await;
        assert_eq!(room.steps(run).await, "read=pending send=pending");
        assert_eq!(room.calls("send"), 0, "nothing is done before its intention is durable");
        for _ in 0..5 {
            room.settle().await;
            room.clock.advance_to_next();
        }
        assert_eq!(room.steps(run).await, "read=succeeded send=running");
        room.done(run, "send").await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        assert_eq!([room.calls("read"), room.calls("send")], [1, 1]);
    });
}

#[test]
fn a_process_that_lost_its_database_does_nothing_more() {
    let house = House::new(READ_SEND);
    let run = house.live(async |room| {
        let run = room.submit().await;
        room.frail.die();
        room.done(run, "read").await;
        assert_eq!(room.calls("send"), 0);
        // Nothing keeps it from ending.
        room.engine.stop().await;
        run
    });
    house.live(async |room| {
        room.done(run, "read").await;
        room.done(run, "send").await;
        assert_eq!((room.status(run).await, room.calls("send")), (RunStatus::Succeeded, 1));
    });
}

#[test]
fn a_run_that_could_not_be_loaded_is_tried_again() {
    let house = House::new("  - {id: pause, uses: t.wait}\n  - {id: read, uses: t.read}");
    let run = house.live(async |room| room.submit().await);
    house.live(async |room| {
        room.settle().await;
        room.frail.refuse(Verb::Load, 1);
        room.advance(5_000).await;
        assert_eq!(room.steps(run).await, "pause=waiting read=pending");
        room.advance(1_000).await;
        assert_eq!(room.steps(run).await, "pause=succeeded read=running");
    });
}

#[test]
fn a_plan_that_could_not_be_loaded_is_tried_again() {
    let house = House::new("  - {id: read, uses: t.read}");
    let run = house.live(async |room| room.submit().await);
    house.live(async |room| {
        room.frail.refuse(Verb::Plan, 1);
        room.settle().await;
        assert_eq!(room.calls("read"), 0);
        room.advance(1_000).await;
        assert_eq!(room.steps(run).await, "read=running");
    });
}

#[test]
fn a_panic_is_the_failure_of_one_step() {
    let panics = "
  - {id: panic_pure, uses: t.route}
  - {id: panic_read, uses: t.read, needs: []}
  - {id: panic_send, uses: t.send, needs: []}
  - {id: send, uses: t.send, needs: []}";
    House::new(panics).live(async |room| {
        let run = room.submit().await;
        assert_eq!(room.steps(run).await, "panic_pure=failed panic_read=failed panic_send=held send=running");
        room.done(run, "send").await;
        assert_eq!(room.status(run).await, RunStatus::Attention);
        let other = room.submit().await;
        assert_eq!(room.status(other).await, RunStatus::Running);
    });
}

#[test]
fn a_step_that_never_answers_is_out_of_time() {
    House::new(READ_SEND).live(async |room| {
        let run = room.submit().await;
        room.advance(limits::STEP_TIMEOUT_MS as i64 - 1).await;
        // That an idempotent step has begun is worth no commit of its own.
        assert_eq!(room.steps(run).await, "read=pending send=pending");
        room.advance(1).await;
        assert_eq!(
            (room.steps(run).await.as_str(), room.status(run).await),
            ("read=failed send=skipped", RunStatus::Failed)
        );
    });
    House::new("  - {id: send, uses: t.send, timeout: 3s}").live(async |room| {
        let run = room.submit().await;
        room.advance(3_000).await;
        assert_eq!((room.steps(run).await.as_str(), room.status(run).await), ("send=held", RunStatus::Attention));
        assert_eq!(room.clock.sleepers(), 0);
    });
}

#[test]
fn a_false_condition_skips_a_for_each_as_a_whole() {
    let each = "
  - {id: read, uses: t.read, if: 'false', for_each: {in: '[1, 2]'}}
  - {id: send, uses: t.send}";
    House::new(each).live(async |room| {
        let run = room.submit().await;
        assert_eq!(room.steps(run).await, "read=skipped send=skipped");
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}
