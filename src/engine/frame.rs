//! The steps of one block at work: the workflow's own, or those of one item of a `for_each`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{ItemOutcome, Place, SkipReason};
use super::items::Items;
use super::ports::{Failure, Port};
use super::waiting::Waiting;
use crate::base::json::text_len;
use crate::base::{Effect, Json, Millis};
use crate::plan::{Plan, PlanStep};

/// A block's steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// The number of its first step in the plan; the others follow.
    pub first: u32,
    pub steps: Vec<StepState>,
    /// Steps that are not settled.
    pub open: usize,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Some needed edge is not settled. Left by the engine, when the last one is.
    Pending,
    /// Left by its own outcome, its timer, or a person.
    Active(Slot),
    /// A `for_each` at work. Left when its last item is settled.
    Items(Box<Items>),
    Succeeded {
        port: Port,
        output: Arc<Json>,
        /// The output is a list of this many rows beside the journal.
        rows: Option<u32>,
        ran: Ran,
        /// Of a `for_each`: what a retry needs to know.
        items: Option<Box<Items>>,
    },
    Failed {
        failure: Failure,
        ran: Ran,
        items: Option<Box<Items>>,
    },
    Skipped {
        reason: SkipReason,
        /// Why it declined.
        why: Option<Failure>,
    },
}

/// How a settled step ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    pub attempts: u32,
    /// When its last attempt began.
    pub started_at: Millis,
    /// Time of its last attempt, in microseconds.
    pub took_us: u64,
}

impl StepState {
    /// Of a `for_each` that has them.
    fn items(&self) -> Option<&Items> {
        match self {
            Self::Items(items)
            | Self::Succeeded { items: Some(items), .. }
            | Self::Failed { items: Some(items), .. } => Some(items),
            _ => None,
        }
    }

    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Succeeded { .. } | Self::Failed { .. } | Self::Skipped { .. })
    }

    /// A retry that does not name it leaves it as it is: it succeeded, or may have happened.
    pub fn stays(&self) -> bool {
        use SkipReason::{Resolved, Unknown};
        matches!(self, Self::Succeeded { .. } | Self::Skipped { reason: Unknown | Resolved, .. })
    }

    /// As a retry begins with it.
    pub(super) fn again(self, plan: &Plan) -> Self {
        match self {
            // Its outcome is unknown still; a person says what it is.
            held @ Self::Active(Slot { phase: Phase::Held { .. }, .. }) => held,
            Self::Items(mut items) => {
                items.go_on(plan);
                Self::Items(items)
            }
            Self::Succeeded { items: Some(mut items), .. } | Self::Failed { items: Some(mut items), .. } => {
                items.reopen(plan);
                Self::Items(items)
            }
            _ => Self::Pending,
        }
    }
}

/// An attempt of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// When this attempt began: the step's logical `now()`.
    pub started_at: Millis,
    /// When the first try of the step began, whatever put it off since. 0 in a snapshot of an older release.
    #[serde(default)]
    pub began: Millis,
    /// From 1.
    pub attempt: u32,
    /// How often the far side has put off this attempt.
    pub laters: u32,
    pub phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Left by its outcome; after a crash by recovery.
    Running,
    /// Left as [`Waiting`] says.
    Waiting { due: Option<Millis>, why: Waiting },
    /// Left by a person.
    Held { failure: Failure },
}

impl Frame {
    /// A block of `len` steps, none of which has begun.
    pub fn new(first: usize, len: usize) -> Self {
        Self { first: first as u32, steps: vec![StepState::Pending; len], open: len }
    }

    /// The state of a step of this block, by its number in the plan.
    pub fn step(&self, step: usize) -> Option<&StepState> {
        self.steps.get(step.checked_sub(self.first as usize)?)
    }

    pub(super) fn step_mut(&mut self, step: u32) -> Option<&mut StepState> {
        self.steps.get_mut(step.checked_sub(self.first)? as usize)
    }

    /// `step` and the steps that need it, as far as `again` says that they are to be done again.
    pub fn with_dependents(
        &self,
        plan: &Plan,
        step: usize,
        steps: &mut BTreeSet<usize>,
        again: impl Fn(&StepState) -> bool,
    ) {
        let mut open = vec![step];
        while let Some(step) = open.pop() {
            if steps.insert(step) {
                let dependents = plan.steps[step].dependents.iter().copied();
                open.extend(dependents.filter(|step| self.step(*step).is_some_and(&again)));
            }
        }
    }

    /// After the end of a failed item: what failed is to be done again, and what needs it.
    pub(super) fn reopen(&mut self, plan: &Plan) {
        let mut steps = BTreeSet::new();
        for (step, state) in (self.first as usize..).zip(&self.steps) {
            if matches!(state, StepState::Failed { .. }) && !plan.steps[step].handles_error {
                self.with_dependents(plan, step, &mut steps, |state| !state.stays());
            }
        }
        self.redo(plan, steps, &BTreeSet::new());
    }

    /// After an end that came before that of the block: what was at work begins anew.
    pub(super) fn go_on(&mut self, plan: &Plan) {
        let unsettled = |(step, state): (usize, &StepState)| (!state.is_settled()).then_some(step);
        let steps = (self.first as usize..).zip(&self.steps).filter_map(unsettled).collect();
        self.redo(plan, steps, &BTreeSet::new());
    }

    /// These steps of the block are to be done again; of a `for_each` in `anew` all items are.
    pub(super) fn redo(&mut self, plan: &Plan, steps: BTreeSet<usize>, anew: &BTreeSet<usize>) {
        for step in &steps {
            let anew = anew.contains(step);
            let Some(state) = self.step_mut(*step as u32) else { continue };
            let settled = state.is_settled();
            *state = match std::mem::replace(state, StepState::Pending) {
                StepState::Items(_)
                | StepState::Succeeded { items: Some(_), .. }
                | StepState::Failed { items: Some(_), .. }
                    if anew =>
                {
                    StepState::Pending
                }
                state => state.again(plan),
            };
            self.open += usize::from(settled);
        }
    }

    /// Nothing is left of it, or of a block within, but its `collect`.
    pub(super) fn collects(&self) -> bool {
        self.open == 0
            || self.steps.iter().any(|step| matches!(step, StepState::Items(items) if !items.active.is_empty()))
    }

    /// Some step ran items.
    pub(super) fn has_items(&self) -> bool {
        self.steps.iter().any(|step| step.items().is_some())
    }

    /// Something of it was done that must not be repeated.
    pub(super) fn has_acted(&self, plan: &Plan) -> bool {
        (self.first as usize..).zip(&self.steps).any(|(step, state)| {
            let planned = &plan.steps[step];
            match (&planned.for_each, state.items()) {
                (Some(each), Some(items)) => items.has_acted(plan, each.block),
                _ => state.stays() && is_act(planned),
            }
        })
    }

    /// The outputs of its steps, as JSON text.
    pub(super) fn bytes(&self) -> usize {
        let one = |step: &StepState| match step {
            StepState::Succeeded { output, items, .. } => {
                text_len(output) + items.as_ref().map_or(0, |items| items.bytes())
            }
            StepState::Failed { items: Some(items), .. } => items.bytes(),
            _ => 0,
        };
        self.steps.iter().map(one).sum()
    }

    /// Every attempt of the block and of the blocks within, with its place.
    pub fn visit<'a>(&'a self, path: &mut Vec<u32>, visit: &mut dyn FnMut(u32, &[u32], &'a Slot)) {
        for (step, state) in (self.first..).zip(&self.steps) {
            match state {
                StepState::Active(slot) => visit(step, path, slot),
                StepState::Items(items) => {
                    for (item, frame) in &items.active {
                        path.push(*item);
                        frame.visit(path, visit);
                        path.pop();
                    }
                }
                _ => {}
            }
        }
    }

    /// Is there an attempt for which this holds?
    pub fn any(&self, holds: &mut dyn FnMut(u32, &Slot) -> bool) -> bool {
        (self.first..).zip(&self.steps).any(|(step, state)| match state {
            StepState::Active(slot) => holds(step, slot),
            StepState::Items(items) => items.active.values().any(|frame| frame.any(holds)),
            _ => false,
        })
    }

    /// Nothing goes on here without a person: there is an attempt, and every one is held.
    pub fn is_held(&self) -> bool {
        let mut some = false;
        let free = self.any(&mut |_, slot| {
            some = true;
            !matches!(slot.phase, Phase::Held { .. })
        });
        some && !free
    }

    /// How the item whose block this is ended, all steps being settled. `handled` says of a step whether its failure is,
    /// `acts` whether it is at most once.
    pub fn outcome(&self, handled: impl Fn(u32) -> bool, acts: impl Fn(u32) -> bool) -> ItemOutcome {
        let mut outcome = ItemOutcome::Skipped;
        // What it was for was not done, whatever was done to prepare it; unless something else was.
        let (mut declined, mut acted) = (false, false);
        for (step, state) in (self.first..).zip(&self.steps) {
            match state {
                StepState::Failed { .. } if !handled(step) => return ItemOutcome::Failed,
                StepState::Skipped { reason: SkipReason::Unknown, .. } => outcome = ItemOutcome::Unknown,
                StepState::Skipped { reason: SkipReason::Repeated | SkipReason::Declined, .. } => declined = true,
                StepState::Succeeded { .. } | StepState::Failed { .. } => {
                    acted |= acts(step) && matches!(state, StepState::Succeeded { .. });
                    if outcome == ItemOutcome::Skipped {
                        outcome = ItemOutcome::Succeeded;
                    }
                }
                _ => {}
            }
        }
        if declined && !acted && outcome == ItemOutcome::Succeeded { ItemOutcome::Skipped } else { outcome }
    }

    /// The first failure of the block.
    pub fn failure(&self, handled: impl Fn(u32) -> bool) -> Option<(u32, &Failure)> {
        (self.first..).zip(&self.steps).find_map(|(step, state)| match state {
            StepState::Failed { failure, .. } if !handled(step) => Some((step, failure)),
            _ => None,
        })
    }
}

impl Slot {
    /// The next attempt, after a wait, or after a person or a policy let a held one go.
    pub(super) fn restart(&mut self, started: Slot) -> Result<(), &'static str> {
        match self.phase {
            Phase::Running => Err("a second start of a running attempt"),
            Phase::Waiting { .. } | Phase::Held { .. } => {
                let laters = if started.attempt == self.attempt { self.laters } else { 0 };
                let began = if self.began == 0 { self.started_at } else { self.began };
                *self = Slot { laters, began, ..started };
                Ok(())
            }
        }
    }

    pub(super) fn ran(&self, took_us: u64) -> Ran {
        Ran { attempts: self.attempt, started_at: self.started_at, took_us }
    }
}

/// The world would notice a repetition.
pub(super) fn is_act(planned: &PlanStep) -> bool {
    planned.effect == Effect::AtMostOnce || planned.once.is_some() || planned.calls.is_some()
}

/// A block, or one within, has such a step.
pub(super) fn acts(plan: &Plan, block: usize) -> bool {
    let Some(block) = plan.blocks.get(block) else { return false };
    plan.steps[block.first..block.first + block.len].iter().any(|planned| match &planned.for_each {
        Some(each) => acts(plan, each.block),
        None => is_act(planned),
    })
}

/// A place and its attempt, taken out of a state so that the state can change.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub place: Place,
    pub slot: Slot,
}
