//! Reading what is kept beside runs: listeners, values, lists, plans, cursors.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use sqlx::{Row, SqlitePool};

use super::error::store_error;
use super::rows::{id_of, text};
use crate::base::{Json, Millis, RunId};
use crate::engine::ports::{Listen, Space, StoreError};

pub async fn plan(pool: &SqlitePool, digest: &str) -> Result<Option<Json>, StoreError> {
    let select = sqlx::query("SELECT plan FROM plans WHERE digest = ?").bind(digest);
    let Some(row) = select.fetch_optional(pool).await.map_err(store_error)? else { return Ok(None) };
    json(row.try_get(0).map_err(store_error)?, || format!("plan {digest}")).map(Some)
}

pub async fn cursors(pool: &SqlitePool) -> Result<BTreeMap<String, Millis>, StoreError> {
    let rows = sqlx::query("SELECT name, at FROM cursors").fetch_all(pool).await.map_err(store_error)?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, _>>().map_err(store_error)
}

pub async fn listening(
    pool: &SqlitePool,
    listen: Listen,
    after: Option<RunId>,
    limit: u32,
) -> Result<Vec<RunId>, StoreError> {
    let select = "SELECT run FROM listens WHERE event = ? AND path = ? AND value = ? AND run > ? ORDER BY run LIMIT ?";
    let select = sqlx::query(select).bind(listen.event).bind(listen.path).bind(listen.value);
    let rows = select.bind(text(after)).bind(limit).fetch_all(pool).await.map_err(store_error)?;
    rows.iter().map(|row| id_of(row, 0)).collect()
}

pub async fn listened(pool: &SqlitePool) -> Result<Vec<(String, String)>, StoreError> {
    // From one pair to the next by the index: there are few pairs and many listeners.
    let select = "SELECT event, path FROM listens WHERE (event, path) > (?, ?) ORDER BY event, path LIMIT 1";
    let first = "SELECT event, path FROM listens ORDER BY event, path LIMIT 1";
    let mut found = BTreeSet::new();
    let mut row = sqlx::query(first).fetch_optional(pool).await.map_err(store_error)?;
    while let Some(pair) = row {
        let pair: (String, String) = (pair.try_get(0).map_err(store_error)?, pair.try_get(1).map_err(store_error)?);
        row = sqlx::query(select).bind(&pair.0).bind(&pair.1).fetch_optional(pool).await.map_err(store_error)?;
        found.insert(pair);
    }
    Ok(found.into_iter().collect())
}

pub async fn value(pool: &SqlitePool, space: Space, key: &str, now: Millis) -> Result<Option<Json>, StoreError> {
    let select = "SELECT value FROM key_values WHERE space = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?)";
    let select = sqlx::query(select).bind(space.as_str()).bind(key).bind(now);
    let Some(row) = select.fetch_optional(pool).await.map_err(store_error)? else { return Ok(None) };
    json(row.try_get(0).map_err(store_error)?, || format!("the value of `{key}`")).map(Some)
}

pub async fn values(
    pool: &SqlitePool,
    space: Space,
    prefix: String,
    after: Option<String>,
    limit: u32,
    now: Millis,
) -> Result<Vec<(String, Json)>, StoreError> {
    let select = "SELECT key, value FROM key_values WHERE space = ? AND key >= ? AND key < ? AND key > ?
        AND (expires_at IS NULL OR expires_at > ?) ORDER BY key LIMIT ?";
    // Keys that begin alike are neighbours; no text sorts after this character.
    let end = format!("{prefix}\u{10ffff}");
    // No key is empty.
    let after = after.unwrap_or_default();
    let select = sqlx::query(select).bind(space.as_str()).bind(prefix).bind(end).bind(after).bind(now).bind(limit);
    let mut found = Vec::new();
    for row in select.fetch_all(pool).await.map_err(store_error)? {
        let key: String = row.try_get(0).map_err(store_error)?;
        let value = json(row.try_get(1).map_err(store_error)?, || format!("the value of `{key}`"))?;
        found.push((key, value));
    }
    Ok(found)
}

pub async fn rows(pool: &SqlitePool, run: RunId, list: &str, from: u32, limit: u32) -> Result<Vec<Json>, StoreError> {
    // Of the chunks that begin at or before `from`, the last one reaches furthest.
    let select = "SELECT first, rows FROM lists WHERE run = $1 AND list = $2
        AND first >= coalesce((SELECT max(first) FROM lists WHERE run = $1 AND list = $2 AND first <= $3), 0)
        ORDER BY first";
    let mut next = i64::from(from);
    let mut found = Vec::new();
    let mut chunks = sqlx::query(select).bind(run.to_string()).bind(list).bind(from).fetch(pool);
    while found.len() < limit as usize
        && let Some(chunk) = chunks.try_next().await.map_err(store_error)?
    {
        let first: i64 = chunk.try_get(0).map_err(store_error)?;
        let rows: Vec<Json> = json(chunk.try_get(1).map_err(store_error)?, || format!("list {list} of run {run}"))?;
        let end = first + rows.len() as i64;
        found.extend(rows.into_iter().skip(usize::try_from(next - first).unwrap_or(0)));
        next = next.max(end);
    }
    found.truncate(limit as usize);
    Ok(found)
}

fn json<T: serde::de::DeserializeOwned>(text: &str, what: impl FnOnce() -> String) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{}: {error}", what())))
}
