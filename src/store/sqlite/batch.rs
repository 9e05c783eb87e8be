//! Many requests as one transaction: one statement a table, its rows passed as one JSON array.

use std::collections::HashSet;

use serde_json::json;
use sqlx::{Executor, Row, SqliteConnection};

use super::connection::WriteConnection;
use super::error::store_error;
use super::writer::Request;
use crate::base::{Json, RunId};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Commit, Created, NewRun, StoreError};

/// What one request is told.
pub enum Answer {
    Done,
    Created(Vec<Created>),
    Count(u64),
}

pub struct Batch<'a> {
    requests: &'a [Request],
}

impl<'a> Batch<'a> {
    pub fn new(requests: &'a [Request]) -> Self {
        Self { requests }
    }

    /// Runs the whole batch. An error of the batch itself means that nothing of it was done.
    pub async fn run(
        self,
        writer: &mut WriteConnection,
        epoch: i64,
    ) -> Result<Vec<Result<Answer, StoreError>>, StoreError> {
        let connection = writer.get().await?;
        if let Err(error) = connection.execute("BEGIN IMMEDIATE").await {
            // Whatever the reason is, the next batch begins with a connection that is in no transaction.
            writer.discard().await;
            return Err(store_error(error));
        }
        let done = async {
            self.check_epoch(connection, epoch).await?;
            let answers = self.statements(connection).await?;
            connection.execute("COMMIT").await.map_err(store_error)?;
            Ok(answers)
        }
        .await;
        if done.is_err() && connection.execute("ROLLBACK").await.is_err() {
            // Either SQLite has rolled back by itself (a full disk), or the transaction is still open, and every later
            // `BEGIN` would fail. Closing the connection ends it in both cases.
            writer.discard().await;
        }
        done
    }

    async fn check_epoch(&self, connection: &mut SqliteConnection, epoch: i64) -> Result<(), StoreError> {
        let row = connection.fetch_one("SELECT value FROM meta WHERE key = 'epoch'").await.map_err(store_error)?;
        let current: i64 = row.try_get(0).map_err(store_error)?;
        if current == epoch {
            return Ok(());
        }
        Err(StoreError::Conflict("another moltrun process has taken over the database".to_string()))
    }

    async fn statements(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<Result<Answer, StoreError>>, StoreError> {
        let mut new = Vec::new();
        for request in self.requests {
            if let Request::Create { runs, .. } = request {
                new.extend(runs);
            }
        }
        let created = create(connection, &new).await?;
        let commits: Vec<_> = self
            .requests
            .iter()
            .filter_map(|request| match request {
                Request::Commit { commit, .. } => Some(commit),
                _ => None,
            })
            .collect();
        let committed = commit(connection, &commits).await?;
        let mut answers = Vec::with_capacity(self.requests.len());
        for request in self.requests {
            answers.push(match request {
                Request::Create { runs, .. } => Ok(Answer::Created(
                    runs.iter()
                        .map(|run| if created.contains(&run.id) { Created::New } else { Created::Duplicate })
                        .collect(),
                )),
                Request::Commit { commit, .. } if committed.contains(&commit.run) => Ok(Answer::Done),
                Request::Commit { commit, .. } => Err(refused(connection, commit).await?),
                Request::SavePlan { digest, plan, .. } => {
                    let insert = sqlx::query("INSERT INTO plans VALUES (?, ?) ON CONFLICT DO NOTHING");
                    insert.bind(digest).bind(plan).execute(&mut *connection).await.map_err(store_error)?;
                    Ok(Answer::Done)
                }
                Request::SetCursor { name, at, .. } => {
                    let upsert =
                        sqlx::query("INSERT INTO cursors VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at");
                    upsert.bind(name).bind(at).execute(&mut *connection).await.map_err(store_error)?;
                    Ok(Answer::Done)
                }
                Request::Prune { now, .. } => {
                    let delete = sqlx::query("DELETE FROM dedupe WHERE expires_at <= ?").bind(now);
                    let deleted = delete.execute(&mut *connection).await.map_err(store_error)?;
                    Ok(Answer::Count(deleted.rows_affected()))
                }
            });
        }
        Ok(answers)
    }
}

/// Creates the runs whose dedupe key is free, and says which those are.
async fn create(connection: &mut SqliteConnection, runs: &[&NewRun]) -> Result<HashSet<RunId>, StoreError> {
    if runs.is_empty() {
        return Ok(HashSet::new());
    }
    let mut free: HashSet<RunId> = runs.iter().filter(|run| run.dedupe.is_none()).map(|run| run.id).collect();
    let keys: Vec<Json> = runs
        .iter()
        .filter_map(|run| {
            let dedupe = run.dedupe.as_ref()?;
            Some(json!([dedupe.key, run.id, dedupe.expires_at, run.created_at]))
        })
        .collect();
    if !keys.is_empty() {
        free.extend(claim_keys(connection, keys).await?);
    }
    let rows: Vec<Json> = runs
        .iter()
        .filter(|run| free.contains(&run.id))
        .map(|run| json!([run.id, run.workflow, run.plan, run.trigger, run.created_at]))
        .collect();
    let insert = "INSERT INTO runs (id, workflow, plan, trigger, status, created_at, version)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 'queued', value ->> 4, 1 FROM json_each(?)";
    sqlx::query(insert).bind(text(rows)).execute(&mut *connection).await.map_err(store_error)?;
    let created = runs.iter().filter(|run| free.contains(&run.id));
    let entries = created.map(|run| entry(run.id, 0, std::slice::from_ref(&run.first)));
    let entries = entries.collect::<Result<_, _>>()?;
    journal(connection, entries).await?;
    Ok(free)
}

/// Takes the keys that are free (or expired when the run was made) and names the runs that got theirs.
async fn claim_keys(connection: &mut SqliteConnection, keys: Vec<Json>) -> Result<Vec<RunId>, StoreError> {
    // `WHERE true` keeps the parser from reading ON CONFLICT as a join's ON.
    let claim = "INSERT INTO dedupe (key, run, expires_at)
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1) WHERE true
        ON CONFLICT (key) DO UPDATE SET run = excluded.run, expires_at = excluded.expires_at
        WHERE dedupe.expires_at <= (SELECT min(value ->> 3) FROM json_each(?1))
        RETURNING run";
    let rows = sqlx::query(claim).bind(text(keys)).fetch_all(&mut *connection).await.map_err(store_error)?;
    rows.iter().map(|row| run_id(row.try_get(0).map_err(store_error)?)).collect()
}

/// Appends to the journals of runs that are where their commit expects them, and names those.
async fn commit(connection: &mut SqliteConnection, commits: &[&Commit]) -> Result<HashSet<RunId>, StoreError> {
    if commits.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<Json> = commits
        .iter()
        .map(|commit| {
            let version = commit.expected + commit.events.len() as u64;
            json!([commit.run, commit.expected, version, commit.status, commit.wake_at, commit.finished_at])
        })
        .collect();
    let update =
        "UPDATE runs SET version = value ->> 2, status = value ->> 3, wake_at = value ->> 4, finished_at = value ->> 5
        FROM json_each(?) WHERE runs.id = value ->> 0 AND runs.version = value ->> 1 RETURNING runs.id";
    let rows = sqlx::query(update).bind(text(rows)).fetch_all(&mut *connection).await.map_err(store_error)?;
    let updated: HashSet<RunId> =
        rows.iter().map(|row| run_id(row.try_get(0).map_err(store_error)?)).collect::<Result<_, _>>()?;
    let committed = commits.iter().filter(|commit| updated.contains(&commit.run));
    let entries = committed.map(|commit| entry(commit.run, commit.expected, &commit.events));
    let entries = entries.collect::<Result<_, _>>()?;
    journal(connection, entries).await?;
    Ok(updated)
}

/// One row of the journal: the events of one commit, `seq` the place of the first.
fn entry(run: RunId, seq: u64, events: &[Event]) -> Result<Json, StoreError> {
    let events = serde_json::to_string(events).map_err(|error| StoreError::Conflict(error.to_string()))?;
    Ok(json!([run, seq, events]))
}

async fn journal(connection: &mut SqliteConnection, entries: Vec<Json>) -> Result<(), StoreError> {
    let insert = "INSERT INTO journal SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)";
    sqlx::query(insert).bind(text(entries)).execute(&mut *connection).await.map_err(store_error)?;
    Ok(())
}

/// Why a commit found no row to change.
async fn refused(connection: &mut SqliteConnection, commit: &Commit) -> Result<StoreError, StoreError> {
    let select = sqlx::query("SELECT version, status FROM runs WHERE id = ?").bind(commit.run.to_string());
    let Some(row) = select.fetch_optional(&mut *connection).await.map_err(store_error)? else {
        return Ok(StoreError::NotFound(format!("run {}", commit.run)));
    };
    let version: i64 = row.try_get(0).map_err(store_error)?;
    Ok(StoreError::Conflict(format!("run {} is at event {version}, not {}", commit.run, commit.expected)))
}

pub fn run_id(text: &str) -> Result<RunId, StoreError> {
    RunId::parse(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub fn status(text: &str) -> Result<RunStatus, StoreError> {
    RunStatus::parse(text).ok_or_else(|| StoreError::Corrupt(format!("`{text}` is no run status")))
}

fn text(rows: Vec<Json>) -> String {
    Json::Array(rows).to_string()
}
