//! `call`: one called run for each call, its result taken once, whatever dies.

use serde_json::json;

use super::house::{House, Room};
use crate::base::{Json, RunId};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{RunFilter, RunRow};
use crate::engine::run::WordError;
use crate::engine::tests::store::{Death, Verb};

const PARENT: &str = "
  - {id: before, uses: t.act}
  - {id: sub, uses: call, with: {workflow: child, inputs: {who: ann}}}
  - {id: after, uses: t.act, with: {got: '{{ steps.sub.said }}'}}";

const CHILD: &str = "inputs: {who: {type: string}}
output: {said: 'hi {{ inputs.who }} {{ steps.one.n }}'}
steps:
  - {id: one, uses: t.pure, with: {n: 1}}
  - {id: work, uses: t.act}";

const ASKS: &str = "inputs: {who: {type: string}}
steps:
  - {id: ask, uses: approve, with: {title: ok}}";

const SLOW: &str = "inputs: {who: {type: string, default: ''}}
output: {said: done}
steps:
  - {id: work, uses: t.send}";

fn house(child: &str) -> House {
    House::of(&[("parent", PARENT), ("child", child)])
}

/// All runs of a workflow.
async fn runs(room: &Room, workflow: &str) -> Vec<RunRow> {
    room.settle().await;
    let mut found = Vec::new();
    // The store of a memory house answers queries as well; unfinished and ended ones are told apart by their rows.
    let filter = RunFilter { workflow: Some(workflow.to_string()), limit: 100, ..RunFilter::default() };
    found.extend(room.query(filter).await);
    found
}

#[test]
fn a_call_gives_its_output() {
    for disk in [false, true] {
        let house = if disk { house(CHILD).on_disk() } else { house(CHILD) };
        house.live(async |room| {
            let run = room.submit().await;
            room.settle().await;
            assert_eq!(room.status(run).await, RunStatus::Succeeded);
            assert_eq!(room.output(run, "after").await, json!({"got": "hi ann 1"}));
            let row = &runs(&room, "child").await[0];
            assert_eq!((row.parent, row.wake_at, row.trigger.as_str()), (Some(run), None, "call"));
        });
    }
}

#[test]
fn a_call_that_cannot_be_made_or_fails_is_the_failure_of_its_step() {
    let cases = [
        ("  - {id: sub, uses: call, with: {workflow: nobody}}", CHILD, "call.unknown_workflow"),
        ("  - {id: sub, uses: call, with: {workflow: child}}", CHILD, "call.bad_inputs"),
        ("  - {id: sub, uses: call, with: {workflow: child}}", "  - {id: no, uses: t.fail}", "call.failed"),
        ("  - {id: sub, uses: call, with: {workflow: parent}}", CHILD, "call.failed"),
    ];
    for (parent, child, code) in cases {
        House::of(&[("parent", parent), ("child", child)]).live(async |room| {
            let run = room.submit().await;
            assert_eq!((room.status(run).await, room.code(run, "sub").await.as_str()), (RunStatus::Failed, code));
        });
    }
    // Every level of the last one ended.
    House::of(&[("parent", "  - {id: sub, uses: call, with: {workflow: parent}}")]).live(async |room| {
        room.submit().await;
        assert_eq!(room.unfinished().await.len(), 0);
        assert_eq!(runs(&room, "parent").await.len(), crate::base::limits::CALL_DEPTH as usize + 1);
    });
}

#[test]
fn cancelling_the_caller_cancels_what_it_called() {
    let house = house(SLOW);
    house.live(async |room| {
        let run = room.submit().await;
        let child = room.child(run, "sub").await;
        assert_eq!((room.status(run).await, room.status(child).await), (RunStatus::Waiting, RunStatus::Running));
        room.engine.cancel(run, None).await.unwrap();
        assert_eq!((room.status(run).await, room.status(child).await), (RunStatus::Cancelled, RunStatus::Running));
        room.done(child, "work").await;
        assert_eq!(room.status(child).await, RunStatus::Cancelled);
        assert_eq!(room.row(child).await.wake_at, None, "its caller needs nothing any more");
    });
}

#[test]
fn cancelling_the_called_run_fails_the_call() {
    let approve = ASKS;
    house(approve).live(async |room| {
        let run = room.submit().await;
        let child = room.child(run, "sub").await;
        room.engine.cancel(child, None).await.unwrap();
        assert_eq!(
            (room.status(run).await, room.code(run, "sub").await.as_str()),
            (RunStatus::Failed, "call.cancelled")
        );
    });
}

/// The caller ends at every write around a call's beginning, and its child must not be left alone.
#[test]
fn a_crash_around_a_cancel_leaves_no_called_run_behind() {
    let approve = ASKS;
    for number in 0..8 {
        for death in [Death::Before, Death::After] {
            let house = house(approve);
            let run = house.live(async |room| {
                let run = room.submit().await;
                room.child(run, "sub").await;
                run
            });
            house.die(Some((number, death)), async |room| {
                room.settle().await;
                let _ = room.engine.cancel(run, None).await;
                room.settle().await;
            });
            house.live(async |room| {
                room.settle().await;
                let said = room.engine.cancel(run, None).await;
                assert!(matches!(said, Ok(()) | Err(WordError::Refused(_))), "{said:?}");
                assert_eq!(room.unfinished().await, [], "dead {death:?} {number}");
                let children = runs(&room, "child").await;
                assert_eq!((children.len(), children[0].status), (1, RunStatus::Cancelled));
            });
        }
    }
}

#[test]
fn a_call_that_is_cancelled_while_it_is_made_leaves_nothing_behind() {
    // At every turn of the runtime after the caller was accepted.
    for turns in 0..40 {
        let house = house(SLOW);
        house.live(async |room| {
            let plan = room.plans[0].clone();
            let submission = crate::engine::run::Submission {
                plan: plan.clone(),
                trigger: "manual",
                event: Json::Null.into(),
                inputs: plan.default_inputs.clone(),
                dedupe: None,
                lane: None,
            };
            let run = room.engine.submit(vec![submission]).await.unwrap()[0].unwrap();
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            room.engine.cancel(run, None).await.unwrap();
            room.settle().await;
            for row in room.unfinished().await {
                room.done(row.id, "work").await;
            }
            assert_eq!(room.unfinished().await, [], "after {turns} turns");
        });
    }
}

/// Lives on after a death until nothing is left to do.
fn ends(house: &House, what: &str) -> (RunRow, Vec<RunRow>) {
    let mut ended = None;
    for _ in 0..3 {
        house.live(async |room| {
            room.settle().await;
            for row in room.unfinished().await {
                let steps = room.steps(row.id).await;
                for (step, held) in steps.split(' ').filter_map(|step| step.split_once('=')) {
                    if held == "held" {
                        let sent = crate::engine::decide::Resolution::Sent;
                        room.engine.resolve(row.id, step, &[], sent).await.unwrap();
                    }
                }
            }
            if room.unfinished().await.is_empty() {
                ended = Some((runs(&room, "parent").await.remove(0), runs(&room, "child").await));
            }
        });
        if ended.is_some() {
            break;
        }
    }
    ended.unwrap_or_else(|| panic!("something goes on for ever: {what}"))
}

#[test]
fn a_crash_at_every_write_makes_no_second_call_and_loses_no_result() {
    let mut writes = 0;
    for disk in [false, true] {
        let fresh = || if disk { house(CHILD).on_disk() } else { house(CHILD) };
        let calm = fresh();
        calm.live(async |room| {
            room.submit().await;
            room.settle().await;
            writes = room.frail.writes();
        });
        assert!(writes > 6, "{writes}");
        for number in (1..writes).step_by(if disk { 3 } else { 1 }) {
            for death in [Death::Before, Death::After] {
                let house = fresh();
                house.die(Some((number, death)), async |room| {
                    let _ = room.try_submit("parent", Json::Null, 1).await;
                    room.settle().await;
                });
                let what = format!("dead {death:?} {number}");
                let (parent, children) = ends(&house, &what);
                assert_eq!(children.len(), 1, "{what}");
                assert_eq!((parent.status, children[0].status), (RunStatus::Succeeded, RunStatus::Succeeded), "{what}");
                assert_eq!(children[0].wake_at, None, "{what}");
                assert!(house.calls("work") <= 1 && house.calls("before") <= 1, "{what}");
            }
        }
    }
}

#[test]
fn a_timer_beside_a_call_survives_a_crash() {
    let beside = "
  - {id: sub, uses: call, with: {workflow: child}}
  - {id: pause, uses: t.wait, needs: []}
  - {id: late, uses: t.act, needs: [pause]}";
    let house = House::of(&[("parent", beside), ("child", SLOW)]);
    let run = house.live(async |room| room.submit().await);
    house.live(async |room| {
        room.advance(5_000).await;
        assert_eq!((room.calls("late"), room.status(run).await), (1, RunStatus::Waiting));
    });
}

#[test]
fn a_result_is_told_although_the_store_is_away() {
    let house = house(SLOW);
    house.live(async |room| {
        let run = room.submit().await;
        let child = room.child(run, "sub").await;
        room.frail.refuse(Verb::Load, 1);
        room.done(child, "work").await;
        for _ in 0..3 {
            room.advance(1_000).await;
        }
        assert_eq!((room.status(run).await, room.calls("after")), (RunStatus::Succeeded, 1));
    });
    self::house(CHILD).live(async |room| {
        room.frail.refuse(Verb::Row, 1);
        let run = room.submit().await;
        for _ in 0..3 {
            room.advance(1_000).await;
        }
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}

#[test]
fn a_caller_that_is_gone_is_told_nothing_for_ever() {
    let house = house(SLOW);
    let (run, child): (RunId, RunId) = house.live(async |room| {
        let run = room.submit().await;
        let child = room.child(run, "sub").await;
        room.engine.cancel(run, None).await.unwrap();
        (run, child)
    });
    house.live(async |room| {
        // Cut off in the send: held, or cancelled with it; a person says what became of it.
        let status = room.status(child).await;
        assert_eq!(status, RunStatus::Cancelled);
        assert_eq!(room.row(child).await.wake_at, None);
        let ends = room.journal(run).await.into_iter().filter(|event| matches!(event, Event::RunEnded { .. }));
        assert_eq!(ends.count(), 1);
    });
}
