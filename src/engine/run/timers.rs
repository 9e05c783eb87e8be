//! Parked runs by the time they want to be woken. The store has the truth; this is the part that fires.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{Either, select};
use tokio::sync::{Notify, mpsc};

use crate::base::{Millis, RunId};
use crate::engine::ports::Clock;

/// One timer a run: setting it again replaces it.
pub struct Timers {
    waiting: Mutex<Waiting>,
    /// Rung when the earliest timer changed.
    earlier: Notify,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Waiting {
    due: HashMap<RunId, Millis>,
    /// Every time that was set, the earliest first; those that `due` does not have are stale.
    heap: BinaryHeap<Reverse<(Millis, RunId)>>,
}

impl Timers {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { waiting: Mutex::default(), earlier: Notify::new(), clock }
    }

    pub fn set(&self, at: Millis, run: RunId) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = waiting.heap.peek().is_none_or(|Reverse((first, _))| at < *first);
        if waiting.due.insert(run, at) != Some(at) {
            waiting.heap.push(Reverse((at, run)));
        }
        drop(waiting);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// Sends runs that are due, for ever; ends when nobody listens.
    pub async fn fire(&self, due: mpsc::UnboundedSender<RunId>) {
        loop {
            let next = loop {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                match waiting.heap.peek().copied() {
                    Some(Reverse((at, run))) if at <= self.clock.now() => {
                        waiting.heap.pop();
                        // Else the timer was set to another time since.
                        if waiting.due.get(&run) == Some(&at) {
                            waiting.due.remove(&run);
                            if due.send(run).is_err() {
                                return;
                            }
                        }
                    }
                    first => break first.map(|Reverse((at, _))| at),
                }
            };
            let changed = std::pin::pin!(self.earlier.notified());
            match next {
                None => changed.await,
                Some(at) => match select(changed, self.clock.sleep_until(at)).await {
                    Either::Left(_) | Either::Right(_) => {}
                },
            }
        }
    }
}
