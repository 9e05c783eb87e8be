//! Steps that others take the place of while runs are at work.

use super::house::{House, plugged};
use crate::base::Effect;
use crate::engine::event::RunStatus;

const READ_PLUGGED: &str = "
  - {id: read, uses: t.read}
  - {id: plugged, uses: p/plugged, timeout: 5s}
  - {id: last, uses: t.read}";

#[test]
fn an_attempt_takes_the_step_that_it_finds_and_keeps_it() {
    House::new(READ_PLUGGED).live(async |room| {
        let [first, second] = [room.submit().await, room.submit().await];
        room.done(first, "read").await;
        room.replace("p/plugged", None);
        // The first one is at work with the step that is gone, the second one finds none.
        room.done(second, "read").await;
        assert_eq!(room.code(second, "plugged").await, "step.missing");
        room.done(first, "plugged").await;
        room.done(first, "last").await;
        assert_eq!(room.status(first).await, RunStatus::Succeeded);
        let third = room.submit().await;
        room.replace("p/plugged", Some(plugged(Effect::Pure)));
        room.done(third, "read").await;
        room.done(third, "plugged").await;
        room.done(third, "last").await;
        assert_eq!(room.status(third).await, RunStatus::Succeeded);
    });
}

#[test]
fn a_step_with_another_effect_waits_for_a_plan_that_knows_it() {
    House::new(READ_PLUGGED).live(async |room| {
        let run = room.submit().await;
        room.replace("p/plugged", Some(plugged(Effect::AtMostOnce)));
        room.done(run, "read").await;
        assert_eq!(room.steps(run).await, "read=succeeded plugged=waiting last=pending");
        assert_eq!((room.code(run, "plugged").await, room.calls("plugged")), ("step.changed".to_string(), 0));
        room.advance(1_000).await;
        assert_eq!(
            (room.steps(run).await.as_str(), room.calls("plugged")),
            ("read=succeeded plugged=running last=pending", 1)
        );
        // What must not be repeated has an unknown outcome when its time is over.
        room.advance(5_000).await;
        assert_eq!(room.status(run).await, RunStatus::Attention);
        assert_eq!(room.calls("plugged"), 1);
    });
}

#[test]
fn a_run_that_waits_goes_on_with_a_plan_of_today() {
    House::new("  - {id: pause, uses: t.wait, with: {ms: 500}}\n  - {id: plugged, uses: p/plugged}").live(
        async |room| {
            let run = room.submit().await;
            let other = plugged(Effect::Idempotent);
            room.replace("p/plugged", Some(other));
            room.advance(500).await;
            assert_eq!((room.steps(run).await.as_str(), room.calls("plugged")), ("pause=succeeded plugged=running", 1));
            room.done(run, "plugged").await;
            assert_eq!(room.status(run).await, RunStatus::Succeeded);
        },
    );
}

const WAIT_PLUGGED: &str = "  - {id: pause, uses: t.wait, with: {ms: 500}}\n  - {id: plugged, uses: p/plugged}";

#[test]
fn a_run_goes_on_with_its_own_plan_where_that_of_today_does_not_fit() {
    let house = House::new(WAIT_PLUGGED);
    let stays = house.live(async |room| {
        let run = room.submit().await;
        room.replace_unseen("p/plugged", plugged(Effect::Pure));
        room.advance(500).await;
        room.done(run, "plugged").await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        room.replace("p/plugged", Some(plugged(Effect::Pure)));
        room.submit().await
    });
    // After a start: with the plan as the steps of that start had it.
    house.live(async |room| {
        room.replace_unseen("p/plugged", plugged(Effect::Pure));
        room.advance(500).await;
        room.done(stays, "plugged").await;
        assert_eq!(room.status(stays).await, RunStatus::Succeeded);
    });
}

#[test]
fn a_step_with_another_effect_fails_when_no_plan_comes_to_fit_it() {
    House::new(WAIT_PLUGGED).live(async |room| {
        let run = room.submit().await;
        room.replace_unseen("p/plugged", plugged(Effect::AtMostOnce));
        room.advance(500).await;
        for _ in 0..10 {
            assert_eq!(room.steps(run).await, "pause=succeeded plugged=waiting");
            room.advance(1_000).await;
        }
        assert_eq!(room.code(run, "plugged").await, "step.changed");
        assert_eq!((room.status(run).await, room.calls("plugged")), (RunStatus::Failed, 0));
    });
}

#[test]
fn a_run_whose_plan_fits_nothing_goes_on_as_soon_as_something_fits() {
    let mut house = House::new(READ_PLUGGED);
    let run = house.live(async |room| room.submit().await);
    house.lacks = Some("p/plugged");
    house.live(async |room| {
        room.settle().await;
        assert!(room.engine.report(run).await.is_err() && room.calls("read") == 0);
        // Still none of its own.
        room.replace_unseen("p/plugged", plugged(Effect::Pure));
        room.settle().await;
        assert_eq!(room.calls("read"), 0);
        room.replace("p/plugged", Some(plugged(Effect::Pure)));
        for step in ["read", "plugged", "last"] {
            room.done(run, step).await;
        }
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
    });
}

#[test]
fn a_run_at_work_takes_a_plan_of_today_unless_that_changes_what_is_at_work() {
    let at_work = |uses: &str| {
        format!(
            "  - {{id: long, uses: {uses}, needs: []}}\n  - {{id: read, uses: t.read, needs: []}}
  - {{id: second, uses: p/plugged, needs: [read]}}"
        )
    };
    for (uses, second) in [("t.read", "running"), ("p/plugged", "waiting")] {
        House::new(&at_work(uses)).live(async |room| {
            let run = room.submit().await;
            room.replace("p/plugged", Some(plugged(Effect::AtMostOnce)));
            room.done(run, "read").await;
            assert_eq!(room.steps(run).await, "long=running read=succeeded second=waiting");
            room.advance(1_000).await;
            assert_eq!(room.steps(run).await, format!("long=running read=succeeded second={second}"));
            room.done(run, "long").await;
            room.advance(1_000).await;
            room.done(run, "second").await;
            assert_eq!((room.status(run).await, room.calls("second")), (RunStatus::Succeeded, 1));
        });
    }
}
