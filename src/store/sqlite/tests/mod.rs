//! SQLite's own: files, owners, trouble. What it shares with every store is in `store/conformance.rs`.

mod owners;
mod retention;
mod trouble;
mod versions;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use tempfile::TempDir;

use super::*;
use crate::engine::clock::SystemClock;

/// A database in a folder of its own.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("moltrun.db")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn open(&self) -> SqliteStore {
        open(&self.path()).await.unwrap()
    }
}

async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, Arc::new(SystemClock)).await
}

/// When the clocks of these tests begin.
const START: Millis = 1_000;

async fn end(store: SqliteStore) {
    store.close().await;
}

/// A connection of somebody else.
async fn shell(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
}

/// Time that jumps to where its only sleeper wants it, up to the end of a lease.
struct Leaping(AtomicI64);

impl Clock for Leaping {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }

    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()> {
        if at > START + limits::LEASE_MS + limits::LEASE_LOOK_MS {
            return futures::future::pending().boxed();
        }
        self.0.fetch_max(at, Ordering::SeqCst);
        futures::future::ready(()).boxed()
    }

    fn random(&self) -> u128 {
        7
    }
}

/// Time that stands still: of a process that is frozen.
struct Frozen(Millis);

impl Clock for Frozen {
    fn now(&self) -> Millis {
        self.0
    }

    fn sleep_until(&self, _at: Millis) -> BoxFuture<'static, ()> {
        futures::future::pending().boxed()
    }

    fn random(&self) -> u128 {
        7
    }
}
