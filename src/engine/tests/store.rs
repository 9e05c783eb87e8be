//! A store in front of a store: it counts, dies at one of its writes, is unavailable for a while, or keeps somebody waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::base::{Json, Millis, RunId};
use crate::engine::event::Event;
use crate::engine::ports::{Commit, Created, Listen, Loaded, NewRun, Pruned, RunRow, Space, Store, StoreError, Write};

/// How a process dies at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The write was not made.
    Before,
    /// It was made, and nothing came after it.
    After,
}

/// Which verbs are refused as unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Commit,
    Load,
    Plan,
    Row,
    Rows,
    Create,
}

pub struct Frail {
    pub inner: Arc<dyn Store>,
    death: Option<(u64, Death)>,
    dead: AtomicBool,
    writes: AtomicU64,
    /// Verbs still to be refused.
    refused: std::sync::Mutex<Vec<(Verb, u64)>>,
    /// True: loads wait.
    gate: watch::Sender<bool>,
    verbs: AtomicU64,
    in_flight: AtomicU64,
    loads: AtomicU64,
    loaded_events: AtomicU64,
    pages: AtomicU64,
    page_rows: AtomicU64,
}

impl Frail {
    /// Dies at the write (a commit or the creation of runs) with this number, from 0.
    pub fn new(inner: Arc<dyn Store>, death: Option<(u64, Death)>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            death,
            dead: AtomicBool::new(false),
            writes: AtomicU64::new(0),
            refused: std::sync::Mutex::default(),
            gate: watch::channel(false).0,
            verbs: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            loads: AtomicU64::new(0),
            loaded_events: AtomicU64::new(0),
            pages: AtomicU64::new(0),
            page_rows: AtomicU64::new(0),
        })
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(SeqCst)
    }

    /// From now on nothing reaches the store, as after another process took it.
    pub fn die(&self) {
        self.dead.store(true, SeqCst);
    }

    pub fn writes(&self) -> u64 {
        self.writes.load(SeqCst)
    }

    pub fn verbs(&self) -> u64 {
        self.verbs.load(SeqCst)
    }

    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(SeqCst)
    }

    /// Runs loaded, and the events that were read with them.
    pub fn loads(&self) -> (u64, u64) {
        (self.loads.load(SeqCst), self.loaded_events.load(SeqCst))
    }

    /// Pages of lists, and the rows of the largest one.
    pub fn pages(&self) -> (u64, u64) {
        (self.pages.load(SeqCst), self.page_rows.load(SeqCst))
    }

    pub fn refuse(&self, verb: Verb, times: u64) {
        self.refused.lock().unwrap().push((verb, times));
    }

    /// Keeps loads waiting, or lets them go.
    pub fn hold_loads(&self, held: bool) {
        self.gate.send_replace(held);
    }

    fn up(&self, verb: Option<Verb>) -> Result<(), StoreError> {
        self.verbs.fetch_add(1, SeqCst);
        if self.is_dead() {
            return Err(StoreError::Conflict("the process is dead".to_string()));
        }
        let mut refused = self.refused.lock().unwrap();
        refused.retain(|(_, left)| *left > 0);
        match refused.iter_mut().find(|(other, _)| Some(*other) == verb) {
            Some((_, left)) => {
                *left -= 1;
                Err(StoreError::Unavailable("not now".to_string()))
            }
            None => Ok(()),
        }
    }

    async fn read<T>(&self, verb: Option<Verb>, inner: BoxFuture<'_, Result<T, StoreError>>) -> Result<T, StoreError> {
        self.up(verb)?;
        self.during(inner).await
    }

    async fn during<T>(&self, inner: BoxFuture<'_, T>) -> T {
        self.in_flight.fetch_add(1, SeqCst);
        let done = inner.await;
        self.in_flight.fetch_sub(1, SeqCst);
        done
    }

    async fn write<T>(&self, verb: Verb, inner: BoxFuture<'_, Result<T, StoreError>>) -> Result<T, StoreError> {
        self.up(Some(verb))?;
        let number = self.writes.fetch_add(1, SeqCst);
        match self.death {
            Some((at, death)) if number == at => {
                self.dead.store(true, SeqCst);
                if death == Death::After {
                    self.during(inner).await?;
                }
                Err(StoreError::Conflict("the process died".to_string()))
            }
            _ => self.during(inner).await,
        }
    }
}

impl Store for Frail {
    fn save_plan<'a>(&'a self, digest: &'a str, plan: &'a Json) -> BoxFuture<'a, Result<(), StoreError>> {
        self.read(None, self.inner.save_plan(digest, plan)).boxed()
    }

    fn plan<'a>(&'a self, digest: &'a str) -> BoxFuture<'a, Result<Option<Json>, StoreError>> {
        self.read(Some(Verb::Plan), self.inner.plan(digest)).boxed()
    }

    fn create_runs(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Created>, StoreError>> {
        let inner = async move { self.inner.create_runs(runs).await }.boxed();
        self.write(Verb::Create, inner).boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), StoreError>> {
        // Made when it is polled, and not before.
        let inner = async move { self.inner.commit(commit).await }.boxed();
        self.write(Verb::Commit, inner).boxed()
    }

    fn load(&self, run: RunId) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        async move {
            let mut gate = self.gate.subscribe();
            let _ = gate.wait_for(|held| !held).await;
            let loaded = self.read(Some(Verb::Load), self.inner.load(run)).await?;
            self.loads.fetch_add(1, SeqCst);
            self.loaded_events.fetch_add(loaded.events.len() as u64, SeqCst);
            Ok(loaded)
        }
        .boxed()
    }

    fn row(&self, run: RunId) -> BoxFuture<'_, Result<RunRow, StoreError>> {
        self.read(Some(Verb::Row), self.inner.row(run)).boxed()
    }

    fn journal(&self, run: RunId, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        self.read(None, self.inner.journal(run, from, limit)).boxed()
    }

    fn unfinished(&self, after: Option<RunId>, limit: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        self.read(None, self.inner.unfinished(after, limit)).boxed()
    }

    fn due(
        &self,
        after: Option<(Millis, RunId)>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(Millis, RunId)>, StoreError>> {
        self.read(None, self.inner.due(after, limit)).boxed()
    }

    fn listening(
        &self,
        listen: Listen,
        after: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        self.read(None, self.inner.listening(listen, after, limit)).boxed()
    }

    fn listened(&self) -> BoxFuture<'_, Result<Vec<(String, String)>, StoreError>> {
        self.read(None, self.inner.listened()).boxed()
    }

    fn value<'a>(&'a self, space: Space, key: &'a str, now: Millis) -> BoxFuture<'a, Result<Option<Json>, StoreError>> {
        self.read(None, self.inner.value(space, key, now)).boxed()
    }

    fn values(
        &self,
        space: Space,
        prefix: String,
        after: Option<String>,
        limit: u32,
        now: Millis,
    ) -> BoxFuture<'_, Result<Vec<(String, Json)>, StoreError>> {
        self.read(None, self.inner.values(space, prefix, after, limit, now)).boxed()
    }

    fn put(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.read(None, self.inner.put(writes)).boxed()
    }

    fn append_rows(
        &self,
        run: RunId,
        list: String,
        first: u32,
        rows: Vec<Json>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.read(None, self.inner.append_rows(run, list, first, rows)).boxed()
    }

    fn rows<'a>(
        &'a self,
        run: RunId,
        list: &'a str,
        from: u32,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Json>, StoreError>> {
        async move {
            let rows = self.read(Some(Verb::Rows), self.inner.rows(run, list, from, limit)).await?;
            self.pages.fetch_add(1, SeqCst);
            self.page_rows.fetch_max(rows.len() as u64, SeqCst);
            Ok(rows)
        }
        .boxed()
    }

    fn cursors(&self) -> BoxFuture<'_, Result<BTreeMap<String, Millis>, StoreError>> {
        self.inner.cursors()
    }

    fn set_cursors(&self, cursors: Vec<(String, Millis)>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.set_cursors(cursors)
    }

    fn prune(&self, now: Millis, limit: u32) -> BoxFuture<'_, Result<Pruned, StoreError>> {
        self.inner.prune(now, limit)
    }

    fn renew(&self, now: Millis) -> BoxFuture<'_, Result<(), StoreError>> {
        self.read(None, self.inner.renew(now)).boxed()
    }
}
