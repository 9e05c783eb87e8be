//! Takes one run off the queue, drives it, and leaves it where it belongs: ended, parked, or to a later start.

use std::sync::{Arc, PoisonError};

use tokio::sync::mpsc;

use super::calls;
use super::driver::{Driver, Left, Stored};
use super::mail::Mail;
use super::plans::PlanError;
use super::steps::StepSet;
use super::{Job, LoadError, Shared, snapshot};
use crate::base::json::text_len;
use crate::base::{Millis, RunId};
use crate::engine::decide::Input;
use crate::engine::ports::{RunRow, StoreError};
use crate::engine::state::{IllegalEvent, RunState};
use crate::plan::{Plan, RestoreError};

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

pub async fn work(shared: Arc<Shared>, job: Job, mut mail: mpsc::UnboundedReceiver<Mail>) {
    let Job { run, mut fresh, begins, mut lane, _room, .. } = job;
    let mut active = Active { shared: shared.clone(), run, listed: true };
    if begins && shared.heard(run) {
        fresh = None;
    }
    loop {
        let is_fresh = fresh.is_some();
        let steps = shared.steps.now();
        let (plan, state, mut first, stored) = match fresh.take() {
            Some((plan, state)) => (plan, state, Some(Input::Begin), Stored::fresh()),
            None => match shared.loaded(run).await {
                Ok((plan, state, row, snapshot_at)) => {
                    shared.unfit.remove(run);
                    // A queued run is begun by the queue alone; a word to it is just heard.
                    let resumes = begins || state.version > 1;
                    if !resumes {
                        shared.hears(run);
                    }
                    let stored = Stored { row: (row.status, row.wake_at), snapshot_at };
                    lane = row.lane.map(Into::into);
                    (plan, state, resumes.then_some(Input::Resume), stored)
                }
                Err(LoadError::Plan(PlanError::Restore(error))) => {
                    return unfit(&mut active, &mut mail, begins, &steps, &error);
                }
                Err(error) => return not_loaded(&shared, &mut active, &mut mail, &error),
            },
        };
        let mut driver = Driver::new(shared.clone(), plan, state, mail, stored);
        if !is_fresh {
            first = driver.stop_first(first).await;
        }
        let left = loop {
            match driver.drive(first.take()).await {
                left @ (Left::Ended | Left::Parked(_)) => {
                    let wake_at = if let Left::Parked(at) = left { at } else { None };
                    if leave(&mut active, &driver, wake_at) {
                        break left;
                    }
                    first = Some(Input::Wake);
                }
                left => break left,
            }
        };
        match left {
            Left::Ended => {
                shared.ended(run, lane.as_deref());
                calls::tell_caller(&shared, &driver.plan, &driver.state).await;
            }
            Left::Parked(_) | Left::Stopped => {}
            // Somebody's word came while it was queued: what was in memory is old.
            Left::Lost(StoreError::Conflict(_)) if is_fresh => {
                mail = driver.mail;
                continue;
            }
            Left::Lost(error) => give_up(&shared, run, &error),
            Left::Stuck(error) => {
                give_up(&shared, run, &error);
                refuse(&mut active, &mut driver.mail);
            }
        }
        return;
    }
}

fn not_loaded(shared: &Shared, active: &mut Active, mail: &mut mpsc::UnboundedReceiver<Mail>, error: &LoadError) {
    let run = active.run;
    match error {
        // Another process has the database: whoever asks must ask that one.
        LoadError::Store(StoreError::Conflict(_)) | LoadError::Plan(PlanError::Store(StoreError::Conflict(_))) => {
            give_up(shared, run, error);
        }
        LoadError::Store(error) | LoadError::Plan(PlanError::Store(error))
            if matches!(error, StoreError::Unavailable(_)) =>
        {
            tracing::warn!(%run, %error, "a run could not be loaded yet");
            shared.timers.again(shared.clock.now() + LOAD_RETRY_MS, run);
        }
        error => {
            shared.unfit.remove(run);
            give_up(shared, run, error);
            refuse(active, mail);
        }
    }
}

/// The plan fits none of the steps there were, `steps` among them: the run is told of once, and goes on when others are there.
/// One that only heard a word is not begun for that.
fn unfit(
    active: &mut Active,
    mail: &mut mpsc::UnboundedReceiver<Mail>,
    begins: bool,
    steps: &Arc<StepSet>,
    error: &RestoreError,
) {
    let (shared, run) = (active.shared.clone(), active.run);
    if !shared.unfit.has(run) {
        give_up(&shared, run, error);
    }
    let was_to_begin = refuse(active, mail);
    if begins || was_to_begin {
        shared.unfit.add(run);
        // Others may have come before it was among those that are tried again.
        if !Arc::ptr_eq(steps, &shared.steps.now()) {
            shared.enqueue(Job::stored(run, Arc::from(""), None));
        }
    }
}

/// A run that cannot go on answers so: an event that is delivered to others as well must not be delivered for ever. Whether
/// its turn to begin was among what it was told.
fn refuse(active: &mut Active, mail: &mut mpsc::UnboundedReceiver<Mail>) -> bool {
    let mut list = active.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
    list.remove(&active.run);
    active.listed = false;
    drop(list);
    let mut begins = false;
    while let Ok(mail) = mail.try_recv() {
        begins |= matches!(mail, Mail::Go);
        let what = "it cannot be read, as the log says";
        mail.refuse(IllegalEvent { run: active.run, version: 0, what }.into());
    }
    begins
}

/// The run stays as it is in the store; the next start tries again, if nothing does before.
fn give_up(shared: &Shared, run: RunId, error: &dyn std::error::Error) {
    let why = error.to_string();
    tracing::error!(%run, error = why, "a run cannot go on");
    shared.observers.iter().for_each(|observer| observer.gave_up(run, &why));
}

impl Shared {
    /// A run with its plan and its state.
    pub(super) async fn state_of(&self, run: RunId) -> Result<(Arc<Plan>, RunState, RunRow), LoadError> {
        let (plan, state, row, _) = self.loaded(run).await?;
        Ok((plan, state, row))
    }

    /// The same, and when its next snapshot is worth its writing.
    async fn loaded(&self, run: RunId) -> Result<(Arc<Plan>, RunState, RunRow, u64), LoadError> {
        let loaded = self.store.load(run).await?;
        let plan = self.plans.get(&loaded.row.plan).await?;
        let snapshot = loaded.snapshot.as_ref();
        let snapshot_at = snapshot.map_or(snapshot::next(0, 0), |(at, state)| snapshot::next(*at, text_len(state)));
        let state = self.restored(&plan, run, loaded.row.version, loaded.snapshot, &loaded.events).await?;
        Ok((plan, state, loaded.row, snapshot_at))
    }

    /// A word is heard by a run that has not begun: what the queue has of it in memory is old from now on.
    fn hears(&self, run: RunId) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
    }

    /// Whether it heard one; asked once, when its turn has come.
    pub(super) fn heard(&self, run: RunId) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).remove(&run)
    }
}

/// Lets go of the run, unless mail came in the meantime.
fn leave(active: &mut Active, driver: &Driver, wake_at: Option<Millis>) -> bool {
    let mut list = active.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
    if !driver.mail.is_empty() {
        return false;
    }
    // Before another worker may take the run up: its later word must not be undone.
    if let Some(at) = wake_at {
        active.shared.timers.set(at, active.run);
    }
    list.remove(&active.run);
    active.listed = false;
    true
}
