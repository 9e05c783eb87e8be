//! What people say to a run: what became of a held step, yes or no, stop, again.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::mail::Mail;
use super::{Engine, Lane, LoadError};
use crate::base::RunId;
use crate::engine::decide::{Approval, Input, Refused, Resolution};
use crate::engine::event::{Place, RunStatus};
use crate::engine::ports::Failure;
use crate::plan::Plan;

/// Why a word was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    #[error("there is no step `{0}` in this run's workflow")]
    NoStep(String),
    #[error("step `{step}` is not held: nothing to resolve{help}")]
    NotHeld { step: String, help: &'static str },
    #[error("step `{step}` does not wait for an approval{help}")]
    NoApproval { step: String, help: &'static str },
    #[error("step `{0}` is inside a for_each; retry from the for_each itself")]
    InsideForEach(String),
    #[error("other runs of its concurrency key are at work; retry when they have ended")]
    KeyBusy,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the daemon is stopping")]
    Stopping,
}

impl Engine {
    /// A person's word on a held step, of one item of each `for_each` around it.
    pub async fn resolve(
        &self,
        run: RunId,
        step: &str,
        items: &[u32],
        resolution: Resolution,
    ) -> Result<(), WordError> {
        let (plan, place) = self.place(run, step, items).await?;
        self.say(run, Input::Resolve { place, resolution }).await.map_err(|error| named(error, &plan, step, items))
    }

    /// A person's decision on an `approve` step.
    pub async fn approve(&self, run: RunId, step: &str, items: &[u32], approval: Approval) -> Result<(), WordError> {
        let (plan, place) = self.place(run, step, items).await?;
        self.say(run, Input::Approve { place, approval }).await.map_err(|error| named(error, &plan, step, items))
    }

    /// Nothing of the run begins any more; it ends cancelled.
    pub async fn cancel(&self, run: RunId, reason: Option<&str>) -> Result<(), WordError> {
        self.0.store.row(run).await.map_err(LoadError::from)?;
        let failure = Failure::new("run.cancelled", reason.unwrap_or("cancelled by a person"));
        self.say(run, Input::Stop { status: RunStatus::Cancelled, failure }).await
    }

    /// Nothing more of the run begins until it is resumed; what is at work ends.
    pub async fn pause(&self, run: RunId, reason: Option<&str>) -> Result<(), WordError> {
        self.0.store.row(run).await.map_err(LoadError::from)?;
        self.say(run, Input::Pause { reason: reason.map(str::to_string) }).await
    }

    /// A paused run goes on, with all that has become due meanwhile.
    pub async fn resume(&self, run: RunId) -> Result<(), WordError> {
        self.0.store.row(run).await.map_err(LoadError::from)?;
        self.say(run, Input::Unpause).await
    }

    /// An ended run goes on: from `from` and what needs it, or from what failed. Nothing that succeeded is done again but
    /// what `from` names.
    pub async fn retry(&self, run: RunId, from: Option<&str>) -> Result<(), WordError> {
        let (plan, row) = self.0.plan_of(run).await?;
        let from = match from {
            None => None,
            Some(id) => {
                let steps = || plan.steps.iter().enumerate().filter(|(_, step)| *step.id == *id);
                let root = steps().find(|(_, step)| step.block == 0);
                if root.is_none() && steps().next().is_some() {
                    return Err(WordError::InsideForEach(id.to_string()));
                }
                Some(root.ok_or_else(|| WordError::NoStep(id.to_string()))?.0 as u32)
            }
        };
        let Some(lane) = &row.lane else { return self.say(run, Input::Retry { from }).await };
        if !row.status.is_final() {
            return Err(Refused::NotEnded(row.status).into());
        }
        let limit = Lane::restored(lane, Some(&plan)).limit;
        self.0.take_again(run, lane, limit).ok_or(WordError::KeyBusy)?;
        let said = self.say(run, Input::Retry { from }).await;
        if said.is_err() {
            self.0.ended(run, Some(lane));
        }
        said
    }

    async fn place(&self, run: RunId, step: &str, items: &[u32]) -> Result<(Arc<Plan>, Place), WordError> {
        let (plan, _) = self.0.plan_of(run).await?;
        let named = || plan.steps.iter().enumerate().filter(|(_, planned)| *planned.id == *step);
        let deep = |planned: &crate::plan::PlanStep| plan.blocks[planned.block].chain.len() == items.len();
        // A `for_each` and the single step it runs share an id; the items tell them apart.
        let found = named().find(|(_, planned)| deep(planned)).or_else(|| named().next());
        let (step, _) = found.ok_or_else(|| WordError::NoStep(step.to_string()))?;
        let place = Place { step: step as u32, items: items.to_vec() };
        Ok((plan.clone(), place))
    }

    async fn say(&self, run: RunId, input: Input) -> Result<(), WordError> {
        let (answer, answered) = oneshot::channel();
        self.0.post(run, Mail::Input { input, answer });
        Ok(answered.await.map_err(|_| WordError::Stopping)??)
    }
}

/// The refusal in the words of the person who named the step.
fn named(error: WordError, plan: &Plan, step: &str, items: &[u32]) -> WordError {
    let unnamed = items.is_empty() && plan.steps.iter().any(|planned| *planned.id == *step && planned.block != 0);
    let help = if unnamed { "; name the item with --item" } else { "" };
    let step = match items {
        [] => step.to_string(),
        items => format!("{step}[{}]", items.iter().map(u32::to_string).collect::<Vec<_>>().join(".")),
    };
    match error {
        WordError::Refused(Refused::NotHeld(_)) => WordError::NotHeld { step, help },
        WordError::Refused(Refused::NoApproval(_)) => WordError::NoApproval { step, help },
        error => error,
    }
}
