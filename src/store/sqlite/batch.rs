//! Many requests as one transaction. The first try takes for granted that every commit finds its run where it expects it;
//! a guard statement ends the transaction if not, and the second try looks first.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::{Executor, Row, SqliteConnection};

use super::connection::WriteConnection;
use super::error::{is_guard, store_error};
use super::keys::{Claim, Claims, Keys};
use super::lease::Lease;
use super::rows::run_id;
use super::script::{Rows, Script};
use super::writer::Request;
use crate::base::RunId;
use crate::engine::ports::{Commit, Created, NewRun, StoreError};

/// What one request is told.
#[derive(Debug)]
pub enum Answer {
    Done,
    Created(Vec<Created>),
}

pub type Answers = Vec<Result<Answer, StoreError>>;

pub struct Batch<'a> {
    pub requests: &'a [Request],
    /// Of this process; the database's own must be the same at every commit.
    pub epoch: i64,
    /// To be renewed with it.
    pub lease: Option<&'a Lease>,
    /// Runs whose last commit failed without proof that it is not durable: a commit that finds itself done is done.
    pub uncertain: &'a HashSet<RunId>,
}

impl Batch<'_> {
    /// Runs the whole batch. An error means that nothing of it is known to be done.
    pub async fn run(&self, writer: &mut WriteConnection, keys: &mut Keys) -> Result<Answers, StoreError> {
        let connection = writer.get().await?;
        // Before the transaction, which fails if somebody else could have written in between.
        let claims = keys.claim(connection, &self.created()).await?;
        let quick = match self.quickly(connection, &claims).await {
            Err(BatchError::Guard) => {
                end(connection).await?;
                self.carefully(connection, &claims).await
            }
            quick => quick,
        };
        match quick {
            Ok(answers) => Ok(answers),
            Err(error) => {
                if end(connection).await.is_err() {
                    // SQLite has rolled back by itself (a full disk), or the transaction is still open, and every later
                    // `BEGIN` would fail. Closing the connection ends it in both cases.
                    writer.discard().await;
                }
                Err(error.into())
            }
        }
    }

    async fn quickly(&self, connection: &mut SqliteConnection, claims: &Claims) -> Result<Answers, BatchError> {
        let mut script = Script::default();
        script.add("BEGIN IMMEDIATE");
        self.write(&mut script, claims, &BTreeMap::new(), true)?;
        script.add("COMMIT");
        script.run(connection).await?;
        Ok(self.answers(claims, &BTreeMap::new()))
    }

    async fn carefully(&self, connection: &mut SqliteConnection, claims: &Claims) -> Result<Answers, BatchError> {
        connection.execute("BEGIN IMMEDIATE").await?;
        let row = connection.fetch_one("SELECT value FROM meta WHERE key = 'epoch'").await?;
        if row.try_get::<i64, _>(0)? != self.epoch {
            return Err(BatchError::Store(taken_over()));
        }
        let settled = self.settled(connection).await?;
        let mut script = Script::default();
        self.write(&mut script, claims, &settled, false)?;
        script.add("COMMIT");
        script.run(connection).await?;
        Ok(self.answers(claims, &settled))
    }

    /// The commits that need no writing, and what they are told.
    async fn settled(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<BTreeMap<RunId, Result<(), StoreError>>, BatchError> {
        let mut rows = Rows::default();
        for commit in self.commits() {
            rows.push(&[commit.run])?;
        }
        let mut script = Script::default();
        script.add_rows("SELECT id, version FROM runs WHERE id IN (SELECT v ->> 0 FROM $rows)", rows);
        let mut versions = HashMap::new();
        for row in script.run(connection).await? {
            versions.insert(run_id(row.try_get(0)?)?, row.try_get::<i64, _>(1)? as u64);
        }
        let mut settled = BTreeMap::new();
        for commit in self.commits() {
            let answer = match versions.get(&commit.run) {
                None => Err(StoreError::NotFound(format!("run {}", commit.run))),
                Some(version) if *version == commit.expected => continue,
                Some(version) if self.is_done(connection, commit, *version).await? => Ok(()),
                Some(version) => Err(StoreError::Conflict(format!(
                    "run {} is at event {version}, not {}",
                    commit.run, commit.expected
                ))),
            };
            settled.insert(commit.run, answer);
        }
        Ok(settled)
    }

    /// Is this the commit of which SQLite said that it failed, and yet it is there?
    async fn is_done(
        &self,
        connection: &mut SqliteConnection,
        commit: &Commit,
        version: u64,
    ) -> Result<bool, BatchError> {
        if !self.uncertain.contains(&commit.run) || version != commit.expected + commit.events.len() as u64 {
            return Ok(false);
        }
        let select = sqlx::query("SELECT events FROM journal WHERE run = ? AND seq = ?");
        let select = select.bind(commit.run.to_string()).bind(commit.expected as i64);
        let Some(row) = select.fetch_optional(connection).await? else { return Ok(false) };
        Ok(row.try_get::<&str, _>(0)? == serde_json::to_string(&commit.events)?)
    }

    fn commits(&self) -> impl Iterator<Item = &Commit> {
        self.requests.iter().filter_map(|request| match request {
            Request::Commit { commit, .. } => Some(commit),
            _ => None,
        })
    }

    fn created(&self) -> Vec<&NewRun> {
        let mut created = Vec::new();
        for request in self.requests {
            if let Request::Create { runs, .. } = request {
                created.extend(runs);
            }
        }
        created
    }

    /// The statements, without those for `settled` commits. `quick`: the commits of runs on their way do not touch what
    /// says that a run has ended; they find no run that has.
    fn write(
        &self,
        script: &mut Script,
        claims: &Claims,
        settled: &BTreeMap<RunId, Result<(), StoreError>>,
        quick: bool,
    ) -> Result<(), BatchError> {
        let commits: Vec<_> = self.commits().filter(|commit| !settled.contains_key(&commit.run)).collect();
        self.updates(script, &commits, quick)?;
        creations(script, &self.created(), claims)?;
        journal(script, &commits)?;
        beside(script, &commits)?;
        self.values(script, settled)?;
        self.others(script)?;
        if let Some(lease) = self.lease {
            lease.renew(script);
        }
        Ok(())
    }

    fn updates(&self, script: &mut Script, commits: &[&Commit], quick: bool) -> Result<(), BatchError> {
        let (mut going, mut ended) = (Rows::default(), Rows::default());
        let mut counts = (0, 0);
        for commit in commits {
            let version = commit.expected + commit.events.len() as u64;
            let Commit { run, expected, status, wake_at, finished_at, expires_at, .. } = commit;
            if quick && finished_at.is_none() && expires_at.is_none() {
                going.push(&(run, expected, version, status, wake_at))?;
                counts.0 += 1;
            } else {
                ended.push(&(run, expected, version, status, wake_at, finished_at, expires_at))?;
                counts.1 += 1;
            }
        }
        let update = "UPDATE runs SET version = v ->> 2, status = v ->> 3, wake_at = v ->> 4 FROM $rows
            WHERE id = v ->> 0 AND version = v ->> 1 AND finished_at IS NULL";
        script.add_rows(update, going);
        if counts.0 > 0 {
            script.add_integers(GUARD, &[counts.0, self.epoch]);
        }
        let update = "UPDATE runs SET version = v ->> 2, status = v ->> 3, wake_at = v ->> 4, finished_at = v ->> 5,
            expires_at = v ->> 6 FROM $rows WHERE id = v ->> 0 AND version = v ->> 1";
        script.add_rows(update, ended);
        if counts.1 > 0 {
            script.add_integers(GUARD, &[counts.1, self.epoch]);
        }
        if counts == (0, 0) {
            script.add_integers(FENCE, &[self.epoch]);
        }
        Ok(())
    }

    /// Stored values, in the order of the requests.
    fn values(&self, script: &mut Script, settled: &BTreeMap<RunId, Result<(), StoreError>>) -> Result<(), BatchError> {
        let mut values = BTreeMap::new();
        let writes = self.requests.iter().flat_map(|request| match request {
            Request::Commit { commit, .. } if !settled.contains_key(&commit.run) => &commit.writes[..],
            Request::Put { writes, .. } => writes,
            _ => &[],
        });
        for write in writes {
            let part = write.value.as_ref().map(|value| script.json(value)).transpose()?;
            // The last one counts, also of two requests.
            values.insert((write.space, &write.key), (part, write.expires_at));
        }
        let (mut kept, mut forgotten) = (Rows::default(), Rows::default());
        for ((space, key), (part, expires_at)) in values {
            match part {
                Some(part) => kept.push(&(space.as_str(), key, part.first, part.length, expires_at))?,
                None => forgotten.push(&(space.as_str(), key))?,
            }
        }
        let upsert = "INSERT INTO key_values
            SELECT v ->> 0, v ->> 1, CAST(substr($1, v ->> 2, v ->> 3) AS TEXT), v ->> 4 FROM $rows WHERE true
            ON CONFLICT DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at";
        script.add_rows(upsert, kept);
        let delete = "DELETE FROM key_values WHERE (space, key) IN (SELECT v ->> 0, v ->> 1 FROM $rows)";
        script.add_rows(delete, forgotten);
        Ok(())
    }

    fn others(&self, script: &mut Script) -> Result<(), BatchError> {
        let (mut plans, mut cursors, mut chunks) = (Rows::default(), Rows::default(), Rows::default());
        for request in self.requests {
            match request {
                Request::SavePlan { digest, plan, .. } => {
                    let part = script.text(plan.as_bytes());
                    plans.push(&(digest, part.first, part.length))?;
                }
                Request::SetCursors { cursors: named, .. } => {
                    named.iter().try_for_each(|cursor| cursors.push(cursor))?;
                }
                Request::AppendRows { run, list, first, rows, .. } if !rows.is_empty() => {
                    let part = script.json(rows)?;
                    chunks.push(&(run, list, first, rows.len(), part.first, part.length))?;
                }
                _ => {}
            }
        }
        // The same plan may say otherwise where its code stands in its file.
        let upsert = "INSERT INTO plans SELECT v ->> 0, CAST(substr($1, v ->> 1, v ->> 2) AS TEXT) FROM $rows
            WHERE true ON CONFLICT DO UPDATE SET plan = excluded.plan WHERE plan <> excluded.plan";
        script.add_rows(upsert, plans);
        let upsert = "INSERT INTO cursors SELECT v ->> 0, v ->> 1 FROM $rows WHERE true
            ON CONFLICT DO UPDATE SET at = excluded.at";
        script.add_rows(upsert, cursors);
        append(script, chunks);
        Ok(())
    }

    fn answers(&self, claims: &Claims, settled: &BTreeMap<RunId, Result<(), StoreError>>) -> Answers {
        let created = |run: &NewRun| match claims.of(run.id) {
            Some(Claim::Duplicate) => Created::Duplicate,
            Some(Claim::New { .. } | Claim::Made) | None => Created::New,
        };
        let answers = self.requests.iter().map(|request| match request {
            Request::Create { runs, .. } => Ok(Answer::Created(runs.iter().map(created).collect())),
            Request::Commit { commit, .. } => {
                settled.get(&commit.run).cloned().unwrap_or(Ok(())).map(|()| Answer::Done)
            }
            _ => Ok(Answer::Done),
        });
        answers.collect()
    }
}

/// Fails if the statement before it changed another number of rows, or if another process has taken over.
const GUARD: &str = "INSERT INTO guard SELECT 1
    WHERE changes() <> $a OR (SELECT value FROM meta WHERE key = 'epoch') <> $b";

const FENCE: &str = "INSERT INTO guard SELECT 1 WHERE (SELECT value FROM meta WHERE key = 'epoch') <> $a";

/// Creates the runs that were not found to be there or to be another's duplicates.
fn creations(script: &mut Script, runs: &[&NewRun], claims: &Claims) -> Result<(), BatchError> {
    let (mut keys, mut rows, mut journal) = (Rows::default(), Rows::default(), Rows::default());
    for run in runs {
        match claims.of(run.id) {
            Some(Claim::Duplicate | Claim::Made) => continue,
            Some(Claim::New { key, mark }) => {
                let expires_at = run.dedupe.as_ref().and_then(|dedupe| dedupe.expires_at);
                keys.push(&(key, script.text(mark).first, expires_at))?;
            }
            None => {}
        }
        rows.push(&(run.id, &run.workflow, &run.plan, run.trigger, run.created_at, &run.lane, run.parent))?;
        let part = script.json(std::slice::from_ref(&run.first))?;
        journal.push(&(run.id, part.first, part.length))?;
    }
    let upsert = "INSERT INTO dedupe SELECT v ->> 0, substr($1, v ->> 1, 16), v ->> 2 FROM $rows WHERE true
        ON CONFLICT DO UPDATE SET expires_at = excluded.expires_at";
    script.add_rows(upsert, keys);
    // A run that is there is from a try that failed and was durable all the same.
    let insert = "INSERT INTO runs (id, workflow, plan, trigger, status, created_at, version, lane, parent)
        SELECT v ->> 0, v ->> 1, v ->> 2, v ->> 3, 'queued', v ->> 4, 1, v ->> 5, v ->> 6 FROM $rows
        WHERE true ON CONFLICT DO NOTHING";
    script.add_rows(insert, rows);
    let insert = "INSERT INTO journal (run, seq, events)
        SELECT v ->> 0, 0, CAST(substr($1, v ->> 1, v ->> 2) AS TEXT) FROM $rows WHERE true ON CONFLICT DO NOTHING";
    script.add_rows(insert, journal);
    Ok(())
}

/// One row a commit; `seq` is the place of its first event.
fn journal(script: &mut Script, commits: &[&Commit]) -> Result<(), BatchError> {
    let mut rows = Rows::default();
    for commit in commits.iter().filter(|commit| !commit.events.is_empty()) {
        let part = script.json(&commit.events)?;
        rows.push(&(commit.run, commit.expected, part.first, part.length))?;
    }
    let insert = "INSERT INTO journal (run, seq, events)
        SELECT v ->> 0, v ->> 1, CAST(substr($1, v ->> 2, v ->> 3) AS TEXT) FROM $rows";
    script.add_rows(insert, rows);
    Ok(())
}

/// What commits carry beside their events.
fn beside(script: &mut Script, commits: &[&Commit]) -> Result<(), BatchError> {
    let (mut snapshots, mut deaf, mut listens) = (Rows::default(), Rows::default(), Rows::default());
    for commit in commits {
        if let Some(state) = &commit.snapshot {
            let part = script.json(state)?;
            let version = commit.expected + commit.events.len() as u64;
            snapshots.push(&(commit.run, version, part.first, part.length))?;
        }
        if let Some(list) = &commit.listens {
            deaf.push(&[commit.run])?;
            for listen in list {
                listens.push(&(&listen.event, &listen.path, &listen.value, commit.run))?;
            }
        }
    }
    let upsert = "INSERT INTO snapshots
        SELECT v ->> 0, v ->> 1, CAST(substr($1, v ->> 2, v ->> 3) AS TEXT) FROM $rows WHERE true
        ON CONFLICT DO UPDATE SET version = excluded.version, state = excluded.state";
    script.add_rows(upsert, snapshots);
    script.add_rows("DELETE FROM listens WHERE run IN (SELECT v ->> 0 FROM $rows)", deaf);
    let insert = "INSERT INTO listens SELECT v ->> 0, v ->> 1, v ->> 2, v ->> 3 FROM $rows
        WHERE true ON CONFLICT DO NOTHING";
    script.add_rows(insert, listens);
    Ok(())
}

/// Adds chunks of lists. No chunk is ever within another, by which both their firsts and their ends ascend and a reader
/// finds the one that holds a row by its first.
fn append(script: &mut Script, chunks: Rows) {
    let inner = "DELETE FROM lists WHERE chunk IN (
        SELECT chunk FROM $rows JOIN lists ON run = v ->> 0 AND list = v ->> 1 AND first >= v ->> 2
            AND first + count <= (v ->> 2) + (v ->> 3) AND count < v ->> 3)";
    let insert = "INSERT INTO lists (run, list, first, count, rows)
        SELECT v ->> 0, v ->> 1, v ->> 2, v ->> 3, CAST(substr($1, v ->> 4, v ->> 5) AS TEXT) FROM $rows
        WHERE NOT EXISTS (SELECT 1 FROM lists WHERE run = v ->> 0 AND list = v ->> 1 AND first <= v ->> 2
            AND first + count >= (v ->> 2) + (v ->> 3))";
    script.add_same_rows(&[inner, insert], chunks);
}

async fn end(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    connection.execute("ROLLBACK").await.map(|_| ()).map_err(store_error)
}

/// What every commit is told from then on.
pub const TAKEN_OVER: &str = "another moltrun process has taken over the database";

pub fn taken_over() -> StoreError {
    StoreError::Conflict(TAKEN_OVER.to_string())
}

enum BatchError {
    /// The guard ended it.
    Guard,
    Store(StoreError),
}

impl From<sqlx::Error> for BatchError {
    fn from(error: sqlx::Error) -> Self {
        if is_guard(&error) { Self::Guard } else { Self::Store(store_error(error)) }
    }
}

impl From<serde_json::Error> for BatchError {
    fn from(error: serde_json::Error) -> Self {
        Self::Store(StoreError::Conflict(error.to_string()))
    }
}

impl From<StoreError> for BatchError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BatchError> for StoreError {
    fn from(error: BatchError) -> Self {
        match error {
            // Nothing but the guard itself fails so, and it was met by a second, careful try.
            BatchError::Guard => taken_over(),
            BatchError::Store(error) => error,
        }
    }
}
