//! The tables, and the fence that keeps a revived older process from writing.

use sqlx::{Executor, Row, SqliteConnection};

use super::error::store_error;
use crate::engine::ports::StoreError;

/// The form of the tables; raised with every change of them.
const VERSION: i64 = 1;

/// Marks the file as ours (`PRAGMA application_id`): "molt" in ASCII.
const APPLICATION_ID: i64 = 0x6d6f_6c74;

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
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_unfinished ON runs (id) WHERE status NOT IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX runs_by_workflow ON runs (workflow, id);
CREATE INDEX runs_by_status ON runs (status, id);
CREATE TABLE journal (
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    events TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE dedupe (key TEXT PRIMARY KEY, run TEXT NOT NULL, expires_at INTEGER) STRICT, WITHOUT ROWID;
CREATE INDEX dedupe_by_expiry ON dedupe (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE cursors (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 0);
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

/// Creates the tables of a new file, checks those of an old one, and starts this process's epoch: a writer of an earlier
/// one will be refused.
pub async fn prepare(connection: &mut SqliteConnection) -> Result<i64, SchemaError> {
    connection.execute("BEGIN IMMEDIATE").await?;
    let application: i64 = connection.fetch_one("PRAGMA application_id").await?.try_get(0)?;
    let version: i64 = connection.fetch_one("PRAGMA user_version").await?.try_get(0)?;
    let tables: i64 = connection.fetch_one("SELECT count(*) FROM sqlite_schema").await?.try_get(0)?;
    match (application, version, tables) {
        (0, 0, 0) => {
            sqlx::raw_sql(TABLES).execute(&mut *connection).await?;
            // Pragmas take no parameters; the two numbers are those above.
            connection.execute("PRAGMA application_id = 0x6d6f6c74").await?;
            connection.execute("PRAGMA user_version = 1").await?;
        }
        (APPLICATION_ID, VERSION, _) => {}
        (APPLICATION_ID, found, _) => return Err(SchemaError::Version { found }),
        (other, _, _) => return Err(SchemaError::Foreign(other)),
    }
    let epoch = connection
        .fetch_one("UPDATE meta SET value = value + 1 WHERE key = 'epoch' RETURNING value")
        .await?
        .try_get(0)?;
    connection.execute("COMMIT").await?;
    Ok(epoch)
}
