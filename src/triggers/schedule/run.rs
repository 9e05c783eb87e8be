//! What moves the board: sleeps until the next instant, submits what is due, follows reloads, saves cursors.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::board::{Board, Start};
use super::view::{self, Page};
use crate::base::Millis;
use crate::base::time::rfc3339;
use crate::engine::ports::{Clock, Store, StoreError};
use crate::engine::run::{Engine, Submission, SubmitError};
use crate::triggers::live::{Live, Served};

/// Instants of one submission, and schedules looked at before it: as many as share one commit anyway.
const BATCH: usize = 512;

/// The first pause after a refused submission, in milliseconds; it doubles up to the second.
const RETRY_MS: u64 = 20;
const RETRY_MAX_MS: u64 = 1_000;

/// How long an instant stands aside that is refused by itself, in milliseconds.
const ASIDE_MS: Millis = 1_000;

/// How long a clock that was set may go unnoticed, in milliseconds.
const LOOK_MS: u64 = 5_000;

/// How often cursors that have moved are saved, in milliseconds. A crash makes the next start ask again for the instants of
/// this long.
const SAVE_MS: u64 = 1_000;

/// Cursors saved at once.
const SAVE_BATCH: usize = 4_096;

/// The schedules of all served workflows. Cloning gives another handle.
#[derive(Clone)]
pub struct Schedules(Arc<Shared>);

struct Shared {
    board: Mutex<Board>,
    /// Held so that its changes never end.
    _live: Live,
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// What became of a submission.
enum Went {
    /// It was accepted, but for what stands aside.
    Well,
    /// The engine or the store has no room now.
    Refused,
    Stopping,
}

/// Starts runs as they fall due, until the engine stops; the task ends when the last cursor is saved.
pub async fn start(
    live: &Live,
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> Result<(Schedules, JoinHandle<()>), StoreError> {
    let cursors = store.cursors().await?;
    let mut changes = live.subscribe();
    let served = changes.borrow_and_update().clone();
    let mut board = Board::default();
    board.keep(served.enabled(), &cursors, clock.now());
    let stopping = engine.stopping();
    let schedules = Schedules(Arc::new(Shared { board: Mutex::new(board), _live: live.clone(), engine, store, clock }));
    let shared = schedules.0.clone();
    let task = tokio::spawn(async move {
        tokio::select! {
            () = shared.fire(changes, stopping) => {}
            () = shared.save_now_and_then() => {}
        }
        shared.save().await;
    });
    Ok((schedules, task))
}

impl Schedules {
    /// The schedules of the workflow `workflow` (None: of all), by workflow, of those after `after`; about `limit`, but never
    /// some of a workflow's without the others.
    pub fn page(&self, workflow: Option<&str>, after: Option<&str>, limit: usize) -> Page {
        view::page(&self.0.board(), workflow, after, limit)
    }
}

impl Shared {
    /// Never held across an await.
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fire(&self, mut changes: watch::Receiver<Arc<Served>>, mut stopping: watch::Receiver<bool>) {
        let mut size = BATCH;
        let mut retry_ms = None;
        // A reload that could not be followed yet.
        let mut behind = false;
        loop {
            behind |= changes.has_changed().unwrap_or(false);
            if behind {
                let served = changes.borrow_and_update().clone();
                behind = !self.follow(&served).await;
            }
            let now = self.clock.now();
            // While nothing is accepted, all that is due is taken note of: it is late by our fault, and not missed.
            self.pass(now, if retry_ms.is_some() { usize::MAX } else { BATCH });
            let batch = self.board().batch(size);
            match self.submit(batch).await {
                Went::Stopping => return,
                Went::Refused => {
                    size = (size / 2).max(1);
                    retry_ms = Some(retry_ms.map_or(RETRY_MS, |pause_ms: u64| (pause_ms * 2).min(RETRY_MAX_MS)));
                }
                Went::Well => {
                    size = (size * 2).min(BATCH);
                    retry_ms = None;
                }
            }
            let next = {
                let mut board = self.board();
                if retry_ms.is_none() && board.is_ready() { Some(now) } else { board.next() }
            };
            let pause_ms = retry_ms.unwrap_or(if behind { RETRY_MAX_MS } else { LOOK_MS });
            let due = async {
                match next.filter(|_| retry_ms.is_none()) {
                    // The other tasks of this thread have a turn before the next batch.
                    Some(at) if at <= now => tokio::task::yield_now().await,
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = due => {}
                () = self.clock.pause(pause_ms) => {}
                _ = changes.changed(), if !behind => behind = true,
            }
        }
    }

    fn pass(&self, now: Millis, limit: usize) {
        let passed = self.board().pass(now, limit);
        if let Some(workflow) = passed.workflow {
            let (schedules, instants) = (passed.schedules, passed.instants);
            tracing::warn!(%workflow, schedules, instants, "instants that were missed are let go, as `catch_up` says; see `moltrun schedules`");
        }
    }

    /// Keeps the schedules of `served` from now on. False: not yet.
    async fn follow(&self, served: &Served) -> bool {
        let new = self.board().has_new(served.enabled());
        let cursors = match new {
            true => self.store.cursors().await,
            false => Ok(Default::default()),
        };
        match cursors {
            Ok(cursors) => {
                let now = self.clock.now();
                // What fell due under the plans of before is theirs.
                self.pass(now, usize::MAX);
                self.board().keep(served.enabled(), &cursors, now);
                true
            }
            Err(error) => {
                tracing::error!(%error, "the schedules of changed workflows cannot be taken up yet");
                false
            }
        }
    }

    async fn submit(&self, batch: Vec<Start>) -> Went {
        if batch.is_empty() {
            return Went::Well;
        }
        match self.try_submit(&batch).await {
            Ok(()) => Went::Well,
            Err(SubmitError::Stopping) => Went::Stopping,
            Err(error @ (SubmitError::Busy(_) | SubmitError::Store(StoreError::Unavailable(_)))) => {
                tracing::warn!(%error, instants = batch.len(), "scheduled runs wait to be accepted");
                Went::Refused
            }
            // It may be about one of them, which must not hold up the others.
            Err(_) => {
                for start in batch {
                    match self.try_submit(std::slice::from_ref(&start)).await {
                        Ok(()) => {}
                        Err(SubmitError::Stopping) => return Went::Stopping,
                        Err(error) => {
                            let (schedule, at) = (&start.name, rfc3339(start.due.at));
                            tracing::error!(%schedule, scheduled_at = at, %error, "a scheduled run could not be started yet");
                            let until = self.clock.now() + ASIDE_MS;
                            self.board().put_off(&start, until);
                        }
                    }
                }
                Went::Well
            }
        }
    }

    /// All of `batch` or nothing.
    async fn try_submit(&self, batch: &[Start]) -> Result<(), SubmitError> {
        let made: Vec<Option<Submission>> = {
            let board = self.board();
            batch.iter().map(|start| board.submission(start)).collect()
        };
        let starts: Vec<&Start> =
            batch.iter().zip(&made).filter_map(|(start, made)| made.is_some().then_some(start)).collect();
        let accepted = self.engine.submit(made.into_iter().flatten().collect()).await?;
        let mut board = self.board();
        let mut made_up = 0_u64;
        for (start, run) in starts.into_iter().zip(accepted) {
            made_up += u64::from(run.is_some() && start.due.missed);
            board.settle(start, run.is_some());
        }
        drop(board);
        if made_up > 0 {
            tracing::warn!(instants = made_up, first = %batch[0].name, "missed instants are made up for");
        }
        Ok(())
    }

    async fn save_now_and_then(&self) {
        loop {
            self.clock.pause(SAVE_MS).await;
            self.save().await;
        }
    }

    async fn save(&self) {
        loop {
            let cursors = self.board().take_unsaved(SAVE_BATCH);
            if cursors.is_empty() {
                return;
            }
            if let Err(error) = self.store.set_cursors(cursors.clone()).await {
                // Harmless: the dedupe keys know what was started.
                tracing::warn!(%error, "the places that schedules have reached could not be saved");
                self.board().give_back(cursors);
                return;
            }
        }
    }
}
