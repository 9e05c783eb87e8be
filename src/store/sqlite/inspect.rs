//! A look at a database that may be another process's: nothing is written, nothing is locked for longer than a read.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, Row, SqliteConnection};

use super::error::store_error;
use super::lease;
use crate::base::Millis;
use crate::engine::ports::StoreError;

/// What a look showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The process that owns it now, unless that is proved to have ended.
    pub owner: Option<u32>,
}

/// How long it waits for a lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads the file at `path`. One that is no database of ours is an error.
pub async fn inspect(path: &Path, now: Millis) -> Result<Inspection, StoreError> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(PATIENCE);
    let mut connection =
        SqliteConnection::connect_with(&options.disable_statement_logging()).await.map_err(store_error)?;
    let looked = look(&mut connection, now).await;
    // It was only read: how it closes changes nothing.
    let _ = connection.close().await;
    looked
}

async fn look(connection: &mut SqliteConnection, now: Millis) -> Result<Inspection, StoreError> {
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('runs', 'journal', 'lease')";
    let tables: i64 = connection.fetch_one(tables).await.and_then(|row| row.try_get(0)).map_err(store_error)?;
    match tables {
        3 => Ok(Inspection { owner: lease::owner(connection, now).await.map_err(store_error)? }),
        // Just made, and nothing is in it yet; or from before leases.
        0 | 2 => Ok(Inspection { owner: None }),
        _ => Err(StoreError::Corrupt("it lacks tables".to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::clock::SystemClock;
    use crate::engine::ports::{Clock, Store};
    use crate::store::sqlite::SqliteStore;

    #[tokio::test]
    async fn a_look_says_whose_it_is_and_disturbs_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moltrun.db");
        let now = || SystemClock.now();
        assert!(inspect(&path, now()).await.is_err(), "it is not created");
        let store = SqliteStore::open(&path, Arc::new(SystemClock)).await.unwrap();
        assert_eq!(inspect(&path, now()).await, Ok(Inspection { owner: Some(std::process::id()) }));
        assert_eq!(store.renew(now()).await, Ok(()));
        store.close().await;
        assert_eq!(inspect(&path, now()).await, Ok(Inspection { owner: None }));
        std::fs::write(&path, "this is no database at all, and it is long enough to be looked at".repeat(99)).unwrap();
        assert!(matches!(inspect(&path, now()).await, Err(StoreError::Corrupt(_))));
    }
}
