//! One process a database: locks, leases, the fence.

use std::os::unix::fs::PermissionsExt;

use sqlx::Executor;

use super::*;
use crate::engine::event::RunStatus;
use crate::store::conformance::{commit, new_run, started};

#[tokio::test]
async fn a_new_database_is_its_owners_and_an_old_one_stays_as_it_is() {
    let place = Place::new();
    let mode = |name: &str| std::fs::metadata(place.beside(name)).unwrap().permissions().mode() & 0o777;
    let store = place.open().await;
    for name in ["moltrun.db", "moltrun.db-wal", "moltrun.db-shm"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    drop(store);
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
    // The lock is free once the store has gone.
    let _store = place.open().await;
    assert_eq!(mode("moltrun.db"), 0o640);
}

#[tokio::test]
async fn a_link_is_no_second_database() {
    let place = Place::new();
    let _store = place.open().await;
    std::os::unix::fs::symlink(place.path(), place.beside("link.db")).unwrap();
    let refused = open(&place.beside("link.db")).await.err().unwrap().to_string();
    assert!(refused.contains("is in use by the moltrun process"), "{refused}");
}

#[tokio::test]
async fn a_database_of_two_names_is_refused() {
    let place = Place::new();
    place.open().await.close().await;
    std::fs::hard_link(place.path(), place.beside("other.db")).unwrap();
    let refused = open(&place.path()).await.err().unwrap().to_string();
    assert!(refused.contains("hard link"), "{refused}");
}

/// The lock file is gone with a restored backup or a careless hand; the lease and the epoch in the database are not.
#[tokio::test]
async fn a_frozen_process_is_waited_for_then_followed_and_fenced_off() {
    let place = Place::new();
    let frozen = SqliteStore::open(&place.path(), Arc::new(Frozen(START))).await.unwrap();
    std::fs::remove_file(place.beside("moltrun.db.lock")).unwrap();
    let clock = Arc::new(Leaping(AtomicI64::new(START)));
    let second = SqliteStore::open(&place.path(), clock.clone()).await.unwrap();
    let waited = clock.now() - START;
    assert!((limits::LEASE_MS..limits::LEASE_MS + 2 * limits::LEASE_LOOK_MS).contains(&waited), "{waited}");
    second.create_runs(vec![new_run(1, None, 7)]).await.unwrap();

    let lost = frozen.lost();
    assert_eq!(*lost.borrow(), None);
    let taken_over = |result| match result {
        Err(StoreError::Conflict(reason)) => reason.contains("taken over"),
        _ => false,
    };
    assert!(taken_over(frozen.commit(commit(1, 1, vec![started(0)], RunStatus::Running)).await));
    assert!(lost.borrow().is_some());
    assert!(taken_over(frozen.renew(0).await));
    assert!(taken_over(frozen.prune(0, 1).await.map(|_| ())));
    second.commit(commit(1, 1, vec![started(0)], RunStatus::Running)).await.unwrap();
}

#[tokio::test]
async fn a_process_that_renews_its_lease_is_not_followed() {
    let place = Place::new();
    let _store = SqliteStore::open(&place.path(), Arc::new(Frozen(START))).await.unwrap();
    std::fs::remove_file(place.beside("moltrun.db.lock")).unwrap();
    /// Each pause of the one that waits is a renewal of the other.
    struct Renewing(Leaping, PathBuf);
    impl Clock for Renewing {
        fn now(&self) -> Millis {
            self.0.now()
        }

        fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()> {
            let (slept, path) = (self.0.sleep_until(at), self.1.clone());
            async move {
                slept.await;
                shell(&path).await.execute("UPDATE lease SET until = until + 1").await.unwrap();
            }
            .boxed()
        }

        fn random(&self) -> u128 {
            7
        }
    }
    let clock = Renewing(Leaping(AtomicI64::new(START)), place.path());
    let refused = SqliteStore::open(&place.path(), Arc::new(clock)).await.err().unwrap().to_string();
    assert!(refused.contains(&format!("in use by the moltrun process {}", std::process::id())), "{refused}");
}

#[tokio::test]
async fn who_follows_one_that_is_provably_gone_does_not_wait() {
    let place = Place::new();
    // Without a word, as by SIGKILL; its lease has most of its time left.
    drop(SqliteStore::open(&place.path(), Arc::new(Frozen(START))).await.unwrap());
    SqliteStore::open(&place.path(), Arc::new(Frozen(START + 1))).await.unwrap().close().await;
    let mut shell = shell(&place.path()).await;
    let until: i64 = sqlx::query_scalar("SELECT until FROM lease").fetch_one(&mut shell).await.unwrap();
    assert_eq!(until, 0, "given back");
}

#[tokio::test]
async fn the_lease_is_renewed_while_nothing_else_happens() {
    let place = Place::new();
    let clock = crate::net::testing::ManualClock::at(START);
    let store = SqliteStore::open(&place.path(), clock.clone()).await.unwrap();
    clock.advance(limits::LEASE_RENEW_MS);
    store.renew(0).await.unwrap();
    let mut shell = shell(&place.path()).await;
    let until: i64 = sqlx::query_scalar("SELECT until FROM lease").fetch_one(&mut shell).await.unwrap();
    assert_eq!(until, START + limits::LEASE_RENEW_MS + limits::LEASE_MS);
}
