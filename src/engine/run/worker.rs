//! Takes one run off the queue, drives it, and leaves it where it belongs: ended, parked, or to a later start.

use std::sync::{Arc, PoisonError};

use tokio::sync::mpsc;

use super::driver::{Driver, Left, Mail};
use super::plans::PlanError;
use super::{Job, LoadError, Shared};
use crate::base::{Millis, RunId};
use crate::engine::decide::Input;
use crate::engine::ports::StoreError;
use crate::engine::state::RunState;
use crate::plan::Plan;

/// Pause before a run that could not be loaded is tried again, in milliseconds.
const LOAD_RETRY_MS: Millis = 1_000;

/// Takes the run off the list of active ones, whatever happens to its worker.
struct Active {
    shared: Arc<Shared>,
    run: RunId,
    /// Still on the list. Off it, the run may be on again for another worker.
    listed: bool,
}

impl Drop for Active {
    fn drop(&mut self) {
        if self.listed {
            self.shared.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.run);
        }
        self.shared.left.notify_waiters();
    }
}

pub async fn work(shared: Arc<Shared>, job: Job, mail: mpsc::UnboundedReceiver<Mail>) {
    let Job { run, fresh, _room, .. } = job;
    let mut active = Active { shared: shared.clone(), run, listed: true };
    let (plan, state, mut input) = match fresh {
        Some((plan, state)) => (plan, state, Input::Begin),
        None => match load(&shared, run).await {
            Ok((plan, state)) => (plan, state, Input::Resume),
            Err(LoadError::Store(error) | LoadError::Plan(PlanError::Store(error)))
                if matches!(error, StoreError::Unavailable(_)) =>
            {
                tracing::warn!(%run, %error, "a run could not be loaded yet");
                shared.timers.set(shared.clock.now() + LOAD_RETRY_MS, run);
                return;
            }
            Err(error) => return give_up(&shared, run, &error),
        },
    };
    let stopping = shared.stopping.subscribe();
    let mut driver = Driver::new(shared.clone(), plan, state, mail, stopping);
    loop {
        match driver.drive(input).await {
            left @ (Left::Ended | Left::Parked(_)) => {
                let wake_at = if let Left::Parked(at) = left { at } else { None };
                if !leave(&mut active, &driver, wake_at) {
                    input = Input::Wake;
                    continue;
                }
            }
            Left::Stopped => {}
            Left::Lost(error) => give_up(&shared, run, &error),
            Left::Stuck(error) => give_up(&shared, run, &error),
        }
        return;
    }
}

/// The run stays as it is in the store; the next start tries again.
fn give_up(shared: &Shared, run: RunId, error: &dyn std::error::Error) {
    let why = error.to_string();
    tracing::error!(%run, error = why, "a run cannot go on");
    shared.observers.iter().for_each(|observer| observer.gave_up(run, &why));
}

async fn load(shared: &Shared, run: RunId) -> Result<(Arc<Plan>, RunState), LoadError> {
    let (_, plan, journal) = shared.load(run).await?;
    let state = RunState::fold(run, plan.steps.len(), &journal)?;
    Ok((plan, state))
}

/// Lets go of the run, unless mail came in the meantime.
fn leave(active: &mut Active, driver: &Driver, wake_at: Option<Millis>) -> bool {
    let mut list = active.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
    if !driver.mail.is_empty() {
        return false;
    }
    list.remove(&active.run);
    drop(list);
    active.listed = false;
    if let Some(at) = wake_at {
        active.shared.timers.set(at, active.run);
    }
    true
}
