//! The items of a `for_each`: which begin, how they end, and how all of them do.

use std::sync::Arc;

use super::{Command, Deciding};
use crate::base::{Json, limits};
use crate::engine::event::{Event, ItemOutcome, Place};
use crate::engine::frame::{StepState, is_act};
use crate::engine::ports::{Failure, OK};
use crate::engine::state::IllegalEvent;
use crate::lang::workflow::OnItemError;

impl Deciding<'_> {
    /// Begins as many items as may be at work, and ends the `for_each` at `place` when the last one has ended.
    pub(super) fn fill(&mut self, place: &Place) -> Result<(), IllegalEvent> {
        let plan = self.plan;
        let Some(each) = &plan.steps[place.step as usize].for_each else { return Ok(()) };
        while self.state.ending.is_none() {
            let Some(StepState::Items(items)) = self.state.step(plan, place) else { return Ok(()) };
            let next = items.next_item();
            if each.on_item_error == OnItemError::Stop && !items.failed.is_empty() && next.is_some() {
                let left = items.left();
                let Place { step, items } = place.clone();
                self.emit(Event::ItemsStopped { at: self.now, step, items, left })?;
                continue;
            }
            let Some(item) = next else {
                if items.active.is_empty() {
                    self.end_items(place, each.on_item_error)?;
                }
                return Ok(());
            };
            if self.is_paused() {
                return Ok(());
            }
            let held = items.held();
            if items.active.len() - held >= each.concurrency as usize || held >= limits::FOR_EACH_HELD {
                return Ok(());
            }
            let goes_on = items.again.contains_key(&item);
            let path = place.inside(item, 0).items;
            if goes_on {
                self.go_on(each.block, &path)?;
                if let Some(StepState::Items(items)) = self.state.step(plan, place)
                    && items.again.contains_key(&item)
                {
                    // Nothing of it can begin: no such block is kept.
                    return Ok(());
                }
            } else {
                self.begin_block(each.block, &path)?;
            }
        }
        Ok(())
    }

    /// Begins what a retry left to do of a kept block.
    fn go_on(&mut self, block: usize, path: &[u32]) -> Result<(), IllegalEvent> {
        let block = &self.plan.blocks[block];
        let places =
            (block.first..block.first + block.len).map(|step| Place { step: step as u32, items: path.to_vec() });
        for place in places {
            let Some(frame) = self.state.frame(self.plan, &place) else { continue };
            match frame.step(place.step as usize) {
                Some(StepState::Pending) if self.can_run(place.step as usize, frame) => self.start(place, 1)?,
                Some(StepState::Items(_)) => self.fill(&place)?,
                // What needs it is looked at again.
                Some(state) if state.is_settled() => self.settled.push(place),
                _ => {}
            }
        }
        Ok(())
    }

    /// An item around the place came to wait for a person: the others go on, at every depth.
    pub(super) fn fill_around(&mut self, place: &Place) -> Result<(), IllegalEvent> {
        let mut inner = place.clone();
        while let Some((owner, _)) = self.owner(&inner) {
            if self.state.frame(self.plan, &inner).is_none_or(|frame| !frame.is_held()) {
                break;
            }
            self.fill(&owner)?;
            inner = owner;
        }
        Ok(())
    }

    /// The `for_each` around a place, and the item the place is in.
    pub(super) fn owner(&self, place: &Place) -> Option<(Place, u32)> {
        let (item, outer) = place.items.split_last()?;
        let owner = *self.plan.blocks[self.planned(place).block].chain.last()?;
        Some((Place { step: owner as u32, items: outer.to_vec() }, *item))
    }

    /// After a step was settled: if it was the last of an item's block, the item ends, or is asked for what it leaves.
    pub(super) fn leave_block(&mut self, place: &Place) -> Result<(), IllegalEvent> {
        let Some((owner, item)) = self.owner(place) else { return Ok(()) };
        let Some(frame) = self.state.frame(self.plan, place) else { return Ok(()) };
        if frame.open > 0 {
            return self.fill_around(place);
        }
        let steps = &self.plan.steps;
        let outcome = frame.outcome(|step| steps[step as usize].handles_error, |step| is_act(&steps[step as usize]));
        let collects = self.planned(&owner).for_each.as_ref().is_some_and(|each| each.collect.is_some());
        if outcome == ItemOutcome::Succeeded && collects {
            let collect = Command::Collect { place: owner, item };
            // Found once for each of its steps when a run is taken up again.
            if !self.decision.commands.contains(&collect) {
                self.command(collect);
            }
            return Ok(());
        }
        self.end_item(&owner, item, outcome, None, None)
    }

    pub(super) fn collected(
        &mut self,
        owner: &Place,
        item: u32,
        result: Result<Json, Failure>,
    ) -> Result<(), IllegalEvent> {
        let Some(StepState::Items(items)) = self.state.step(self.plan, owner) else { return Ok(()) };
        // Asked twice (before and after a stop), answered twice.
        if items.active.get(&item).is_none_or(|frame| frame.open > 0) {
            return Ok(());
        }
        match result {
            Ok(Json::Null) => self.end_item(owner, item, ItemOutcome::Succeeded, None, None),
            Ok(value) => self.end_item(owner, item, ItemOutcome::Succeeded, Some(value), None),
            Err(failure) => self.end_item(owner, item, ItemOutcome::Failed, None, Some(failure)),
        }
    }

    fn end_item(
        &mut self,
        owner: &Place,
        item: u32,
        outcome: ItemOutcome,
        collected: Option<Json>,
        failure: Option<Failure>,
    ) -> Result<(), IllegalEvent> {
        let items = owner.inside(item, 0).items;
        let collected = collected.map(Arc::new);
        self.emit(Event::ItemEnded { at: self.now, step: owner.step, items, outcome, collected, failure })?;
        self.fill(owner)
    }

    fn end_items(&mut self, place: &Place, on_item_error: OnItemError) -> Result<(), IllegalEvent> {
        let Some(StepState::Items(items)) = self.state.step(self.plan, place) else { return Ok(()) };
        match items.failures.first() {
            Some((item, failure)) if on_item_error == OnItemError::Stop => {
                let failure = Failure::new(
                    "for_each.stopped",
                    format!("item {item} failed and on_item_error is stop: {}: {}", failure.code, failure.message),
                );
                self.fail(place, failure, 0)
            }
            Some((_, failure)) if items.failed.len() == items.total as usize => {
                // One that fails is a case; when all do, the step does.
                let message =
                    format!("all {} items failed, the first with {}: {}", items.total, failure.code, failure.message);
                self.fail(place, Failure::new("for_each.all_failed", message), 0)
            }
            _ => {
                let output = items.output();
                self.succeed(place, OK, output, None, 0)
            }
        }
    }
}
