//! `on_failure`: one run for each failure, whatever dies around it.

use serde_json::json;

use super::house::House;
use crate::base::Json;
use crate::engine::event::RunStatus;
use crate::engine::ports::RunFilter;
use crate::engine::tests::store::Death;

const FAILS: &str = "on_failure: alarm
steps:
  - {id: work, uses: t.act}
  - {id: no, uses: t.fail}";

const ALARM: &str = "  - {id: tell, uses: t.act, with: {text: '{{ event.workflow }} {{ event.step }} {{ event.failure.code }} {{ event.trigger.id }}'}}";

fn alarms() -> RunFilter {
    RunFilter { workflow: Some("alarm".to_string()), limit: 10, ..RunFilter::default() }
}

#[test]
fn a_failure_starts_its_workflow_once_and_tells_it_what_happened() {
    let house = House::of(&[("job", FAILS), ("alarm", ALARM)]);
    house.live(async |room| {
        let run = room.submit_with(json!({"id": 7})).await;
        assert_eq!(room.status(run).await, RunStatus::Failed);
        let rows = room.query(alarms()).await;
        assert_eq!((rows.len(), rows[0].trigger.as_str(), rows[0].status), (1, "failure", RunStatus::Succeeded));
        assert_eq!(room.output(rows[0].id, "tell").await, json!({"text": "job no t.failed 7"}));
        // A retried run that fails again is another failure.
        room.engine.retry(run, None).await.unwrap();
        assert_eq!((room.status(run).await, room.query(alarms()).await.len()), (RunStatus::Failed, 2));
    });
}

#[test]
fn a_crash_at_every_write_starts_it_once() {
    let mut writes = 0;
    House::of(&[("job", FAILS), ("alarm", ALARM)]).live(async |room| {
        room.submit().await;
        writes = room.frail.writes();
    });
    for number in 1..writes {
        for death in [Death::Before, Death::After] {
            let house = House::of(&[("job", FAILS), ("alarm", ALARM)]);
            house.die(Some((number, death)), async |room| {
                let _ = room.try_submit("job", Json::Null, 1).await;
                room.settle().await;
            });
            house.live(async |room| {
                room.settle().await;
                for row in room.unfinished().await {
                    for step in ["work", "tell"] {
                        let sent = crate::engine::decide::Resolution::Sent;
                        let _ = room.engine.resolve(row.id, step, &[], sent).await;
                        room.settle().await;
                    }
                }
                assert_eq!(room.unfinished().await, [], "dead {death:?} {number}");
                assert_eq!(room.query(alarms()).await.len(), 1, "dead {death:?} {number}");
            });
            assert!(house.calls("work") <= 1);
        }
    }
}

#[test]
fn an_output_that_fails_is_a_failure_of_the_run() {
    let fails = "on_failure: alarm\noutput: {n: '{{ steps.work.missing.n }}'}\nsteps:\n  - {id: work, uses: t.pure}";
    let alarm = "  - {id: tell, uses: t.act, with: {text: '{{ event.failure.code }}'}}";
    House::of(&[("job", fails), ("alarm", alarm)]).live(async |room| {
        let run = room.submit().await;
        assert_eq!(room.status(run).await, RunStatus::Failed);
        let rows = room.query(alarms()).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(room.output(rows[0].id, "tell").await, json!({"text": "expression"}));
    });
}

#[test]
fn a_stop_while_it_ends_delays_the_end() {
    let house = House::of(&[("job", "on_failure: alarm\nsteps:\n  - {id: read, uses: t.read}"), ("alarm", ALARM)]);
    let run = house.live(async |room| {
        let run = room.submit().await;
        let no = crate::engine::ports::Failure::new("t.no", "no");
        let ending = async {
            room.settle().await;
            room.end_now(run, "read", Err(crate::engine::ports::StepError::Permanent(no)));
        };
        futures::join!(room.engine.stop(), ending);
        assert_eq!(room.status(run).await, RunStatus::Running);
        run
    });
    house.live(async |room| {
        assert_eq!((room.status(run).await, room.query(alarms()).await.len()), (RunStatus::Failed, 1));
    });
}
