//! The store's rules in their plainest form: a few maps under one lock. Durable only as long as it lives.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use crate::base::{Json, Millis, RunId};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{
    Commit, Created, Listen, Loaded, NewRun, Pruned, Query, RunFilter, RunRow, Space, Store, StoreError, Write,
};

#[derive(Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    /// Events that a snapshot makes superfluous are dropped.
    forgets: bool,
}

#[derive(Default)]
struct Tables {
    plans: HashMap<String, Json>,
    runs: BTreeMap<RunId, Stored>,
    /// When a key expires, and its number in the order of first use: which of two that expire together goes first.
    dedupe: HashMap<String, (Option<Millis>, u64)>,
    keys: u64,
    values: HashMap<(Space, String), (Json, Option<Millis>)>,
    /// By run and list.
    rows: BTreeMap<(RunId, String), BTreeMap<u32, Row>>,
    cursors: BTreeMap<String, Millis>,
}

/// A row as JSON text: a tenth of what it takes as values.
type Row = Box<str>;

struct Stored {
    row: RunRow,
    /// Without the first `forgotten` ones.
    journal: Vec<Event>,
    forgotten: usize,
    listens: BTreeSet<Listen>,
    snapshot: Option<(u64, Json)>,
    expires_at: Option<Millis>,
}

impl MemoryStore {
    /// A store that keeps of a run's journal only what comes after its snapshot, for runs of which the end alone counts: a
    /// long one takes no more memory than a short one.
    pub fn forgetful() -> Self {
        Self { tables: Mutex::default(), forgets: true }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn create(&mut self, run: NewRun) -> Result<Created, StoreError> {
        if let Some(dedupe) = run.dedupe {
            let live = |(expires, _): &(Option<Millis>, u64)| expires.is_none_or(|at| at > run.created_at);
            if self.dedupe.get(&dedupe.key).is_some_and(live) {
                return Ok(Created::Duplicate);
            }
            self.keys += 1;
            let number = self.dedupe.get(&dedupe.key).map_or(self.keys, |(_, number)| *number);
            self.dedupe.insert(dedupe.key, (dedupe.expires_at, number));
        }
        let row = RunRow {
            id: run.id,
            workflow: run.workflow.to_string(),
            status: RunStatus::Queued,
            trigger: run.trigger.to_string(),
            created_at: run.created_at,
            finished_at: None,
            plan: run.plan.to_string(),
            version: 1,
            wake_at: None,
            lane: run.lane.map(|lane| lane.to_string()),
            parent: run.parent,
        };
        let journal = vec![run.first];
        let stored = Stored { row, journal, forgotten: 0, listens: BTreeSet::new(), snapshot: None, expires_at: None };
        self.runs.insert(run.id, stored);
        Ok(Created::New)
    }

    fn commit(&mut self, commit: Commit, forgets: bool) -> Result<(), StoreError> {
        let Some(stored) = self.runs.get_mut(&commit.run) else {
            return Err(StoreError::NotFound(format!("run {}", commit.run)));
        };
        let row = &mut stored.row;
        if row.version != commit.expected {
            return Err(StoreError::Conflict(format!(
                "run {} is at event {}, not {}",
                commit.run, row.version, commit.expected
            )));
        }
        row.version += commit.events.len() as u64;
        row.status = commit.status;
        row.wake_at = commit.wake_at;
        row.finished_at = commit.finished_at;
        stored.journal.extend(commit.events);
        stored.expires_at = commit.expires_at;
        if let Some(listens) = commit.listens {
            stored.listens = listens.into_iter().collect();
        }
        if let Some(snapshot) = commit.snapshot {
            stored.snapshot = Some((row.version, snapshot));
            if forgets {
                stored.forgotten += std::mem::take(&mut stored.journal).len();
            }
        }
        commit.writes.into_iter().for_each(|write| self.write(write));
        Ok(())
    }

    fn write(&mut self, write: Write) {
        let key = (write.space, write.key);
        match write.value {
            Some(value) => drop(self.values.insert(key, (value, write.expires_at))),
            None => drop(self.values.remove(&key)),
        }
    }
}

/// Those that expired first.
fn earliest<T: Ord>(expired: impl Iterator<Item = (Option<Millis>, T)>, limit: usize) -> Vec<T> {
    let mut expired: Vec<_> = expired.collect();
    expired.sort_unstable();
    expired.into_iter().take(limit).map(|(_, what)| what).collect()
}

impl Store for MemoryStore {
    fn save_plan<'a>(&'a self, digest: &'a str, plan: &'a Json) -> BoxFuture<'a, Result<(), StoreError>> {
        self.tables().plans.insert(digest.to_string(), plan.clone());
        ready(Ok(())).boxed()
    }

    fn plan<'a>(&'a self, digest: &'a str) -> BoxFuture<'a, Result<Option<Json>, StoreError>> {
        ready(Ok(self.tables().plans.get(digest).cloned())).boxed()
    }

    fn create_runs(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Created>, StoreError>> {
        let mut tables = self.tables();
        ready(runs.into_iter().map(|run| tables.create(run)).collect()).boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(self.tables().commit(commit, self.forgets)).boxed()
    }

    fn load(&self, run: RunId) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        let tables = self.tables();
        let loaded = tables.runs.get(&run).map(|stored| {
            let from = stored.snapshot.as_ref().map_or(0, |(version, _)| *version as usize);
            Loaded {
                row: stored.row.clone(),
                snapshot: stored.snapshot.clone(),
                events: stored.journal[from.saturating_sub(stored.forgotten)..].to_vec(),
            }
        });
        ready(loaded.ok_or_else(|| StoreError::NotFound(format!("run {run}")))).boxed()
    }

    fn row(&self, run: RunId) -> BoxFuture<'_, Result<RunRow, StoreError>> {
        let row = self.tables().runs.get(&run).map(|stored| stored.row.clone());
        ready(row.ok_or_else(|| StoreError::NotFound(format!("run {run}")))).boxed()
    }

    fn journal(&self, run: RunId, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        let tables = self.tables();
        let events = tables.runs.get(&run).map(|stored| {
            let events = stored.journal.iter().skip((from as usize).saturating_sub(stored.forgotten));
            events.take(limit as usize).cloned().collect()
        });
        ready(events.ok_or_else(|| StoreError::NotFound(format!("run {run}")))).boxed()
    }

    fn unfinished(&self, after: Option<RunId>, limit: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        let tables = self.tables();
        let rows = tables.runs.values().map(|stored| &stored.row);
        let rows = rows.filter(|row| after.is_none_or(|after| row.id > after) && !row.status.is_final());
        ready(Ok(rows.take(limit as usize).cloned().collect())).boxed()
    }

    fn due(
        &self,
        after: Option<(Millis, RunId)>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(Millis, RunId)>, StoreError>> {
        let tables = self.tables();
        let rows = tables.runs.values().map(|stored| &stored.row);
        let due = rows.filter_map(|row| Some((row.wake_at?, row.id)));
        let mut due: Vec<_> = due.filter(|due| after.is_none_or(|after| *due > after)).collect();
        due.sort_unstable();
        due.truncate(limit as usize);
        ready(Ok(due)).boxed()
    }

    fn listening(
        &self,
        listen: Listen,
        after: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        let tables = self.tables();
        let runs = tables
            .runs
            .iter()
            .filter(|(id, stored)| after.is_none_or(|after| **id > after) && stored.listens.contains(&listen));
        ready(Ok(runs.map(|(id, _)| *id).take(limit as usize).collect())).boxed()
    }

    fn listened(&self) -> BoxFuture<'_, Result<Vec<(String, String)>, StoreError>> {
        let tables = self.tables();
        let listens = tables.runs.values().flat_map(|stored| &stored.listens);
        let listened: BTreeSet<_> = listens.map(|listen| (listen.event.clone(), listen.path.clone())).collect();
        ready(Ok(listened.into_iter().collect())).boxed()
    }

    fn value<'a>(&'a self, space: Space, key: &'a str, now: Millis) -> BoxFuture<'a, Result<Option<Json>, StoreError>> {
        let tables = self.tables();
        let live =
            tables.values.get(&(space, key.to_string())).filter(|(_, expires)| expires.is_none_or(|at| at > now));
        ready(Ok(live.map(|(value, _)| value.clone()))).boxed()
    }

    fn values(
        &self,
        space: Space,
        prefix: String,
        after: Option<String>,
        limit: u32,
        now: Millis,
    ) -> BoxFuture<'_, Result<Vec<(String, Json)>, StoreError>> {
        let tables = self.tables();
        let live = tables.values.iter().filter(|((of, key), (_, expires))| {
            *of == space
                && key.starts_with(&prefix)
                && after.as_ref().is_none_or(|after| key > after)
                && expires.is_none_or(|at| at > now)
        });
        let mut found: Vec<_> = live.map(|((_, key), (value, _))| (key.clone(), value.clone())).collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.truncate(limit as usize);
        ready(Ok(found)).boxed()
    }

    fn put(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut tables = self.tables();
        writes.into_iter().for_each(|write| tables.write(write));
        ready(Ok(())).boxed()
    }

    fn append_rows(
        &self,
        run: RunId,
        list: String,
        first: u32,
        rows: Vec<Json>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut tables = self.tables();
        let list = tables.rows.entry((run, list)).or_default();
        for (number, row) in (first..).zip(rows) {
            list.entry(number).or_insert_with(|| row.to_string().into());
        }
        ready(Ok(())).boxed()
    }

    fn rows<'a>(
        &'a self,
        run: RunId,
        list: &'a str,
        from: u32,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Json>, StoreError>> {
        let tables = self.tables();
        let rows = tables.rows.get(&(run, list.to_string()));
        let rows = rows.into_iter().flat_map(|rows| rows.range(from..));
        let rows = rows.take(limit as usize).map(|(number, row)| {
            serde_json::from_str(row).map_err(|error| StoreError::Corrupt(format!("row {number} of {list}: {error}")))
        });
        ready(rows.collect()).boxed()
    }

    fn cursors(&self) -> BoxFuture<'_, Result<BTreeMap<String, Millis>, StoreError>> {
        ready(Ok(self.tables().cursors.clone())).boxed()
    }

    fn set_cursors(&self, cursors: Vec<(String, Millis)>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.tables().cursors.extend(cursors);
        ready(Ok(())).boxed()
    }

    fn prune(&self, now: Millis, limit: u32) -> BoxFuture<'_, Result<Pruned, StoreError>> {
        let mut tables = self.tables();
        let limit = limit as usize;
        let gone = |at: &Option<Millis>| at.is_some_and(|at| at <= now);
        let keys = tables.dedupe.iter().filter(|(_, (at, _))| gone(at));
        let keys = earliest(keys.map(|(key, (at, number))| (*at, (*number, key.clone()))), limit);
        let values = tables.values.iter().filter(|(_, (_, at))| gone(at));
        let values = earliest(values.map(|(key, (_, at))| (*at, key.clone())), limit);
        let runs = tables.runs.iter().filter(|(_, stored)| {
            stored.row.status.is_final() && stored.row.wake_at.is_none() && gone(&stored.expires_at)
        });
        let runs = earliest(runs.map(|(id, stored)| (stored.expires_at, *id)), limit);
        let more = [keys.len(), values.len(), runs.len()].contains(&limit);
        let others = (keys.len() + values.len()) as u64;
        for (_, key) in &keys {
            tables.dedupe.remove(key);
        }
        for key in &values {
            tables.values.remove(key);
        }
        for run in &runs {
            tables.runs.remove(run);
            tables.rows.retain(|(owner, _), _| owner != run);
        }
        ready(Ok(Pruned { runs: runs.len() as u64, others, more })).boxed()
    }

    fn renew(&self, _now: Millis) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(Ok(())).boxed()
    }
}

impl Query for MemoryStore {
    fn writable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        let tables = self.tables();
        let rows = tables.runs.values().rev().map(|stored| &stored.row).filter(|row| {
            filter.before.is_none_or(|before| row.id < before)
                && filter.workflow.as_ref().is_none_or(|name| *name == row.workflow)
                && filter.status.is_none_or(|status| status == row.status)
        });
        ready(Ok(rows.take(filter.limit as usize).cloned().collect())).boxed()
    }
}
