//! The write connection, which is opened again when it may be stuck.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::error::store_error;
use crate::engine::ports::StoreError;

pub struct WriteConnection {
    options: SqliteConnectOptions,
    /// None: given up, to be opened again.
    open: Option<SqliteConnection>,
    reopened: bool,
}

impl WriteConnection {
    /// `options` are those `open` was made with.
    pub fn new(open: SqliteConnection, options: SqliteConnectOptions) -> Self {
        // A file that is gone must not be made anew, empty, under a running daemon.
        Self { options: options.create_if_missing(false), open: Some(open), reopened: false }
    }

    /// The connection. It is not known to be ours still: every transaction checks the epoch.
    pub async fn get(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                self.reopened = true;
                SqliteConnection::connect_with(&self.options).await.map_err(store_error)?
            }
        };
        Ok(self.open.insert(open))
    }

    /// Has it been opened again since this was asked last?
    pub fn was_reopened(&mut self) -> bool {
        std::mem::take(&mut self.reopened)
    }

    /// Gives the connection up, and with it whatever transaction it is in.
    pub async fn discard(&mut self) {
        if let Some(open) = self.open.take() {
            let _ = open.close_hard().await;
        }
    }

    /// Checkpoints the write-ahead log into the database file; what fails here is repaired at the next start.
    pub async fn close(mut self) {
        if let Some(open) = self.open.take() {
            let _ = open.close().await;
        }
    }
}
