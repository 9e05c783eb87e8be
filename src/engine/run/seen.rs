//! A run as it stands in the store, for people.

use std::sync::Arc;

use super::plans::PlanError;
use super::{Engine, Shared};
use crate::base::RunId;
use crate::engine::event::Event;
use crate::engine::ports::{Listen, RunRow, StoreError};
use crate::engine::report::{Asked, Report, asked};
use crate::engine::state::IllegalEvent;
use crate::plan::Plan;

/// A run with its report.
#[derive(Clone, Debug)]
pub struct Seen {
    pub row: RunRow,
    pub report: Report,
}

/// A run that needs a person.
#[derive(Clone, Debug)]
pub struct Needy {
    pub row: RunRow,
    /// What its steps ask.
    pub asked: Vec<Asked>,
}

/// Why a run of the store could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
}

impl Engine {
    pub async fn report(&self, run: RunId) -> Result<Seen, LoadError> {
        let (plan, state, row) = self.0.state_of(run).await?;
        let lines = self.0.latest_lines(&plan, &state).await?;
        Ok(Seen { row, report: Report::of(&plan, &state).with_lines(&plan, &state, lines) })
    }

    /// Runs that need a person, the oldest first, after `after`: at most `limit`, and the last one looked at if there may be
    /// more.
    pub async fn attention(&self, after: Option<RunId>, limit: u32) -> Result<(Vec<Needy>, Option<RunId>), LoadError> {
        let runs = self.0.store.listening(Listen::attention(), after, limit).await?;
        let next = runs.last().copied().filter(|_| runs.len() == limit as usize);
        let mut needy = Vec::with_capacity(runs.len());
        for run in runs {
            match self.0.state_of(run).await {
                Ok((plan, state, row)) => needy.push(Needy { row, asked: asked(&plan, &state) }),
                // Forgotten in between.
                Err(LoadError::Store(StoreError::NotFound(_))) => {}
                // One that fits no step of today hides nobody else.
                Err(LoadError::Plan(PlanError::Restore(error))) => {
                    tracing::warn!(%run, %error, "a run that needs a person cannot be read")
                }
                Err(error) => return Err(error),
            }
        }
        // In between a person may have answered.
        needy.retain(|needy| !needy.asked.is_empty());
        Ok((needy, next))
    }

    /// Events of its journal from number `from` on, at most `limit`, and the ids of the steps they number.
    pub async fn journal(&self, run: RunId, from: u64, limit: u32) -> Result<(Vec<Arc<str>>, Vec<Event>), LoadError> {
        let (plan, _) = self.0.plan_of(run).await?;
        let events = self.0.store.journal(run, from, limit).await?;
        Ok((plan.steps.iter().map(|step| step.id.clone()).collect(), events))
    }
}

impl Shared {
    pub(super) async fn plan_of(&self, run: RunId) -> Result<(Arc<Plan>, RunRow), LoadError> {
        let row = self.store.row(run).await?;
        Ok((self.plans.get(&row.plan).await?, row))
    }
}
