//! The store's rules in their plainest form: a few maps under one lock. Durable only as long as it lives.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use crate::base::{Json, Millis, RunId};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Commit, Created, NewRun, Query, RunFilter, RunRow, Store, StoreError};

#[derive(Default)]
pub struct MemoryStore(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    plans: HashMap<String, Json>,
    runs: BTreeMap<RunId, (RunRow, Vec<Event>)>,
    dedupe: HashMap<String, Option<Millis>>,
    cursors: BTreeMap<String, Millis>,
}

impl MemoryStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn create(&mut self, run: NewRun) -> Result<Created, StoreError> {
        if let Some(dedupe) = run.dedupe {
            let live = |expires: &Option<Millis>| expires.is_none_or(|at| at > run.created_at);
            if self.dedupe.get(&dedupe.key).is_some_and(live) {
                return Ok(Created::Duplicate);
            }
            self.dedupe.insert(dedupe.key, dedupe.expires_at);
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
        };
        self.runs.insert(run.id, (row, vec![run.first]));
        Ok(Created::New)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        let Some((row, journal)) = self.runs.get_mut(&commit.run) else {
            return Err(StoreError::NotFound(format!("run {}", commit.run)));
        };
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
        journal.extend(commit.events);
        Ok(())
    }
}

impl Store for MemoryStore {
    fn save_plan<'a>(&'a self, digest: &'a str, plan: &'a Json) -> BoxFuture<'a, Result<(), StoreError>> {
        self.tables().plans.entry(digest.to_string()).or_insert_with(|| plan.clone());
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
        ready(self.tables().commit(commit)).boxed()
    }

    fn load(&self, run: RunId) -> BoxFuture<'_, Result<(RunRow, Vec<Event>), StoreError>> {
        let found = self.tables().runs.get(&run).cloned();
        ready(found.ok_or_else(|| StoreError::NotFound(format!("run {run}")))).boxed()
    }

    fn unfinished(&self, after: Option<RunId>, limit: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        let tables = self.tables();
        let rows = tables.runs.values().map(|(row, _)| row);
        let rows = rows.filter(|row| after.is_none_or(|after| row.id > after) && !row.status.is_final());
        ready(Ok(rows.take(limit as usize).cloned().collect())).boxed()
    }

    fn cursors(&self) -> BoxFuture<'_, Result<BTreeMap<String, Millis>, StoreError>> {
        ready(Ok(self.tables().cursors.clone())).boxed()
    }

    fn set_cursor<'a>(&'a self, name: &'a str, at: Millis) -> BoxFuture<'a, Result<(), StoreError>> {
        self.tables().cursors.insert(name.to_string(), at);
        ready(Ok(())).boxed()
    }

    fn prune(&self, now: Millis) -> BoxFuture<'_, Result<u64, StoreError>> {
        let mut tables = self.tables();
        let before = tables.dedupe.len();
        tables.dedupe.retain(|_, expires| expires.is_none_or(|at| at > now));
        ready(Ok((before - tables.dedupe.len()) as u64)).boxed()
    }
}

impl Query for MemoryStore {
    fn runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        let tables = self.tables();
        let rows = tables.runs.values().rev().map(|(row, _)| row).filter(|row| {
            filter.before.is_none_or(|before| row.id < before)
                && filter.workflow.as_ref().is_none_or(|name| *name == row.workflow)
                && filter.status.is_none_or(|status| status == row.status)
        });
        ready(Ok(rows.take(filter.limit as usize).cloned().collect())).boxed()
    }
}
