//! SQLite: one writer task that owns the write connection and turns a batch of requests into one commit
//! (`synchronous=FULL`, so that a commit survives the machine), and a read-only pool beside it.

mod batch;
mod connection;
mod error;
mod files;
mod inspect;
mod keys;
mod lease;
mod lock;
#[cfg(test)]
mod measure;
mod prune;
mod read_only;
mod reads;
mod rows;
mod schema;
mod script;
mod writer;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::inspect::{Inspection, inspect};
pub use self::lock::{Lock, LockError};
pub use self::read_only::ReadOnly;

use self::connection::WriteConnection;
use self::files::Files;
use self::keys::Keys;
use self::lease::{Lease, LeaseError};
use self::writer::{Request, Writer};
use crate::base::{Json, Millis, RunId, limits};
use crate::engine::event::Event;
use crate::engine::ports::{
    Clock, Commit, Created, Listen, Loaded, NewRun, Pruned, Query, RunFilter, RunRow, Space, Store, StoreError, Write,
};

/// How long a statement waits for another process's lock (a backup, a curious shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Readers at once: API, commands, and the engine when it takes up a run that is not in memory.
const READERS: u32 = 4;

/// Prepared statements of the write connection: a batch is one text for each set of things that can be in it, and in
/// practice there are some dozens of such sets.
const STATEMENTS: usize = 256;

/// The write connection's page cache, as SQLite counts: negative, in KiB. The inner pages of the indices of a million runs
/// fit, with the leaves that are being appended to.
const CACHE: &str = "-16384";

/// Pages in the log (of 4 KB) at which a commit moves them into the database. Pages that change often are moved once for
/// many changes; a larger log makes that commit's pause longer.
const CHECKPOINT: &str = "2000";

/// What the log file is cut to after a burst (a long read keeps it from being reused), in bytes.
const LOG_BYTES: &str = "33554432";

/// The database file of one daemon.
pub struct SqliteStore {
    requests: mpsc::Sender<Request>,
    readers: SqlitePool,
    lost: watch::Receiver<Option<String>>,
    trouble: watch::Receiver<Option<StoreError>>,
    /// Held as long as the store lives.
    _lock: Lock,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("the database {} could not be opened: {source}", path.display())]
    Lease { path: PathBuf, source: LeaseError },
    #[error("the database {} could not be opened: {source}", path.display())]
    Store { path: PathBuf, source: StoreError },
}

impl SqliteStore {
    /// Opens (or creates) the database at `path`, for this process alone. Where it cannot be proved that its last owner
    /// is gone, this waits for the end of that one's lease, [`limits::LEASE_MS`] at most.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let unavailable = |error: std::io::Error| OpenError::Store {
            path: path.to_path_buf(),
            source: StoreError::Unavailable(error.to_string()),
        };
        files::private(path).map_err(unavailable)?;
        // One lock for all the names that links give a file.
        let path = std::fs::canonicalize(path).map_err(unavailable)?;
        let lock = Lock::take(&path)?;
        let lease = Lease::new(&lock, clock.clone());
        let options = options(&path);
        let open = async {
            choose_vacuum(&path).await?;
            let mut connection = SqliteConnection::connect_with(&options).await?;
            schema::prepare(&mut connection).await?;
            let epoch = lease.take(&mut connection, &path).await?;
            let keys = Keys::load(&mut connection).await?;
            // Opened after the schema is there.
            // A reader's cache is SQLite's own small one: what it misses is in the kernel's.
            let reading = options.clone().read_only(true).pragma("cache_size", "-2048");
            let readers = SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false);
            let readers = readers.connect_with(reading).await?;
            Ok((connection, epoch, keys, readers))
        };
        let (connection, epoch, keys, readers) = open.await.map_err(|source: LeaseError| match source {
            LeaseError::Schema(error) => OpenError::Store { path: path.clone(), source: error.into() },
            source @ LeaseError::Held { .. } => OpenError::Lease { path: path.clone(), source },
        })?;
        let (requests, inbox) = mpsc::channel(limits::WRITER_QUEUE);
        let (lost, seen) = watch::channel(None);
        let (troubled, trouble) = watch::channel(None);
        let writer = Writer {
            connection: WriteConnection::new(connection, options),
            epoch,
            lease,
            keys,
            renew_at: clock.now().saturating_add(limits::LEASE_RENEW_MS),
            clock,
            files: Files::new(&path),
            lost,
            trouble: troubled,
            uncertain: HashSet::new(),
        };
        tokio::spawn(writer.run(inbox));
        Ok(Self { requests, readers, lost: seen, trouble, _lock: lock })
    }

    /// Some once this process can no longer use the database, and why: another process has taken it over, or its file is
    /// gone. From then on every commit is a conflict, and all that is left to do is to end.
    pub fn lost(&self) -> watch::Receiver<Option<String>> {
        self.lost.clone()
    }

    /// Commits what is waiting, gives the lease back and closes the file; every later request is unavailable.
    pub async fn close(&self) {
        // The last connection to close moves the log into the file, which a reader may not.
        self.readers.close().await;
        let _ = self.ask(|answer| Request::Close { answer }).await;
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

/// Makes a new file one that can give pages back. It can be chosen only before the first page, and so before the options
/// above, of which one writes that page. A file of an earlier moltrun keeps its free pages and uses them again.
async fn choose_vacuum(path: &Path) -> sqlx::Result<()> {
    // What cannot be looked at cannot be opened either, and that says why.
    if std::fs::metadata(path).map_or(1, |file| file.len()) > 0 {
        return Ok(());
    }
    let plain = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
    let mut connection = SqliteConnection::connect_with(&plain).await?;
    sqlx::raw_sql("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL").execute(&mut connection).await?;
    connection.close().await
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS)
        .pragma("cache_size", CACHE)
        .pragma("wal_autocheckpoint", CHECKPOINT)
        .pragma("journal_size_limit", LOG_BYTES)
        .disable_statement_logging()
}

fn gone() -> StoreError {
    StoreError::Unavailable("the writer has stopped".to_string())
}

impl Store for SqliteStore {
    fn save_plan<'a>(&'a self, digest: &'a str, plan: &'a Json) -> BoxFuture<'a, Result<(), StoreError>> {
        let (digest, plan) = (digest.to_string(), plan.to_string());
        self.ask(|answer| Request::SavePlan { digest, plan, answer }).boxed()
    }

    fn plan<'a>(&'a self, digest: &'a str) -> BoxFuture<'a, Result<Option<Json>, StoreError>> {
        reads::plan(&self.readers, digest).boxed()
    }

    fn create_runs(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Created>, StoreError>> {
        self.ask(|answer| Request::Create { runs, answer }).boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(|answer| Request::Commit { commit, answer }).boxed()
    }

    fn load(&self, run: RunId) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        rows::load(&self.readers, run).boxed()
    }

    fn row(&self, run: RunId) -> BoxFuture<'_, Result<RunRow, StoreError>> {
        rows::row(&self.readers, run).boxed()
    }

    fn journal(&self, run: RunId, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        rows::journal(&self.readers, run, from, limit).boxed()
    }

    fn unfinished(&self, after: Option<RunId>, limit: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        rows::unfinished(&self.readers, after, limit).boxed()
    }

    fn due(
        &self,
        after: Option<(Millis, RunId)>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(Millis, RunId)>, StoreError>> {
        rows::due(&self.readers, after, limit).boxed()
    }

    fn listening(
        &self,
        listen: Listen,
        after: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        reads::listening(&self.readers, listen, after, limit).boxed()
    }

    fn listened(&self) -> BoxFuture<'_, Result<Vec<(String, String)>, StoreError>> {
        reads::listened(&self.readers).boxed()
    }

    fn value<'a>(&'a self, space: Space, key: &'a str, now: Millis) -> BoxFuture<'a, Result<Option<Json>, StoreError>> {
        reads::value(&self.readers, space, key, now).boxed()
    }

    fn values(
        &self,
        space: Space,
        prefix: String,
        after: Option<String>,
        limit: u32,
        now: Millis,
    ) -> BoxFuture<'_, Result<Vec<(String, Json)>, StoreError>> {
        reads::values(&self.readers, space, prefix, after, limit, now).boxed()
    }

    fn put(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(move |answer| Request::Put { writes, answer }).boxed()
    }

    fn append_rows(
        &self,
        run: RunId,
        list: String,
        first: u32,
        rows: Vec<Json>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(move |answer| Request::AppendRows { run, list, first, rows, answer }).boxed()
    }

    fn rows<'a>(
        &'a self,
        run: RunId,
        list: &'a str,
        from: u32,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Json>, StoreError>> {
        reads::rows(&self.readers, run, list, from, limit).boxed()
    }

    fn cursors(&self) -> BoxFuture<'_, Result<BTreeMap<String, Millis>, StoreError>> {
        reads::cursors(&self.readers).boxed()
    }

    fn set_cursors(&self, cursors: Vec<(String, Millis)>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(move |answer| Request::SetCursors { cursors, answer }).boxed()
    }

    fn prune(&self, now: Millis, limit: u32) -> BoxFuture<'_, Result<Pruned, StoreError>> {
        self.ask(move |answer| Request::Prune { now, limit, answer }).boxed()
    }

    fn renew(&self, _now: Millis) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(move |answer| Request::Renew { answer }).boxed()
    }
}

impl Query for SqliteStore {
    fn writable(&self) -> Result<(), StoreError> {
        if self.requests.is_closed() {
            return Err(gone());
        }
        if let Some(reason) = &*self.lost.borrow() {
            return Err(StoreError::Conflict(reason.clone()));
        }
        self.trouble.borrow().clone().map_or(Ok(()), Err)
    }

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
mod tests;
