//! After a start: the store's unfinished runs go on. Those that wait are woken by their timers, from their rows.

use std::sync::Arc;

use super::{Engine, Job, Lane, calls};
use crate::base::{RunId, limits};
use crate::engine::event::RunStatus;
use crate::engine::ports::{Listen, RunRow, StoreError};
use crate::lang::workflow::Overflow;

impl Engine {
    pub(super) async fn recover(&self) -> Result<(), StoreError> {
        let listened = self.0.store.listened().await?.into_iter();
        let listened = listened.map(|(event, path)| Listen { event, path, value: String::new() });
        self.0.listening(&listened.collect::<Vec<_>>());
        let mut after: Option<RunId> = None;
        let mut resumed = 0_u64;
        // Those that have begun hold their lane's slots, so the others arrive after them.
        let mut queued = Vec::new();
        loop {
            let rows = self.0.store.unfinished(after, limits::PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.id);
            resumed += rows.len() as u64;
            for row in rows {
                let begun = row.version > 1;
                match &row.lane {
                    Some(_) if !begun => queued.push(row),
                    Some(lane) => {
                        self.0.lanes.arrive(lane, u32::MAX, Overflow::Queue, row.id, true);
                        self.go_on(&row).await?;
                    }
                    None => self.go_on(&row).await?,
                }
            }
        }
        for row in queued {
            let Some(lane) = &row.lane else { continue };
            if self.is_left(&row).await? {
                calls::cancel(&self.0, row.id);
            }
            // Without its plan the run will say so itself when it begins.
            let plan = self.0.plans.get(&row.plan).await.ok();
            let job = Job::stored(row.id, Arc::from(row.workflow.as_str()), None);
            self.0.arrive(job, Some(&Lane::restored(lane, plan.as_deref())));
        }
        if resumed > 0 {
            tracing::info!(runs = resumed, "unfinished runs go on");
        }
        Ok(())
    }

    async fn go_on(&self, row: &RunRow) -> Result<(), StoreError> {
        match row.status {
            _ if self.is_left(row).await? => calls::cancel(&self.0, row.id),
            // By their timers, by events, or by people.
            RunStatus::Waiting | RunStatus::Paused | RunStatus::Attention => {}
            _ => self.0.enqueue(Job::stored(row.id, Arc::from(row.workflow.as_str()), None)),
        }
        Ok(())
    }

    /// Its caller ended and was interrupted before it could say so.
    async fn is_left(&self, row: &RunRow) -> Result<bool, StoreError> {
        let Some(caller) = row.parent else { return Ok(false) };
        match self.0.store.row(caller).await {
            Ok(caller) => Ok(caller.status.is_final()),
            Err(StoreError::NotFound(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
