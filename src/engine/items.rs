//! The items of one `for_each`: which are at work, and the counts of the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::event::SkipReason;
use super::ports::Failure;
use super::state::{Phase, Slot};
use crate::base::json::text_len;
use crate::base::{Json, Millis, limits};

/// Progress of a `for_each`. Settled items leave only their counts, their collected values and the first failures.
#[derive(Clone, Debug, PartialEq)]
pub struct Items {
    /// The logical `now()` of `in:`.
    pub started_at: Millis,
    pub total: u32,
    /// The next item to start.
    pub next: u32,
    pub active: BTreeMap<u32, Slot>,
    pub succeeded: u32,
    pub failed: u32,
    pub skipped: u32,
    /// Skipped because their outcome is unknown.
    pub unknown: u32,
    /// The first failures, with their item.
    pub failures: Vec<(u32, Failure)>,
    collected: BTreeMap<u32, Arc<Json>>,
    collected_bytes: usize,
    truncated: bool,
}

impl Items {
    pub fn new(started_at: Millis, total: u32) -> Self {
        Self {
            started_at,
            total,
            next: 0,
            active: BTreeMap::new(),
            succeeded: 0,
            failed: 0,
            skipped: 0,
            unknown: 0,
            failures: Vec::new(),
            collected: BTreeMap::new(),
            collected_bytes: 0,
            truncated: false,
        }
    }

    /// Nothing is at work and nothing will start.
    pub fn is_drained(&self) -> bool {
        self.next == self.total && self.active.is_empty()
    }

    /// Items that take up the `concurrency`: held ones wait for a person and let others go on.
    pub fn at_work(&self) -> usize {
        self.active.values().filter(|slot| !matches!(slot.phase, Phase::Held { .. })).count()
    }

    /// Items that wait for a person.
    pub fn held(&self) -> usize {
        self.active.len() - self.at_work()
    }

    /// What `steps.<id>` is when all are settled.
    pub fn output(&self) -> Json {
        json!({
            "total": self.total,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "skipped": self.skipped,
            "unknown": self.unknown,
            "failures": self.failures.iter()
                .map(|(item, failure)| json!({"item": item, "code": failure.code, "message": failure.message}))
                .collect::<Vec<_>>(),
            "collected": self.collected.values().collect::<Vec<_>>(),
            "collected_truncated": self.truncated,
        })
    }

    pub(super) fn start(&mut self, item: u32, started: Slot) -> Result<(), &'static str> {
        if let Some(slot) = self.active.get_mut(&item) {
            return slot.restart(started);
        }
        if item != self.next || item >= self.total {
            return Err("a start of an item out of order");
        }
        self.next += 1;
        self.active.insert(item, started);
        Ok(())
    }

    pub(super) fn succeeded(&mut self, item: u32, collected: Arc<Json>) -> Result<(), &'static str> {
        self.end(item)?;
        self.succeeded += 1;
        if collected.is_null() {
            return Ok(());
        }
        // Half of the output's bound, so that the failures always fit beside it.
        let bytes = self.collected_bytes + text_len(&collected) + 1;
        if bytes > limits::STEP_OUTPUT / 2 {
            self.truncated = true;
            return Ok(());
        }
        self.collected_bytes = bytes;
        self.collected.insert(item, collected);
        Ok(())
    }

    pub(super) fn failed(&mut self, item: u32, failure: Failure) -> Result<(), &'static str> {
        self.end(item)?;
        self.failed += 1;
        if self.failures.len() < limits::FOR_EACH_FAILURES {
            self.failures.push((item, failure));
        }
        Ok(())
    }

    pub(super) fn skipped(&mut self, item: u32, reason: SkipReason) -> Result<(), &'static str> {
        if reason == SkipReason::Stopped && item == self.next {
            // One event for all that will not start any more.
            self.skipped += self.total - self.next;
            self.next = self.total;
            return Ok(());
        }
        self.end(item)?;
        match reason {
            SkipReason::Unknown => self.unknown += 1,
            _ => self.skipped += 1,
        }
        Ok(())
    }

    fn end(&mut self, item: u32) -> Result<(), &'static str> {
        self.active.remove(&item).map(|_| ()).ok_or("an end of an item that is not active")
    }
}
