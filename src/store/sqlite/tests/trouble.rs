//! A full disk, a damaged or vanished file, a lock of somebody else, a commit of which SQLite does not know the end.

use std::io::{Seek, SeekFrom, Write as _};

use sqlx::{Connection, Executor};

use super::writer::Writer;
use super::*;
use crate::engine::event::RunStatus;
use crate::engine::ports::Dedupe;
use crate::store::conformance::{commit, id, new_run, started};

/// A writer without a store around it, so that a test can have a hand on its connection.
async fn writer(place: &Place) -> Writer {
    let path = place.path();
    files::private(&path).unwrap();
    let options = options(&path).busy_timeout(Duration::from_millis(1));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    schema::prepare(&mut connection).await.unwrap();
    let clock: Arc<dyn Clock> = Arc::new(Frozen(START));
    let lease = Lease::new(&Lock::take(&path).unwrap(), clock.clone());
    let epoch = lease.take(&mut connection, &path).await.unwrap();
    Writer {
        connection: WriteConnection::new(connection, options),
        epoch,
        lease,
        keys: Keys::default(),
        renew_at: START + 1,
        clock,
        files: Files::new(&path),
        lost: watch::channel(None).0,
        trouble: tokio::sync::watch::channel(None).0,
        uncertain: HashSet::new(),
    }
}

async fn ask<T>(
    writer: &mut Writer,
    request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
) -> Result<T, StoreError> {
    let (answer, answered) = oneshot::channel();
    writer.serve(vec![request(answer)]).await;
    answered.await.unwrap()
}

async fn set_cursor(writer: &mut Writer, at: Millis) -> Result<(), StoreError> {
    ask(writer, |answer| Request::SetCursors { cursors: vec![("s".to_string(), at)], answer }).await
}

async fn give(writer: &mut Writer, commit: Commit) -> Result<(), StoreError> {
    ask(writer, |answer| Request::Commit { commit, answer }).await
}

#[tokio::test]
async fn without_its_writer_the_store_is_unavailable() {
    let place = Place::new();
    let store = place.open().await;
    let all = || RunFilter { limit: 1, ..RunFilter::default() };
    assert_eq!(store.runs(all()).await, Ok(Vec::new()));
    store.close().await;
    assert_eq!(store.runs(all()).await, Err(gone()));
    assert_eq!(store.prune(0, 1).await, Err(gone()));
    store.close().await;
}

#[tokio::test]
async fn a_transaction_that_was_left_open_costs_one_batch_and_not_the_fence() {
    let place = Place::new();
    let mut writer = writer(&place).await;
    // As a `ROLLBACK` that failed leaves it.
    writer.connection.get().await.unwrap().execute("BEGIN IMMEDIATE").await.unwrap();
    let stuck = set_cursor(&mut writer, 1).await;
    assert!(matches!(stuck, Err(StoreError::Unavailable(_))), "{stuck:?}");
    assert_eq!(set_cursor(&mut writer, 2).await, Ok(()));

    writer.connection.discard().await;
    let mut other = shell(&place.path()).await;
    other.execute("UPDATE meta SET value = value + 1").await.unwrap();
    // The last connection to close moves the log into the file and locks it meanwhile.
    other.close().await.unwrap();
    let fenced = set_cursor(&mut writer, 3).await;
    assert!(matches!(fenced, Err(StoreError::Conflict(_))), "{fenced:?}");
    assert!(writer.lost.borrow().is_some());
}

#[tokio::test]
async fn a_full_disk_is_worth_another_try_and_loses_nothing() {
    let place = Place::new();
    let mut writer = writer(&place).await;
    let create = |answer| Request::Create { runs: vec![new_run(1, Some(("k", None)), 7)], answer };
    ask(&mut writer, create).await.unwrap();
    // SQLite's answer is the same as to a full disk.
    writer.connection.get().await.unwrap().execute("PRAGMA max_page_count = 1").await.unwrap();
    let big =
        Commit { snapshot: Some("x".repeat(1 << 20).into()), ..commit(1, 1, vec![started(0)], RunStatus::Running) };
    for _ in 0..2 {
        let full = give(&mut writer, big.clone()).await;
        assert!(matches!(&full, Err(StoreError::Unavailable(reason)) if reason.contains("full")), "{full:?}");
    }
    writer.connection.get().await.unwrap().execute("PRAGMA max_page_count = 1000000").await.unwrap();
    give(&mut writer, big).await.unwrap();
    assert!(writer.uncertain.is_empty());
}

#[tokio::test]
async fn a_lock_of_somebody_else_is_worth_another_try() {
    let place = Place::new();
    let mut writer = writer(&place).await;
    let mut other = shell(&place.path()).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let busy = set_cursor(&mut writer, 1).await;
    assert!(matches!(&busy, Err(StoreError::Unavailable(reason)) if reason.contains("locked")), "{busy:?}");
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(set_cursor(&mut writer, 2).await, Ok(()));
}

#[tokio::test]
async fn what_failed_and_is_durable_all_the_same_is_done_when_it_is_tried_again() {
    let place = Place::new();
    let mut writer = writer(&place).await;
    let run = || new_run(1, Some(("k", None)), 7);
    let create = |answer| Request::Create { runs: vec![run()], answer };
    ask(&mut writer, create).await.unwrap();
    assert_eq!(ask(&mut writer, create).await, Ok(vec![Created::New]), "it is the same run");
    let other = NewRun { dedupe: Some(Dedupe { key: "k".to_string(), expires_at: None }), ..new_run(2, None, 7) };
    let create = |answer| Request::Create { runs: vec![other], answer };
    assert_eq!(ask(&mut writer, create).await, Ok(vec![Created::Duplicate]));

    let step = || commit(1, 1, vec![started(0)], RunStatus::Running);
    give(&mut writer, step()).await.unwrap();
    let again = give(&mut writer, step()).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "nobody doubted it: {again:?}");
    writer.uncertain.insert(id(1));
    let other = give(&mut writer, commit(1, 1, vec![started(1)], RunStatus::Running)).await;
    assert!(matches!(other, Err(StoreError::Conflict(_))), "{other:?}");
    writer.uncertain.insert(id(1));
    assert_eq!(give(&mut writer, step()).await, Ok(()));
    assert!(writer.uncertain.is_empty());
}

#[tokio::test]
async fn no_commit_into_a_file_that_is_gone_is_confirmed() {
    type Take = fn(&Place);
    let take: [(&str, Take); 3] = [
        ("deleted", |place| std::fs::remove_file(place.path()).unwrap()),
        ("its log deleted", |place| std::fs::remove_file(place.beside("moltrun.db-wal")).unwrap()),
        ("replaced", |place| {
            std::fs::copy(place.path(), place.beside("copy")).unwrap();
            std::fs::rename(place.beside("copy"), place.path()).unwrap();
        }),
    ];
    for (what, take) in take {
        let place = Place::new();
        let store = place.open().await;
        store.create_runs(vec![new_run(1, None, 7)]).await.unwrap();
        take(&place);
        let answer = store.commit(commit(1, 1, vec![started(0)], RunStatus::Running)).await;
        assert!(
            matches!(&answer, Err(StoreError::Conflict(reason)) if reason.contains("moltrun.db")),
            "{what}: {answer:?}"
        );
        assert!(store.lost().borrow().is_some(), "{what}");
    }
}

#[tokio::test]
async fn a_damaged_page_is_said_and_harms_no_other_run() {
    let place = Place::new();
    let store = place.open().await;
    store.create_runs((1..=2).map(|number| new_run(number, None, 7)).collect()).await.unwrap();
    for number in [1, 2] {
        // Each snapshot fills pages of its own, but for its beginning.
        let state = Some(format!("run {number} ").repeat(10_000).into());
        let step = commit(number, 1, vec![started(0)], RunStatus::Running);
        store.commit(Commit { snapshot: state, ..step }).await.unwrap();
    }
    end(store).await;
    let bytes = std::fs::read(place.path()).unwrap();
    let at = bytes.windows(12).rposition(|window| window == b"run 1 run 1 ").unwrap() / 4096 * 4096;
    let mut file = std::fs::OpenOptions::new().write(true).open(place.path()).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(&[0xff; 4096]).unwrap();
    let store = place.open().await;
    let damaged = store.load(id(1)).await;
    assert!(matches!(damaged, Err(StoreError::Corrupt(_))), "{damaged:?}");
    assert_eq!(store.load(id(2)).await.unwrap().row.version, 2);
    store.create_runs(vec![new_run(3, None, 7)]).await.unwrap();
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let place = Place::new();
    let missing = open(&place.beside("no/such/moltrun.db")).await.err().unwrap().to_string();
    assert!(missing.contains("no/such/moltrun.db") && missing.contains("No such file"), "{missing}");
    std::fs::create_dir(place.beside("folder.db")).unwrap();
    let folder = open(&place.beside("folder.db")).await.err().unwrap().to_string();
    assert!(folder.contains("folder.db"), "{folder}");
}
