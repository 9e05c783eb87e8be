//! The graph: what the settling of a step means for those that need it.

use super::Deciding;
use crate::engine::event::{Place, SkipReason};
use crate::engine::frame::{Frame, StepState};
use crate::engine::state::IllegalEvent;
use crate::lang::workflow::Join;

enum Reached {
    NotYet,
    Run,
    Skip,
}

impl Deciding<'_> {
    /// Starts the steps of the workflow that need nothing.
    pub(super) fn begin(&mut self) -> Result<(), IllegalEvent> {
        self.begin_block(0, &[])
    }

    /// Starts the steps of a block that need nothing and have not begun.
    pub(super) fn begin_block(&mut self, block: usize, items: &[u32]) -> Result<(), IllegalEvent> {
        let block = &self.plan.blocks[block];
        for step in block.first..block.first + block.len {
            if !self.plan.steps[step].needs.is_empty() {
                continue;
            }
            let place = Place { step: step as u32, items: items.to_vec() };
            // Before the item's first step begins there is no block yet.
            if self.state.step(self.plan, &place).is_none_or(|state| *state == StepState::Pending) {
                self.start(place, 1)?;
            }
        }
        Ok(())
    }

    /// Follows the edges of settled steps until nothing more is decided.
    pub(super) fn advance(&mut self) -> Result<(), IllegalEvent> {
        while let Some(place) = self.settled.pop() {
            if self.state.ending.is_some() {
                continue;
            }
            for index in 0..self.planned(&place).dependents.len() {
                let dependent = self.planned(&place).dependents[index];
                let Some(frame) = self.state.frame(self.plan, &place) else { break };
                if frame.step(dependent) != Some(&StepState::Pending) {
                    continue;
                }
                let next = Place { step: dependent as u32, items: place.items.clone() };
                match self.reached(dependent, frame) {
                    Reached::NotYet => {}
                    Reached::Run => self.start(next, 1)?,
                    Reached::Skip => self.skip(&next, SkipReason::NotReached)?,
                }
            }
            self.leave_block(&place)?;
        }
        Ok(())
    }

    /// Everything that the step needs is there.
    pub(super) fn can_run(&self, step: usize, frame: &Frame) -> bool {
        matches!(self.reached(step, frame), Reached::Run)
    }

    fn reached(&self, step: usize, frame: &Frame) -> Reached {
        let planned = &self.plan.steps[step];
        if planned.needs.is_empty() {
            return Reached::Run;
        }
        let edges = planned.needs.iter().map(|edge| taken(frame.step(edge.from), &edge.port));
        match planned.join {
            Join::All => {
                let mut reached = Reached::Run;
                for edge in edges {
                    match edge {
                        Some(false) => return Reached::Skip,
                        Some(true) => {}
                        None => reached = Reached::NotYet,
                    }
                }
                reached
            }
            Join::Any => {
                let mut reached = Reached::Skip;
                for edge in edges {
                    match edge {
                        None => return Reached::NotYet,
                        Some(true) => reached = Reached::Run,
                        Some(false) => {}
                    }
                }
                reached
            }
        }
    }
}

/// Whether an edge was taken; None while its step is not settled.
fn taken(from: Option<&StepState>, port: &str) -> Option<bool> {
    match from? {
        StepState::Pending | StepState::Active(_) | StepState::Items(_) => None,
        StepState::Succeeded { port: exit, .. } => Some(exit == port),
        StepState::Failed { .. } => Some(port == "error"),
        StepState::Skipped { .. } => Some(false),
    }
}
