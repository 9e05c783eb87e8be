//! Pause and resume through the engine: rows, timers, restarts, words and called runs.

use std::sync::Arc;

use serde_json::json;

use super::house::House;
use crate::engine::decide::Refused;
use crate::engine::event::RunStatus;
use crate::engine::ports::RunFilter;
use crate::engine::run::WordError;

const BROADCAST: &str = "
  - {id: each, uses: t.send, for_each: {in: range(6), concurrency: 2}}
  - {id: sum, uses: t.act}";

fn is(error: Result<(), WordError>, refused: &Refused) {
    assert!(matches!(&error, Err(WordError::Refused(found)) if found == refused), "{error:?}");
}

fn stands_still_over_restarts(house: House) {
    let run = house.live(async |room| {
        let run = room.submit().await;
        room.engine.pause(run, Some("lunch")).await.unwrap();
        is(room.engine.pause(run, None).await, &Refused::Paused);
        assert_eq!(room.status(run).await, RunStatus::Running, "two sends are in flight");
        room.done(run, "each[0]").await;
        room.done(run, "each[1]").await;
        assert_eq!((room.status(run).await, room.calls("each[2]")), (RunStatus::Paused, 0));
        assert_eq!(room.engine.load(), 0, "it is parked");
        let paused = RunFilter { status: Some(RunStatus::Paused), limit: 9, ..RunFilter::default() };
        assert_eq!(room.query(paused).await.len(), 1);
        run
    });
    house.live(async |room| {
        room.advance(86_400_000).await;
        let row = room.row(run).await;
        assert_eq!((row.status, row.wake_at, room.calls("each[2]")), (RunStatus::Paused, None, 0));
        let report = room.engine.report(run).await.unwrap().report;
        assert_eq!(report.paused.unwrap().reason.as_deref(), Some("lunch"));
        room.engine.resume(run).await.unwrap();
        is(room.engine.resume(run).await, &Refused::NotPaused(RunStatus::Running));
        for item in 2..6 {
            room.done(run, &format!("each[{item}]")).await;
        }
        assert_eq!(room.steps(run).await, "each=succeeded sum=succeeded");
        assert_eq!(room.output(run, "each").await["succeeded"], 6);
        is(room.engine.pause(run, None).await, &Refused::Ended(RunStatus::Succeeded));
        is(room.engine.resume(run).await, &Refused::Ended(RunStatus::Succeeded));
    });
}

#[test]
fn a_paused_run_stands_still_over_restarts() {
    stands_still_over_restarts(House::new(BROADCAST));
    stands_still_over_restarts(House::new(BROADCAST).on_disk());
}

#[test]
fn a_paused_run_hears_and_goes_on_later() {
    let steps = "
  - {id: wait, uses: wait_for, with: {event: message}}
  - {id: go, uses: t.act}
  - {id: nap, uses: t.wait, needs: [], with: {ms: 500}}
  - {id: up, uses: t.act, needs: [nap]}";
    let house = House::new(steps);
    let run = house.live(async |room| {
        let run = room.submit().await;
        room.engine.pause(run, None).await.unwrap();
        let taken = room.engine.deliver("message", "M1", &Arc::new(json!({"data": {"id": "M1"}}))).await;
        assert_eq!(taken, Ok(1));
        room.advance(10_000).await;
        assert_eq!(room.steps(run).await, "wait=succeeded go=pending nap=waiting up=pending");
        run
    });
    house.live(async |room| {
        // A redelivery is known.
        let again = room.engine.deliver("message", "M1", &Arc::new(json!({"data": {"id": "M1"}}))).await;
        assert_eq!(again, Ok(0));
        room.engine.resume(run).await.unwrap();
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}

#[test]
fn a_paused_run_is_cancelled_and_its_time_runs_out() {
    House::new(BROADCAST).live(async |room| {
        let run = room.submit().await;
        room.engine.pause(run, None).await.unwrap();
        room.done(run, "each[0]").await;
        room.done(run, "each[1]").await;
        room.engine.cancel(run, None).await.unwrap();
        assert_eq!(room.status(run).await, RunStatus::Cancelled);
        room.engine.retry(run, None).await.unwrap();
        room.done(run, "each[2]").await;
        assert_eq!(room.status(run).await, RunStatus::Running, "a retry knows nothing of the pause");
    });
    let house = House::new("timeout: 2s\nsteps:\n  - {id: a, uses: t.read}\n  - {id: b, uses: t.act}");
    let run = house.live(async |room| {
        let run = room.submit().await;
        room.engine.pause(run, None).await.unwrap();
        run
    });
    house.live(async |room| {
        assert_eq!(room.row(run).await.status, RunStatus::Paused, "what was cut off waits for the resume");
        room.advance(2_000).await;
        assert_eq!(room.status(run).await, RunStatus::Failed);
    });
}

#[test]
fn what_waits_in_the_queue_is_not_paused() {
    House::new("- {id: a, uses: t.send}").with_workers(1).live(async |room| {
        let first = room.submit().await;
        let second = room.submit().await;
        is(room.engine.pause(second, None).await, &Refused::NotBegun);
        room.done(first, "a").await;
        room.done(second, "a").await;
        assert_eq!(room.status(second).await, RunStatus::Succeeded);
    });
}

#[test]
fn a_called_run_goes_on_while_its_caller_is_paused() {
    let main = "
  - {id: sub, uses: call, with: {workflow: child}}
  - {id: after, uses: t.act}";
    House::of(&[("main", main), ("child", "- {id: work, uses: t.send}")]).live(async |room| {
        let run = room.submit().await;
        let child = room.child(run, "sub").await;
        room.engine.pause(run, None).await.unwrap();
        room.done(child, "work").await;
        assert_eq!(room.status(child).await, RunStatus::Succeeded);
        assert_eq!(room.steps(run).await, "sub=succeeded after=pending");
        assert_eq!((room.status(run).await, room.row(child).await.wake_at), (RunStatus::Paused, None));
        room.engine.resume(run).await.unwrap();
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}
