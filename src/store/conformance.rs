//! What every store must do, run against each of them; and random histories, which both must answer alike.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::memory::MemoryStore;
use super::sqlite::SqliteStore;
use crate::base::{Json, Millis, RunId};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Commit, Created, Dedupe, NewRun, Query, RunFilter, Store, StoreError};

/// Runs a check on both stores.
fn on_both(check: impl AsyncFn(&dyn Store, &dyn Query)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let memory = MemoryStore::default();
        check(&memory, &memory).await;
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(&folder.path().join("moltrun.db")).await.unwrap();
        check(&sqlite, &sqlite).await;
    });
}

fn id(number: u128) -> RunId {
    RunId::new(1_000, number)
}

fn created(at: Millis) -> Event {
    Event::RunCreated {
        at,
        event: Arc::new(json!({"text": "hi 'there' \u{1F44B} \"x\" \\ \n"})),
        inputs: Arc::new(Json::Null),
    }
}

fn new_run(number: u128, key: Option<(&str, Option<Millis>)>, at: Millis) -> NewRun {
    NewRun {
        id: id(number),
        workflow: "hello".into(),
        plan: "digest".into(),
        trigger: "message",
        created_at: at,
        dedupe: key.map(|(key, expires_at)| Dedupe { key: key.to_string(), expires_at }),
        first: created(at),
    }
}

fn started(step: u32) -> Event {
    Event::StepStarted { at: 5, step, item: None, attempt: 1 }
}

fn commit(number: u128, expected: u64, events: Vec<Event>, status: RunStatus) -> Commit {
    let finished_at = status.is_final().then_some(9);
    Commit { run: id(number), expected, events, status, wake_at: None, finished_at }
}

#[test]
fn a_run_comes_back_as_it_was_written() {
    on_both(async |store, _| {
        assert_eq!(store.create_runs(vec![new_run(1, None, 7)]).await, Ok(vec![Created::New]));
        let parked = Commit { wake_at: Some(77), ..commit(1, 1, vec![started(0), started(1)], RunStatus::Waiting) };
        store.commit(parked).await.unwrap();
        let (row, events) = store.load(id(1)).await.unwrap();
        assert_eq!(events, [created(7), started(0), started(1)]);
        assert_eq!((row.status, row.wake_at, row.version, row.created_at), (RunStatus::Waiting, Some(77), 3, 7));
        assert_eq!((row.workflow.as_str(), row.plan.as_str(), row.trigger.as_str()), ("hello", "digest", "message"));
    });
}

#[test]
fn a_commit_on_a_moved_run_is_a_conflict_and_changes_nothing() {
    on_both(async |store, _| {
        store.create_runs(vec![new_run(1, None, 7)]).await.unwrap();
        store.commit(commit(1, 1, vec![started(0)], RunStatus::Running)).await.unwrap();
        let late = store.commit(commit(1, 1, vec![started(1)], RunStatus::Failed)).await;
        assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
        let (row, events) = store.load(id(1)).await.unwrap();
        assert_eq!((row.status, events.len()), (RunStatus::Running, 2));
        let nobody = store.commit(commit(9, 1, vec![started(0)], RunStatus::Running)).await;
        assert!(matches!(nobody, Err(StoreError::NotFound(_))), "{nobody:?}");
        assert!(matches!(store.load(id(9)).await, Err(StoreError::NotFound(_))));
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
        assert_eq!(store.prune(199).await, Ok(0));
        assert_eq!(store.prune(200).await, Ok(1));
        assert_eq!(store.create_runs(vec![new_run(6, Some(("k", None)), 201)]).await, Ok(vec![Created::New]));
        assert_eq!(store.prune(Millis::MAX).await, Ok(0), "a key without expiry is kept");
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
        assert_eq!(store.plan("e").await, Ok(None));
        store.set_cursor("c", 1).await.unwrap();
        store.set_cursor("c", 2).await.unwrap();
        assert_eq!(store.cursors().await.unwrap().into_iter().collect::<Vec<_>>(), [("c".to_string(), 2)]);
    });
}

#[test]
fn a_second_process_with_the_file_fences_off_the_first() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moltrun.db");
        let frozen = SqliteStore::open(&path).await.unwrap();
        // The lock file is gone with a restored backup or a careless hand; the epoch in the database is not.
        std::fs::remove_file(folder.path().join("moltrun.db.lock")).unwrap();
        let second = SqliteStore::open(&path).await.unwrap();
        second.create_runs(vec![new_run(1, None, 7)]).await.unwrap();
        let revived = frozen.commit(commit(1, 1, vec![started(0)], RunStatus::Running)).await;
        assert!(matches!(revived, Err(StoreError::Conflict(_))), "{revived:?}");
        second.commit(commit(1, 1, vec![started(0)], RunStatus::Running)).await.unwrap();
    });
}

#[test]
fn a_file_of_another_program_is_left_alone() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "these are my notes, not a database\n".repeat(100)).unwrap();
        let error = SqliteStore::open(&path).await.err().unwrap().to_string();
        assert!(error.contains("notes.txt"), "{error}");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("these are my notes"));
    });
}

/// One verb of a random history.
#[derive(Clone, Debug)]
enum Verb {
    Create { number: u128, key: Option<u8>, at: Millis },
    Commit { number: u128, expected: u64, status: RunStatus },
    Unfinished { after: Option<u128> },
    Prune { now: Millis },
}

fn verbs() -> impl Strategy<Value = Vec<Verb>> {
    let number = 0u128..6;
    let status = proptest::sample::select(RunStatus::ALL.to_vec());
    let verb = prop_oneof![
        3 => (number.clone(), proptest::option::of(0u8..3), 0i64..50).prop_map(|(number, key, at)| Verb::Create { number, key, at }),
        4 => (number.clone(), 1u64..4, status).prop_map(|(number, expected, status)| Verb::Commit { number, expected, status }),
        1 => proptest::option::of(number).prop_map(|after| Verb::Unfinished { after }),
        1 => (0i64..60).prop_map(|now| Verb::Prune { now }),
    ];
    proptest::collection::vec(verb, 1..25)
}

/// What a verb answered, in words that both stores must share.
async fn answer(store: &dyn Store, seen: &mut Vec<u128>, verb: &Verb) -> String {
    let kind = |error: StoreError| match error {
        StoreError::Conflict(_) => "conflict",
        StoreError::NotFound(_) => "not found",
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Corrupt(_) => "corrupt",
    };
    match verb {
        // Ids are unique by construction; a second run of one id is not a history.
        Verb::Create { number, .. } if seen.contains(number) => "skipped".to_string(),
        Verb::Create { number, key, at } => {
            let key = key.map(|key| format!("key {key}"));
            let run = new_run(*number, key.as_deref().map(|key| (key, Some(at + 10))), *at);
            let answers = store.create_runs(vec![run]).await.unwrap();
            if answers == [Created::New] {
                seen.push(*number);
            }
            format!("{answers:?}")
        }
        Verb::Commit { number, expected, status } => {
            let done = store.commit(commit(*number, *expected, vec![started(0)], *status)).await;
            format!("{:?}", done.map_err(kind))
        }
        Verb::Unfinished { after } => format!("{:?}", store.unfinished(after.map(id), 3).await),
        Verb::Prune { now } => format!("{:?}", store.prune(*now).await),
    }
}

proptest! {
    // Each case opens a database file; these are enough to meet every pair of verbs often.
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_are_answered_alike(history in verbs()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (memory, sqlite) = runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let memory = MemoryStore::default();
            let sqlite = SqliteStore::open(&folder.path().join("moltrun.db")).await.unwrap();
            let mut answers = (Vec::new(), Vec::new());
            let mut seen = (Vec::new(), Vec::new());
            for verb in &history {
                answers.0.push(answer(&memory, &mut seen.0, verb).await);
                answers.1.push(answer(&sqlite, &mut seen.1, verb).await);
            }
            answers.0.push(format!("{:?}", futures::future::join_all(seen.0.iter().map(|number| memory.load(id(*number)))).await));
            answers.1.push(format!("{:?}", futures::future::join_all(seen.1.iter().map(|number| sqlite.load(id(*number)))).await));
            answers
        });
        prop_assert_eq!(memory, sqlite);
    }
}
