//! A run's state: the fold of its events. Event × state is a total match; a pair that cannot be is [`IllegalEvent`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{Event, Parent, Place, RunStatus};
use super::frame::{Frame, Phase, Ran, Slot, StepState};
use super::items::Items;
use super::ports::{Failure, Listen};
use super::waiting::Waiting;
use crate::base::{Json, Millis, RunId, limits};
use crate::plan::Plan;

/// Everything the journal says of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    pub id: RunId,
    pub created_at: Millis,
    /// When its first step began.
    pub started_at: Option<Millis>,
    /// When the latest event happened.
    pub latest_at: Millis,
    /// The trigger's payload.
    pub event: Arc<Json>,
    pub inputs: Arc<Json>,
    pub parent: Option<Parent>,
    /// The workflow's own steps.
    pub root: Frame,
    /// Set by `RunPaused`, until it is resumed or ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// Set by `RunEnding`: the status it will end with, and why.
    pub ending: Option<(RunStatus, Failure)>,
    /// Set by `RunEnded`.
    pub ended: Option<RunStatus>,
    pub output: Option<Arc<Json>>,
    /// Why the run as a whole ended so, where no step says it.
    pub failure: Option<Failure>,
    /// Events folded so far.
    pub version: u64,
    /// How often a person had it go on after its end.
    pub retries: u32,
    /// The keys of the latest outside events it took: a redelivery of one must not end a later wait.
    pub taken: VecDeque<String>,
    /// Where the lines of its steps are in the journal, by step of the workflow's own; what a step inside a `for_each` told is
    /// that step's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logged: BTreeMap<u32, Logged>,
}

/// The lines of a step, those of its items among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// All of them.
    pub lines: u64,
    /// The numbers of the latest events that have some, at most [`limits::LOGGED_ATTEMPTS`].
    pub latest: VecDeque<u64>,
}

/// Since when a person has had a run stand still, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    pub since: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
    /// The state after a whole journal.
    pub fn fold(plan: &Plan, id: RunId, events: &[Event]) -> Result<Self, IllegalEvent> {
        let Some((Event::RunCreated { at, event, inputs, parent }, rest)) = events.split_first() else {
            return Err(IllegalEvent { run: id, version: 0, what: "it does not begin with run_created" });
        };
        let mut state = Self::created(plan, id, *at, event.clone(), inputs.clone(), parent.clone());
        for event in rest {
            state.apply(plan, event)?;
        }
        Ok(state)
    }

    /// The state after `RunCreated`.
    pub fn created(
        plan: &Plan,
        id: RunId,
        at: Millis,
        event: Arc<Json>,
        inputs: Arc<Json>,
        parent: Option<Parent>,
    ) -> Self {
        Self {
            id,
            created_at: at,
            started_at: None,
            latest_at: at,
            event,
            inputs,
            parent,
            root: Frame::new(0, plan.blocks.first().map_or(0, |root| root.len)),
            paused: None,
            ending: None,
            ended: None,
            output: None,
            failure: None,
            version: 1,
            retries: 0,
            taken: VecDeque::new(),
            logged: BTreeMap::new(),
        }
    }

    /// Folds one more event.
    pub fn apply(&mut self, plan: &Plan, event: &Event) -> Result<(), IllegalEvent> {
        self.fold_one(plan, event).map_err(|what| IllegalEvent { run: self.id, version: self.version, what })?;
        self.version += 1;
        self.latest_at = self.latest_at.max(event.at());
        Ok(())
    }

    fn fold_one(&mut self, plan: &Plan, event: &Event) -> Result<(), &'static str> {
        if self.ended.is_some() && !matches!(event, Event::RunRetried { .. }) {
            return Err("the run has ended");
        }
        match event {
            Event::RunCreated { .. } => Err("the run exists already"),
            Event::RunPaused { at, reason } => {
                if self.version == 1 || self.paused.is_some() || self.ending.is_some() {
                    return Err("a pause of a run that cannot be paused");
                }
                self.paused = Some(Paused { since: *at, reason: reason.clone() });
                Ok(())
            }
            Event::RunResumed { .. } => match self.paused.take() {
                Some(_) => Ok(()),
                None => Err("a resume of a run that is not paused"),
            },
            Event::RunEnding { status, failure, .. } => {
                if !status.is_final() || *status == RunStatus::Succeeded || self.ending.is_some() {
                    return Err("an ending that is none");
                }
                self.ending = Some((*status, failure.clone()));
                self.paused = None;
                Ok(())
            }
            Event::RunEnded { status, output, failure, .. } => {
                if !status.is_final() {
                    return Err("a run cannot end in a status that is not final");
                }
                if self.root.open > 0 && self.ending.is_none() {
                    return Err("an end of a run with steps that are not settled");
                }
                self.ended = Some(*status);
                self.paused = None;
                self.output = output.clone();
                self.failure = failure.clone();
                Ok(())
            }
            Event::RunRetried { steps, from, .. } => self.retried(plan, steps, *from),
            Event::StepStarted { at, step, items, attempt } => {
                let started = Slot { started_at: *at, began: *at, attempt: *attempt, laters: 0, phase: Phase::Running };
                self.can_begin(plan, *step, items)?;
                match self.begun(plan, *step, items)? {
                    state @ StepState::Pending => *state = StepState::Active(started),
                    StepState::Active(slot) => slot.restart(started)?,
                    _ => return Err("a start of a step that cannot start"),
                }
                self.started_at.get_or_insert(*at);
                Ok(())
            }
            Event::StepWaiting { step, items, due, why, .. } => {
                let slot = match self.step_mut(plan, *step, items)? {
                    StepState::Active(slot) if slot.phase == Phase::Running => slot,
                    // A person says of a held attempt that nothing happened, and the run is paused.
                    StepState::Active(slot @ Slot { phase: Phase::Held { .. }, .. })
                        if matches!(why, Waiting::Retry { .. }) =>
                    {
                        slot
                    }
                    _ => return Err("a word of an attempt that does not run"),
                };
                slot.laters += u32::from(matches!(why, Waiting::Later { .. }));
                slot.phase = Phase::Waiting { due: *due, why: why.clone() };
                Ok(())
            }
            Event::StepLogged { step, items, attempt, lines, .. } => {
                if self.running(plan, *step, items)?.attempt != *attempt {
                    return Err("lines of an attempt that does not run");
                }
                let chain = &plan.blocks[plan.steps[*step as usize].block].chain;
                let own = chain.first().map_or(*step, |container| *container as u32);
                let logged = self.logged.entry(own).or_default();
                logged.lines += lines.len() as u64;
                if logged.latest.len() == limits::LOGGED_ATTEMPTS {
                    logged.latest.pop_front();
                }
                logged.latest.push_back(self.version);
                Ok(())
            }
            Event::StepHeld { step, items, failure, .. } => {
                let slot = self.running(plan, *step, items)?;
                slot.phase = Phase::Held { failure: failure.clone() };
                Ok(())
            }
            Event::EventTaken { step, items, key, .. } => {
                match self.step_mut(plan, *step, items)? {
                    StepState::Active(Slot { phase: Phase::Waiting { why: Waiting::Event { .. }, .. }, .. }) => {}
                    _ => return Err("an event for a step that waits for none"),
                }
                if self.taken.len() == limits::TAKEN_EVENTS {
                    self.taken.pop_front();
                }
                self.taken.push_back(key.clone());
                Ok(())
            }
            Event::ItemsStarted { step, items, total, .. } => {
                if plan.steps.get(*step as usize).is_none_or(|step| step.for_each.is_none()) {
                    return Err(NO_ITEMS);
                }
                let state = self.step_mut(plan, *step, items)?;
                let StepState::Active(slot @ Slot { phase: Phase::Running, .. }) = state else {
                    return Err("items of a step that does not run");
                };
                *state = StepState::Items(Box::new(Items::new(slot.clone(), *total)));
                Ok(())
            }
            Event::ItemEnded { step, items, outcome, collected, failure, .. } => {
                let Some((item, outer)) = items.split_last() else { return Err("an end of no item") };
                let entry = self.items_mut(plan, *step, outer)?;
                let handled = |step: u32| plan.steps.get(step as usize).is_none_or(|step| step.handles_error);
                let failed = entry.active.get(item).and_then(|frame| frame.failure(handled));
                let failed = failed.map(|(_, failure)| failure.clone());
                entry.end(plan, *item, *outcome, failed, failure.clone(), collected.clone())
            }
            Event::ItemsStopped { step, items, left, .. } => self.items_mut(plan, *step, items)?.stop(*left),
            Event::StepSucceeded { step, items, port, output, rows, took_us, .. } => {
                let (port, output, rows) = (port.clone(), output.clone(), *rows);
                self.settle(plan, *step, items, *took_us, |ran, items| StepState::Succeeded {
                    port,
                    output,
                    rows,
                    ran,
                    items,
                })
            }
            Event::StepFailed { step, items, failure, took_us, .. } => {
                let failure = failure.clone();
                self.settle(plan, *step, items, *took_us, |ran, items| StepState::Failed { failure, ran, items })
            }
            Event::StepSkipped { step, items, reason, why, .. } => {
                let state = self.step_mut(plan, *step, items)?;
                if !matches!(state, StepState::Pending | StepState::Active(_)) {
                    return Err("a skip of a step that is past it");
                }
                *state = StepState::Skipped { reason: *reason, why: why.clone() };
                self.closed(plan, *step, items)
            }
        }
    }

    fn settle(
        &mut self,
        plan: &Plan,
        step: u32,
        items: &[u32],
        took_us: u64,
        settled: impl FnOnce(Ran, Option<Box<Items>>) -> StepState,
    ) -> Result<(), &'static str> {
        let state = self.step_mut(plan, step, items)?;
        *state = match std::mem::replace(state, StepState::Pending) {
            StepState::Active(slot) => settled(slot.ran(took_us), None),
            StepState::Items(items) if items.is_drained() => settled(items.began.ran(took_us), Some(items)),
            before => {
                *state = before;
                return Err("an end of a step that cannot end");
            }
        };
        self.closed(plan, step, items)
    }

    fn closed(&mut self, plan: &Plan, step: u32, items: &[u32]) -> Result<(), &'static str> {
        self.frame_mut(plan, step, items)?.open -= 1;
        Ok(())
    }

    fn retried(&mut self, plan: &Plan, steps: &[u32], from: Option<u32>) -> Result<(), &'static str> {
        if self.ended.is_none() {
            return Err("a retry of a run that has not ended");
        }
        if steps.iter().any(|step| *step as usize >= self.root.steps.len()) {
            return Err("a retry of a step that the workflow's own block does not have");
        }
        self.ended = None;
        self.ending = None;
        self.output = None;
        self.failure = None;
        self.retries += 1;
        // Its time begins anew.
        self.started_at = None;
        // With other inputs the items of a `for_each` are others: it begins anew.
        let mut anew = BTreeSet::new();
        if let Some(from) = from.filter(|from| (*from as usize) < self.root.steps.len()) {
            self.root.with_dependents(plan, from as usize, &mut anew, |_| true);
            anew.remove(&(from as usize));
        }
        self.root.redo(plan, steps.iter().map(|step| *step as usize).collect(), &anew);
        Ok(())
    }

    /// Whether a start of the step fits: nothing is changed by one that does not.
    fn can_begin(&self, plan: &Plan, step: u32, items: &[u32]) -> Result<(), &'static str> {
        let block = &plan.blocks[plan.steps.get(step as usize).ok_or(NO_STEP)?.block];
        if block.chain.len() != items.len() {
            return Err("a place that is not in the plan");
        }
        let mut frame = &self.root;
        for (depth, (owner, item)) in block.chain.iter().zip(items).enumerate() {
            let Some(StepState::Items(entry)) = frame.step(*owner) else { return Err(NO_ITEMS) };
            if !entry.active.contains_key(item) && entry.next_item() != Some(*item) {
                return Err("a start of an item out of order");
            }
            frame = match entry.frame(*item) {
                Some(frame) => frame,
                None if depth + 1 == items.len() => return Ok(()),
                None => return Err("an item that is not active"),
            };
        }
        match frame.step(step as usize) {
            Some(StepState::Pending | StepState::Active(_)) => Ok(()),
            _ => Err("a start of a step that cannot start"),
        }
    }

    /// The state of a step, its block begun if it is the first of the item's.
    fn begun(&mut self, plan: &Plan, step: u32, items: &[u32]) -> Result<&mut StepState, &'static str> {
        let block = &plan.blocks[plan.steps.get(step as usize).ok_or(NO_STEP)?.block];
        for (depth, (owner, item)) in block.chain.iter().zip(items).enumerate() {
            let entry = self.items_mut(plan, *owner as u32, &items[..depth])?;
            if !entry.active.contains_key(item) {
                // Around the innermost one only those that a retry goes on with are not at work yet.
                entry.begin(*item, Frame::new(block.first, block.len))?;
            }
        }
        self.step_mut(plan, step, items)
    }

    fn frame_mut(&mut self, plan: &Plan, step: u32, items: &[u32]) -> Result<&mut Frame, &'static str> {
        let block = &plan.blocks[plan.steps.get(step as usize).ok_or(NO_STEP)?.block];
        if block.chain.len() != items.len() {
            return Err("a place that is not in the plan");
        }
        let mut frame = &mut self.root;
        for (owner, item) in block.chain.iter().zip(items) {
            let Some(StepState::Items(items)) = frame.step_mut(*owner as u32) else { return Err(NO_ITEMS) };
            frame = items.active.get_mut(item).ok_or("an item that is not active")?;
        }
        Ok(frame)
    }

    fn step_mut(&mut self, plan: &Plan, step: u32, items: &[u32]) -> Result<&mut StepState, &'static str> {
        self.frame_mut(plan, step, items)?.step_mut(step).ok_or(NO_STEP)
    }

    fn items_mut(&mut self, plan: &Plan, step: u32, items: &[u32]) -> Result<&mut Items, &'static str> {
        match self.step_mut(plan, step, items)? {
            StepState::Items(items) => Ok(items),
            _ => Err(NO_ITEMS),
        }
    }

    fn running(&mut self, plan: &Plan, step: u32, items: &[u32]) -> Result<&mut Slot, &'static str> {
        match self.step_mut(plan, step, items)? {
            StepState::Active(slot) if slot.phase == Phase::Running => Ok(slot),
            _ => Err("a word of an attempt that does not run"),
        }
    }

    /// The block that a place is in, while it is at work.
    pub fn frame(&self, plan: &Plan, place: &Place) -> Option<&Frame> {
        let block = &plan.blocks[plan.steps.get(place.step as usize)?.block];
        if block.chain.len() != place.items.len() {
            return None;
        }
        let mut frame = &self.root;
        for (owner, item) in block.chain.iter().zip(&place.items) {
            let StepState::Items(items) = frame.step(*owner)? else { return None };
            frame = items.frame(*item)?;
        }
        Some(frame)
    }

    /// Where a step stands.
    pub fn step(&self, plan: &Plan, place: &Place) -> Option<&StepState> {
        self.frame(plan, place)?.step(place.step as usize)
    }

    /// The attempt at work of a step.
    pub fn attempt(&self, plan: &Plan, place: &Place) -> Option<&Slot> {
        match self.step(plan, place)? {
            StepState::Active(slot) => Some(slot),
            _ => None,
        }
    }

    /// Visits every attempt at work: step number, items, slot.
    pub fn visit<'a>(&'a self, visit: &mut dyn FnMut(u32, &[u32], &'a Slot)) {
        self.root.visit(&mut Vec::new(), visit);
    }

    /// Where the run stands, derived from its steps.
    pub fn status(&self) -> RunStatus {
        if let Some(ended) = self.ended {
            return ended;
        }
        if self.version == 1 {
            return RunStatus::Queued;
        }
        let (mut running, mut waiting, mut held) = (false, false, false);
        self.root.any(&mut |_, slot| {
            match slot.phase {
                Phase::Running => running = true,
                Phase::Waiting { .. } => waiting = true,
                Phase::Held { .. } => held = true,
            }
            running
        });
        match (running, waiting, held) {
            (false, ..) if self.paused.is_some() => RunStatus::Paused,
            (false, true, _) => RunStatus::Waiting,
            (false, false, true) => RunStatus::Attention,
            _ => RunStatus::Running,
        }
    }

    /// When the run wants to be woken: its earliest waiting step is due, or its time (`timeout` of its workflow) is over. Of a
    /// paused one only its time: what is due is done when it is resumed.
    pub fn wake_at(&self, plan: &Plan) -> Option<Millis> {
        // Nothing is woken any more; a step that is due must not wake the run again and again.
        if self.ending.is_some() || self.ended.is_some() {
            return None;
        }
        let mut earliest = self.deadline(plan);
        if self.paused.is_some() {
            return earliest;
        }
        self.visit(&mut |_, _, slot| {
            if let Phase::Waiting { due: Some(due), .. } = slot.phase {
                earliest = Some(earliest.map_or(due, |earliest| earliest.min(due)));
            }
        });
        earliest
    }

    /// When its time is over.
    pub fn deadline(&self, plan: &Plan) -> Option<Millis> {
        if self.ending.is_some() {
            return None;
        }
        Some(self.started_at?.saturating_add_unsigned(plan.timeout_ms?))
    }

    /// What its steps listen for: events, and people.
    pub fn listens(&self) -> Vec<Listen> {
        let mut listens = Vec::new();
        let mut asks = false;
        self.visit(&mut |_, _, slot| match &slot.phase {
            Phase::Waiting { why: Waiting::Event { on }, .. } => listens.extend(on.iter().cloned()),
            Phase::Waiting { why: Waiting::Approval { .. }, .. } | Phase::Held { .. } => asks = true,
            _ => {}
        });
        listens.extend(asks.then(Listen::attention));
        listens.sort_unstable();
        listens.dedup();
        listens
    }
}

const NO_STEP: &str = "a step that the plan does not have";
const NO_ITEMS: &str = "an item of a step that has none";
