//! What steps tell people is in the journal beside the end of the attempt, whatever it was, and shown in bounded numbers.

use serde_json::json;

use super::house::{House, Room};
use crate::base::{Json, RunId, limits};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Failure, Outcome, StepError};

/// The kinds of events since the start, a word each, with lines as they were told.
async fn told(room: &Room, run: RunId) -> String {
    let journal = room.journal(run).await;
    let words = journal.iter().map(|event| match event {
        Event::StepLogged { lines, .. } => lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>().join(","),
        other => json!(other)["e"].as_str().unwrap().to_string(),
    });
    words.collect::<Vec<_>>().join(" ")
}

async fn step(room: &Room, run: RunId, id: &str) -> Json {
    room.settle().await;
    room.engine.report(run).await.unwrap().report.steps[id].clone()
}

#[test]
fn every_end_of_an_attempt_has_its_lines_before_it() {
    let transient = || Err(StepError::Transient(Failure::new("t.away", "away")));
    let later = || Err(StepError::Later { failure: Failure::new("t.later", "later"), after_ms: 500 });
    let declined = || Ok(Outcome::Skipped(Failure::new("t.none", "nothing to do")));
    let read =
        "  - {id: a, uses: t.read, with: {says: hi}, timeout: 5s, retry: {attempts: 2, initial: 1s, jitter: false}}";
    House::new(read).live(async |room| {
        let run = room.submit().await;
        room.end(run, "a", transient()).await;
        room.advance(2_000).await;
        room.end(run, "a", later()).await;
        room.advance(2_000).await;
        room.end(run, "a", declined()).await;
        let expected = "run_created step_started hi a#1 step_waiting step_started hi a#2 step_waiting step_started \
                        hi a#2 step_skipped run_ended";
        assert_eq!(told(&room, run).await, expected);
        let step = step(&room, run, "a").await;
        assert_eq!((&step["log_lines"], step["log"].as_array().unwrap().len()), (&json!(3), 3));
        assert_eq!((&step["log"][1]["attempt"], &step["log"][1]["level"]), (&json!(2), &json!("info")));
    });
    // A timeout, and a panic: of a step that must not be repeated both are unknown.
    House::new("  - {id: a, uses: t.act, with: {says: hi}}\n  - {id: panics, uses: t.send, with: {says: oh}}").live(
        async |room| {
            let run = room.submit().await;
            assert_eq!(step(&room, run, "panics").await["log"][0]["text"], "oh panics#1");
            assert!(told(&room, run).await.ends_with("step_started oh panics#1 step_held"));
        },
    );
    House::new("  - {id: a, uses: t.send, with: {says: hi}, timeout: 5s}").live(async |room| {
        let run = room.submit().await;
        room.advance(5_000).await;
        assert!(told(&room, run).await.ends_with("step_started hi a#1 step_held"));
    });
}

#[test]
fn a_step_that_tells_nothing_leaves_nothing() {
    House::new("  - {id: a, uses: t.pure}").live(async |room| {
        let run = room.submit().await;
        assert_eq!(told(&room, run).await, "run_created step_started step_succeeded run_ended");
        let step = step(&room, run, "a").await;
        assert!(step.get("log").is_none() && step.get("log_lines").is_none(), "{step}");
    });
}

#[test]
fn of_many_items_the_latest_are_shown_and_all_can_be_read() {
    let each = "
  - {id: before, uses: t.pure, with: {says: first}}
  - id: each
    for_each: {in: 'range(1000)', concurrency: 1}
    steps: [{id: inner, uses: t.pure, with: {says: 'i'}}, {id: quiet, uses: t.pure}]
  - {id: after, uses: t.pure}";
    let house = House::new(each).on_disk();
    let run = house.live(async |room| {
        let run = room.submit().await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        run
    });
    // After a restart the journal and the snapshot say the same.
    house.live(async |room| {
        let each = step(&room, run, "each").await;
        let log = each["log"].as_array().unwrap();
        assert_eq!((&each["log_lines"], log.len()), (&json!(1_000), limits::LOGGED_ATTEMPTS));
        assert_eq!((&log[0]["step"], &log[0]["items"]), (&json!("inner"), &json!([992])));
        assert_eq!(log.last().unwrap()["text"], "i inner[999]#1");
        assert_eq!(step(&room, run, "before").await["log"][0]["text"], "first before#1");

        for (id, count) in [(None, 1_001), (Some("each"), 1_000), (Some("inner"), 1_000), (Some("quiet"), 0)] {
            let (mut lines, mut from) = (Vec::new(), Some(0));
            while let Some(next) = from {
                let page = room.engine.log(run, id, next).await.unwrap();
                lines.extend(page.lines);
                from = page.next;
            }
            assert_eq!(lines.len(), count, "{id:?}");
            assert!(lines.is_sorted_by_key(|line| line.event));
        }
        assert!(room.engine.log(run, Some("nobody"), 0).await.is_err());
    });
}

#[test]
fn details_of_a_failure_are_read_by_expressions_and_shown() {
    let steps = "
  - {id: a, uses: t.read}
  - {id: b, uses: t.pure, needs: [a.error], with: {status: '{{ errors.a.details.status }}', all: '{{ errors.a }}'}}";
    House::new(steps).live(async |room| {
        let run = room.submit().await;
        let failure = Failure::new("t.refused", "refused").with_details(json!({"status": 409}));
        room.end(run, "a", Err(StepError::Permanent(failure))).await;
        let all = json!({"code": "t.refused", "message": "refused", "details": {"status": 409}});
        assert_eq!(room.output(run, "b").await, json!({"status": 409, "all": all}));
        assert_eq!(step(&room, run, "a").await["error"], all);
    });
}

#[test]
fn beyond_the_end_of_a_journal_nothing_was_told() {
    House::new("  - {id: a, uses: t.pure, with: {says: hi}}").live(async |room| {
        let run = room.submit().await;
        for from in [1_000, i64::MAX as u64, u64::MAX] {
            let page = room.engine.log(run, None, from).await.unwrap();
            assert_eq!((page.lines.len(), page.next), (0, None), "{from}");
        }
    });
}
