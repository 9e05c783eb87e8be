//! Runs whose plan does not fit the steps of the moment: nothing can be done with them until there are others.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::steps::StepSet;
use super::{Job, Shared};
use crate::base::RunId;

/// At most the unfinished runs of the store, each of which is in memory at a start as well.
#[derive(Default)]
pub struct Unfit(Mutex<HashSet<RunId>>);

impl Unfit {
    pub fn add(&self, run: RunId) {
        self.runs().insert(run);
    }

    pub fn has(&self, run: RunId) -> bool {
        self.runs().contains(&run)
    }

    /// It fits, or will never.
    pub fn remove(&self, run: RunId) {
        self.runs().remove(&run);
    }

    fn all(&self) -> Vec<RunId> {
        self.runs().iter().copied().collect()
    }

    fn runs(&self) -> MutexGuard<'_, HashSet<RunId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries them again whenever steps are replaced, until the engine stops.
pub async fn try_again(shared: Arc<Shared>, mut steps: watch::Receiver<Arc<StepSet>>) {
    let mut stopping = shared.stopping.subscribe();
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            changed = steps.changed() => if changed.is_err() { return },
        }
        for run in shared.unfit.all() {
            shared.enqueue(Job::stored(run, Arc::from(""), None));
        }
    }
}
