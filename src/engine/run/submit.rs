//! Accepting runs: durable before anyone is told.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::places::{Lane, lane_of};
use super::{Engine, Job, Shared};
use crate::base::json::text_len;
use crate::base::{Json, RunId, limits};
use crate::engine::event::{Event, Parent, RunStatus};
use crate::engine::ports::{Created, Dedupe, NewRun, StoreError};
use crate::engine::state::RunState;
use crate::plan::Plan;

/// A run to be accepted.
#[derive(Clone, Debug)]
pub struct Submission {
    pub plan: Arc<Plan>,
    /// `message`, `schedule`, `manual`, `call`, `failure`, or another kind of trigger.
    pub trigger: &'static str,
    pub event: Arc<Json>,
    pub inputs: Arc<Json>,
    pub dedupe: Option<Dedupe>,
    /// In place of the workflow's `concurrency`.
    pub lane: Option<Lane>,
}

/// Why runs were not accepted. Nothing of the submission was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("too many runs are waiting for a worker ({0}); try again in a moment")]
    Busy(usize),
    #[error("the daemon is stopping")]
    Stopping,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Accepts runs: durable when this returns. The answers are in order; None is a duplicate.
    pub async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<Option<RunId>>, SubmitError> {
        if submissions.is_empty() {
            return Ok(Vec::new());
        }
        if *self.0.stopping.borrow() {
            return Err(SubmitError::Stopping);
        }
        let mut rooms = Vec::with_capacity(submissions.len());
        for submission in &submissions {
            let pieces = 1 + (text_len(&submission.event) / limits::QUEUED_PIECE) as u32;
            let room = self.0.room.clone().try_acquire_many_owned(pieces);
            rooms.push(Some(room.map_err(|_| SubmitError::Busy(self.0.queue))?));
        }
        let ids = submissions.iter().map(|_| self.0.ids.next(&*self.0.clock)).collect();
        // On a task of its own: whoever asks may hang up at any moment (a webhook's client), and a run that is committed
        // must be put to work all the same.
        let accepted = tokio::spawn(accept(self.0.clone(), submissions, ids, None, rooms)).await;
        accepted.map_err(|_| SubmitError::Stopping)?
    }
}

impl Shared {
    /// Accepts a run that another run starts: under the id that its caller journaled, if it is a called one.
    pub(super) async fn accept_inner(
        self: &Arc<Self>,
        submission: Submission,
        id: Option<RunId>,
        parent: Option<Parent>,
    ) -> Result<Option<RunId>, SubmitError> {
        let id = id.unwrap_or_else(|| self.ids.next(&*self.clock));
        let accepted = accept(self.clone(), vec![submission], vec![id], parent, vec![None]).await?;
        Ok(accepted.into_iter().next().flatten())
    }
}

/// Commits new runs and puts them to work.
async fn accept(
    shared: Arc<Shared>,
    submissions: Vec<Submission>,
    ids: Vec<RunId>,
    parent: Option<Parent>,
    rooms: Vec<Option<OwnedSemaphorePermit>>,
) -> Result<Vec<Option<RunId>>, SubmitError> {
    for submission in &submissions {
        shared.plans.save(&submission.plan).await?;
    }
    let now = shared.clock.now();
    let lanes: Vec<_> = submissions
        .iter()
        .map(|submission| match &submission.lane {
            Some(lane) => Ok(Some(lane.clone())),
            None => lane_of(&submission.plan, &submission.event, &submission.inputs, now),
        })
        .collect();
    let new = ids.iter().zip(&submissions).zip(&lanes).map(|((id, submission), lane)| NewRun {
        id: *id,
        workflow: submission.plan.name.clone(),
        plan: submission.plan.digest.clone(),
        trigger: submission.trigger,
        created_at: now,
        dedupe: submission.dedupe.clone(),
        lane: lane.as_ref().ok().and_then(|lane| Some(lane.as_ref()?.name.clone())),
        parent: parent.as_ref().map(|parent| parent.run),
        first: Event::RunCreated {
            at: now,
            event: submission.event.clone(),
            inputs: submission.inputs.clone(),
            parent: parent.clone(),
        },
    });
    let created = shared.store.create_runs(new.collect()).await?;
    let mut accepted = Vec::with_capacity(ids.len());
    let all = submissions.into_iter().zip(ids).zip(lanes).zip(created).zip(rooms);
    for ((((submission, id), lane), created), room) in all {
        if created == Created::Duplicate {
            accepted.push(None);
            continue;
        }
        let Submission { plan, event, inputs, .. } = submission;
        let state = RunState::created(&plan, id, now, event, inputs, parent.clone());
        let stored = Job::stored(id, plan.name.clone(), room);
        match lane {
            // One that waits for its turn is a row meanwhile.
            Ok(Some(lane)) => {
                shared.arrive(Job { lane: Some(lane.name.clone()), ..stored }, Some(&lane));
            }
            Ok(None) => shared.arrive(Job { fresh: Some((plan, state)), ..stored }, None),
            Err(failure) => shared.end_by(id, RunStatus::Failed, failure),
        }
        accepted.push(Some(id));
    }
    Ok(accepted)
}
