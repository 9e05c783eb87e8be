//! The database file of a daemon that is not running, as somebody with SQLite's own tool sees it.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Executor, Row, SqliteConnection};

/// SQLite's usual size of a page, in bytes; [`pages`] checks it.
const PAGE: usize = 4096;

async fn open(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
}

/// Runs statements.
pub async fn execute(path: &Path, sql: &'static str) {
    let mut connection = open(path).await;
    connection.execute(sqlx::raw_sql(sql)).await.unwrap();
    connection.close().await.unwrap();
}

/// Moves everything into the file itself; the answer is the name and the first page of each table and index.
pub async fn pages(path: &Path) -> Vec<(String, u32)> {
    let mut connection = open(path).await;
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    let size: i64 = connection.fetch_one("PRAGMA page_size").await.unwrap().get(0);
    assert_eq!(size, PAGE as i64);
    let rows = connection.fetch_all("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0").await.unwrap();
    connection.close().await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Overwrites one page, counted from 1, with what is no page.
pub fn spoil(path: &Path, page: u32) {
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start((page as u64 - 1) * PAGE as u64)).unwrap();
    let garbage: Vec<u8> = (0..PAGE).map(|place| (place * 31 % 251) as u8 ^ 0xA5).collect();
    file.write_all(&garbage).unwrap();
}
