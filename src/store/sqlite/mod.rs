//! SQLite: one writer task that owns the write connection and turns a batch of requests into one commit
//! (`synchronous=FULL`, so that a commit survives the machine), and a read-only pool beside it.

mod batch;
mod connection;
mod error;
mod lock;
mod rows;
mod schema;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Row, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot};

pub use self::lock::{Lock, LockError};

use self::connection::WriteConnection;
use self::error::store_error;
use self::writer::{Request, Writer};
use crate::base::{Json, Millis, RunId, limits};
use crate::engine::event::Event;
use crate::engine::ports::{Commit, Created, NewRun, Query, RunFilter, RunRow, Store, StoreError};

/// How long a statement waits for another process's lock (a backup, a curious shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Readers at once: API, commands, and the engine when it takes up a run that is not in memory.
const READERS: u32 = 4;

/// The database file of one daemon.
pub struct SqliteStore {
    requests: mpsc::Sender<Request>,
    readers: SqlitePool,
    /// Held as long as the store lives.
    _lock: Lock,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("the database {} could not be opened: {source}", path.display())]
    Store { path: PathBuf, source: StoreError },
}

impl SqliteStore {
    /// Opens (or creates) the database at `path`, for this process alone.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = Lock::take(path)?;
        let failed = |source| OpenError::Store { path: path.to_path_buf(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        private(path).map_err(|error| failed(StoreError::Unavailable(error.to_string())))?;
        let open = async {
            let mut connection = SqliteConnection::connect_with(&options).await?;
            let epoch = schema::prepare(&mut connection).await?;
            // Opened after the schema is there.
            let readers =
                SqlitePoolOptions::new().max_connections(READERS).connect_with(options.clone().read_only(true)).await?;
            Ok((connection, epoch, readers))
        };
        let (connection, epoch, readers) =
            open.await.map_err(|error: schema::SchemaError| failed(StoreError::from(error)))?;
        let (requests, inbox) = mpsc::channel(limits::WRITER_QUEUE);
        let connection = WriteConnection::new(connection, options);
        tokio::spawn(Writer::new(connection, epoch).run(inbox));
        Ok(Self { requests, readers, _lock: lock })
    }

    /// Sends a request to the writer and waits for its commit.
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the writer has stopped".to_string())
}

/// Creates the file, if there is none, for this user alone: it holds what customers write. SQLite gives its companions
/// (`-wal`, `-shm`) the same rights.
fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

impl Store for SqliteStore {
    fn save_plan<'a>(&'a self, digest: &'a str, plan: &'a Json) -> BoxFuture<'a, Result<(), StoreError>> {
        let (digest, plan) = (digest.to_string(), plan.to_string());
        self.ask(|answer| Request::SavePlan { digest, plan, answer }).boxed()
    }

    fn plan<'a>(&'a self, digest: &'a str) -> BoxFuture<'a, Result<Option<Json>, StoreError>> {
        async move {
            let row = sqlx::query("SELECT plan FROM plans WHERE digest = ?")
                .bind(digest)
                .fetch_optional(&self.readers)
                .await
                .map_err(store_error)?;
            let Some(row) = row else { return Ok(None) };
            let text: &str = row.try_get(0).map_err(store_error)?;
            let plan = serde_json::from_str(text);
            plan.map(Some).map_err(|error| StoreError::Corrupt(format!("plan {digest}: {error}")))
        }
        .boxed()
    }

    fn create_runs(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Created>, StoreError>> {
        self.ask(|answer| Request::Create { runs, answer }).boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(|answer| Request::Commit { commit, answer }).boxed()
    }

    fn load(&self, run: RunId) -> BoxFuture<'_, Result<(RunRow, Vec<Event>), StoreError>> {
        rows::load(&self.readers, run).boxed()
    }

    fn unfinished(&self, after: Option<RunId>, limit: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        rows::unfinished(&self.readers, after, limit).boxed()
    }

    fn cursors(&self) -> BoxFuture<'_, Result<BTreeMap<String, Millis>, StoreError>> {
        async move {
            let rows =
                sqlx::query("SELECT name, at FROM cursors").fetch_all(&self.readers).await.map_err(store_error)?;
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, _>>().map_err(store_error)
        }
        .boxed()
    }

    fn set_cursor<'a>(&'a self, name: &'a str, at: Millis) -> BoxFuture<'a, Result<(), StoreError>> {
        let name = name.to_string();
        self.ask(move |answer| Request::SetCursor { name, at, answer }).boxed()
    }

    fn prune(&self, now: Millis) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.ask(move |answer| Request::Prune { now, answer }).boxed()
    }
}

impl Query for SqliteStore {
    fn runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        async move {
            if self.requests.is_closed() {
                // What would be shown no longer moves.
                return Err(gone());
            }
            rows::list(&self.readers, filter).await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn without_its_writer_the_store_is_unavailable() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("moltrun.db")).await.unwrap();
        assert_eq!(store.runs(RunFilter { limit: 1, ..RunFilter::default() }).await, Ok(Vec::new()));
        let (requests, inbox) = mpsc::channel(1);
        drop(inbox);
        let store = SqliteStore { requests, ..store };
        assert_eq!(store.runs(RunFilter { limit: 1, ..RunFilter::default() }).await, Err(gone()));
        assert_eq!(store.prune(0).await, Err(gone()));
    }

    #[tokio::test]
    async fn a_new_database_is_its_owners_and_an_old_one_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moltrun.db");
        let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        let store = SqliteStore::open(&path).await.unwrap();
        for name in ["moltrun.db", "moltrun.db-wal", "moltrun.db-shm"] {
            assert_eq!(mode(name), 0o600, "{name}");
        }
        drop(store);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        // The lock is free once the writer has gone.
        let _store = SqliteStore::open(&path).await.unwrap();
        assert_eq!(mode("moltrun.db"), 0o640);
    }
}
