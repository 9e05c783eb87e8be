//! Lists too long for memory, blocks of items, and where a crash leaves them.

use serde_json::json;

use super::house::House;
use crate::base::Json;
use crate::engine::event::{Event, RunStatus};
use crate::engine::tests::store::{Death, Verb};

const WALK: &str = "
  - {id: people, uses: t.rows}
  - {id: each, uses: t.act, for_each: {in: steps.people, as: person, concurrency: 4}, with: {n: '{{ person.n }}'}}";

/// So many rows that they are no output any more.
fn fill(house: &House, rows: usize, from: usize) {
    let pad = "x".repeat(1_100_000 / rows + 1);
    *house.world.source.lock().unwrap() = (from..from + rows).map(|n| json!({"n": n, "pad": pad})).collect();
}

fn ended(journal: &[Event]) -> usize {
    journal.iter().filter(|event| matches!(event, Event::ItemEnded { .. })).count()
}

#[test]
fn a_long_list_is_walked_page_by_page() {
    let house = House::new(&WALK.replace("t.act", "t.pure"));
    fill(&house, 10_500, 0);
    house.live(async |room| {
        let run = room.submit().await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        let output = room.output(run, "each").await;
        assert_eq!((&output["total"], &output["succeeded"]), (&json!(10_500), &json!(10_500)));
        assert_eq!(room.output(run, "people").await, json!({"rows": 10_500}));
        let (pages, largest) = room.frail.pages();
        // Each page once; no page of a part of the list that is done is read again.
        assert_eq!((pages, largest), (10_500_u64.div_ceil(256), 256));
        assert_eq!(room.calls("each[10499]"), 1);
    });
}

#[test]
fn a_crash_in_the_middle_goes_on_with_the_next_item_of_the_same_list() {
    let steps = "
  - {id: people, uses: t.rows}
  - {id: each, uses: t.read, for_each: {in: steps.people, as: person, concurrency: 2, collect: person.n}}";
    let house = House::new(steps);
    fill(&house, 1_000, 0);
    let run = house.live(async |room| {
        let run = room.submit().await;
        for item in 0..300 {
            room.end_now(run, &format!("each[{item}]"), Ok(crate::engine::ports::Outcome::ok(Json::Null)));
            while room.calls(&format!("each[{}]", item + 2)) == 0 {
                tokio::task::yield_now().await;
            }
        }
        run
    });
    // What people edit meanwhile is for later runs.
    fill(&house, 700, 100_000);
    house.live(async |room| {
        let done = ended(&room.journal(run).await);
        assert!((290..=300).contains(&done), "{done}");
        assert_eq!((room.calls("people"), room.calls("each[0]")), (0, 0));
        for item in done..1_000 {
            while room.calls(&format!("each[{item}]")) == 0 {
                tokio::task::yield_now().await;
            }
            room.end_now(run, &format!("each[{item}]"), Ok(crate::engine::ports::Outcome::ok(Json::Null)));
        }
        let output = room.output(run, "each").await;
        assert_eq!((&output["total"], &output["succeeded"]), (&json!(1_000), &json!(1_000)));
        assert_eq!(output["collected"], json!((0..1_000).collect::<Vec<_>>()));
        // Pages before the place where it stopped are not read.
        assert!(room.frail.pages().0 <= 4, "{:?}", room.frail.pages());
    });
}

#[test]
fn a_list_whose_reading_was_cut_off_is_not_mixed_with_the_next_one() {
    // Read whole, and lost with the process before its end was journaled; then the source is another one.
    for number in 0..3 {
        let house = House::new(&WALK.replace("t.act", "t.pure"));
        fill(&house, 1_500, 0);
        let run = house.die(Some((number, Death::Before)), async |room| {
            let run = room.try_submit("t", Json::Null, 1).await;
            room.settle().await;
            run.ok().map(|runs| runs[0])
        });
        let Some(run) = run else { continue };
        fill(&house, 1_200, 50_000);
        house.live(async |room| {
            assert_eq!(room.status(run).await, RunStatus::Succeeded);
            let output = room.output(run, "each").await;
            let total = output["total"].as_u64().unwrap();
            assert!(total == 1_500 || total == 1_200);
            assert_eq!(output["succeeded"], output["total"]);
            let list = room.journal(run).await.into_iter().find_map(|event| match event {
                Event::StepSucceeded { output, rows: Some(_), .. } => Some(output.as_str().unwrap().to_string()),
                _ => None,
            });
            let rows = room.frail.inner.rows(run, &list.unwrap(), 0, 10_000).await.unwrap();
            let first = rows[0]["n"].as_u64().unwrap();
            assert_eq!(rows.len() as u64, total);
            assert!(rows.iter().zip(first..).all(|(row, n)| row["n"] == n), "a mixture of two sources");
        });
    }
}

#[test]
fn blocks_within_blocks_see_their_items() {
    let nested = "
  - {id: teams, uses: t.pure, with: {list: [{name: a, people: [1, 2]}, {name: b, people: [3]}]}}
  - id: each
    for_each: {in: steps.teams.list, as: team, collect: steps.inner.collected}
    steps:
      - id: inner
        for_each: {in: team.people, as: who, collect: steps.say.text}
        steps:
          - {id: say, uses: t.pure, with: {text: '{{ team.name }}{{ who }}'}}
          - {id: send, uses: t.act, with: {text: '{{ steps.say.text }}'}}";
    let house = House::new(nested);
    house.live(async |room| {
        let run = room.submit().await;
        assert_eq!(room.status(run).await, RunStatus::Succeeded);
        assert_eq!(room.output(run, "each").await["collected"], json!([["a1", "a2"], ["b3"]]));
        assert_eq!((room.calls("send[0.0]"), room.calls("send[0.1]"), room.calls("send[1.0]")), (1, 1, 1));
    });
}

#[test]
fn an_item_that_is_done_does_not_fail_because_the_store_is_away() {
    let steps = "
  - {id: people, uses: t.rows}
  - {id: each, uses: t.read, for_each: {in: steps.people, as: person, concurrency: 1500, collect: person.n}}";
    let steps = steps.replace("1500", "256");
    let house = House::new(&steps);
    fill(&house, 1_100, 0);
    let run = house.live(async |room| {
        let run = room.submit().await;
        room.done(run, "each[0]").await;
        run
    });
    house.live(async |room| {
        room.settle().await;
        room.frail.refuse(Verb::Rows, 2);
        for item in 1..1_100 {
            while room.calls(&format!("each[{item}]")) == 0 {
                room.settle().await;
                room.clock.advance(1_000);
            }
            room.end_now(run, &format!("each[{item}]"), Ok(crate::engine::ports::Outcome::ok(Json::Null)));
        }
        for _ in 0..5 {
            room.advance(1_000).await;
        }
        let output = room.output(run, "each").await;
        assert_eq!((&output["failed"], &output["succeeded"]), (&json!(0), &json!(1_100)));
    });
}

#[test]
fn an_empty_list_is_no_item_and_no_list_is_a_clear_failure() {
    let house = House::new("  - {id: each, uses: t.act, for_each: {in: '[]'}}");
    house.live(async |room| {
        let run = room.submit().await;
        assert_eq!((room.status(run).await, room.calls("each[0]")), (RunStatus::Succeeded, 0));
    });
    let house = House::new("  - {id: each, uses: t.act, for_each: {in: event.people}}");
    house.live(async |room| {
        let run = room.submit_with(json!({"people": "all"})).await;
        assert_eq!(room.status(run).await, RunStatus::Failed);
        assert_eq!(room.code(run, "each").await, "for_each.no_list");
    });
}
