//! A store in front of a store: it counts commits, dies at one of them, or is unavailable for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::base::{Json, Millis, RunId};
use crate::engine::event::Event;
use crate::engine::ports::{Commit, Created, NewRun, RunRow, Store, StoreError};

/// How a process dies at a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The commit was not made.
    Before,
    /// It was made, and nothing came after it.
    After,
}

pub struct Frail {
    inner: Arc<dyn Store>,
    death: Option<(u64, Death)>,
    dead: AtomicBool,
    commits: AtomicU64,
    /// Verbs still to be refused as unavailable.
    unavailable: AtomicU64,
    /// The same for plans alone.
    no_plans: AtomicU64,
    /// Every verb.
    verbs: AtomicU64,
}

impl Frail {
    /// Dies at the commit with this number, from 0.
    pub fn new(inner: Arc<dyn Store>, death: Option<(u64, Death)>) -> Arc<Self> {
        let (unavailable, no_plans) = (AtomicU64::new(0), AtomicU64::new(0));
        let (dead, commits, verbs) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { inner, death, dead, commits, unavailable, no_plans, verbs })
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(SeqCst)
    }

    pub fn commits(&self) -> u64 {
        self.commits.load(SeqCst)
    }

    pub fn verbs(&self) -> u64 {
        self.verbs.load(SeqCst)
    }

    pub fn refuse(&self, times: u64) {
        self.unavailable.store(times, SeqCst);
    }

    pub fn refuse_plans(&self, times: u64) {
        self.no_plans.store(times, SeqCst);
    }

    fn up(&self) -> Result<(), StoreError> {
        self.verbs.fetch_add(1, SeqCst);
        if self.is_dead() {
            return Err(StoreError::Conflict("the process is dead".to_string()));
        }
        refused(&self.unavailable)
    }
}

/// Counts down what is still to be refused.
fn refused(left: &AtomicU64) -> Result<(), StoreError> {
    match left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => Err(StoreError::Unavailable("not now".to_string())),
        Err(_) => Ok(()),
    }
}

impl Store for Frail {
    fn save_plan<'a>(&'a self, digest: &'a str, plan: &'a Json) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            self.up()?;
            self.inner.save_plan(digest, plan).await
        }
        .boxed()
    }

    fn plan<'a>(&'a self, digest: &'a str) -> BoxFuture<'a, Result<Option<Json>, StoreError>> {
        async move {
            self.up()?;
            refused(&self.no_plans)?;
            self.inner.plan(digest).await
        }
        .boxed()
    }

    fn create_runs(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Created>, StoreError>> {
        async move {
            self.up()?;
            self.inner.create_runs(runs).await
        }
        .boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            self.up()?;
            let number = self.commits.fetch_add(1, SeqCst);
            match self.death {
                Some((at, death)) if number == at => {
                    self.dead.store(true, SeqCst);
                    if death == Death::After {
                        self.inner.commit(commit).await?;
                    }
                    Err(StoreError::Conflict("the process died".to_string()))
                }
                _ => self.inner.commit(commit).await,
            }
        }
        .boxed()
    }

    fn load(&self, run: RunId) -> BoxFuture<'_, Result<(RunRow, Vec<Event>), StoreError>> {
        async move {
            self.up()?;
            self.inner.load(run).await
        }
        .boxed()
    }

    fn unfinished(&self, after: Option<RunId>, limit: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        async move {
            self.up()?;
            self.inner.unfinished(after, limit).await
        }
        .boxed()
    }

    fn cursors(&self) -> BoxFuture<'_, Result<BTreeMap<String, Millis>, StoreError>> {
        self.inner.cursors()
    }

    fn set_cursor<'a>(&'a self, name: &'a str, at: Millis) -> BoxFuture<'a, Result<(), StoreError>> {
        self.inner.set_cursor(name, at)
    }

    fn prune(&self, now: Millis) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.inner.prune(now)
    }
}
