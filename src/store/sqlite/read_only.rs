//! A database that is only looked at, also while a daemon has it: no lease, no lock that lasts, nothing written.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ConnectOptions, Row, SqlitePool};

use super::error::store_error;
use super::{BUSY_TIMEOUT, reads, schema};
use crate::base::{Json, Millis};
use crate::engine::ports::{Space, StoreError};

pub struct ReadOnly(SqlitePool);

impl ReadOnly {
    /// None where there is no database, or an empty file. One of another form is an error: a daemon of this version brings an
    /// older one to its form.
    pub async fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        match std::fs::metadata(path) {
            Ok(file) if file.len() > 0 => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::Unavailable(error.to_string())),
        }
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
        let pool = pool.connect_with(options.disable_statement_logging()).await.map_err(store_error)?;
        let version = sqlx::query("PRAGMA user_version").fetch_one(&pool).await.map_err(store_error)?;
        match version.try_get::<i64, _>(0).map_err(store_error)? {
            0 => Ok(None),
            schema::VERSION => Ok(Some(Self(pool))),
            found => Err(StoreError::Unavailable(format!(
                "its form is {found}, not {}; `moltrun serve` of this version brings an older one to it",
                schema::VERSION
            ))),
        }
    }

    /// The value of a key, unless it expired before `now`.
    pub async fn value(&self, space: Space, key: &str, now: Millis) -> Result<Option<Json>, StoreError> {
        reads::value(&self.0, space, key, now).await
    }

    /// As [`Store::values`](crate::engine::ports::Store::values).
    pub async fn values(
        &self,
        space: Space,
        prefix: String,
        after: Option<String>,
        limit: u32,
        now: Millis,
    ) -> Result<Vec<(String, Json)>, StoreError> {
        reads::values(&self.0, space, prefix, after, limit, now).await
    }
}
