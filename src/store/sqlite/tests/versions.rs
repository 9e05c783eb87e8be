//! Files of older moltruns and of other programs.

use sqlx::Executor;

use super::*;
use crate::engine::event::RunStatus;
use crate::engine::ports::Created;
use crate::store::conformance::{commit, created, id, new_run, started};

/// The tables of version 1 and two runs in them, as that version wrote them.
const VERSION_1: &str = r#"
PRAGMA application_id = 0x6d6f6c74;
PRAGMA user_version = 1;
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE plans (digest TEXT PRIMARY KEY, plan TEXT NOT NULL) STRICT;
CREATE TABLE runs (id TEXT PRIMARY KEY, workflow TEXT NOT NULL, plan TEXT NOT NULL, trigger TEXT NOT NULL,
    status TEXT NOT NULL, created_at INTEGER NOT NULL, finished_at INTEGER, wake_at INTEGER, version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_unfinished ON runs (id) WHERE status NOT IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX runs_by_workflow ON runs (workflow, id);
CREATE INDEX runs_by_status ON runs (status, id);
CREATE TABLE journal (run TEXT NOT NULL, seq INTEGER NOT NULL, events TEXT NOT NULL, PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE dedupe (key TEXT PRIMARY KEY, run TEXT NOT NULL, expires_at INTEGER) STRICT, WITHOUT ROWID;
CREATE INDEX dedupe_by_expiry ON dedupe (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE cursors (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 5);
INSERT INTO cursors VALUES ('c', 9);
INSERT INTO dedupe VALUES ('k', 'r', NULL);
"#;

#[tokio::test]
async fn a_database_of_version_1_goes_on() {
    let place = Place::new();
    let options = SqliteConnectOptions::new().filename(place.path()).create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&options).await.unwrap();
    old.execute(VERSION_1).await.unwrap();
    for (number, status, version) in [(1, "waiting", 2), (2, "succeeded", 1)] {
        let insert = "INSERT INTO runs VALUES (?, 'hello', 'd', 'message', ?, 7, NULL, 77, ?)";
        let insert = sqlx::query(insert).bind(id(number).to_string()).bind(status).bind(version);
        insert.execute(&mut old).await.unwrap();
    }
    let journal = [(1, 0, vec![created(7)]), (1, 1, vec![started(0)]), (2, 0, vec![created(8)])];
    for (number, seq, events) in journal {
        let insert = sqlx::query("INSERT INTO journal VALUES (?, ?, ?)").bind(id(number).to_string()).bind(seq);
        insert.bind(serde_json::to_string(&events).unwrap()).execute(&mut old).await.unwrap();
    }
    old.close().await.unwrap();

    let store = place.open().await;
    let unfinished = store.unfinished(None, 9).await.unwrap();
    assert_eq!(unfinished.iter().map(|row| row.id).collect::<Vec<_>>(), [id(1)]);
    assert_eq!(store.load(id(1)).await.unwrap().events, [created(7), started(0)]);
    assert_eq!(store.due(None, 9).await, Ok(vec![(77, id(1))]));
    store.commit(commit(1, 2, vec![started(1)], RunStatus::Succeeded)).await.unwrap();
    let ended = RunFilter { status: Some(RunStatus::Succeeded), limit: 9, ..RunFilter::default() };
    assert_eq!(store.runs(ended).await.unwrap().len(), 2);
    assert_eq!(store.cursors().await.unwrap()["c"], 9);
    let again = new_run(3, Some(("k", None)), 8);
    assert_eq!(store.create_runs(vec![again.clone()]).await, Ok(vec![Created::Duplicate]), "its keys are known");
    end(store).await;
    let store = place.open().await;
    assert_eq!(store.create_runs(vec![again]).await, Ok(vec![Created::Duplicate]));
}

#[tokio::test]
async fn a_newer_format_is_refused_by_name() {
    let place = Place::new();
    place.open().await.close().await;
    shell(&place.path()).await.execute("PRAGMA user_version = 9").await.unwrap();
    let refused = open(&place.path()).await.err().unwrap().to_string();
    assert!(refused.contains("its format is 9"), "{refused}");
}

#[tokio::test]
async fn a_file_of_another_program_is_left_alone() {
    let place = Place::new();
    let path = place.beside("notes.txt");
    std::fs::write(&path, "these are my notes, not a database\n".repeat(100)).unwrap();
    let error = open(&path).await.err().unwrap().to_string();
    assert!(error.contains("notes.txt"), "{error}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("these are my notes"));
}

/// What runs at every commit and every wake must find its rows by an index.
#[tokio::test]
async fn no_statement_of_the_hot_path_walks_over_a_table() {
    let place = Place::new();
    let store = place.open().await;
    for select in rows::hot() {
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {select}")));
        for row in plan.fetch_all(&store.readers).await.unwrap() {
            let step: String = sqlx::Row::get(&row, 3);
            assert!(
                !step.starts_with("SCAN") || step.contains("json_each") || step.contains("CONSTANT"),
                "{step}: {select}"
            );
            assert!(!step.contains("TEMP B-TREE"), "{step}: {select}");
        }
    }
}
