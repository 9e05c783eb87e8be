//! The timers that are in memory: all up to a horizon; what is beyond it is in the store alone.

use std::collections::{BTreeSet, HashMap};

use crate::base::{Millis, RunId};

/// The order in which runs are woken, and in which the store lists them.
pub type Key = (Millis, RunId);

/// How far the window reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Horizon {
    Nothing,
    /// This one included.
    UpTo(Key),
    All,
}

pub struct Window {
    /// Found in the store as well, so that the latest may be dropped when there are too many.
    rows: Order,
    /// Found nowhere else.
    loose: Order,
    /// Every row up to here is in `rows`, or was handed out.
    horizon: Horizon,
    /// What is set up to here is kept. It is beyond the horizon while a page is read: a row that is committed after the page
    /// was taken and set before it is added is missing from the page.
    kept: Horizon,
    /// Rows of a page. The window holds at most twice as many, and is low with half of them.
    page: usize,
}

impl Window {
    /// Knows nothing of the store yet.
    pub fn new(page: usize) -> Self {
        let nothing = Horizon::Nothing;
        Self { rows: Order::default(), loose: Order::default(), horizon: nothing, kept: nothing, page }
    }

    /// Has no store behind it.
    pub fn whole() -> Self {
        Self { horizon: Horizon::All, kept: Horizon::All, page: usize::MAX / 2, ..Self::new(0) }
    }

    pub fn set(&mut self, at: Millis, run: RunId) {
        self.forget(run);
        if Horizon::UpTo((at, run)) <= self.kept {
            self.rows.insert(at, run);
            self.trim();
        }
    }

    pub fn again(&mut self, at: Millis, run: RunId) {
        self.forget(run);
        self.loose.insert(at, run);
    }

    pub fn forget(&mut self, run: RunId) {
        self.rows.remove(run);
        self.loose.remove(run);
    }

    /// When the earliest is due.
    pub fn first(&self) -> Option<Millis> {
        self.earliest().map(|(at, _)| at)
    }

    fn earliest(&self) -> Option<Key> {
        self.rows.first().into_iter().chain(self.loose.first()).min()
    }

    /// Takes the earliest if it is due.
    pub fn pop(&mut self, now: Millis) -> Option<RunId> {
        let (_, run) = self.earliest().filter(|(at, _)| *at <= now)?;
        self.forget(run);
        Some(run)
    }

    /// Whether a page is to be read, or is being read.
    pub fn is_low(&self) -> bool {
        let is_begun = self.kept != self.horizon;
        self.horizon != Horizon::All && (is_begun || self.rows.len() <= self.page / 2)
    }

    /// Begins to read a page if one is to be read: what it follows in the store, and its size. Beginning again without an
    /// `add` is harmless.
    pub fn begin(&mut self) -> Option<(Option<Key>, u32)> {
        if !self.is_low() {
            return None;
        }
        self.kept = Horizon::All;
        let after = match self.horizon {
            Horizon::UpTo(key) => Some(key),
            Horizon::Nothing | Horizon::All => None,
        };
        Some((after, u32::try_from(self.page).unwrap_or(u32::MAX)))
    }

    /// Adds the page that was begun.
    pub fn add(&mut self, page: Vec<Key>) {
        let reached = match page.last() {
            Some(last) if page.len() >= self.page => Horizon::UpTo(*last),
            _ => Horizon::All,
        };
        self.reach(reached.min(self.kept));
        for (at, run) in page {
            // What was set is at least as new as the page.
            if Horizon::UpTo((at, run)) <= self.kept && !self.rows.has(run) && !self.loose.has(run) {
                self.rows.insert(at, run);
            }
        }
        self.trim();
    }

    /// Drops the latest rows if there are too many; they come back with a later page.
    fn trim(&mut self) {
        if self.rows.len() <= self.page * 2 {
            return;
        }
        let last = self.rows.nth(self.page - 1);
        let last = last.map_or(Horizon::Nothing, Horizon::UpTo);
        self.rows.drop_after(last);
        // While a page is read, the horizon stays where the page begins unless even that was dropped.
        self.horizon = self.horizon.min(last);
        self.kept = self.kept.min(last);
    }

    fn reach(&mut self, horizon: Horizon) {
        self.horizon = horizon;
        self.kept = horizon;
        self.rows.drop_after(horizon);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.rows.len() + self.loose.len()
    }
}

/// Runs by time, one time a run.
#[derive(Default)]
struct Order {
    times: HashMap<RunId, Millis>,
    sorted: BTreeSet<Key>,
}

impl Order {
    fn insert(&mut self, at: Millis, run: RunId) {
        self.remove(run);
        self.times.insert(run, at);
        self.sorted.insert((at, run));
    }

    fn remove(&mut self, run: RunId) {
        if let Some(at) = self.times.remove(&run) {
            self.sorted.remove(&(at, run));
        }
    }

    fn has(&self, run: RunId) -> bool {
        self.times.contains_key(&run)
    }

    fn first(&self) -> Option<Key> {
        self.sorted.first().copied()
    }

    fn nth(&self, index: usize) -> Option<Key> {
        self.sorted.iter().nth(index).copied()
    }

    fn len(&self) -> usize {
        self.sorted.len()
    }

    fn drop_after(&mut self, horizon: Horizon) {
        while let Some((_, run)) = self.sorted.last().copied().filter(|key| Horizon::UpTo(*key) > horizon) {
            self.remove(run);
        }
    }
}
