//! The shell around the pure core: accepts runs, works on many at once, wakes those that wait, resumes those that a stop
//! or a crash interrupted.

mod driver;
mod execute;
mod observer;
mod plans;
pub mod scope;
mod timers;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

pub use self::execute::Steps;
pub use self::observer::Observer;
pub use self::plans::PlanError;

use self::driver::Mail;
use self::plans::Plans;
use self::timers::Timers;
use super::decide::{Input, Refused, Resolution};
use super::event::{Event, RunStatus};
use super::ports::{Clock, Commit, Created, Dedupe, NewRun, RunRow, Store, StoreError};
use super::report::Report;
use super::state::{IllegalEvent, RunState};
use crate::base::json::text_len;
use crate::base::{Json, Millis, RunId, limits};
use crate::lang::Catalog;
use crate::plan::Plan;

/// What an engine is made of.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub catalog: Arc<Catalog>,
    pub steps: Steps,
    pub observers: Vec<Arc<dyn Observer>>,
    /// Runs that are worked on at once, at most.
    pub active_runs: usize,
    /// Whether the store's unfinished runs go on. False for a process that is there for runs of its own.
    pub recover: bool,
}

/// The running engine. Cloning gives another handle to it.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

/// What every driver shares.
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    steps: Steps,
    observers: Vec<Arc<dyn Observer>>,
    plans: Plans,
    timers: Timers,
    jobs: mpsc::UnboundedSender<Job>,
    /// Permits for each run that was accepted and is neither ended nor parked: one, and more for a large event.
    room: Arc<Semaphore>,
    /// The mailboxes of runs at work.
    active: Mutex<HashMap<RunId, mpsc::UnboundedSender<Mail>>>,
    /// Rung whenever a run leaves `active`.
    left: Notify,
    stopping: watch::Sender<bool>,
}

/// A run to be worked on.
struct Job {
    run: RunId,
    /// What was just created; None: in the store.
    fresh: Option<(Arc<Plan>, RunState)>,
    mail: Option<Mail>,
    _room: Option<OwnedSemaphorePermit>,
}

/// A run to be accepted.
#[derive(Clone, Debug)]
pub struct Submission {
    pub plan: Arc<Plan>,
    /// `message`, `schedule`, `manual`.
    pub trigger: &'static str,
    pub event: Arc<Json>,
    pub inputs: Arc<Json>,
    pub dedupe: Option<Dedupe>,
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

/// A run as it stands in the store.
#[derive(Clone, Debug)]
pub struct Seen {
    pub row: RunRow,
    pub report: Report,
    /// Step ids by their number in the journal.
    pub step_ids: Vec<Arc<str>>,
    pub journal: Vec<Event>,
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

/// Why a held step was not resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("there is no step `{0}` in this run's workflow")]
    NoStep(String),
    #[error("step `{step}` is not held: nothing to resolve{help}")]
    NotHeld { step: String, help: &'static str },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the daemon is stopping")]
    Stopping,
}

impl Engine {
    /// Starts the engine and puts every unfinished run of the store to work again.
    pub async fn start(parts: Parts) -> Result<Self, StoreError> {
        let Parts { store, clock, catalog, steps, observers, active_runs, recover } = parts;
        let (jobs, queue) = mpsc::unbounded_channel();
        let (stopping, _) = watch::channel(false);
        let shared = Arc::new(Shared {
            plans: Plans::new(store.clone(), catalog),
            timers: Timers::new(clock.clone()),
            store,
            clock,
            steps,
            observers,
            jobs,
            room: Arc::new(Semaphore::new(limits::QUEUED_RUNS)),
            active: Mutex::default(),
            left: Notify::new(),
            stopping,
        });
        let engine = Self(shared);
        if recover {
            engine.recover().await?;
        }
        tokio::spawn(dispatch(engine.0.clone(), queue, active_runs));
        tokio::spawn(wake(engine.0.clone()));
        Ok(engine)
    }

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
            rooms.push(room.map_err(|_| SubmitError::Busy(limits::QUEUED_RUNS))?);
        }
        // On a task of its own: whoever asks may hang up at any moment (a webhook's client), and a run that is committed
        // must be put to work all the same.
        let accepted = tokio::spawn(accept(self.0.clone(), submissions, rooms)).await;
        accepted.map_err(|_| SubmitError::Stopping)?
    }

    /// A person's word on a held step (or one item of it).
    pub async fn resolve(
        &self,
        run: RunId,
        step: &str,
        item: Option<u32>,
        resolution: Resolution,
    ) -> Result<(), ResolveError> {
        let (_, plan, _) = self.0.load(run).await?;
        let index = plan.steps.iter().position(|planned| *planned.id == *step);
        let index = index.ok_or_else(|| ResolveError::NoStep(step.to_string()))? as u32;
        let (answer, answered) = oneshot::channel();
        let mail = Mail { input: Input::Resolve { step: index, item, resolution }, answer };
        self.0.post(run, mail);
        answered.await.map_err(|_| ResolveError::Stopping)?.map_err(|refused| match refused {
            Refused::NotHeld(_) => {
                let unnamed = item.is_none() && plan.steps[index as usize].for_each.is_some();
                let help = if unnamed { "; name the item with --item" } else { "" };
                ResolveError::NotHeld { step: item.map_or(step.to_string(), |item| format!("{step}[{item}]")), help }
            }
            refused => refused.into(),
        })
    }

    /// A run with its report and journal.
    pub async fn report(&self, run: RunId) -> Result<Seen, LoadError> {
        let (row, plan, journal) = self.0.load(run).await?;
        let report = Report::of(&plan, run, &journal)?;
        let step_ids = plan.steps.iter().map(|step| step.id.clone()).collect();
        Ok(Seen { row, report, step_ids, journal })
    }

    /// Turns true when the engine stops.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.subscribe()
    }

    /// Stops accepting, lets what runs end and be journaled, and returns when nothing is at work. The caller bounds the
    /// wait: a run that is cut off goes on after the next start.
    pub async fn stop(&self) {
        self.0.stopping.send_replace(true);
        loop {
            let left = self.0.left.notified();
            if self.0.active.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
            left.await;
        }
    }

    /// Runs accepted and not ended or parked.
    pub fn load(&self) -> usize {
        limits::QUEUED_RUNS - self.0.room.available_permits().min(limits::QUEUED_RUNS)
    }

    async fn recover(&self) -> Result<(), StoreError> {
        let mut after = None;
        let mut resumed = 0_u64;
        loop {
            let rows = self.0.store.unfinished(after, limits::PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.id);
            for row in rows {
                match (row.status, row.wake_at) {
                    (RunStatus::Waiting, Some(at)) => self.0.timers.set(at, row.id),
                    (RunStatus::Attention, _) => {}
                    _ => self.0.enqueue(Job { run: row.id, fresh: None, mail: None, _room: None }),
                }
                resumed += 1;
            }
        }
        if resumed > 0 {
            tracing::info!(runs = resumed, "unfinished runs go on");
        }
        Ok(())
    }
}

/// Commits new runs and puts them to work.
async fn accept(
    shared: Arc<Shared>,
    submissions: Vec<Submission>,
    rooms: Vec<OwnedSemaphorePermit>,
) -> Result<Vec<Option<RunId>>, SubmitError> {
    for submission in &submissions {
        shared.plans.save(&submission.plan).await?;
    }
    let now = shared.clock.now();
    let new: Vec<_> = submissions.iter().map(|submission| new_run(submission, &*shared.clock, now)).collect();
    let ids: Vec<_> = new.iter().map(|run| run.id).collect();
    let created = shared.store.create_runs(new).await?;
    let mut accepted = Vec::with_capacity(ids.len());
    for (((submission, id), created), room) in submissions.into_iter().zip(ids).zip(created).zip(rooms) {
        if created == Created::Duplicate {
            accepted.push(None);
            continue;
        }
        let steps = submission.plan.steps.len();
        let state = RunState::created(id, steps, now, submission.event, submission.inputs);
        shared.enqueue(Job { run: id, fresh: Some((submission.plan, state)), mail: None, _room: Some(room) });
        accepted.push(Some(id));
    }
    Ok(accepted)
}

fn new_run(submission: &Submission, clock: &dyn Clock, now: Millis) -> NewRun {
    NewRun {
        id: RunId::new(now, clock.random()),
        workflow: submission.plan.name.clone(),
        plan: submission.plan.digest.clone(),
        trigger: submission.trigger,
        created_at: now,
        dedupe: submission.dedupe.clone(),
        first: Event::RunCreated { at: now, event: submission.event.clone(), inputs: submission.inputs.clone() },
    }
}

/// Hands jobs to drivers, as many at once as there may be.
async fn dispatch(shared: Arc<Shared>, mut queue: mpsc::UnboundedReceiver<Job>, active_runs: usize) {
    let workers = Arc::new(Semaphore::new(active_runs));
    let mut stopping = shared.stopping.subscribe();
    loop {
        let Ok(worker) = workers.clone().acquire_owned().await else { return };
        let job = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            Some(job) = queue.recv() => job,
            else => return,
        };
        let shared = shared.clone();
        // Registered here and not in the task: `stop` must see every run that has been taken off the queue.
        if let Some((mail, job)) = shared.register(job) {
            tokio::spawn(async move {
                worker::work(shared, job, mail).await;
                drop(worker);
            });
        }
    }
}

impl Shared {
    /// A run with its plan and its whole journal.
    async fn load(&self, run: RunId) -> Result<(RunRow, Arc<Plan>, Vec<Event>), LoadError> {
        let (row, journal) = self.store.load(run).await?;
        let plan = self.plans.get(&row.plan).await?;
        Ok((row, plan, journal))
    }

    fn enqueue(&self, job: Job) {
        // The queue ends only when the daemon stops; the run is in the store and goes on after the next start.
        let _ = self.jobs.send(job);
    }

    /// Gives mail to the run's driver, or to a new one. A person does not wait for a free worker: there are few of them.
    fn post(self: &Arc<Self>, run: RunId, mail: Mail) {
        if let Some((mailbox, job)) = self.register(Job { run, fresh: None, mail: Some(mail), _room: None }) {
            tokio::spawn(worker::work(self.clone(), job, mailbox));
        }
    }

    /// Makes the run active; None if it is already, and then its driver has the mail, or if the engine stops.
    fn register(&self, mut job: Job) -> Option<(mpsc::UnboundedReceiver<Mail>, Job)> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: `stop` may have seen the list empty already.
        if *self.stopping.borrow() {
            return None;
        }
        if let Some(mailbox) = active.get(&job.run) {
            if let Some(mail) = job.mail {
                // A driver takes itself off the list under this lock and reads its mailbox after it.
                let _ = mailbox.send(mail);
            }
            return None;
        }
        let (post, mail) = mpsc::unbounded_channel();
        if let Some(first) = job.mail.take() {
            let _ = post.send(first);
        }
        active.insert(job.run, post);
        Some((mail, job))
    }

    /// Makes a decision durable, however long the store is unavailable.
    async fn commit(&self, plan: &Plan, state: &RunState, commit: Commit) -> Result<(), StoreError> {
        let mut pause_ms = COMMIT_RETRY_MS;
        loop {
            match self.store.commit(commit.clone()).await {
                Ok(()) => break,
                Err(error @ StoreError::Unavailable(_)) if !*self.stopping.borrow() => {
                    tracing::error!(run = %state.id, %error, retry_in_ms = pause_ms, "a decision could not be journaled yet");
                    self.clock.sleep_until(self.clock.now() + pause_ms).await;
                    pause_ms = (pause_ms * 2).min(COMMIT_RETRY_MAX_MS);
                }
                Err(error) => return Err(error),
            }
        }
        for observer in &self.observers {
            observer.committed(plan, state, &commit.events);
        }
        Ok(())
    }
}

/// First pause before a failed commit is tried again, in milliseconds; it doubles up to the maximum.
const COMMIT_RETRY_MS: Millis = 100;
const COMMIT_RETRY_MAX_MS: Millis = 5_000;

/// Runs that are due become jobs.
async fn wake(shared: Arc<Shared>) {
    let (due, mut woken) = mpsc::unbounded_channel();
    let mut stopping = shared.stopping.subscribe();
    let jobs = async {
        while let Some(run) = woken.recv().await {
            shared.enqueue(Job { run, fresh: None, mail: None, _room: None });
        }
    };
    tokio::select! {
        () = shared.timers.fire(due) => {}
        () = jobs => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
}
