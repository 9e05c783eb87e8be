//! Plans by digest: saved before their first run, restored for runs of an earlier day (invariant 5).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::steps::Steps;
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
    steps: Steps,
    /// Of the start.
    first: Arc<Catalog>,
    known: Mutex<HashMap<Arc<str>, Known>>,
    saved: Mutex<HashSet<Arc<str>>>,
}

/// A plan, and what it was checked against.
struct Known {
    plan: Arc<Plan>,
    /// None: nobody knows.
    catalog: Option<Arc<Catalog>>,
}

impl Plans {
    pub fn new(store: Arc<dyn Store>, steps: Steps) -> Self {
        Self { store, first: steps.now().catalog.clone(), steps, known: Mutex::default(), saved: Mutex::default() }
    }

    /// Makes sure that the plan outlives the process, before a run refers to it.
    pub async fn save(&self, plan: &Arc<Plan>) -> Result<(), StoreError> {
        if self.saved.lock().unwrap_or_else(PoisonError::into_inner).contains(&plan.digest) {
            return match self.renew(plan) {
                true => self.store.save_plan(&plan.digest, &plan.stored()).await,
                false => Ok(()),
            };
        }
        self.store.save_plan(&plan.digest, &plan.stored()).await?;
        self.keep(plan, self.checked_against());
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).insert(plan.digest.clone());
        Ok(())
    }

    /// The plan as the steps of this moment have it: as after a restart, one whose plugin changed goes by what that plugin
    /// says now. Where it does not fit any more, it stays as it was, or as the steps of the start have it; an error says what
    /// those of this moment lack.
    pub async fn get(&self, digest: &str) -> Result<Arc<Plan>, PlanError> {
        let catalog = self.steps.now().catalog.clone();
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let is_of_now = |known: &Known| known.catalog.as_ref().is_some_and(|old| Arc::ptr_eq(old, &catalog));
            known.get(digest).map(|known| (known.plan.clone(), is_of_now(known)))
        };
        let plan = match known {
            Some((plan, true)) => return Ok(plan),
            Some((plan, false)) => match Plan::restore(&plan.stored(), &catalog) {
                // Its runs know it by the digest of the form it was first stored in.
                Ok(today) => Arc::new(Plan { digest: plan.digest.clone(), ..today }),
                Err(_) => plan,
            },
            None => {
                let stored = self.store.plan(digest).await?;
                let missing = || StoreError::Corrupt(format!("the plan {digest} of a run is not there"));
                let stored = stored.ok_or_else(missing)?;
                let of_start = |error| Plan::restore(&stored, &self.first).map_err(|_| error);
                Arc::new(Plan::restore(&stored, &catalog).or_else(of_start)?)
            }
        };
        self.keep(&plan, Some(catalog));
        Ok(plan)
    }

    /// Whether it is the same plan of a file whose lines have moved: errors of scripts are to point at those of today.
    fn renew(&self, plan: &Arc<Plan>) -> bool {
        if plan.workflow.code.is_empty() {
            return false;
        }
        if let Some(kept) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&plan.digest)
            && kept.plan.workflow.code != plan.workflow.code
        {
            // The rest may have been checked against other steps than what is kept.
            kept.plan = Arc::new(Plan { workflow: plan.workflow.clone(), ..Plan::clone(&kept.plan) });
            return true;
        }
        false
    }

    /// What a plan that comes from elsewhere was checked against: until steps are replaced there is but one answer.
    fn checked_against(&self) -> Option<Arc<Catalog>> {
        let catalog = self.steps.now().catalog.clone();
        Some(catalog).filter(|catalog| Arc::ptr_eq(catalog, &self.first))
    }

    fn keep(&self, plan: &Arc<Plan>, catalog: Option<Arc<Catalog>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(plan.digest.clone(), Known { plan: plan.clone(), catalog });
    }
}
