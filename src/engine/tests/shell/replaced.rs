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
fn a_run_that_waits_goes_on_with_a_plan_of_today_or_with_its_own() {
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
