//! Concurrency keys: how many runs with one key go on at once, and who is next.
//!
//! A run of a lane holds a slot from when it begins until it ends, also while it is parked. What is here is only speed: the
//! lane of a run is in its row, and after a start the rows arrive again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::base::hex::hex;
use crate::base::{RunId, limits};
use crate::lang::workflow::Overflow;

/// The lane of a workflow's runs with this key. Keys of different workflows are different lanes.
pub fn lane(workflow: &str, key: &str) -> Arc<str> {
    if key.len() <= limits::LANE_KEY {
        // A workflow's name has no colon, so no two pairs have one text.
        return format!("{workflow}:{key}").into();
    }
    format!("{workflow}:sha256:{}", hex(&Sha256::digest(key))).into()
}

/// What becomes of a run that arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It holds a slot.
    Go,
    /// [`Lanes::end`] of another run says when it goes.
    Queued,
    /// It is to end, because of these: a few of those that hold slots. The lane does not know it.
    Skip { running: Vec<RunId> },
    /// It is queued. These are to be cancelled: those that hold slots, whose [`Lanes::end`] lets it go, and an older one that
    /// was queued, which the lane no longer knows.
    GoAfter { cancel: Vec<RunId> },
}

/// The lanes in which a run holds a slot.
#[derive(Default)]
pub struct Lanes(Mutex<HashMap<Box<str>, Lane>>);

/// While runs are queued, all slots are held, so that the end of one of their holders lets them go.
struct Lane {
    /// As the latest arrival's plan says.
    limit: usize,
    /// Those that hold slots, by id.
    running: Vec<RunId>,
    /// By id, which is the order of arrival before a restart and after it.
    queued: VecDeque<RunId>,
}

impl Lanes {
    /// A run that is about to begin. `begun`: it has done so before this process started, and holds its slot even if there
    /// are fewer slots now; after a start these arrive before all others. Arriving again changes nothing.
    ///
    /// Second are runs that were queued and go now, because the limit was raised; otherwise empty.
    pub fn arrive(&self, lane: &str, limit: u32, overflow: Overflow, run: RunId, begun: bool) -> (Arrival, Vec<RunId>) {
        let limit = limit.max(1) as usize;
        let mut lanes = self.lanes();
        let Some(lane) = lanes.get_mut(lane) else {
            lanes.insert(lane.into(), Lane { limit, running: vec![run], queued: VecDeque::new() });
            return (Arrival::Go, Vec::new());
        };
        lane.limit = limit;
        let mut go = lane.fill();
        let arrival = lane.arrive(overflow, run, begun);
        go.retain(|other| *other != run);
        (arrival, go)
    }

    /// A run ended, by itself or cancelled, whether it held a slot or was queued. The answer are those that hold a slot from
    /// now on.
    pub fn end(&self, lane: &str, run: RunId) -> Vec<RunId> {
        let mut lanes = self.lanes();
        let Some(found) = lanes.get_mut(lane) else { return Vec::new() };
        found.leave(run);
        let go = found.fill();
        if found.running.is_empty() {
            lanes.remove(lane);
            give_back(&mut lanes);
        }
        go
    }

    /// Takes a run out of the queue. False: it holds a slot (or is unknown), so its end must be told.
    pub fn remove_queued(&self, lane: &str, run: RunId) -> bool {
        let mut lanes = self.lanes();
        let Some(lane) = lanes.get_mut(lane) else { return false };
        let place = lane.queued.binary_search(&run);
        // Somebody holds a slot as long as runs are queued, so the lane stays.
        place.is_ok_and(|place| lane.queued.remove(place).is_some())
    }

    /// Lanes in which a run holds a slot.
    pub fn len(&self) -> usize {
        self.lanes().len()
    }

    pub fn is_empty(&self) -> bool {
        self.lanes().is_empty()
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Box<str>, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn arrive(&mut self, overflow: Overflow, run: RunId, begun: bool) -> Arrival {
        if self.running.binary_search(&run).is_ok() {
            return Arrival::Go;
        }
        if begun {
            self.leave(run);
            self.hold(run);
            return Arrival::Go;
        }
        let Err(place) = self.queued.binary_search(&run) else { return Arrival::Queued };
        if self.running.len() < self.limit {
            self.hold(run);
            return Arrival::Go;
        }
        match overflow {
            Overflow::Queue => {
                self.queued.insert(place, run);
                Arrival::Queued
            }
            Overflow::Skip => {
                Arrival::Skip { running: self.running.iter().take(limits::LANE_NAMED).copied().collect() }
            }
            Overflow::CancelRunning => {
                let excess = self.running.len() - (self.limit - 1);
                let mut cancel = self.running[..excess].to_vec();
                cancel.extend(std::mem::take(&mut self.queued));
                self.queued.push_back(run);
                Arrival::GoAfter { cancel }
            }
        }
    }

    fn hold(&mut self, run: RunId) {
        if let Err(place) = self.running.binary_search(&run) {
            self.running.insert(place, run);
        }
    }

    fn leave(&mut self, run: RunId) {
        if let Ok(place) = self.running.binary_search(&run) {
            self.running.remove(place);
        } else if let Ok(place) = self.queued.binary_search(&run) {
            self.queued.remove(place);
        }
    }

    /// Gives free slots to those that are queued, the first first.
    fn fill(&mut self) -> Vec<RunId> {
        let free = self.limit.saturating_sub(self.running.len()).min(self.queued.len());
        let go: Vec<_> = self.queued.drain(..free).collect();
        go.iter().for_each(|run| self.hold(*run));
        if self.queued.is_empty() {
            // A lane may be held for weeks; the flood that queued in it is over.
            self.queued = VecDeque::new();
        }
        go
    }
}

/// Gives memory back after many lanes have ended.
fn give_back(lanes: &mut HashMap<Box<str>, Lane>) {
    if lanes.len() * 8 < lanes.capacity() {
        let twice = lanes.len() * 2;
        lanes.shrink_to(twice);
    }
}

#[cfg(test)]
mod tests;
