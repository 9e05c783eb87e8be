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

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Arc;

    use serde_json::json;

    use crate::engine::clock::SystemClock;
    use crate::engine::event::RunStatus;
    use crate::store::sqlite::SqliteStore;

    fn write(key: &str, value: Option<Json>) -> Write {
        Write { space: Space::Once, key: key.to_string(), value, expires_at: None }
    }

    async fn commit(store: &DryStore, run: RunId, expected: u64, events: usize, snapshot: Option<Json>) {
        let event = || Event::RunPaused { at: 1, reason: None };
        let commit = Commit {
            run,
            expected,
            events: (0..events).map(|_| event()).collect(),
            status: RunStatus::Running,
            wake_at: None,
            finished_at: None,
            expires_at: None,
            writes: Vec::new(),
            listens: None,
            snapshot,
        };
        store.commit(commit).await.unwrap();
    }

    #[tokio::test]
    async fn what_a_snapshot_says_is_forgotten_and_the_run_is_still_whole() {
        let (store, run) = (DryStore::new(None), RunId::new(0, 1));
        let first = Event::RunCreated { at: 0, event: Arc::default(), inputs: Arc::default(), parent: None };
        let new = NewRun {
            id: run,
            workflow: "w".into(),
            plan: "p".into(),
            trigger: "manual",
            created_at: 0,
            dedupe: None,
            lane: None,
            parent: None,
            first,
        };
        store.create_runs(vec![new]).await.unwrap();
        commit(&store, run, 1, 3, None).await;
        assert_eq!(store.load(run).await.unwrap().events.len(), 4);
        commit(&store, run, 4, 1, Some(json!("a state"))).await;
        let loaded = store.load(run).await.unwrap();
        assert_eq!((loaded.snapshot, loaded.events.len()), (Some((5, json!("a state"))), 0));
        commit(&store, run, 5, 2, None).await;
        assert_eq!(store.load(run).await.unwrap().events.len(), 2);
        assert_eq!(store.journal(run, 6, 9).await.unwrap().len(), 1);
        assert_eq!(store.row(run).await.unwrap().version, 7);
    }

    #[tokio::test]
    async fn what_is_written_hides_the_database_and_leaves_it_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moltrun.db");
        assert!(ReadOnly::open(&path).await.unwrap().is_none());
        let real = SqliteStore::open(&path, Arc::new(SystemClock)).await.unwrap();
        real.put(["a", "b", "c"].map(|key| write(key, Some(json!("real")))).to_vec()).await.unwrap();

        // The owner is at work all the while.
        let store = DryStore::new(ReadOnly::open(&path).await.unwrap());
        store.put(vec![write("a", Some(json!("dry"))), write("b", None)]).await.unwrap();
        let mut found = Vec::new();
        for key in ["a", "b", "c", "d"] {
            found.push(store.value(Space::Once, key, 1).await.unwrap());
        }
        assert_eq!(found, [Some(json!("dry")), None, Some(json!("real")), None]);
        assert_eq!(store.known_once_keys(), 1);
        let values = store.values(Space::Once, String::new(), None, 9, 1).await.unwrap();
        assert_eq!(values, [("a".to_string(), json!("dry")), ("c".to_string(), json!("real"))]);
        store.put(vec![write("b", Some(json!("again")))]).await.unwrap();
        assert_eq!(store.value(Space::Once, "b", 1).await.unwrap(), Some(json!("again")));

        let values = real.values(Space::Once, String::new(), None, 9, 1).await.unwrap();
        assert!(values.len() == 3 && values.iter().all(|(_, value)| value == "real"), "{values:?}");
    }
}
