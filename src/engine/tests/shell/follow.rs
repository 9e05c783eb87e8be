//! `workflow` triggers: one run for each end of another's run, whatever dies around it.

use serde_json::json;

use super::house::House;
use crate::base::{Json, limits};
use crate::engine::event::RunStatus;
use crate::engine::ports::RunFilter;
use crate::engine::tests::store::{Death, Verb};

const JOB: &str = "output: {n: '{{ steps.work.n }}'}
steps:
  - {id: work, uses: t.act, with: {n: 5}}";

const FAILS: &str = "steps:
  - {id: work, uses: t.act}
  - {id: no, uses: t.fail}";

const AFTER: &str = "triggers: [{workflow: {name: job}}]
steps:
  - {id: tell, uses: t.act, with: {text: '{{ event.workflow }} {{ event.status }} {{ event.output }} {{ event.error }} {{ event.depth }}'}}";

fn of(workflow: &str) -> RunFilter {
    RunFilter { workflow: Some(workflow.to_string()), limit: 100, ..RunFilter::default() }
}

#[test]
fn an_end_starts_those_that_want_it_and_tells_them() {
    let failed = AFTER.replace("name: job", "name: job, status: [failed, cancelled]");
    let good = AFTER.replace("name: job", "name: job, status: succeeded");
    let other = AFTER.replace("name: job", "name: other");
    for (job, status, told) in [
        (JOB, RunStatus::Succeeded, "job succeeded {\"n\":5} None 1"),
        (FAILS, RunStatus::Failed, "job failed None {\"code\":\"t.failed\",\"message\":\"it failed\"} 1"),
    ] {
        let house = House::of(&[("job", job), ("any", AFTER), ("bad", &failed), ("good", &good), ("other", &other)]);
        house.live(async |room| {
            let run = room.submit().await;
            assert_eq!(room.status(run).await, status);
            let expected = if status == RunStatus::Succeeded { [1, 0, 1, 0] } else { [1, 1, 0, 0] };
            for (name, count) in ["any", "bad", "good", "other"].into_iter().zip(expected) {
                assert_eq!(room.query(of(name)).await.len(), count, "{name} after {status}");
            }
            let row = room.query(of("any")).await.remove(0);
            assert_eq!((row.trigger.as_str(), row.status, row.parent), ("workflow", RunStatus::Succeeded, None));
            assert_eq!(room.output(row.id, "tell").await, json!({ "text": told }));
        });
    }
}

#[test]
fn a_cancelled_run_and_a_retried_one_have_ended_too() {
    let house = House::of(&[("job", "steps:\n  - {id: ask, uses: approve, with: {title: ok}}"), ("after", AFTER)]);
    house.live(async |room| {
        let run = room.submit().await;
        assert_eq!(room.query(of("after")).await.len(), 0);
        room.engine.cancel(run, None).await.unwrap();
        assert_eq!((room.status(run).await, room.query(of("after")).await.len()), (RunStatus::Cancelled, 1));
        // It goes on, and ends once more.
        room.engine.retry(run, None).await.unwrap();
        room.engine.cancel(run, None).await.unwrap();
        assert_eq!((room.status(run).await, room.query(of("after")).await.len()), (RunStatus::Cancelled, 2));
    });
}

#[test]
fn a_crash_at_every_write_starts_each_once() {
    for job in [JOB, FAILS] {
        for disk in [false, true] {
            let fresh = || {
                let house = House::of(&[("job", job), ("one", AFTER), ("two", AFTER)]);
                if disk { house.on_disk() } else { house }
            };
            let mut writes = 0;
            fresh().live(async |room| {
                room.submit().await;
                room.settle().await;
                writes = room.frail.writes();
            });
            assert!(writes > 6, "{writes}");
            for number in (1..writes).step_by(if disk { 3 } else { 1 }) {
                for death in [Death::Before, Death::After] {
                    let house = fresh();
                    house.die(Some((number, death)), async |room| {
                        let _ = room.try_submit("job", Json::Null, 1).await;
                        room.settle().await;
                    });
                    let what = format!("dead {death:?} {number}, disk {disk}");
                    house.live(async |room| {
                        room.settle().await;
                        for row in room.unfinished().await {
                            for step in ["work", "tell"] {
                                let sent = crate::engine::decide::Resolution::Sent;
                                let _ = room.engine.resolve(row.id, step, &[], sent).await;
                                room.settle().await;
                            }
                        }
                        assert_eq!(room.unfinished().await, [], "{what}");
                        let job = room.query(of("job")).await;
                        for name in ["one", "two"] {
                            let rows = room.query(of(name)).await;
                            assert_eq!(rows.len(), 1, "{what}");
                            let told = room.engine.report(rows[0].id).await.unwrap().report.event["status"].clone();
                            assert_eq!(told, json!(job[0].status), "{what}: what was told is what came about");
                        }
                    });
                    assert!(house.calls("work") <= 1, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_store_that_is_away_delays_the_end_and_starts_each_once() {
    let house = House::of(&[("job", "steps:\n  - {id: work, uses: t.send}"), ("after", AFTER)]);
    house.live(async |room| {
        let run = room.submit().await;
        room.frail.refuse(Verb::Create, 2);
        room.done(run, "work").await;
        assert_eq!((room.status(run).await, room.query(of("after")).await.len()), (RunStatus::Running, 0));
        for _ in 0..3 {
            room.advance(1_000).await;
        }
        assert_eq!((room.status(run).await, room.query(of("after")).await.len()), (RunStatus::Succeeded, 1));
    });
}

#[test]
fn a_circle_that_shows_at_run_time_only_ends() {
    // What a folder's check refuses, as far as it can be seen there.
    let house = House::of(&[("job", AFTER), ("other", &AFTER.replace("name: job", "name: other"))]);
    house.live(async |room| {
        room.submit().await;
        room.settle().await;
        assert_eq!(room.unfinished().await.len(), 0);
        assert_eq!(room.query(of("job")).await.len(), limits::FOLLOW_DEPTH as usize + 1);
    });
    // Through a call.
    let calls = "triggers: [{workflow: {name: other}}]\nsteps:\n  - {id: sub, uses: call, with: {workflow: other}}";
    let house = House::of(&[("job", calls), ("other", "steps:\n  - {id: one, uses: t.pure}")]);
    house.live(async |room| {
        room.submit().await;
        room.settle().await;
        assert_eq!(room.unfinished().await.len(), 0);
        let runs = room.query(of("job")).await.len();
        assert!(runs > 1 && runs <= limits::FOLLOW_DEPTH as usize, "{runs}");
    });
}
