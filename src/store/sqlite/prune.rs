//! Forgetting, a small batch at a time. A run goes in two steps: its row at once, what belongs to it as fast as the bounds
//! of a batch allow; `leftovers` names the runs in between, so that a crash loses none of them.

use sqlx::{Executor, Row, SqliteConnection};

use super::batch::taken_over;
use super::connection::WriteConnection;
use super::error::store_error;
use super::keys::Keys;
use crate::base::{Millis, limits};
use crate::engine::ports::{Pruned, StoreError};

/// One transaction, then a bounded step of giving free pages back to the file system.
pub async fn batch(
    writer: &mut WriteConnection,
    keys: &mut Keys,
    epoch: i64,
    now: Millis,
    limit: u32,
) -> Result<Pruned, StoreError> {
    let connection = writer.get().await?;
    match transaction(connection, epoch, now, limit).await {
        Ok((mut pruned, expired)) => {
            expired.into_iter().for_each(|key| keys.removed(key));
            pruned.more |= shrink(connection).await.map_err(store_error)?;
            Ok(pruned)
        }
        Err(error) => {
            if connection.execute("ROLLBACK").await.is_err() {
                writer.discard().await;
            }
            Err(error)
        }
    }
}

async fn transaction(
    connection: &mut SqliteConnection,
    epoch: i64,
    now: Millis,
    limit: u32,
) -> Result<(Pruned, Vec<i64>), StoreError> {
    connection.execute("BEGIN IMMEDIATE").await.map_err(store_error)?;
    let current: i64 = number(connection, "SELECT value FROM meta WHERE key = 'epoch'").await.map_err(store_error)?;
    if current != epoch {
        return Err(taken_over());
    }
    let pruned = delete(connection, now, limit).await.map_err(store_error)?;
    connection.execute("COMMIT").await.map_err(store_error)?;
    Ok(pruned)
}

/// Also gives the keys that are gone.
async fn delete(connection: &mut SqliteConnection, now: Millis, limit: u32) -> sqlx::Result<(Pruned, Vec<i64>)> {
    let delete = "DELETE FROM dedupe
        WHERE key IN (SELECT key FROM dedupe WHERE expires_at <= ? ORDER BY expires_at, key LIMIT ?) RETURNING key";
    let keys: Vec<i64> = sqlx::query_scalar(delete).bind(now).bind(limit).fetch_all(&mut *connection).await?;
    let mut counts = [keys.len() as u64, 0, 0];
    let deletes = [
        "DELETE FROM key_values WHERE (space, key) IN
            (SELECT space, key FROM key_values WHERE expires_at <= ? ORDER BY expires_at, space, key LIMIT ?)",
        "INSERT INTO leftovers
            SELECT id FROM runs WHERE expires_at <= ? AND finished_at IS NOT NULL AND wake_at IS NULL ORDER BY expires_at, id LIMIT ?",
    ];
    for (count, delete) in counts[1..].iter_mut().zip(deletes) {
        let done = sqlx::query(delete).bind(now).bind(limit).execute(&mut *connection).await?;
        *count = done.rows_affected();
    }
    if counts[2] > 0 {
        connection.execute("DELETE FROM runs WHERE id IN (SELECT run FROM leftovers)").await?;
    }
    let left = sweep(connection).await?;
    let more = left || counts.contains(&u64::from(limit));
    Ok((Pruned { runs: counts[2], others: counts[0] + counts[1], more }, keys))
}

/// Removes what belongs to runs that have gone. Is there more of it?
async fn sweep(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let journal = "SELECT entry, octet_length(events) FROM leftovers CROSS JOIN journal USING (run) LIMIT ?";
    let lists = "SELECT chunk, octet_length(rows) FROM leftovers CROSS JOIN lists USING (run) LIMIT ?";
    let deletes = [
        (journal, "DELETE FROM journal WHERE entry IN (SELECT value FROM json_each(?))"),
        (lists, "DELETE FROM lists WHERE chunk IN (SELECT value FROM json_each(?))"),
    ];
    for (select, delete) in deletes {
        let rows = sqlx::query(select).bind(limits::PRUNE_ROWS).fetch_all(&mut *connection).await?;
        let mut bytes = 0;
        let mut keys: Vec<i64> = Vec::with_capacity(rows.len());
        for row in &rows {
            bytes += row.try_get::<i64, _>(1)?;
            keys.push(row.try_get(0)?);
            if bytes > limits::PRUNE_BYTES {
                break;
            }
        }
        let all = keys.len() == rows.len() && rows.len() < limits::PRUNE_ROWS as usize;
        if !keys.is_empty() {
            // Numbers only.
            let keys = serde_json::to_string(&keys).unwrap_or_default();
            sqlx::query(delete).bind(keys).execute(&mut *connection).await?;
        }
        if !all {
            return Ok(true);
        }
    }
    connection.execute("DELETE FROM listens WHERE run IN (SELECT run FROM leftovers)").await?;
    connection.execute("DELETE FROM snapshots WHERE run IN (SELECT run FROM leftovers)").await?;
    connection.execute("DELETE FROM leftovers").await?;
    Ok(false)
}

/// Gives some free pages back, unless they are few: those will be used again soon. Are there still many?
async fn shrink(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let free = number(connection, "PRAGMA freelist_count").await?;
    let pages = number(connection, "PRAGMA page_count").await?;
    let spare = (pages / limits::SPARE_PAGES_SHARE).max(limits::SPARE_PAGES);
    // 2 is INCREMENTAL; a database of an earlier moltrun is at 0 and keeps its free pages for itself.
    if free <= spare || number(connection, "PRAGMA auto_vacuum").await? != 2 {
        return Ok(false);
    }
    connection.execute(SHRINK).await?;
    Ok(free - limits::SHRINK_PAGES > spare)
}

/// The number is [`limits::SHRINK_PAGES`]; pragmas take no parameters.
const SHRINK: &str = "PRAGMA incremental_vacuum(256)";

async fn number(connection: &mut SqliteConnection, select: &'static str) -> sqlx::Result<i64> {
    connection.fetch_one(select).await?.try_get(0)
}
