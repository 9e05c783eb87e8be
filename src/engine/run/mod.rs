//! The shell around the pure core: accepts runs, works on many at once, wakes those that wait, resumes those that a stop
//! or a crash interrupted.

mod calls;
mod claims;
mod collect;
mod deliver;
mod driver;
mod execute;
mod follow;
mod ids;
pub mod keys;
pub mod lanes;
mod logged;
mod mail;
mod observer;
mod people;
mod places;
mod plans;
mod queue;
mod recover;
pub mod scope;
mod seen;
mod snapshot;
mod spool;
mod steps;
mod submit;
mod timers;
mod unfit;
mod values;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};

pub use self::logged::LogPage;
pub use self::observer::Observer;
pub use self::people::WordError;
pub use self::places::Lane;
pub use self::plans::PlanError;
pub use self::seen::{LoadError, Needy, Seen};
pub use self::steps::{StepSet, Steps};
pub use self::submit::{Submission, SubmitError};

use self::ids::Ids;
use self::keys::Keys;
use self::lanes::Lanes;
use self::mail::Mail;
use self::plans::Plans;
use self::queue::Queue;
use self::timers::Timers;
use self::unfit::Unfit;
use super::ports::{Clock, Commit, Store, StoreError, Workflows};
use super::state::RunState;
use crate::base::{Millis, RunId, limits};
use crate::plan::Plan;

/// What an engine is made of.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub steps: Steps,
    /// Those that runs may call.
    pub workflows: Arc<dyn Workflows>,
    pub observers: Vec<Arc<dyn Observer>>,
    /// Runs that are worked on at once, at most; and of one workflow.
    pub workers: usize,
    pub workers_per_workflow: usize,
    /// Runs accepted and not finished, at most: beyond them nothing is accepted.
    pub queue: usize,
    /// How long an ended run is kept where its workflow does not say, in milliseconds; None: for ever.
    pub retention_ms: Option<u64>,
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
    keys: Keys,
    steps: Steps,
    workflows: Arc<dyn Workflows>,
    observers: Vec<Arc<dyn Observer>>,
    retention_ms: Option<u64>,
    plans: Plans,
    ids: Ids,
    timers: Timers,
    jobs: Arc<Queue<Job>>,
    lanes: Lanes,
    /// Runs that were accepted and wait for a slot of their lane.
    in_lane: Mutex<HashMap<RunId, Job>>,
    /// Runs that heard a word before they began, while the queue has them.
    heard: Mutex<HashSet<RunId>>,
    /// Runs that wait for other steps.
    unfit: Unfit,
    /// Called runs that were to end before they were there.
    uncalled: Mutex<HashSet<RunId>>,
    /// The bound of `room`.
    queue: usize,
    /// Permits for each run that was accepted and is neither ended nor parked: one, and more for a large event.
    room: Arc<Semaphore>,
    /// The mailboxes of runs at work.
    active: Mutex<HashMap<RunId, mpsc::UnboundedSender<Mail>>>,
    /// What runs listen for: paths by event.
    paths: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// Rung whenever a run leaves `active`.
    left: Notify,
    stopping: watch::Sender<bool>,
}

/// A run to be worked on.
struct Job {
    run: RunId,
    /// Empty for a run that was woken, of which only the id is known.
    workflow: Arc<str>,
    lane: Option<Arc<str>>,
    /// What was just created; None: in the store.
    fresh: Option<(Arc<Plan>, RunState)>,
    /// It may begin, if it has not. False for a word to a run that is queued still.
    begins: bool,
    mail: Option<Mail>,
    /// Its place in what may be accepted, or woken.
    _room: Option<OwnedSemaphorePermit>,
}

impl Job {
    /// A run that is in the store and goes on.
    fn stored(run: RunId, workflow: Arc<str>, room: Option<OwnedSemaphorePermit>) -> Self {
        Self { run, workflow, lane: None, fresh: None, begins: true, mail: None, _room: room }
    }
}

impl Engine {
    /// Starts the engine and puts every unfinished run of the store to work again.
    pub async fn start(parts: Parts) -> Result<Self, StoreError> {
        let (stopping, _) = watch::channel(false);
        let shared = Arc::new(Shared {
            plans: Plans::new(parts.store.clone(), parts.steps.clone()),
            timers: if parts.recover {
                Timers::new(parts.clock.clone(), parts.store.clone())
            } else {
                Timers::alone(parts.clock.clone())
            },
            keys: Keys::new(parts.store.clone(), parts.clock.clone()),
            store: parts.store,
            clock: parts.clock,
            steps: parts.steps,
            workflows: parts.workflows,
            observers: parts.observers,
            retention_ms: parts.retention_ms,
            ids: Ids::default(),
            jobs: Queue::new(parts.workers, parts.workers_per_workflow),
            lanes: Lanes::default(),
            in_lane: Mutex::default(),
            heard: Mutex::default(),
            unfit: Unfit::default(),
            uncalled: Mutex::default(),
            queue: parts.queue.min(limits::QUEUED_RUNS),
            room: Arc::new(Semaphore::new(parts.queue.min(limits::QUEUED_RUNS))),
            active: Mutex::default(),
            paths: Mutex::default(),
            left: Notify::new(),
            stopping,
        });
        let replaced = shared.steps.subscribe();
        let engine = Self(shared);
        if parts.recover {
            engine.recover().await?;
        }
        tokio::spawn(dispatch(engine.0.clone()));
        tokio::spawn(wake(engine.0.clone()));
        tokio::spawn(unfit::try_again(engine.0.clone(), replaced));
        Ok(engine)
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

    /// Nothing more is accepted before some of what was is finished.
    pub fn is_full(&self) -> bool {
        self.0.room.available_permits() == 0
    }

    /// Runs accepted and not ended or parked.
    pub fn load(&self) -> usize {
        self.0.queue - self.0.room.available_permits().min(self.0.queue)
    }
}

/// Hands jobs to drivers, as many at once as there may be.
async fn dispatch(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    loop {
        let (job, worker) = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            next = shared.jobs.next() => next,
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
    fn enqueue(&self, job: Job) {
        self.jobs.push(&job.workflow.clone(), job);
    }

    /// Gives mail to the run's driver, or to a new one. A word does not wait for a free worker.
    fn post(self: &Arc<Self>, run: RunId, mail: Mail) {
        let job = Job { mail: Some(mail), begins: false, ..Job::stored(run, Arc::from(""), None) };
        if let Some((mailbox, job)) = self.register(job) {
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
            } else if job.begins {
                // Its turn came while it hears a word.
                let _ = mailbox.send(Mail::Go);
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
        let events = commit.events.clone();
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
        for observer in self.observers.iter().filter(|_| !events.is_empty()) {
            observer.committed(plan, state, &events);
        }
        Ok(())
    }

    /// The ended run has told its caller; nothing wakes it any more.
    async fn told(&self, plan: &Plan, state: &RunState) {
        let commit = Commit {
            run: state.id,
            expected: state.version,
            events: Vec::new(),
            status: state.status(),
            wake_at: None,
            finished_at: Some(state.latest_at),
            expires_at: self.expires_at(plan, state.latest_at),
            writes: Vec::new(),
            listens: None,
            snapshot: None,
        };
        if let Err(error) = self.commit(plan, state, commit).await {
            // It is told again after the next start, which changes nothing.
            tracing::warn!(run = %state.id, %error, "that a caller was told could not be written down");
        }
    }

    /// When a run that ended at `at` may be forgotten.
    fn expires_at(&self, plan: &Plan, at: Millis) -> Option<Millis> {
        plan.retention_ms.or(self.retention_ms).map(|ms| at.saturating_add_unsigned(ms))
    }
}

/// First pause before a failed commit is tried again, in milliseconds; it doubles up to the maximum.
const COMMIT_RETRY_MS: Millis = 100;
const COMMIT_RETRY_MAX_MS: Millis = 5_000;

/// Woken runs that wait for a worker: those beyond wait in the store.
const WOKEN: usize = 4096;

/// Runs that are due become jobs.
async fn wake(shared: Arc<Shared>) {
    let (due, mut woken) = mpsc::channel(limits::DUE_RUNS);
    let mut stopping = shared.stopping.subscribe();
    let room = Arc::new(Semaphore::new(WOKEN));
    let workflow: Arc<str> = Arc::from("");
    let jobs = async {
        while let Some(run) = woken.recv().await {
            let Ok(room) = room.clone().acquire_owned().await else { return };
            shared.enqueue(Job::stored(run, workflow.clone(), Some(room)));
        }
    };
    tokio::select! {
        () = shared.timers.fire(due) => {}
        () = jobs => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
}
