//! Values across runs: `once:` promises one success for a key, and a counted value is exact.

use serde_json::json;

use super::house::{House, Room};
use crate::base::{Json, RunId};
use crate::engine::decide::Resolution;
use crate::engine::event::RunStatus;
use crate::engine::ports::{Failure, Outcome, Space, StepError};
use crate::engine::tests::store::Death;

const ONCE: &str = "  - {id: send, uses: t.send, once: {key: '{{ event.key }}'}, if: event.go != false}";

fn ok() -> Result<Outcome, StepError> {
    Ok(Outcome::ok(Json::Null))
}

async fn keyed(room: &Room, key: &str) -> RunId {
    room.submit_with(json!({"key": key, "go": true})).await
}

#[test]
fn of_two_runs_with_a_key_one_does_it() {
    for disk in [false, true] {
        let house = House::new(ONCE);
        let house = if disk { house.on_disk() } else { house };
        house.live(async |room| {
            let event = json!({"key": "k", "go": true});
            let runs = room.try_submit("t", event, 2).await.unwrap();
            assert_eq!(room.calls("send"), 1);
            let first = if room.steps(runs[0]).await == "send=running" { 0 } else { 1 };
            room.end(runs[first], "send", ok()).await;
            room.advance(1_000).await;
            assert_eq!(room.steps(runs[first]).await, "send=succeeded");
            assert_eq!(room.steps(runs[1 - first]).await, "send=skipped");
            let later = keyed(&room, "k").await;
            assert_eq!((room.steps(later).await.as_str(), room.calls("send")), ("send=skipped", 1));
            let other = keyed(&room, "another").await;
            assert_eq!(room.steps(other).await, "send=running");
        });
    }
}

#[test]
fn a_failure_gives_the_key_back_and_a_hold_keeps_it() {
    House::new(ONCE).live(async |room| {
        let failed = keyed(&room, "k").await;
        room.end(failed, "send", Err(StepError::Permanent(Failure::new("t.no", "no")))).await;
        assert_eq!(room.value(Space::Once, "k").await, None);
        let held = keyed(&room, "k").await;
        room.end(held, "send", Err(StepError::Unknown(Failure::new("t.lost", "lost")))).await;
        assert_eq!(room.status(held).await, RunStatus::Attention);
        let next = keyed(&room, "k").await;
        room.advance(10_000).await;
        assert_eq!(room.steps(next).await, "send=waiting");
        room.engine.resolve(held, "send", &[], Resolution::Sent).await.unwrap();
        room.advance(60_000).await;
        assert_eq!((room.steps(next).await.as_str(), room.calls("send")), ("send=skipped", 2));
    });
}

#[test]
fn what_did_nothing_gives_the_key_back() {
    // Its condition was false.
    House::new(ONCE).live(async |room| {
        let not = room.submit_with(json!({"key": "k", "go": false})).await;
        assert_eq!(room.steps(not).await, "send=skipped");
        let run = keyed(&room, "k").await;
        assert_eq!(room.steps(run).await, "send=running");
    });
    // Cancelled between two attempts of which the first did nothing.
    let again = "  - {id: send, uses: t.send, once: {key: k}, retry: {attempts: 3, initial: 1m, jitter: false}}";
    let house = House::new(again);
    let run = house.live(async |room| {
        let run = room.submit().await;
        room.end(run, "send", Err(StepError::Transient(Failure::new("t.busy", "busy")))).await;
        assert_eq!(room.steps(run).await, "send=waiting");
        run
    });
    house.live(async |room| {
        room.engine.cancel(run, None).await.unwrap();
        let next = room.submit().await;
        assert_eq!(room.steps(next).await, "send=running");
    });
}

#[test]
fn a_key_is_free_again_when_its_time_is_over() {
    let ttl = "  - {id: send, uses: t.act, once: {key: k, ttl: 1h}}";
    let house = House::new(ttl);
    house.live(async |room| {
        let (first, second) = (room.submit().await, room.submit().await);
        assert_eq!(
            (room.steps(first).await.as_str(), room.steps(second).await.as_str()),
            ("send=succeeded", "send=skipped")
        );
        room.advance(3_600_000).await;
        room.submit().await;
        assert_eq!(room.calls("send"), 2);
    });
}

#[test]
fn items_with_one_key_are_done_once() {
    let each = "  - {id: send, uses: t.act, once: {key: '{{ item }}'}, for_each: {in: \"['a', 'b', 'a', 'a']\", concurrency: 4}}";
    House::new(each).live(async |room| {
        let run = room.submit().await;
        for _ in 0..4 {
            room.advance(1_000).await;
        }
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        let output = room.output(run, "send").await;
        assert_eq!((&output["succeeded"], &output["skipped"]), (&json!(2), &json!(2)));
    });
}

#[test]
fn a_crash_between_claim_and_outcome_does_not_do_it_twice() {
    let act = "  - {id: send, uses: t.act, once: {key: k}}";
    for number in 1..4 {
        for death in [Death::Before, Death::After] {
            let house = House::new(act);
            house.die(Some((number, death)), async |room| {
                let _ = room.try_submit("t", Json::Null, 1).await;
                room.settle().await;
            });
            house.live(async |room| {
                room.settle().await;
                for row in room.unfinished().await {
                    room.engine.resolve(row.id, "send", &[], Resolution::Sent).await.unwrap();
                }
                let next = room.submit().await;
                room.advance(1_000).await;
                assert_eq!(room.steps(next).await, "send=skipped", "dead {death:?} {number}");
            });
            assert!(house.calls("send") <= 1, "dead {death:?} {number}");
        }
    }
}

const COUNT: &str = "
  - {id: count, uses: t.count, with: {key: n}}
  - {id: read, uses: t.act}";

#[test]
fn a_hundred_runs_count_to_a_hundred() {
    for disk in [false, true] {
        let house = House::new(COUNT).with_workers(40);
        let house = if disk { house.on_disk() } else { house };
        house.live(async |room| {
            room.try_submit("t", Json::Null, 100).await.unwrap();
            assert_eq!(room.unfinished().await.len(), 0);
            assert_eq!(room.value(Space::State, "n").await, Some(json!(100)));
        });
    }
}

#[test]
fn a_value_and_its_step_are_committed_together() {
    let mut writes = 0;
    House::new(COUNT).live(async |room| {
        room.try_submit("t", Json::Null, 5).await.unwrap();
        writes = room.frail.writes();
    });
    for number in 1..writes {
        for death in [Death::Before, Death::After] {
            let house = House::new(COUNT);
            house.die(Some((number, death)), async |room| {
                let _ = room.try_submit("t", Json::Null, 5).await;
            });
            house.live(async |room| {
                room.settle().await;
                let held = room.unfinished().await;
                for row in held {
                    room.engine.resolve(row.id, "read", &[], Resolution::Sent).await.unwrap();
                }
                assert_eq!(room.unfinished().await, []);
                assert_eq!(room.value(Space::State, "n").await, Some(json!(5)), "dead {death:?} {number}");
            });
        }
    }
}

#[test]
fn a_full_commit_takes_no_value_before_its_step() {
    // More events than one commit holds, all of them in one turn.
    let many = "  - {id: count, uses: t.count, with: {key: n}, for_each: {in: range(300), concurrency: 1}}
  - {id: last, uses: t.pure}";
    let mut writes = 0;
    House::new(many).live(async |room| {
        room.submit().await;
        assert_eq!(room.value(Space::State, "n").await, Some(json!(300)));
        writes = room.frail.writes();
    });
    for number in (1..writes).step_by(1 + writes as usize / 6) {
        for death in [Death::Before, Death::After] {
            let house = House::new(many);
            house.die(Some((number, death)), async |room| {
                let _ = room.try_submit("t", Json::Null, 1).await;
                room.settle().await;
            });
            house.live(async |room| {
                assert_eq!(room.unfinished().await, []);
                assert_eq!(room.value(Space::State, "n").await, Some(json!(300)), "dead {death:?} {number}");
            });
        }
    }
}
