//! Wakes parked runs. A parked run is a row of the store and nothing else: only the earliest ones are in memory, in a window
//! that is refilled from the store while it is used up.
//!
//! What is *absent*: polling. When every row is in the window (a daemon at rest), the store is not asked again.

#[cfg(test)]
mod tests;
mod window;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Notify, mpsc};

use self::window::{Key, Window};
use crate::base::{Millis, RunId, limits};
use crate::engine::ports::{Clock, Store, StoreError};

/// Pause after the store could not be read, in milliseconds. What the window holds is fired meanwhile.
const READ_RETRY_MS: Millis = 250;

/// One timer a run: setting it again replaces it. A run may be woken once too often (its row changed while it was read),
/// never too seldom.
pub struct Timers {
    window: Mutex<Window>,
    /// Rung when the earliest timer changed.
    earlier: Notify,
    /// Rung when the window runs low.
    low: Notify,
    clock: Arc<dyn Clock>,
    /// None: nothing but what was set here.
    rows: Option<Box<Rows>>,
}

/// Reads rows that want to be woken: those after a row, the earliest first, so many at most.
type Rows = dyn Fn(Option<Key>, u32) -> BoxFuture<'static, Result<Vec<Key>, StoreError>> + Send + Sync;

impl Timers {
    /// Fires every run of the store that wants to be woken, from before this process as well.
    pub fn new(clock: Arc<dyn Clock>, store: Arc<dyn Store>) -> Self {
        let rows = move |after, limit| {
            let store = store.clone();
            async move { store.due(after, limit).await }.boxed()
        };
        Self::with(Window::new(limits::TIMER_WINDOW), clock, Some(Box::new(rows)))
    }

    /// Fires only what is set here, and keeps all of it in memory: for a process that leaves the store's other runs alone.
    pub fn alone(clock: Arc<dyn Clock>) -> Self {
        Self::with(Window::whole(), clock, None)
    }

    fn with(window: Window, clock: Arc<dyn Clock>, rows: Option<Box<Rows>>) -> Self {
        Self { window: Mutex::new(window), earlier: Notify::new(), low: Notify::new(), clock, rows }
    }

    /// Wakes `run` at `at`. Called after the commit that put `at` in the run's row, never before: a time that is far away is
    /// not kept here but found in the row. And before anybody else may take the run up, whose later word this would undo.
    pub fn set(&self, at: Millis, run: RunId) {
        self.change(|window| window.set(at, run));
    }

    /// Wakes `run` at `at`, whatever its row says: a run that could not be loaded is tried again. It is kept in memory; `set`
    /// replaces it.
    pub fn again(&self, at: Millis, run: RunId) {
        self.change(|window| window.again(at, run));
    }

    /// Forgets a run that ended or is at work, to spare a wake that finds nothing to do.
    pub fn forget(&self, run: RunId) {
        self.change(|window| window.forget(run));
    }

    /// Hands out runs that are due, the earliest first and as fast as they are taken, for ever; ends when nobody listens.
    /// One that finds itself too early, or puts off its wake, sets its timer again.
    pub async fn fire(&self, due: mpsc::Sender<RunId>) {
        let refill = async {
            match &self.rows {
                Some(rows) => self.refill(rows).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Reading goes first: a flood of runs that are due would use up the task's whole turn each time.
            biased;
            () = refill => {}
            () = self.hand_out(&due) => {}
        }
    }

    async fn hand_out(&self, due: &mpsc::Sender<RunId>) {
        loop {
            let next = self.window().first();
            if next.is_some_and(|at| at <= self.clock.now()) {
                let Ok(room) = due.reserve().await else { return };
                // Room may have been long in coming: the first may be another one now, or none.
                if let Some(run) = self.change(|window| window.pop(self.clock.now())) {
                    room.send(run);
                }
                continue;
            }
            let sleep = async {
                match next {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.earlier.notified() => {}
                () = due.closed() => return,
            }
        }
    }

    /// Reads the next page whenever the window runs low.
    async fn refill(&self, rows: &Rows) {
        let mut fails = false;
        loop {
            let Some((after, limit)) = self.window().begin() else {
                self.low.notified().await;
                continue;
            };
            match rows(after, limit).await {
                Ok(page) => {
                    if std::mem::take(&mut fails) {
                        tracing::info!("the store's timers can be read again");
                    }
                    self.change(|window| window.add(page));
                }
                Err(error) => {
                    if !std::mem::replace(&mut fails, true) {
                        tracing::error!(%error, "the store's timers cannot be read; runs that are due may be late");
                    }
                    self.clock.sleep_until(self.clock.now() + READ_RETRY_MS).await;
                }
            }
        }
    }

    /// Changes the window and tells whom it concerns.
    fn change<T>(&self, change: impl FnOnce(&mut Window) -> T) -> T {
        let mut window = self.window();
        let first = window.first();
        let changed = change(&mut window);
        let is_earlier = window.first().is_some_and(|now| first.is_none_or(|first| now < first));
        let is_low = window.is_low();
        drop(window);
        if is_earlier {
            self.earlier.notify_one();
        }
        if is_low {
            self.low.notify_one();
        }
        changed
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
