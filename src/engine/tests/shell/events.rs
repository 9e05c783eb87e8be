//! `wait_for`: an event reaches the runs that wait for it, once, wherever they are.

use std::sync::Arc;

use serde_json::json;

use super::house::{House, Room};
use crate::base::{Json, RunId};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::StoreError;
use crate::engine::tests::store::{Death, Verb};

const ANSWER: &str = "
  - {id: ask, uses: t.act}
  - {id: answer, uses: wait_for, with: {when: incoming.data.from == event.data.from and incoming.data.body != '', ms: 60000}}
  - {id: thank, uses: t.act}";

fn message(from: &str, body: &str) -> Arc<Json> {
    Arc::new(json!({"event": "message", "data": {"from": from, "body": body}}))
}

async fn deliver(room: &Room, key: &str, from: &str, body: &str) -> Result<usize, StoreError> {
    let taken = room.engine.deliver("message", key, &message(from, body)).await;
    room.settle().await;
    taken
}

async fn asked(room: &Room, from: &str) -> RunId {
    let run = room.submit_with(Json::clone(&message(from, "hi"))).await;
    assert_eq!(room.steps(run).await, "ask=succeeded answer=waiting thank=pending");
    run
}

fn on(disk: bool) -> House {
    let house = House::new(ANSWER);
    if disk { house.on_disk() } else { house }
}

#[test]
fn an_event_wakes_the_runs_it_is_for_and_loads_no_other() {
    for disk in [false, true] {
        let house = on(disk);
        house.live(async |room| {
            let (ann, bob) = (asked(&room, "ann").await, asked(&room, "bob").await);
            let more = asked(&room, "ann").await;
            let (before, _) = room.frail.loads();
            assert_eq!(deliver(&room, "1", "eve", "yes").await, Ok(0));
            assert_eq!(room.frail.loads().0, before);
            assert_eq!(deliver(&room, "2", "ann", "yes").await, Ok(2));
            assert_eq!(room.frail.loads().0, before + 2);
            for run in [ann, more] {
                assert_eq!(room.status(run).await, RunStatus::Succeeded);
                assert_eq!(room.output(run, "answer").await["data"]["body"], "yes");
            }
            assert_eq!((room.status(bob).await, room.calls("thank")), (RunStatus::Waiting, 2));
            // Nothing listens any more where nothing waits.
            assert_eq!(deliver(&room, "3", "ann", "again").await, Ok(0));
            assert_eq!(room.frail.inner.listened().await.unwrap().len(), 1);
        });
        house.live(async |room| {
            assert_eq!(deliver(&room, "4", "bob", "").await, Ok(0), "`when` does not hold");
            assert_eq!(deliver(&room, "5", "bob", "yes").await, Ok(1), "after a restart");
            assert_eq!(deliver(&room, "5", "bob", "yes").await, Ok(0), "a redelivery");
            assert_eq!((room.unfinished().await.len(), room.calls("thank")), (0, 1));
        });
    }
}

#[test]
fn a_redelivery_does_not_end_a_later_wait() {
    let twice = "
  - {id: first, uses: wait_for, with: {when: incoming.data.from == 'ann'}}
  - {id: second, uses: wait_for, with: {when: incoming.data.from == 'ann'}}";
    House::new(twice).live(async |room| {
        let run = room.submit().await;
        assert_eq!(deliver(&room, "1", "ann", "a").await, Ok(1));
        assert_eq!(deliver(&room, "1", "ann", "a").await, Ok(0));
        assert_eq!(room.steps(run).await, "first=succeeded second=waiting");
        assert_eq!(deliver(&room, "2", "ann", "b").await, Ok(1));
        assert_eq!(room.output(run, "second").await["data"]["body"], "b");
    });
}

#[test]
fn a_wait_without_when_takes_any_event_of_its_kind() {
    let any = "  - {id: answer, uses: wait_for, with: {event: ping}}";
    House::new(any).live(async |room| {
        let run = room.submit().await;
        assert_eq!(deliver(&room, "1", "ann", "a").await, Ok(0));
        assert_eq!(room.engine.deliver("ping", "2", &Arc::new(json!({"n": 1}))).await, Ok(1));
        assert_eq!(room.output(run, "answer").await, json!({"n": 1}));
    });
}

#[test]
fn an_event_reaches_a_run_that_is_at_work() {
    let beside = "
  - {id: answer, uses: wait_for, with: {when: incoming.data.from == 'ann'}}
  - {id: read, uses: t.send, needs: []}
  - {id: thank, uses: t.act, needs: [answer]}";
    House::new(beside).live(async |room| {
        let run = room.submit().await;
        assert_eq!(room.steps(run).await, "answer=waiting read=running thank=pending");
        assert_eq!(deliver(&room, "1", "ann", "a").await, Ok(1));
        assert_eq!(room.steps(run).await, "answer=succeeded read=running thank=succeeded");
        room.done(run, "read").await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}

#[test]
fn an_event_that_comes_while_the_run_parks_is_taken() {
    // The event is posted at every turn of the runtime around the parking.
    for turns in 0..30 {
        let house = House::new(ANSWER);
        house.live(async |room| {
            let plan = room.plans[0].clone();
            let submission = crate::engine::run::Submission {
                plan: plan.clone(),
                trigger: "manual",
                event: message("ann", "hi"),
                inputs: plan.default_inputs.clone(),
                dedupe: None,
                lane: None,
            };
            let run = room.engine.submit(vec![submission]).await.unwrap()[0].unwrap();
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            let mut taken = 0;
            for _ in 0..50 {
                // Until its wait is durable it is not there for the event.
                taken += room.engine.deliver("message", "1", &message("ann", "yes")).await.unwrap();
                tokio::task::yield_now().await;
            }
            assert_eq!((taken, room.status(run).await), (1, RunStatus::Succeeded));
        });
    }
}

#[test]
fn a_wait_is_over_when_its_time_is() {
    let house = on(false);
    let (early, late) = house.live(async |room| {
        let early = asked(&room, "ann").await;
        room.advance(30_000).await;
        let late = asked(&room, "bob").await;
        room.advance(30_000).await;
        assert_eq!(room.steps(early).await, "ask=succeeded answer=succeeded thank=skipped");
        assert_eq!(deliver(&room, "1", "ann", "late").await, Ok(0));
        (early, late)
    });
    house.live(async |room| {
        assert_eq!((room.status(early).await, room.status(late).await), (RunStatus::Succeeded, RunStatus::Waiting));
        room.advance(30_000).await;
        assert_eq!(room.status(late).await, RunStatus::Succeeded);
    });
}

#[test]
fn an_event_is_answered_when_it_is_durable_and_delivered_again_when_it_is_not() {
    let house = on(false);
    let run = house.live(async |room| {
        let run = asked(&room, "ann").await;
        room.engine.deliver("message", "1", &message("ann", "yes")).await.unwrap();
        // No turn of the runtime between the answer and this look.
        let journal = room.frail.inner.journal(run, 0, 100).await.unwrap();
        assert!(journal.iter().any(|event| matches!(event, Event::EventTaken { key, .. } if key == "1")));
        let bob = asked(&room, "bob").await;
        room.engine.stop().await;
        assert!(matches!(deliver(&room, "2", "bob", "yes").await, Err(StoreError::Unavailable(_))));
        bob
    });
    house.live(async |room| {
        room.frail.refuse(Verb::Load, 1);
        assert!(matches!(deliver(&room, "2", "bob", "yes").await, Err(StoreError::Unavailable(_))));
        assert_eq!(deliver(&room, "2", "bob", "yes").await, Ok(1));
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}

#[test]
fn a_crash_around_the_taking_neither_loses_the_event_nor_takes_it_twice() {
    for number in 0..8 {
        for death in [Death::Before, Death::After] {
            let house = on(false);
            let run = house.live(async |room| asked(&room, "ann").await);
            house.die(Some((number, death)), async |room| {
                room.settle().await;
                let _ = room.engine.deliver("message", "1", &message("ann", "yes")).await;
                room.settle().await;
            });
            house.live(async |room| {
                deliver(&room, "1", "ann", "yes").await.unwrap();
                let taken =
                    room.journal(run).await.into_iter().filter(|event| matches!(event, Event::EventTaken { .. }));
                assert_eq!(taken.count(), 1, "dead {death:?} {number}");
                let status = room.status(run).await;
                assert!(matches!(status, RunStatus::Succeeded | RunStatus::Attention), "{status}");
            });
        }
    }
}

#[test]
fn a_run_that_cannot_be_read_does_not_keep_an_event_from_others() {
    let house = on(false);
    house.live(async |room| {
        let (broken, well) = (asked(&room, "ann").await, asked(&room, "ann").await);
        let row = room.row(broken).await;
        let nonsense = Event::ItemsStopped { at: 1, step: 0, items: Vec::new(), left: 3 };
        let commit = crate::engine::ports::Commit {
            run: broken,
            expected: row.version,
            events: vec![nonsense],
            status: row.status,
            wake_at: None,
            finished_at: None,
            expires_at: None,
            writes: Vec::new(),
            listens: None,
            snapshot: None,
        };
        room.frail.inner.commit(commit).await.unwrap();
        assert_eq!(deliver(&room, "1", "ann", "yes").await, Ok(1));
        assert_eq!(room.status(well).await, RunStatus::Succeeded);
    });
}

#[test]
fn items_wait_for_their_own_events() {
    let each = "
  - id: each
    for_each: {in: \"['ann', 'bob']\", as: who, concurrency: 2, collect: steps.answer.data.body}
    steps:
      - {id: answer, uses: wait_for, with: {when: incoming.data.from == who}}
      - {id: thank, uses: t.act}";
    let house = House::new(each);
    let run = house.live(async |room| {
        let run = room.submit().await;
        assert_eq!(deliver(&room, "1", "bob", "b").await, Ok(1));
        run
    });
    house.live(async |room| {
        assert_eq!(deliver(&room, "2", "ann", "a").await, Ok(1));
        assert_eq!(room.output(run, "each").await["collected"], json!(["a", "b"]));
    });
    assert_eq!((house.calls("thank[0]"), house.calls("thank[1]")), (1, 1));
}
