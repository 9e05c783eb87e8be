//! Reading runs: single ones with their journal, pages of them.

use futures::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

use super::error::store_error;
use crate::base::{Json, Millis, RunId, limits};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Loaded, RunFilter, RunRow, StoreError};

macro_rules! columns {
    () => {
        "id, workflow, plan, trigger, status, created_at, finished_at, wake_at, version, lane, parent"
    };
}

/// One statement, so that row, snapshot and journal are of the same moment. The rows after the first are the journal's.
const LOAD: &str = concat!(
    "SELECT ",
    columns!(),
    ", (SELECT version FROM snapshots WHERE run = id), (SELECT state FROM snapshots WHERE run = id) FROM runs WHERE id = $1
    UNION ALL
    SELECT NULL, events, NULL, NULL, NULL, NULL, NULL, NULL, seq, NULL, NULL, NULL, NULL FROM journal
    WHERE run = $1 AND seq >= coalesce((SELECT version FROM snapshots WHERE run = $1), 0)"
);

/// What must stay cheap however many runs there are; a test looks at how SQLite goes about it.
#[cfg(test)]
pub fn hot() -> [&'static str; 4] {
    [LOAD, ROW, UNFINISHED, DUE]
}

const ROW: &str = concat!("SELECT ", columns!(), " FROM runs WHERE id = ?");

const UNFINISHED: &str =
    concat!("SELECT ", columns!(), " FROM runs WHERE finished_at IS NULL AND id > ? ORDER BY id LIMIT ?");

const DUE: &str = "SELECT wake_at, id FROM runs
    WHERE wake_at IS NOT NULL AND (wake_at, id) > (?, ?) ORDER BY wake_at, id LIMIT ?";

pub async fn load(pool: &SqlitePool, run: RunId) -> Result<Loaded, StoreError> {
    let rows = sqlx::query(LOAD).bind(run.to_string()).fetch_all(pool).await.map_err(store_error)?;
    let Some((first, entries)) = rows.split_first() else { return Err(nobody(run)) };
    if first.try_get::<Option<&str>, _>(0).map_err(store_error)?.is_none() {
        // What is left of a run that is being forgotten.
        return Err(nobody(run));
    }
    let row = run_row(first)?;
    let snapshot = snapshot(run, first)?;
    let mut parts = Vec::with_capacity(entries.len());
    for entry in entries {
        let seq: i64 = entry.try_get(8).map_err(store_error)?;
        parts.push((seq, events(run, entry.try_get(1).map_err(store_error)?)?));
    }
    // By its index they come in this order; SQL does not promise it.
    parts.sort_unstable_by_key(|part| part.0);
    let events: Vec<_> = parts.into_iter().flat_map(|part| part.1).collect();
    let found = snapshot.as_ref().map_or(0, |(version, _)| *version) + events.len() as u64;
    if found != row.version {
        let message = format!("the journal of run {run} has {found} events, its row says {}", row.version);
        return Err(StoreError::Corrupt(message));
    }
    Ok(Loaded { row, snapshot, events })
}

fn snapshot(run: RunId, row: &SqliteRow) -> Result<Option<(u64, Json)>, StoreError> {
    let Some(version) = row.try_get::<Option<i64>, _>(11).map_err(store_error)? else { return Ok(None) };
    let state = serde_json::from_str(row.try_get(12).map_err(store_error)?);
    let state = state.map_err(|error| StoreError::Corrupt(format!("the snapshot of run {run}: {error}")))?;
    Ok(Some((version as u64, state)))
}

fn events(run: RunId, text: &str) -> Result<Vec<Event>, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt(format!("the journal of run {run} cannot be read: {error}")))
}

fn nobody(run: RunId) -> StoreError {
    StoreError::NotFound(format!("run {run}"))
}

pub async fn row(pool: &SqlitePool, run: RunId) -> Result<RunRow, StoreError> {
    let row = sqlx::query(ROW).bind(run.to_string()).fetch_optional(pool).await.map_err(store_error)?;
    run_row(&row.ok_or_else(|| nobody(run))?)
}

pub async fn journal(pool: &SqlitePool, run: RunId, from: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
    // The row that `from` is in begins at or before it.
    let select = "SELECT seq, events FROM journal WHERE run = $1 AND EXISTS (SELECT 1 FROM runs WHERE id = $1)
        AND seq >= coalesce((SELECT max(seq) FROM journal WHERE run = $1 AND seq <= $2), 0) ORDER BY seq";
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    {
        // Read as it is used: a page is a small part of a long journal.
        let mut rows = sqlx::query(select).bind(run.to_string()).bind(from).fetch(pool);
        while found.len() < limit as usize
            && let Some(row) = rows.try_next().await.map_err(store_error)?
        {
            let seq: i64 = row.try_get(0).map_err(store_error)?;
            let part = events(run, row.try_get(1).map_err(store_error)?)?;
            found.extend(part.into_iter().skip(usize::try_from(from - seq).unwrap_or(0)));
        }
    }
    found.truncate(limit as usize);
    if found.is_empty() {
        self::row(pool, run).await?;
    }
    Ok(found)
}

pub async fn unfinished(pool: &SqlitePool, after: Option<RunId>, limit: u32) -> Result<Vec<RunRow>, StoreError> {
    let rows = sqlx::query(UNFINISHED).bind(text(after)).bind(limit).fetch_all(pool).await.map_err(store_error)?;
    rows.iter().map(run_row).collect()
}

pub async fn due(
    pool: &SqlitePool,
    after: Option<(Millis, RunId)>,
    limit: u32,
) -> Result<Vec<(Millis, RunId)>, StoreError> {
    let (at, id) = after.map_or((Millis::MIN, None), |(at, id)| (at, Some(id)));
    let select = sqlx::query(DUE).bind(at).bind(text(id)).bind(limit);
    let rows = select.fetch_all(pool).await.map_err(store_error)?;
    let due = |row: &SqliteRow| Ok((row.try_get(0).map_err(store_error)?, id_of(row, 1)?));
    rows.iter().map(due).collect()
}

pub async fn list(pool: &SqlitePool, filter: RunFilter) -> Result<Vec<RunRow>, StoreError> {
    let mut select = sqlx::QueryBuilder::new(concat!("SELECT ", columns!(), " FROM runs WHERE 1"));
    if let Some(before) = filter.before {
        select.push(" AND id < ").push_bind(before.to_string());
    }
    if let Some(workflow) = filter.workflow {
        select.push(" AND workflow = ").push_bind(workflow);
    }
    if let Some(status) = filter.status {
        // A partial index is found only by what stands in the text; the words are our own.
        select.push(" AND status = '").push(status.as_str()).push("'");
        if !status.is_final() {
            select.push(" AND finished_at IS NULL");
        }
    }
    // One more than a page, by which a caller sees that there is a next one.
    select.push(" ORDER BY id DESC LIMIT ").push_bind(filter.limit.min(limits::PAGE + 1));
    let rows = select.build().fetch_all(pool).await.map_err(store_error)?;
    rows.iter().map(run_row).collect()
}

/// Before every id there is: the empty text.
pub fn text(after: Option<RunId>) -> String {
    after.map_or_else(String::new, |run| run.to_string())
}

pub fn run_id(text: &str) -> Result<RunId, StoreError> {
    RunId::parse(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub fn id_of(row: &SqliteRow, column: usize) -> Result<RunId, StoreError> {
    run_id(row.try_get(column).map_err(store_error)?)
}

fn status(text: &str) -> Result<RunStatus, StoreError> {
    RunStatus::parse(text).ok_or_else(|| StoreError::Corrupt(format!("`{text}` is no run status")))
}

fn run_row(row: &SqliteRow) -> Result<RunRow, StoreError> {
    let status = status(row.try_get(4).map_err(store_error)?)?;
    let parent: Option<&str> = row.try_get(10).map_err(store_error)?;
    let (id, parent) = (id_of(row, 0)?, parent.map(run_id).transpose()?);
    let rest = || -> Result<RunRow, sqlx::Error> {
        Ok(RunRow {
            id,
            workflow: row.try_get(1)?,
            status,
            trigger: row.try_get(3)?,
            created_at: row.try_get(5)?,
            finished_at: row.try_get(6)?,
            plan: row.try_get(2)?,
            version: row.try_get::<i64, _>(8)? as u64,
            wake_at: row.try_get(7)?,
            lane: row.try_get(9)?,
            parent,
        })
    };
    rest().map_err(store_error)
}
