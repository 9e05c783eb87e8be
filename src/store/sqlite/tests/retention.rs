//! Forgetting gives the disk back, and no batch of it is large.

use serde_json::json;

use super::*;
use crate::engine::event::RunStatus;
use crate::store::conformance::{commit, id, new_run, started};

const PAGE_BYTES: u64 = 4096;

#[tokio::test]
async fn the_file_shrinks_by_what_was_forgotten() {
    let place = Place::new();
    let store = place.open().await;
    // 24 MB in lists of runs that end, and a run that stays, at the very end of the file.
    for number in 0..24 {
        store.create_runs(vec![new_run(number, None, 7)]).await.unwrap();
        let rows = vec![json!("x".repeat(1024 * 1024))];
        store.append_rows(id(number), "l".to_string(), 0, rows).await.unwrap();
        let end = commit(number, 1, vec![started(0)], RunStatus::Succeeded);
        store.commit(Commit { expires_at: Some(100), ..end }).await.unwrap();
    }
    store.create_runs(vec![new_run(99, None, 7)]).await.unwrap();
    let mut forgotten = 0;
    let mut batches = 0;
    loop {
        let pruned = store.prune(100, 10).await.unwrap();
        forgotten += pruned.runs;
        batches += 1;
        assert!(batches < 200, "no end");
        if !pruned.more {
            break;
        }
    }
    assert_eq!(forgotten, 24);
    assert!(batches > 3, "{batches} batches: not in small ones");
    end(store).await;
    let bytes = std::fs::metadata(place.path()).unwrap().len();
    assert!(bytes < (limits::SPARE_PAGES as u64 + 200) * PAGE_BYTES, "{bytes} bytes are left");
    let store = place.open().await;
    assert_eq!(store.load(id(99)).await.unwrap().events.len(), 1);
}

#[tokio::test]
async fn a_run_with_a_huge_journal_goes_in_batches_and_survives_a_crash_between_them() {
    let place = Place::new();
    let mut store = place.open().await;
    store.create_runs(vec![new_run(1, None, 7), new_run(2, None, 7)]).await.unwrap();
    let end = commit(1, 1, vec![started(0)], RunStatus::Succeeded);
    store.commit(Commit { expires_at: Some(100), ..end }).await.unwrap();
    let rows = u64::from(limits::PRUNE_ROWS) * 2 + 500;
    let fill = "INSERT INTO journal (run, seq, events)
        WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 999 + $1) SELECT $2, i, '[]' FROM n";
    let fill = sqlx::query(fill).bind(rows as i64).bind(id(1).to_string());
    fill.execute(&mut shell(&place.path()).await).await.unwrap();

    let first = store.prune(100, 10).await.unwrap();
    assert_eq!((first.runs, first.more), (1, true));
    assert!(matches!(store.load(id(1)).await, Err(StoreError::NotFound(_))), "half a run is no run");
    assert!(matches!(store.journal(id(1), 0, 9).await, Err(StoreError::NotFound(_))));
    drop(store);
    store = place.open().await;
    let mut batches = 1;
    while store.prune(100, 10).await.unwrap().more {
        batches += 1;
        assert!(batches < 20, "no end");
    }
    assert_eq!(batches, 2);
    let mut shell = shell(&place.path()).await;
    let left: i64 = sqlx::query_scalar("SELECT (SELECT count(*) FROM journal) + (SELECT count(*) FROM leftovers)")
        .fetch_one(&mut shell)
        .await
        .unwrap();
    assert_eq!(left, 1, "the first event of the other run");
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut shell).await.unwrap();
    assert_eq!(sound, "ok");
}
