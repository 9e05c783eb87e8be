//! Long runs: what is read when they are taken up, and what happens when that cannot be used.

use serde_json::json;

use super::house::{House, Room};
use crate::base::{Json, RunId};
use crate::engine::event::RunStatus;
use crate::engine::ports::Commit;

const LONG: &str = "
  - {id: each, uses: t.act, for_each: {in: range(1000), concurrency: 4}}
  - {id: ask, uses: approve, with: {title: go}}
  - {id: last, uses: t.act}";

const PAUSES: &str = "
  - id: each
    for_each: {in: range(400), concurrency: 1}
    steps:
      - {id: pause, uses: t.wait, with: {ms: 10}}";

fn yes() -> crate::engine::decide::Approval {
    crate::engine::decide::Approval { approved: true, by: None, comment: None }
}

async fn walked(room: &Room) -> RunId {
    let run = room.submit().await;
    assert_eq!(room.status(run).await, RunStatus::Waiting);
    assert!(room.row(run).await.version > 3_000);
    run
}

/// Replaces the snapshot.
async fn spoil(room: &Room, run: RunId, snapshot: Json) {
    let row = room.row(run).await;
    let commit = Commit {
        run,
        expected: row.version,
        events: Vec::new(),
        status: row.status,
        wake_at: row.wake_at,
        finished_at: None,
        expires_at: None,
        writes: Vec::new(),
        listens: None,
        snapshot: Some(snapshot),
    };
    room.frail.inner.commit(commit).await.unwrap();
}

#[test]
fn a_long_run_is_taken_up_from_its_tail() {
    for disk in [false, true] {
        let house = if disk { House::new(LONG).on_disk() } else { House::new(LONG) };
        let run = house.live(async |room| walked(&room).await);
        house.live(async |room| {
            room.engine.approve(run, "ask", &[], yes()).await.unwrap();
            assert_eq!((room.status(run).await, room.calls("last")), (RunStatus::Succeeded, 1));
            let (loads, events) = room.frail.loads();
            assert!(loads <= 2 && events < 2 * 1_100, "{loads} loads of {events} events");
        });
    }
}

#[test]
fn a_run_that_wakes_often_reads_little_each_time() {
    House::new(PAUSES).live(async |room| {
        let run = room.submit().await;
        for _ in 0..400 {
            room.advance(10).await;
        }
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        let (loads, events) = room.frail.loads();
        assert!(events / loads < 1_100, "{loads} loads of {events} events");
        let (_, before) = room.frail.loads();
        room.engine.report(run).await.unwrap();
        assert!(room.frail.loads().1 - before < 1_100);
    });
}

#[test]
fn a_snapshot_that_cannot_be_used_is_passed_over() {
    let house = House::new(LONG);
    let run = house.live(async |room| walked(&room).await);
    let other = house.live(async |room| walked(&room).await);
    let good = house.live(async |room| room.frail.inner.load(other).await.unwrap().snapshot.unwrap().1);
    let mut older = good.clone();
    older["form"] = json!(0);
    let mut torn = good.clone();
    torn["state"]["root"] = json!([1, 2]);
    for spoilt in [json!(null), json!({"form": 1}), older, torn, good] {
        house.live(async |room| {
            spoil(&room, run, spoilt.clone()).await;
            let seen = room.engine.report(run).await.unwrap();
            assert_eq!(seen.report.steps["each"]["output"]["succeeded"], 1000, "{spoilt}");
        });
    }
    house.live(async |room| {
        room.engine.approve(run, "ask", &[], yes()).await.unwrap();
        assert_eq!((room.status(run).await, room.calls("last"), room.calls("each[0]")), (RunStatus::Succeeded, 1, 0));
    });
}
