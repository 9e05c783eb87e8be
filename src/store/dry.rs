//! The store of a dry run: what is written stays in memory and goes with the process; what was not written is read from a
//! real database, if there is one, which is not changed.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::memory::MemoryStore;
use super::sqlite::ReadOnly;
use crate::base::{Json, Millis, RunId};
use crate::engine::event::Event;
use crate::engine::ports::{Commit, Created, Listen, Loaded, NewRun, Pruned, RunRow, Space, Store, StoreError, Write};

pub struct DryStore {
    written: MemoryStore,
    real: Option<ReadOnly>,
    /// Keys that were forgotten here, whatever the real database says.
    forgotten: Mutex<HashSet<(Space, String)>>,
    /// `once` keys that were asked for and that the real database has.
    known: AtomicU64,
}

impl DryStore {
    pub fn new(real: Option<ReadOnly>) -> Self {
        Self { written: MemoryStore::forgetful(), real, forgotten: Mutex::default(), known: AtomicU64::new(0) }
    }

    /// How often a `once` key was met that the real database has.
    pub fn known_once_keys(&self) -> u64 {
        self.known.load(Ordering::Relaxed)
    }

    fn forget<'a>(&self, writes: impl Iterator<Item = &'a Write>) {
        let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        for write in writes {
            let key = (write.space, write.key.clone());
            // Only where there is something to hide: a broadcast gives up as many keys as it has recipients.
            if write.value.is_none() && self.real.is_some() {
                forgotten.insert(key);
            } else {
                forgotten.remove(&key);
            }
        }
    }

    fn is_forgotten(&self, space: Space, key: &str) -> bool {
        let forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        forgotten.contains(&(space, key.to_string()))
    }
}

impl Store for DryStore {
    fn save_plan<'a>(&'a self, digest: &'a str, plan: &'a Json) -> BoxFuture<'a, Result<(), StoreError>> {
        self.written.save_plan(digest, plan)
    }

    fn plan<'a>(&'a self, digest: &'a str) -> BoxFuture<'a, Result<Option<Json>, StoreError>> {
        self.written.plan(digest)
    }

    fn create_runs(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Created>, StoreError>> {
        self.written.create_runs(runs)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), StoreError>> {
        self.forget(commit.writes.iter());
        self.written.commit(commit)
    }

    fn load(&self, run: RunId) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        self.written.load(run)
    }

    fn row(&self, run: RunId) -> BoxFuture<'_, Result<RunRow, StoreError>> {
        self.written.row(run)
    }

    fn journal(&self, run: RunId, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        self.written.journal(run, from, limit)
    }

    fn unfinished(&self, after: Option<RunId>, limit: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        self.written.unfinished(after, limit)
    }

    fn due(
        &self,
        after: Option<(Millis, RunId)>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(Millis, RunId)>, StoreError>> {
        self.written.due(after, limit)
    }

    fn listening(
        &self,
        listen: Listen,
        after: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        self.written.listening(listen, after, limit)
    }

    fn listened(&self) -> BoxFuture<'_, Result<Vec<(String, String)>, StoreError>> {
        self.written.listened()
    }

    fn value<'a>(&'a self, space: Space, key: &'a str, now: Millis) -> BoxFuture<'a, Result<Option<Json>, StoreError>> {
        async move {
            if let Some(value) = self.written.value(space, key, now).await? {
                return Ok(Some(value));
            }
            let Some(real) = self.real.as_ref().filter(|_| !self.is_forgotten(space, key)) else { return Ok(None) };
            let value = real.value(space, key, now).await?;
            if space == Space::Once && value.is_some() {
                self.known.fetch_add(1, Ordering::Relaxed);
            }
            Ok(value)
        }
        .boxed()
    }

    fn values(
        &self,
        space: Space,
        prefix: String,
        after: Option<String>,
        limit: u32,
        now: Millis,
    ) -> BoxFuture<'_, Result<Vec<(String, Json)>, StoreError>> {
        async move {
            let mut found: BTreeMap<String, Json> = match &self.real {
                Some(real) => {
                    real.values(space, prefix.clone(), after.clone(), limit, now).await?.into_iter().collect()
                }
                None => BTreeMap::new(),
            };
            found.retain(|key, _| !self.is_forgotten(space, key));
            found.extend(self.written.values(space, prefix, after, limit, now).await?);
            Ok(found.into_iter().take(limit as usize).collect())
        }
        .boxed()
    }

    fn put(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.forget(writes.iter());
        self.written.put(writes)
    }

    fn append_rows(
        &self,
        run: RunId,
        list: String,
        first: u32,
        rows: Vec<Json>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.written.append_rows(run, list, first, rows)
    }

    fn rows<'a>(
        &'a self,
        run: RunId,
        list: &'a str,
        from: u32,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Json>, StoreError>> {
        self.written.rows(run, list, from, limit)
    }

    fn cursors(&self) -> BoxFuture<'_, Result<BTreeMap<String, Millis>, StoreError>> {
        self.written.cursors()
    }

    fn set_cursors(&self, cursors: Vec<(String, Millis)>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.written.set_cursors(cursors)
    }

    fn prune(&self, now: Millis, limit: u32) -> BoxFuture<'_, Result<Pruned, StoreError>> {
        self.written.prune(now, limit)
    }

    fn renew(&self, now: Millis) -> BoxFuture<'_, Result<(), StoreError>> {
        self.written.renew(now)
    }
}
