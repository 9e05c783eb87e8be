//! Reading: single runs with their journal, pages of runs.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

use super::batch::{run_id, status};
use super::error::store_error;
use crate::base::{RunId, limits};
use crate::engine::event::Event;
use crate::engine::ports::{RunFilter, RunRow, StoreError};

pub async fn load(pool: &SqlitePool, run: RunId) -> Result<(RunRow, Vec<Event>), StoreError> {
    // One read transaction, so that row and journal are of the same moment.
    let mut read = pool.begin().await.map_err(store_error)?;
    let select =
        "SELECT id, workflow, plan, trigger, status, created_at, finished_at, wake_at, version FROM runs WHERE id = ?";
    let found = sqlx::query(select).bind(run.to_string()).fetch_optional(&mut *read).await.map_err(store_error)?;
    let row = run_row(&found.ok_or_else(|| StoreError::NotFound(format!("run {run}")))?)?;
    let select = sqlx::query("SELECT events FROM journal WHERE run = ? ORDER BY seq").bind(run.to_string());
    let entries = select.fetch_all(&mut *read).await.map_err(store_error)?;
    let mut events = Vec::new();
    for entry in &entries {
        let text: &str = entry.try_get(0).map_err(store_error)?;
        let part: Vec<Event> = serde_json::from_str(text)
            .map_err(|error| StoreError::Corrupt(format!("the journal of run {run} cannot be read: {error}")))?;
        events.extend(part);
    }
    if events.len() as u64 != row.version {
        let message = format!("the journal of run {run} has {} events, its row says {}", events.len(), row.version);
        return Err(StoreError::Corrupt(message));
    }
    Ok((row, events))
}

pub async fn unfinished(pool: &SqlitePool, after: Option<RunId>, limit: u32) -> Result<Vec<RunRow>, StoreError> {
    let select = "SELECT id, workflow, plan, trigger, status, created_at, finished_at, wake_at, version FROM runs
        WHERE status NOT IN ('succeeded', 'failed', 'cancelled') AND id > ? ORDER BY id LIMIT ?";
    let after = after.map_or_else(String::new, |run| run.to_string());
    let rows = sqlx::query(select).bind(after).bind(limit).fetch_all(pool).await.map_err(store_error)?;
    rows.iter().map(run_row).collect()
}

pub async fn list(pool: &SqlitePool, filter: RunFilter) -> Result<Vec<RunRow>, StoreError> {
    let mut select = sqlx::QueryBuilder::new(
        "SELECT id, workflow, plan, trigger, status, created_at, finished_at, wake_at, version FROM runs WHERE 1",
    );
    if let Some(before) = filter.before {
        select.push(" AND id < ").push_bind(before.to_string());
    }
    if let Some(workflow) = filter.workflow {
        select.push(" AND workflow = ").push_bind(workflow);
    }
    if let Some(status) = filter.status {
        select.push(" AND status = ").push_bind(status.as_str());
    }
    // One more than a page, by which a caller sees that there is a next one.
    select.push(" ORDER BY id DESC LIMIT ").push_bind(filter.limit.min(limits::PAGE + 1));
    let rows = select.build().fetch_all(pool).await.map_err(store_error)?;
    rows.iter().map(run_row).collect()
}

fn run_row(row: &SqliteRow) -> Result<RunRow, StoreError> {
    let decoded = || -> Result<_, sqlx::Error> {
        let version: i64 = row.try_get(8)?;
        Ok((row.try_get::<&str, _>(0)?, row.try_get::<&str, _>(4)?, version))
    };
    let (id, status_text, version) = decoded().map_err(store_error)?;
    let (id, status) = (run_id(id)?, status(status_text)?);
    let rest = || -> Result<RunRow, sqlx::Error> {
        Ok(RunRow {
            id,
            workflow: row.try_get(1)?,
            status,
            trigger: row.try_get(3)?,
            created_at: row.try_get(5)?,
            finished_at: row.try_get(6)?,
            plan: row.try_get(2)?,
            version: version as u64,
            wake_at: row.try_get(7)?,
        })
    };
    rest().map_err(store_error)
}
