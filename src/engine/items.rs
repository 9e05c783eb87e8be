//! The items of one `for_each`: which are at work, and the counts of the rest.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::event::ItemOutcome;
use super::frame::{Frame, Slot, StepState, acts};
use super::ports::Failure;
use super::reasons::{Reasons, STOPPED, of_skipped};
use crate::base::json::text_len;
use crate::base::{Json, limits};
use crate::plan::Plan;

/// Progress of a `for_each`. Settled items leave only their counts, their collected values, the first failures and the
/// numbers of those that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Items {
    /// The attempt that evaluated `in:`; its time is the logical `now()` of it.
    pub began: Slot,
    pub total: u32,
    /// The next item to start.
    pub next: u32,
    /// Items that a retry starts again, before `next`.
    pub redo: BTreeSet<u32>,
    /// Items that a retry goes on with, before `next`: what succeeded of their blocks is not done again.
    pub again: BTreeMap<u32, Frame>,
    pub active: BTreeMap<u32, Frame>,
    pub succeeded: u32,
    /// The numbers of those that failed.
    pub failed: BTreeSet<u32>,
    /// The blocks of those of them of which something was done.
    kept: BTreeMap<u32, Frame>,
    kept_bytes: usize,
    /// Those of them of which something was done that must not be repeated, and whose blocks were too many to keep.
    spent: BTreeSet<u32>,
    pub skipped: u32,
    /// Skipped because their outcome is unknown.
    pub unknown: u32,
    /// Items that were not started because one failed; part of `skipped`.
    pub stopped: u32,
    /// Why items were skipped, or let go with an unknown outcome.
    #[serde(default, skip_serializing_if = "Reasons::is_empty")]
    passed: Reasons,
    /// Why items failed.
    #[serde(default, skip_serializing_if = "Reasons::is_empty")]
    failing: Reasons,
    /// Those of them that no retry does again.
    #[serde(default, skip_serializing_if = "Reasons::is_empty")]
    failing_spent: Reasons,
    /// The first failures, with their item.
    pub failures: Vec<(u32, Failure)>,
    collected: BTreeMap<u32, Arc<Json>>,
    collected_bytes: usize,
    truncated: bool,
}

impl Items {
    pub fn new(began: Slot, total: u32) -> Self {
        Self {
            began,
            total,
            next: 0,
            redo: BTreeSet::new(),
            again: BTreeMap::new(),
            active: BTreeMap::new(),
            succeeded: 0,
            failed: BTreeSet::new(),
            kept: BTreeMap::new(),
            kept_bytes: 0,
            spent: BTreeSet::new(),
            skipped: 0,
            unknown: 0,
            stopped: 0,
            passed: Reasons::default(),
            failing: Reasons::default(),
            failing_spent: Reasons::default(),
            failures: Vec::new(),
            collected: BTreeMap::new(),
            collected_bytes: 0,
            truncated: false,
        }
    }

    /// Nothing is at work and nothing will start.
    pub fn is_drained(&self) -> bool {
        self.next_item().is_none() && self.active.is_empty()
    }

    /// The item to start next.
    pub fn next_item(&self) -> Option<u32> {
        let redo = [self.redo.first(), self.again.keys().next()].into_iter().flatten().min();
        redo.copied().or((self.next < self.total).then_some(self.next))
    }

    /// Items that have not begun.
    pub fn left(&self) -> u32 {
        self.redo.len() as u32 + self.again.len() as u32 + (self.total - self.next)
    }

    /// The block of an item that is at work, or that a retry will go on with.
    pub fn frame(&self, item: u32) -> Option<&Frame> {
        self.active.get(&item).or_else(|| self.again.get(&item))
    }

    /// Items that wait for a person. They do not take up the `concurrency`: the others go on.
    pub fn held(&self) -> usize {
        self.active.values().filter(|frame| frame.is_held()).count()
    }

    /// Why items did not succeed: a count for each code.
    pub fn reasons(&self) -> Reasons {
        let mut reasons = self.passed.with(&self.failing);
        reasons.add(STOPPED, self.stopped);
        reasons
    }

    /// What `steps.<id>` is when all are settled.
    pub fn output(&self) -> Json {
        json!({
            "total": self.total,
            "succeeded": self.succeeded,
            "failed": self.failed.len(),
            "skipped": self.skipped,
            "unknown": self.unknown,
            "reasons": self.reasons(),
            "failures": self.failures.iter()
                .map(|(item, failure)| json!({"item": item, "code": failure.code, "message": failure.message}))
                .collect::<Vec<_>>(),
            "collected": self.collected.values().collect::<Vec<_>>(),
            "collected_truncated": self.truncated,
        })
    }

    /// The block of an item that begins.
    pub(super) fn begin(&mut self, item: u32, block: Frame) -> Result<&mut Frame, &'static str> {
        if self.next_item() != Some(item) {
            return Err("a start of an item out of order");
        }
        let block = match self.again.remove(&item) {
            Some(kept) => kept,
            None => {
                if !self.redo.remove(&item) {
                    self.next += 1;
                }
                block
            }
        };
        Ok(self.active.entry(item).or_insert(block))
    }

    /// `failure` is that of the item's steps, `collecting` that of its `collect`.
    pub(super) fn end(
        &mut self,
        plan: &Plan,
        item: u32,
        outcome: ItemOutcome,
        failure: Option<Failure>,
        collecting: Option<Failure>,
        collected: Option<Arc<Json>>,
    ) -> Result<(), &'static str> {
        let Entry::Occupied(frame) = self.active.entry(item) else {
            return Err("an end of an item that is not active");
        };
        if frame.get().open > 0 {
            return Err("an end of an item with steps that are not settled");
        }
        let frame = frame.remove();
        match outcome {
            ItemOutcome::Succeeded => self.succeeded += 1,
            ItemOutcome::Skipped => {
                self.skipped += 1;
                self.passed.add(of_skipped(&frame), 1);
            }
            ItemOutcome::Unknown => {
                self.unknown += 1;
                self.passed.add(of_skipped(&frame), 1);
            }
            ItemOutcome::Failed => {
                self.failed.insert(item);
                let is_kept = self.keep(plan, item, frame, collecting.is_some());
                let failure = collecting.or(failure);
                let code = failure.as_ref().map_or("failed", |failure| failure.code.as_str());
                self.failing.add(code, 1);
                if !is_kept {
                    self.failing_spent.add(code, 1);
                }
                if let Some(failure) = failure.filter(|_| self.failures.len() < limits::FOR_EACH_FAILURES) {
                    self.failures.push((item, failure));
                }
            }
        }
        if let Some(collected) = collected {
            self.collect(item, collected);
        }
        Ok(())
    }

    /// Keeps the block of a failed item for a retry, if something was done of it. False: a retry must leave it as it is.
    fn keep(&mut self, plan: &Plan, item: u32, frame: Frame, collecting: bool) -> bool {
        if !collecting && !frame.steps.iter().any(StepState::stays) && !frame.has_items() {
            return true;
        }
        let bytes = self.kept_bytes + frame.bytes();
        if self.kept.len() < limits::FOR_EACH_KEPT && bytes <= limits::FOR_EACH_KEPT_BYTES {
            self.kept_bytes = bytes;
            self.kept.insert(item, frame);
        } else if frame.has_acted(plan) {
            self.spent.insert(item);
            return false;
        }
        true
    }

    fn collect(&mut self, item: u32, collected: Arc<Json>) {
        // Half of the output's bound, so that the failures always fit beside it.
        let bytes = self.collected_bytes + text_len(&collected) + 1;
        if bytes > limits::STEP_OUTPUT / 2 {
            self.truncated = true;
            return;
        }
        self.collected_bytes = bytes;
        self.collected.insert(item, collected);
    }

    /// Nothing further starts.
    pub(super) fn stop(&mut self, left: u32) -> Result<(), &'static str> {
        if self.left() != left {
            return Err("a stop that miscounts the items left");
        }
        // An item of a retry that is not begun stays what it was, but for the reason.
        self.failing.add(STOPPED, (self.redo.len() + self.again.len()) as u32);
        self.failed.append(&mut self.redo);
        self.failed.extend(self.again.keys());
        self.kept.append(&mut self.again);
        self.stopped += self.total - self.next;
        self.skipped += self.total - self.next;
        self.next = self.total;
        Ok(())
    }

    /// After the end: the items that failed or were not started are to be done again, but what succeeded of them.
    pub(super) fn reopen(&mut self, plan: &Plan) {
        self.redo = std::mem::replace(&mut self.failed, self.spent.clone());
        self.redo.retain(|item| !self.spent.contains(item) && !self.kept.contains_key(item));
        self.failing.clone_from(&self.failing_spent);
        self.kept_bytes = 0;
        for (item, mut frame) in std::mem::take(&mut self.kept) {
            frame.reopen(plan);
            // One of which only the `collect` is left, here or within, is at work with it at once.
            let at_work = if frame.collects() { &mut self.active } else { &mut self.again };
            at_work.insert(item, frame);
        }
        self.failures.retain(|(item, _)| self.spent.contains(item));
        self.next -= self.stopped;
        self.skipped -= self.stopped;
        self.stopped = 0;
    }

    /// After an end that came before that of the items: what was at work begins anew.
    pub(super) fn go_on(&mut self, plan: &Plan) {
        self.active.values_mut().for_each(|frame| frame.go_on(plan));
    }

    /// Something of the blocks was done that must not be repeated; `block` is their number.
    pub(super) fn has_acted(&self, plan: &Plan, block: usize) -> bool {
        let some = self.succeeded > 0 || self.unknown > 0 || !self.kept.is_empty() || !self.spent.is_empty();
        some && acts(plan, block)
    }

    /// As JSON text, about: the outputs that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.collected_bytes + self.kept_bytes
    }
}
