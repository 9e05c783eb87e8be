//! The tables, how an older form of them becomes the present one, and the fence that keeps a revived older process from
//! writing.

use sqlx::{Executor, Row, SqliteConnection};

use super::error::store_error;
use super::keys;
use crate::engine::ports::StoreError;

/// The form of the tables; raised with every change of them.
pub const VERSION: i64 = 2;

/// Marks the file as ours (`PRAGMA application_id`): "molt" in ASCII.
const APPLICATION_ID: i64 = 0x6d6f_6c74;

/// What has not changed since the first version. `runs` is clustered by id: ids made later sort later, so that new runs,
/// which are those that change, share a few pages.
const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE plans (digest TEXT PRIMARY KEY, plan TEXT NOT NULL) STRICT;
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    workflow TEXT NOT NULL,
    plan TEXT NOT NULL,
    trigger TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    wake_at INTEGER,
    version INTEGER NOT NULL,
    lane TEXT,
    parent TEXT,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_by_workflow ON runs (workflow, id);
CREATE TABLE cursors (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 0);
";

/// What the first version lacked, up to where its rows are moved.
const WIDEN_1: &str = "
ALTER TABLE runs ADD COLUMN lane TEXT;
ALTER TABLE runs ADD COLUMN parent TEXT;
ALTER TABLE runs ADD COLUMN expires_at INTEGER;
DROP INDEX runs_unfinished;
DROP INDEX runs_by_status;
UPDATE runs SET finished_at = created_at
    WHERE finished_at IS NULL AND status IN ('succeeded', 'failed', 'cancelled');
UPDATE runs SET wake_at = NULL WHERE finished_at IS NOT NULL;
ALTER TABLE journal RENAME TO journal_1;
ALTER TABLE dedupe RENAME TO dedupe_1;
DROP INDEX dedupe_by_expiry;
";

const MOVE_1: &str = "
INSERT INTO journal (run, seq, events) SELECT run, seq, events FROM journal_1 ORDER BY run, seq;
DROP TABLE journal_1;
";

/// The rest. The indices of `runs` are partial, so that the commits of a run on its way touch none of them: they leave
/// `finished_at` and `expires_at` alone, and of the others only what a condition is true for is written. The journal and
/// the lists are rowid tables with an index beside: rows are appended, and one of 2 KB needs no page of its own, as it
/// would in an index. What the
/// keys of `dedupe` would need an index for is in memory. `guard` is always empty: a statement that would fill it ends a transaction that must not commit.
const TABLES_2: &str = "
CREATE INDEX runs_unfinished ON runs (id) WHERE finished_at IS NULL;
CREATE INDEX runs_by_mishap ON runs (status, id) WHERE status IN ('failed', 'cancelled', 'attention');
CREATE INDEX runs_by_wake ON runs (wake_at, id) WHERE wake_at IS NOT NULL;
CREATE INDEX runs_by_expiry ON runs (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE journal (entry INTEGER PRIMARY KEY, run TEXT NOT NULL, seq INTEGER NOT NULL, events TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX journal_by_run ON journal (run, seq);
CREATE TABLE dedupe (key INTEGER PRIMARY KEY, mark BLOB NOT NULL, expires_at INTEGER) STRICT;
CREATE INDEX dedupe_by_expiry ON dedupe (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE snapshots (run TEXT PRIMARY KEY, version INTEGER NOT NULL, state TEXT NOT NULL) STRICT;
CREATE TABLE lists (
    chunk INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    list TEXT NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    rows TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX lists_by_run ON lists (run, list, first, count);
CREATE TABLE key_values (
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX key_values_by_expiry ON key_values (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE listens (
    event TEXT NOT NULL,
    path TEXT NOT NULL,
    value TEXT NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (event, path, value, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX listens_by_run ON listens (run);
CREATE TABLE leftovers (run TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE lease (holder TEXT NOT NULL, until INTEGER NOT NULL) STRICT;
INSERT INTO lease VALUES ('', 0);
CREATE TABLE guard (failed INTEGER CHECK (failed IS NULL)) STRICT;
";

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error(transparent)]
    Sqlite(#[from] sqlx::Error),
    #[error("it belongs to another program (application id {0:#x})")]
    Foreign(i64),
    #[error("its format is {found}, this moltrun knows {VERSION}; use the moltrun that wrote it, or a newer one")]
    Version { found: i64 },
}

impl From<SchemaError> for StoreError {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Sqlite(error) => store_error(error),
            error @ (SchemaError::Foreign(_) | SchemaError::Version { .. }) => Self::Corrupt(error.to_string()),
        }
    }
}

/// Creates the tables of a new file, checks those of an old one, or brings them to the present form.
pub async fn prepare(connection: &mut SqliteConnection) -> Result<(), SchemaError> {
    connection.execute("BEGIN IMMEDIATE").await?;
    let application: i64 = connection.fetch_one("PRAGMA application_id").await?.try_get(0)?;
    let version: i64 = connection.fetch_one("PRAGMA user_version").await?.try_get(0)?;
    let tables: i64 = connection.fetch_one("SELECT count(*) FROM sqlite_schema").await?.try_get(0)?;
    let scripts: &[&'static str] = match (application, version, tables) {
        (0, 0, 0) => &[TABLES, TABLES_2],
        (APPLICATION_ID, 1, _) => &[WIDEN_1, TABLES_2, MOVE_1],
        (APPLICATION_ID, VERSION, _) => &[],
        (APPLICATION_ID, found, _) => return Err(SchemaError::Version { found }),
        (other, _, _) => return Err(SchemaError::Foreign(other)),
    };
    for script in scripts {
        sqlx::raw_sql(*script).execute(&mut *connection).await?;
    }
    if version == 1 {
        mark_keys(connection).await?;
    }
    if !scripts.is_empty() {
        // Pragmas take no parameters; the two numbers are those above.
        connection.execute("PRAGMA application_id = 0x6d6f6c74").await?;
        connection.execute("PRAGMA user_version = 2").await?;
    }
    connection.execute("COMMIT").await?;
    Ok(())
}

/// Moves the keys of the first version, which kept them as texts.
async fn mark_keys(connection: &mut SqliteConnection) -> Result<(), SchemaError> {
    let select = "SELECT key, expires_at FROM dedupe_1 WHERE key > ? ORDER BY key LIMIT 1000";
    let insert = "INSERT INTO dedupe (mark, expires_at) VALUES (?, ?)";
    let mut last = String::new();
    loop {
        let select = sqlx::query_as::<_, (String, Option<i64>)>(select).bind(&last);
        let rows = select.fetch_all(&mut *connection).await?;
        for (key, expires_at) in &rows {
            sqlx::query(insert).bind(&keys::mark(key)[..]).bind(expires_at).execute(&mut *connection).await?;
        }
        match rows.into_iter().next_back() {
            Some((key, _)) => last = key,
            None => break,
        }
    }
    connection.execute("DROP TABLE dedupe_1").await?;
    Ok(())
}
