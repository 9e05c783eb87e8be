//! A run's state: the fold of its events. Event × state is a total match; a pair that cannot be is [`IllegalEvent`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Event, RunStatus, SkipReason, Waiting};
use super::items::Items;
use super::ports::{Failure, Port};
use crate::base::{Json, Millis, RunId};

/// Everything the journal says of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    pub id: RunId,
    pub created_at: Millis,
    /// When the latest event happened.
    pub latest_at: Millis,
    /// The trigger's payload.
    pub event: Arc<Json>,
    pub inputs: Arc<Json>,
    /// By the step's place in the plan.
    pub steps: Vec<StepState>,
    /// Set by `RunEnded`.
    pub ended: Option<RunStatus>,
    /// Events folded so far.
    pub version: u64,
    /// Steps that are not settled.
    pub open: usize,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq)]
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
    },
    Failed {
        failure: Failure,
    },
    Skipped {
        reason: SkipReason,
    },
}

impl StepState {
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Succeeded { .. } | Self::Failed { .. } | Self::Skipped { .. })
    }
}

/// An attempt of a step, or of one item of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// When this attempt began: the step's logical `now()`.
    pub started_at: Millis,
    /// From 1.
    pub attempt: u32,
    /// How often the far side has put off this attempt.
    pub laters: u32,
    pub phase: Phase,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Left by its outcome; after a crash by recovery.
    Running,
    /// Left by its timer.
    Waiting { due: Millis, why: Waiting },
    /// Left by a person.
    Held { failure: Failure },
}

/// An event that cannot follow the state it met: the journal and the code disagree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal of run {run} cannot go on with event {version}: {what}")]
pub struct IllegalEvent {
    pub run: RunId,
    pub version: u64,
    pub what: &'static str,
}

impl RunState {
    /// The state after the whole journal of a run of a plan with `steps` steps.
    pub fn fold(id: RunId, steps: usize, events: &[Event]) -> Result<Self, IllegalEvent> {
        let Some((Event::RunCreated { at, event, inputs }, rest)) = events.split_first() else {
            return Err(IllegalEvent { run: id, version: 0, what: "it does not begin with run_created" });
        };
        let mut state = Self::created(id, steps, *at, event.clone(), inputs.clone());
        for event in rest {
            state.apply(event)?;
        }
        Ok(state)
    }

    /// The state after `RunCreated`.
    pub fn created(id: RunId, steps: usize, at: Millis, event: Arc<Json>, inputs: Arc<Json>) -> Self {
        Self {
            id,
            created_at: at,
            latest_at: at,
            event,
            inputs,
            steps: vec![StepState::Pending; steps],
            ended: None,
            version: 1,
            open: steps,
        }
    }

    /// Folds one more event.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        self.fold_one(event).map_err(|what| IllegalEvent { run: self.id, version: self.version, what })?;
        self.version += 1;
        self.latest_at = self.latest_at.max(event.at());
        Ok(())
    }

    fn fold_one(&mut self, event: &Event) -> Result<(), &'static str> {
        if self.ended.is_some() {
            return Err("the run has ended");
        }
        match event {
            Event::RunCreated { .. } => Err("the run exists already"),
            Event::RunEnded { status, .. } => {
                if !status.is_final() {
                    return Err("a run cannot end in a status that is not final");
                }
                if self.open > 0 && *status != RunStatus::Cancelled {
                    return Err("an end of a run with steps that are not settled");
                }
                self.ended = Some(*status);
                Ok(())
            }
            Event::ItemsStarted { step, total, .. } => {
                let state = self.step(*step)?;
                let StepState::Active(Slot { phase: Phase::Running, started_at, .. }) = *state else {
                    return Err("items of a step that does not run");
                };
                *state = StepState::Items(Box::new(Items::new(started_at, *total)));
                Ok(())
            }
            Event::StepStarted { at, step, item, attempt } => {
                let started = Slot { started_at: *at, attempt: *attempt, laters: 0, phase: Phase::Running };
                match (self.step(*step)?, item) {
                    (state @ StepState::Pending, None) => {
                        *state = StepState::Active(started);
                        Ok(())
                    }
                    (StepState::Active(slot), None) => slot.restart(started),
                    (StepState::Items(items), Some(item)) => items.start(*item, started),
                    _ => Err("a start of a step that cannot start"),
                }
            }
            Event::StepWaiting { step, item, due, why, .. } => {
                let slot = self.slot(*step, *item)?;
                if slot.phase != Phase::Running {
                    return Err("a wait of a step that does not run");
                }
                slot.laters += u32::from(matches!(why, Waiting::Later { .. }));
                slot.phase = Phase::Waiting { due: *due, why: why.clone() };
                Ok(())
            }
            Event::StepHeld { step, item, failure, .. } => {
                let slot = self.slot(*step, *item)?;
                if slot.phase != Phase::Running {
                    return Err("a hold of a step that does not run");
                }
                slot.phase = Phase::Held { failure: failure.clone() };
                Ok(())
            }
            Event::StepSucceeded { step, item, port, output, .. } => match item {
                None => self.settle(*step, StepState::Succeeded { port: port.clone(), output: output.clone() }),
                Some(item) => self.items(*step)?.succeeded(*item, output.clone()),
            },
            Event::StepFailed { step, item, failure, .. } => match item {
                None => self.settle(*step, StepState::Failed { failure: failure.clone() }),
                Some(item) => self.items(*step)?.failed(*item, failure.clone()),
            },
            Event::StepSkipped { step, item, reason, .. } => match item {
                None => self.settle(*step, StepState::Skipped { reason: *reason }),
                Some(item) => self.items(*step)?.skipped(*item, *reason),
            },
        }
    }

    fn settle(&mut self, step: u32, settled: StepState) -> Result<(), &'static str> {
        let state = self.step(step)?;
        match (&*state, &settled) {
            (StepState::Succeeded { .. } | StepState::Failed { .. } | StepState::Skipped { .. }, _) => {
                return Err("an end of a step that has ended");
            }
            (StepState::Pending, StepState::Skipped { .. }) | (StepState::Active(_), _) => {}
            (StepState::Pending, _) => return Err("an end of a step that has not begun"),
            (StepState::Items(items), _) if items.is_drained() => {}
            (StepState::Items(_), _) => return Err("an end of a step whose items are not settled"),
        }
        *state = settled;
        self.open -= 1;
        Ok(())
    }

    fn step(&mut self, step: u32) -> Result<&mut StepState, &'static str> {
        self.steps.get_mut(step as usize).ok_or("a step that the plan does not have")
    }

    fn items(&mut self, step: u32) -> Result<&mut Items, &'static str> {
        match self.step(step)? {
            StepState::Items(items) => Ok(items),
            _ => Err("an item of a step that has none"),
        }
    }

    fn slot(&mut self, step: u32, item: Option<u32>) -> Result<&mut Slot, &'static str> {
        match (self.step(step)?, item) {
            (StepState::Active(slot), None) => Ok(slot),
            (StepState::Items(items), Some(item)) => items.active.get_mut(&item).ok_or("an item that is not active"),
            _ => Err("an attempt of a step that has none"),
        }
    }

    /// The attempt at work of a step, or of one item of it.
    pub fn attempt(&self, step: u32, item: Option<u32>) -> Option<&Slot> {
        match (self.steps.get(step as usize)?, item) {
            (StepState::Active(slot), None) => Some(slot),
            (StepState::Items(items), Some(item)) => items.active.get(&item),
            _ => None,
        }
    }

    /// The slots at work, with their step and item.
    pub fn slots(&self) -> impl Iterator<Item = (u32, Option<u32>, &Slot)> {
        self.steps.iter().enumerate().flat_map(|(step, state)| {
            let (one, many) = match state {
                StepState::Active(slot) => (Some((step as u32, None, slot)), None),
                StepState::Items(items) => (None, Some(&items.active)),
                _ => (None, None),
            };
            let many = many.into_iter().flat_map(BTreeMap::iter);
            one.into_iter().chain(many.map(move |(item, slot)| (step as u32, Some(*item), slot)))
        })
    }

    /// Where the run stands, derived from its steps.
    pub fn status(&self) -> RunStatus {
        if let Some(ended) = self.ended {
            return ended;
        }
        if self.version == 1 {
            return RunStatus::Queued;
        }
        let (mut waiting, mut held) = (false, false);
        for (_, _, slot) in self.slots() {
            match slot.phase {
                Phase::Running => return RunStatus::Running,
                Phase::Waiting { .. } => waiting = true,
                Phase::Held { .. } => held = true,
            }
        }
        match (waiting, held) {
            (true, _) => RunStatus::Waiting,
            (false, true) => RunStatus::Attention,
            (false, false) => RunStatus::Running,
        }
    }

    /// When the earliest waiting slot is due.
    pub fn wake_at(&self) -> Option<Millis> {
        self.slots()
            .filter_map(|(_, _, slot)| match slot.phase {
                Phase::Waiting { due, .. } => Some(due),
                _ => None,
            })
            .min()
    }
}

impl Slot {
    /// The next attempt, after a wait, or after a person or a policy let a held one go.
    pub fn restart(&mut self, started: Slot) -> Result<(), &'static str> {
        match self.phase {
            Phase::Running => Err("a second start of a running attempt"),
            Phase::Waiting { .. } | Phase::Held { .. } => {
                let laters = if started.attempt == self.attempt { self.laters } else { 0 };
                *self = Slot { laters, ..started };
                Ok(())
            }
        }
    }
}
