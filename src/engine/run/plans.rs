//! Plans by digest: saved before their first run, restored for runs of an earlier day (invariant 5).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::ports::{Store, StoreError};
use crate::lang::Catalog;
use crate::plan::{Plan, RestoreError};

/// Plans kept in memory. A folder of a thousand workflows and its edits of a day fit; beyond it they are restored again.
const KEPT: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

pub struct Plans {
    store: Arc<dyn Store>,
    catalog: Arc<Catalog>,
    known: Mutex<HashMap<Arc<str>, Arc<Plan>>>,
    saved: Mutex<HashSet<Arc<str>>>,
}

impl Plans {
    pub fn new(store: Arc<dyn Store>, catalog: Arc<Catalog>) -> Self {
        Self { store, catalog, known: Mutex::default(), saved: Mutex::default() }
    }

    /// Makes sure that the plan outlives the process, before a run refers to it.
    pub async fn save(&self, plan: &Arc<Plan>) -> Result<(), StoreError> {
        if self.saved.lock().unwrap_or_else(PoisonError::into_inner).contains(&plan.digest) {
            return Ok(());
        }
        self.store.save_plan(&plan.digest, &plan.stored()).await?;
        self.keep(plan);
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).insert(plan.digest.clone());
        Ok(())
    }

    pub async fn get(&self, digest: &str) -> Result<Arc<Plan>, PlanError> {
        if let Some(plan) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest) {
            return Ok(plan.clone());
        }
        let stored = self.store.plan(digest).await?;
        let stored = stored.ok_or_else(|| StoreError::Corrupt(format!("the plan {digest} of a run is not there")))?;
        let plan = Arc::new(Plan::restore(&stored, &self.catalog)?);
        self.keep(&plan);
        Ok(plan)
    }

    fn keep(&self, plan: &Arc<Plan>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(plan.digest.clone(), plan.clone());
    }
}
