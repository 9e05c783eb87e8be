//! What every store must do, run against each of them.

use std::sync::Arc;

use serde_json::json;

use super::memory::MemoryStore;
use super::sqlite::SqliteStore;
use crate::base::{Json, Millis, RunId};
use crate::engine::clock::SystemClock;
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{
    Commit, Created, Dedupe, Listen, NewRun, OK, Pruned, Query, RunFilter, Space, Store, StoreError, Write,
};

/// Runs a check on both stores.
fn on_both(check: impl AsyncFn(&dyn Store, &dyn Query)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let memory = MemoryStore::default();
        check(&memory, &memory).await;
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(&folder.path().join("moltrun.db"), Arc::new(SystemClock)).await.unwrap();
        check(&sqlite, &sqlite).await;
    });
}

pub fn id(number: u128) -> RunId {
    RunId::new(1_000, number)
}

pub fn created(at: Millis) -> Event {
    Event::RunCreated {
        at,
        event: Arc::new(json!({"text": "hi 'there' \u{1F44B} \"x\" \\ \n"})),
        inputs: Arc::new(Json::Null),
        parent: None,
    }
}

pub fn created_of(event: Arc<Json>) -> Event {
    Event::RunCreated { at: 7, event, inputs: Arc::new(Json::Null), parent: None }
}

pub fn succeeded(step: u32, output: Arc<Json>) -> Event {
    Event::StepSucceeded { at: 8, step, items: Vec::new(), port: OK, output, rows: None, took_us: 9 }
}

pub fn new_run(number: u128, key: Option<(&str, Option<Millis>)>, at: Millis) -> NewRun {
    NewRun {
        id: id(number),
        workflow: "hello".into(),
        plan: "digest".into(),
        trigger: "message",
        created_at: at,
        dedupe: key.map(|(key, expires_at)| Dedupe { key: key.to_string(), expires_at }),
        lane: None,
        parent: None,
        first: created(at),
    }
}

pub fn started(step: u32) -> Event {
    Event::StepStarted { at: 5, step, items: Vec::new(), attempt: 1 }
}

pub fn commit(number: u128, expected: u64, events: Vec<Event>, status: RunStatus) -> Commit {
    let finished_at = status.is_final().then_some(9);
    Commit {
        run: id(number),
        expected,
        events,
        status,
        wake_at: None,
        finished_at,
        expires_at: None,
        writes: Vec::new(),
        listens: None,
        snapshot: None,
    }
}

#[test]
fn a_run_comes_back_as_it_was_written() {
    on_both(async |store, _| {
        let new = NewRun { lane: Some("lane".into()), parent: Some(id(9)), ..new_run(1, None, 7) };
        assert_eq!(store.create_runs(vec![new]).await, Ok(vec![Created::New]));
        let parked = Commit { wake_at: Some(77), ..commit(1, 1, vec![started(0), started(1)], RunStatus::Waiting) };
        store.commit(parked).await.unwrap();
        let loaded = store.load(id(1)).await.unwrap();
        assert_eq!((loaded.events, loaded.snapshot), (vec![created(7), started(0), started(1)], None));
        let row = loaded.row;
        assert_eq!(store.row(id(1)).await.as_ref(), Ok(&row));
        assert_eq!((row.status, row.wake_at, row.version, row.created_at), (RunStatus::Waiting, Some(77), 3, 7));
        assert_eq!((row.workflow.as_str(), row.plan.as_str(), row.trigger.as_str()), ("hello", "digest", "message"));
        assert_eq!((row.lane.as_deref(), row.parent), (Some("lane"), Some(id(9))));
    });
}

#[test]
fn a_commit_on_a_moved_run_is_a_conflict_and_changes_nothing() {
    on_both(async |store, _| {
        store.create_runs(vec![new_run(1, None, 7)]).await.unwrap();
        store.commit(commit(1, 1, vec![started(0)], RunStatus::Running)).await.unwrap();
        let late = store.commit(commit(1, 1, vec![started(1)], RunStatus::Failed)).await;
        assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
        let loaded = store.load(id(1)).await.unwrap();
        assert_eq!((loaded.row.status, loaded.events.len()), (RunStatus::Running, 2));
        let nobody = store.commit(commit(9, 1, vec![started(0)], RunStatus::Running)).await;
        assert!(matches!(nobody, Err(StoreError::NotFound(_))), "{nobody:?}");
        assert!(matches!(store.load(id(9)).await, Err(StoreError::NotFound(_))));
        assert!(matches!(store.row(id(9)).await, Err(StoreError::NotFound(_))));
        assert!(matches!(store.journal(id(9), 0, 9).await, Err(StoreError::NotFound(_))));
    });
}

#[test]
fn a_key_makes_one_run_until_it_expires() {
    on_both(async |store, _| {
        let twice =
            vec![new_run(1, Some(("k", Some(100))), 7), new_run(2, Some(("k", Some(100))), 7), new_run(3, None, 7)];
        let answers = store.create_runs(twice).await.unwrap();
        assert_eq!(answers, [Created::New, Created::Duplicate, Created::New]);
        assert!(matches!(store.load(id(2)).await, Err(StoreError::NotFound(_))));
        let again = store.create_runs(vec![new_run(4, Some(("k", Some(200))), 99)]).await;
        assert_eq!(again, Ok(vec![Created::Duplicate]));
        let expired = store.create_runs(vec![new_run(5, Some(("k", Some(200))), 100)]).await;
        assert_eq!(expired, Ok(vec![Created::New]));
        assert_eq!(store.prune(199, 9).await, Ok(Pruned::default()));
        assert_eq!(store.prune(200, 9).await, Ok(Pruned { others: 1, ..Pruned::default() }));
        assert_eq!(store.create_runs(vec![new_run(6, Some(("k", None)), 201)]).await, Ok(vec![Created::New]));
        let kept = store.prune(Millis::MAX, 9).await;
        assert_eq!(kept, Ok(Pruned::default()), "a key without expiry is kept");
    });
}

#[test]
fn the_same_event_in_parallel_makes_one_run() {
    on_both(async |store, _| {
        let posts = (0..20).map(|number| store.create_runs(vec![new_run(number, Some(("k", None)), 7)]));
        let answers = futures::future::join_all(posts).await;
        let new = answers.into_iter().flat_map(Result::unwrap).filter(|answer| *answer == Created::New);
        assert_eq!(new.count(), 1);
    });
}

#[test]
fn recovery_walks_over_all_that_has_not_ended() {
    on_both(async |store, query| {
        store.create_runs((1..=7).map(|number| new_run(number, None, 7)).collect()).await.unwrap();
        for (number, status) in [(2, RunStatus::Succeeded), (4, RunStatus::Attention), (6, RunStatus::Cancelled)] {
            store.commit(commit(number, 1, vec![started(0)], status)).await.unwrap();
        }
        let first = store.unfinished(None, 3).await.unwrap();
        let ids: Vec<_> = first.iter().map(|row| row.id).collect();
        assert_eq!(ids, [id(1), id(3), id(4)]);
        let rest = store.unfinished(Some(id(4)), 3).await.unwrap();
        assert_eq!(rest.iter().map(|row| row.id).collect::<Vec<_>>(), [id(5), id(7)]);
        let filter = RunFilter { before: Some(id(6)), limit: 2, ..RunFilter::default() };
        let page = query.runs(filter).await.unwrap();
        assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [id(5), id(4)]);
        let filter = RunFilter { status: Some(RunStatus::Succeeded), limit: 9, ..RunFilter::default() };
        assert_eq!(query.runs(filter).await.unwrap()[0].id, id(2));
        let filter = RunFilter { workflow: Some("other".to_string()), limit: 9, ..RunFilter::default() };
        assert_eq!(query.runs(filter).await, Ok(Vec::new()));
    });
}

#[test]
fn plans_and_cursors_are_kept() {
    on_both(async |store, _| {
        store.save_plan("d", &json!({"a": 1})).await.unwrap();
        store.save_plan("d", &json!({"a": 1})).await.unwrap();
        assert_eq!(store.plan("d").await, Ok(Some(json!({"a": 1}))));
        store.save_plan("d", &json!({"a": 1, "code": 2})).await.unwrap();
        assert_eq!(store.plan("d").await, Ok(Some(json!({"a": 1, "code": 2}))));
        assert_eq!(store.plan("e").await, Ok(None));
        let set = |cursors: &[(&str, Millis)]| cursors.iter().map(|(name, at)| (name.to_string(), *at)).collect();
        store.set_cursors(set(&[("c", 1), ("d", 5)])).await.unwrap();
        store.set_cursors(set(&[("c", 2)])).await.unwrap();
        let cursors: Vec<_> = store.cursors().await.unwrap().into_iter().collect();
        assert_eq!(cursors, [("c".to_string(), 2), ("d".to_string(), 5)]);
    });
}

#[test]
fn values_are_put_together_and_listed_by_prefix() {
    on_both(async |store, _| {
        let write = |key: &str, value: Option<Json>, expires_at| Write {
            space: Space::OptOut,
            key: key.to_string(),
            value,
            expires_at,
        };
        let names = |found: Result<Vec<(String, Json)>, StoreError>| {
            found.unwrap().into_iter().map(|(key, value)| format!("{key:?}={value}")).collect::<Vec<_>>()
        };
        let list = async |prefix: &str, after: Option<&str>, limit, now| {
            names(store.values(Space::OptOut, prefix.to_string(), after.map(str::to_string), limit, now).await)
        };
        store.put(Vec::new()).await.unwrap();
        let one = json!(1);
        let keys = ["b", "a\n2", "a\n1", "a\n\u{ffff}", "aa", "a"];
        store.put(keys.iter().map(|key| write(key, Some(one.clone()), None)).collect()).await.unwrap();
        let last = vec![write("c", Some(one.clone()), None), write("c", Some(json!("it's")), Some(9))];
        store.put(last).await.unwrap();
        assert_eq!(list("a\n", None, 9, 0).await, ["\"a\\n1\"=1", "\"a\\n2\"=1", "\"a\\n\\u{ffff}\"=1"]);
        assert_eq!(list("a\n", Some("a\n1"), 1, 0).await, ["\"a\\n2\"=1"]);
        assert_eq!(list("", Some("aa"), 9, 8).await, ["\"b\"=1", "\"c\"=\"it's\""]);
        assert_eq!(list("c", None, 9, 9).await, [""; 0]);
        assert_eq!(store.values(Space::State, String::new(), None, 9, 0).await, Ok(Vec::new()), "a space of its own");
        store.put(vec![write("a\n1", None, None), write("never", None, None)]).await.unwrap();
        assert_eq!(list("a\n", None, 1, 0).await, ["\"a\\n2\"=1"]);
    });
}

#[test]
fn what_a_commit_carries_lands_with_it_or_not_at_all() {
    on_both(async |store, _| {
        store.create_runs(vec![new_run(1, None, 7), new_run(2, None, 7)]).await.unwrap();
        let write = |key: &str, value: Option<Json>, expires_at| Write {
            space: Space::State,
            key: key.to_string(),
            value,
            expires_at,
        };
        let full = |number, expected| Commit {
            writes: vec![
                write("a", Some(json!("x")), None),
                write("a", Some(json!({"n": "it's"})), None),
                write("b", Some(json!([1])), Some(50)),
                write("c", Some(json!(1)), None),
                write("c", None, None),
            ],
            listens: Some(vec![listen("paid", "data.id", "7"), listen("any", "", "")]),
            snapshot: Some(json!({"steps": ["\u{1F44B}"]})),
            ..commit(number, expected, vec![started(0)], RunStatus::Waiting)
        };
        let late = store.commit(full(1, 3)).await;
        assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
        assert_eq!(store.value(Space::State, "a", 0).await, Ok(None));
        assert_eq!(store.listened().await, Ok(Vec::new()));
        assert_eq!(store.load(id(1)).await.unwrap().snapshot, None);

        store.commit(full(1, 1)).await.unwrap();
        assert_eq!(store.value(Space::State, "a", 0).await, Ok(Some(json!({"n": "it's"}))));
        assert_eq!(store.value(Space::Once, "a", 0).await, Ok(None), "a space of its own");
        assert_eq!(store.value(Space::State, "b", 49).await, Ok(Some(json!([1]))));
        assert_eq!(store.value(Space::State, "b", 50).await, Ok(None));
        assert_eq!(store.value(Space::State, "c", 0).await, Ok(None));
        let loaded = store.load(id(1)).await.unwrap();
        assert_eq!((loaded.snapshot, loaded.events), (Some((2, json!({"steps": ["\u{1F44B}"]}))), Vec::new()));

        let gone =
            Commit { writes: vec![write("a", None, None)], ..commit(2, 1, vec![started(0)], RunStatus::Running) };
        store.commit(gone).await.unwrap();
        assert_eq!(store.value(Space::State, "a", 0).await, Ok(None));
        store.commit(commit(1, 2, vec![started(1), started(2)], RunStatus::Running)).await.unwrap();
        let loaded = store.load(id(1)).await.unwrap();
        assert_eq!(
            (loaded.snapshot.map(|snapshot| snapshot.0), loaded.events),
            (Some(2), vec![started(1), started(2)])
        );
        let newer = Commit { snapshot: Some(json!(2)), ..commit(1, 4, vec![started(3)], RunStatus::Running) };
        store.commit(newer).await.unwrap();
        assert_eq!(store.load(id(1)).await.unwrap().snapshot, Some((5, json!(2))));
    });
}

fn listen(event: &str, path: &str, value: &str) -> Listen {
    Listen { event: event.to_string(), path: path.to_string(), value: value.to_string() }
}

#[test]
fn listeners_are_found_by_what_they_listen_for() {
    on_both(async |store, _| {
        store.create_runs((1..=4).map(|number| new_run(number, None, 7)).collect()).await.unwrap();
        for number in 1..=4 {
            let listens = vec![listen("paid", "data.id", "7"), listen("paid", "data.id", "7"), listen("left", "", "")];
            let parked = commit(number, 1, vec![started(0)], RunStatus::Waiting);
            store.commit(Commit { listens: Some(listens), ..parked }).await.unwrap();
        }
        let found = |after, limit| store.listening(listen("paid", "data.id", "7"), after, limit);
        assert_eq!(found(None, 3).await, Ok(vec![id(1), id(2), id(3)]));
        assert_eq!(found(Some(id(3)), 3).await, Ok(vec![id(4)]));
        assert_eq!(store.listening(listen("paid", "data.id", "8"), None, 3).await, Ok(Vec::new()));
        let pairs = |pairs: &[(&str, &str)]| -> Vec<_> {
            pairs.iter().map(|(event, path)| (event.to_string(), path.to_string())).collect()
        };
        assert_eq!(store.listened().await, Ok(pairs(&[("left", ""), ("paid", "data.id")])));
        let other = commit(1, 2, vec![started(1)], RunStatus::Waiting);
        store.commit(Commit { listens: Some(vec![listen("left", "", "")]), ..other }).await.unwrap();
        store.commit(commit(2, 2, vec![started(1)], RunStatus::Waiting)).await.unwrap();
        assert_eq!(found(None, 9).await, Ok(vec![id(2), id(3), id(4)]), "None leaves them as they are");
        for number in 2..=4 {
            let expected = store.row(id(number)).await.unwrap().version;
            let deaf = commit(number, expected, vec![started(1)], RunStatus::Running);
            store.commit(Commit { listens: Some(Vec::new()), ..deaf }).await.unwrap();
        }
        assert_eq!(store.listened().await, Ok(pairs(&[("left", "")])));
    });
}

#[test]
fn due_runs_come_the_earliest_first() {
    on_both(async |store, _| {
        store.create_runs((1..=5).map(|number| new_run(number, None, 7)).collect()).await.unwrap();
        for (number, at) in [(1, 30), (2, 10), (3, 10), (4, 50)] {
            let parked = commit(number, 1, vec![started(0)], RunStatus::Waiting);
            store.commit(Commit { wake_at: Some(at), ..parked }).await.unwrap();
        }
        assert_eq!(store.due(None, 2).await, Ok(vec![(10, id(2)), (10, id(3))]));
        assert_eq!(store.due(Some((10, id(3))), 9).await, Ok(vec![(30, id(1)), (50, id(4))]));
        assert_eq!(store.due(Some((50, id(4))), 9).await, Ok(Vec::new()));
        store.commit(commit(2, 2, vec![started(1)], RunStatus::Running)).await.unwrap();
        assert_eq!(store.due(None, 2).await, Ok(vec![(10, id(3)), (30, id(1))]));
    });
}

#[test]
fn a_journal_is_read_in_pages_of_events() {
    on_both(async |store, _| {
        store.create_runs(vec![new_run(1, None, 7)]).await.unwrap();
        let mut all = vec![created(7)];
        for count in [3, 1, 4] {
            let events: Vec<_> = (0..count).map(|step| started(all.len() as u32 * 10 + step)).collect();
            store.commit(commit(1, all.len() as u64, events.clone(), RunStatus::Running)).await.unwrap();
            all.extend(events);
        }
        for from in 0..=10usize {
            for limit in 0..=10usize {
                let page: Vec<_> = all.iter().skip(from).take(limit).cloned().collect();
                assert_eq!(store.journal(id(1), from as u64, limit as u32).await, Ok(page), "{from} {limit}");
            }
        }
        assert_eq!(store.journal(id(1), u64::MAX, 1).await, Ok(Vec::new()));
    });
}

#[test]
fn rows_of_a_list_are_read_in_pages_whatever_chunks_they_came_in() {
    on_both(async |store, _| {
        let row = |number: u32| json!({"n": number, "text": "a 'row'"});
        let rows = |first: u32, count: u32| (first..first + count).map(row).collect::<Vec<_>>();
        for (first, count) in [(0, 3), (3, 2), (0, 3), (2, 2), (5, 0), (1, 1), (5, 4), (5, 6), (20, 2)] {
            store.append_rows(id(1), "l".to_string(), first, rows(first, count)).await.unwrap();
            store.append_rows(id(2), "l".to_string(), first, vec![json!(0); count as usize]).await.unwrap();
        }
        let all: Vec<u32> = (0..11).chain(20..22).collect();
        for from in 0..23 {
            for limit in 0..15 {
                let page: Vec<_> = all.iter().filter(|number| **number >= from).take(limit).map(|n| row(*n)).collect();
                assert_eq!(store.rows(id(1), "l", from, limit as u32).await, Ok(page), "{from} {limit}");
            }
        }
        assert_eq!(store.rows(id(1), "other", 0, 9).await, Ok(Vec::new()));
    });
}

#[test]
fn pruning_forgets_what_has_ended_and_expired_and_all_that_belongs_to_it() {
    on_both(async |store, query| {
        store.create_runs((1..=6).map(|number| new_run(number, None, 7)).collect()).await.unwrap();
        for number in 1..=5 {
            let end = Commit {
                expires_at: (number < 5).then_some(100 + number as Millis),
                snapshot: Some(json!(1)),
                listens: Some(vec![listen("e", "", "")]),
                ..commit(number, 1, vec![started(0)], RunStatus::Succeeded)
            };
            store.commit(end).await.unwrap();
            store.append_rows(id(number), "l".to_string(), 0, vec![json!(1)]).await.unwrap();
        }
        let value = Write { space: Space::Once, key: "k".to_string(), value: Some(json!(1)), expires_at: Some(100) };
        let write = Commit { writes: vec![value], ..commit(6, 1, vec![started(0)], RunStatus::Running) };
        store.commit(write).await.unwrap();
        assert_eq!(store.prune(99, 2).await, Ok(Pruned::default()));
        assert_eq!(store.prune(103, 2).await, Ok(Pruned { runs: 2, others: 1, more: true }));
        assert_eq!(store.prune(103, 2).await, Ok(Pruned { runs: 1, others: 0, more: false }));
        for number in 1..=3 {
            assert!(matches!(store.load(id(number)).await, Err(StoreError::NotFound(_))));
            assert_eq!(store.rows(id(number), "l", 0, 9).await, Ok(Vec::new()));
        }
        assert_eq!(store.listening(listen("e", "", ""), None, 9).await, Ok(vec![id(4), id(5)]));
        assert_eq!(store.load(id(4)).await.unwrap().snapshot, Some((2, json!(1))));
        assert_eq!(store.value(Space::Once, "k", 0).await, Ok(None));
        let rest = query.runs(RunFilter { limit: 9, ..RunFilter::default() }).await.unwrap();
        assert_eq!(rest.iter().map(|row| row.id).collect::<Vec<_>>(), [id(6), id(5), id(4)]);
    });
}

#[test]
fn an_ended_run_with_something_to_tell_is_woken_and_not_forgotten() {
    on_both(async |store, _| {
        store.create_runs(vec![new_run(1, None, 7)]).await.unwrap();
        let end = commit(1, 1, vec![started(0)], RunStatus::Succeeded);
        store.commit(Commit { expires_at: Some(100), wake_at: Some(9), ..end.clone() }).await.unwrap();
        assert_eq!(store.due(None, 9).await, Ok(vec![(9, id(1))]));
        assert_eq!(store.prune(200, 9).await, Ok(Pruned::default()));
        assert_eq!(store.unfinished(None, 9).await, Ok(Vec::new()));
        // It has told: nothing else changes.
        store.commit(Commit { expected: 2, events: Vec::new(), expires_at: Some(100), ..end }).await.unwrap();
        assert_eq!(store.due(None, 9).await, Ok(Vec::new()));
        assert_eq!(store.load(id(1)).await.unwrap().events.len(), 2);
        assert_eq!(store.prune(200, 9).await, Ok(Pruned { runs: 1, others: 0, more: false }));
    });
}

#[test]
fn one_key_twice_in_one_request_makes_one_run() {
    on_both(async |store, _| {
        let runs = vec![new_run(1, Some(("k", None)), 7), new_run(2, Some(("k", None)), 7), new_run(3, None, 7)];
        assert_eq!(store.create_runs(runs).await, Ok(vec![Created::New, Created::Duplicate, Created::New]));
        assert!(matches!(store.load(id(2)).await, Err(StoreError::NotFound(_))));
    });
}

#[test]
fn a_run_that_is_taken_up_again_is_not_forgotten() {
    on_both(async |store, _| {
        store.create_runs(vec![new_run(1, None, 7)]).await.unwrap();
        let end = commit(1, 1, vec![started(0)], RunStatus::Failed);
        store.commit(Commit { expires_at: Some(100), ..end }).await.unwrap();
        store.commit(commit(1, 2, vec![started(1)], RunStatus::Queued)).await.unwrap();
        assert_eq!(store.prune(Millis::MAX, 9).await, Ok(Pruned::default()));
        let unfinished = store.unfinished(None, 9).await.unwrap();
        assert_eq!(unfinished.iter().map(|row| (row.id, row.finished_at)).collect::<Vec<_>>(), [(id(1), None)]);
    });
}
