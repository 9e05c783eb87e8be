//! All schedules: who is next, what is due and not accepted yet, and which cursors are to be saved.
//!
//! Nothing here waits or asks the time: `run` says what time it is and what became of a submission.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde_json::json;

use super::overlap::overlap_lane;
use super::slot::{Due, Slot};
use crate::base::time::rfc3339;
use crate::base::{Json, Millis, limits};
use crate::engine::ports::Dedupe;
use crate::engine::run::Submission;
use crate::lang::cron::Cron;
use crate::lang::workflow::Trigger;
use crate::plan::Plan;

/// A clock that goes back by more than this was set, not corrected, in milliseconds.
const SET_BACK_MS: Millis = 1_000;

/// `schedule:<workflow>:<cron>:<zone>`: a changed pattern is another schedule.
pub type Name = Arc<str>;

#[derive(Debug, Default)]
pub struct Board {
    slots: HashMap<Name, Slot>,
    /// Each workflow with schedules: its plan and their names.
    workflows: HashMap<Arc<str>, (Arc<Plan>, Vec<Name>)>,
    /// When each schedule starts something next; entries that a slot does not agree with are stale.
    heap: BinaryHeap<Reverse<(Millis, Name)>>,
    /// What is due, in the order it fell due.
    ready: VecDeque<Start>,
    /// What is due and was refused by itself, with the time at which it is ready again.
    aside: VecDeque<(Millis, Start)>,
    /// Cursors that have moved since they were saved. They outlive their schedules.
    unsaved: HashMap<Name, Millis>,
    /// One parsed pattern for all schedules that have it.
    patterns: HashMap<(String, String), Arc<Cron>>,
    /// The last time it was told.
    now: Millis,
}

/// A due instant of a schedule.
#[derive(Clone, Debug)]
pub struct Start {
    pub name: Name,
    pub due: Due,
}

/// What a look at the clock let go, for the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub schedules: u64,
    pub instants: u64,
    /// A workflow of one of them.
    pub workflow: Option<Arc<str>>,
}

impl Board {
    /// Do these plans have schedules whose cursors have to be read?
    pub fn has_new<'p>(&self, plans: impl IntoIterator<Item = &'p Arc<Plan>>) -> bool {
        let known = |plan: &Arc<Plan>| {
            self.workflows.get(&plan.name).is_some_and(|(known, _)| Arc::ptr_eq(known, plan))
                || schedules(plan).all(|(_, cron, zone)| self.slots.contains_key(&*name(plan, cron, zone)))
        };
        !plans.into_iter().all(known)
    }

    /// From now on the schedules of `plans` are kept, each at its place: those that stay go on, and `cursors` says where new
    /// ones (or ones that come back) had got to. Whoever calls this has asked for [`Self::pass`] first, so that what was due
    /// under the old plans is.
    pub fn keep<'p>(
        &mut self,
        plans: impl IntoIterator<Item = &'p Arc<Plan>>,
        cursors: &BTreeMap<String, Millis>,
        now: Millis,
    ) {
        let mut before = std::mem::take(&mut self.workflows);
        for plan in plans {
            let old = before.remove(&plan.name);
            if let Some((known, names)) = old.filter(|(known, _)| Arc::ptr_eq(known, plan)) {
                self.workflows.insert(plan.name.clone(), (known, names));
                continue;
            }
            let mut names: Vec<Name> = Vec::new();
            for (trigger, cron, zone) in schedules(plan) {
                let name: Name = name(plan, cron, zone).into();
                // Written twice it is one schedule.
                if !names.contains(&name) && self.place(&name, plan, trigger, (cron, zone), cursors, now) {
                    names.push(name);
                }
            }
            if !names.is_empty() {
                self.workflows.insert(plan.name.clone(), (plan.clone(), names));
            }
        }
        let kept: HashSet<Name> = self.workflows.values().flat_map(|(_, names)| names.iter().cloned()).collect();
        let workflows = &self.workflows;
        self.slots.retain(|name, slot| {
            if kept.contains(name) {
                return true;
            }
            slot.retired = true;
            // What fell due under an old pattern still starts a run of its workflow, if there is one.
            match workflows.get(&slot.plan.name) {
                Some((plan, _)) if slot.pending > 0 => {
                    slot.plan = plan.clone();
                    true
                }
                _ => false,
            }
        });
        let slots = &self.slots;
        self.ready.retain(|start| slots.contains_key(&start.name));
        self.aside.retain(|(_, start)| slots.contains_key(&start.name));
        self.patterns.retain(|_, cron| Arc::strong_count(cron) > 1);
    }

    /// Puts one schedule in its place. False if there can be none.
    fn place(
        &mut self,
        name: &Name,
        plan: &Arc<Plan>,
        trigger: usize,
        (cron, zone): (&str, &str),
        cursors: &BTreeMap<String, Millis>,
        now: Millis,
    ) -> bool {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.plan = plan.clone();
            slot.trigger = trigger;
            slot.retired = false;
            // Its jitter may be another.
            let before = slot.wake;
            slot.walk_to(slot.walked, name);
            let wake = slot.wake.filter(|_| slot.wake != before);
            self.push(name, wake);
            return true;
        }
        let key = (cron.to_string(), zone.to_string());
        let pattern = match self.patterns.get(&key) {
            Some(pattern) => pattern.clone(),
            // The checker has parsed it; a plan with another is not made.
            None => match Cron::parse(cron, zone) {
                Ok(pattern) => self.patterns.entry(key).or_insert(Arc::new(pattern)).clone(),
                Err(_) => return false,
            },
        };
        let cursor = match self.unsaved.get(name).or_else(|| cursors.get(&**name)) {
            // A clock that was ahead when it was saved must not silence the schedule; the keys know what was started.
            Some(cursor) => (*cursor).min(now),
            None => {
                // A new schedule has missed nothing. It is saved so that a later start knows that it has been one.
                self.unsaved.insert(name.clone(), now);
                now
            }
        };
        let slot = Slot::new(plan.clone(), trigger, pattern, name, cursor);
        self.push(name, slot.wake);
        self.slots.insert(name.clone(), slot);
        true
    }

    fn push(&mut self, name: &Name, wake: Option<Millis>) {
        if let Some(wake) = wake {
            self.heap.push(Reverse((wake, name.clone())));
        }
    }

    /// Makes ready what has fallen due at `now`, of `limit` schedules at most: looking at one takes microseconds, and the
    /// first of a hundred thousand must not wait for the last.
    pub fn pass(&mut self, now: Millis, limit: usize) -> Passed {
        if now < self.now - SET_BACK_MS {
            self.set_back(now);
        }
        self.now = now;
        while let Some((_, start)) = self.aside.pop_front_if(|(until, _)| *until <= now) {
            self.ready.push_back(start);
        }
        let mut passed = Passed::default();
        for _ in 0..limit {
            if self.ready.len() >= limits::SCHEDULE_READY {
                break;
            }
            let Some(name) = self.first_due(now) else { break };
            let Some(slot) = self.slots.get_mut(&name) else { continue };
            let (due, let_go) = slot.due(now, &name);
            slot.pending += due.len() as u32;
            if let_go.count > 0 {
                passed.schedules += 1;
                passed.instants += let_go.count;
                passed.workflow.get_or_insert_with(|| slot.plan.name.clone());
            }
            if slot.pending == 0 {
                slot.settled = slot.walked;
                self.unsaved.insert(name.clone(), slot.settled);
            }
            self.ready.extend(due.into_iter().map(|due| Start { name: name.clone(), due }));
            let wake = slot.wake;
            self.push(&name, wake);
        }
        passed
    }

    fn first_due(&mut self, now: Millis) -> Option<Name> {
        if self.next_wake()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, name))| name)
    }

    /// Every schedule looks again at the instants that lie ahead once more.
    fn set_back(&mut self, now: Millis) {
        let mut moved = Vec::new();
        for (name, slot) in self.slots.iter_mut().filter(|(_, slot)| !slot.retired && slot.walked > now) {
            slot.walk_to(now, name);
            slot.settled = slot.settled.min(now);
            moved.extend(slot.wake.map(|wake| Reverse((wake, name.clone()))));
        }
        self.heap.extend(moved);
        self.ready.extend(self.aside.drain(..).map(|(_, start)| start));
    }

    /// The next instants to be submitted, at most `limit`. They stay ready until they are settled.
    pub fn batch(&self, limit: usize) -> Vec<Start> {
        self.ready.iter().take(limit).cloned().collect()
    }

    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When there is something to do next.
    pub fn next(&mut self) -> Option<Millis> {
        let again = self.aside.front().map(|(until, _)| *until);
        match (again, self.next_wake()) {
            (Some(again), Some(wake)) => Some(again.min(wake)),
            (again, wake) => again.or(wake),
        }
    }

    fn next_wake(&mut self) -> Option<Millis> {
        loop {
            let Reverse((wake, name)) = self.heap.peek()?;
            if self.slots.get(name).is_some_and(|slot| slot.wake == Some(*wake) && !slot.retired) {
                return Some(*wake);
            }
            // Its schedule has gone, or is woken at another time.
            self.heap.pop();
        }
    }

    /// The submission of a due instant; None when its schedule has gone.
    pub fn submission(&self, start: &Start) -> Option<Submission> {
        let slot = self.slots.get(&start.name)?;
        let Due { at, missed } = start.due;
        let event: Json = json!({"event": "schedule", "scheduled_at": rfc3339(at), "missed": missed});
        Some(Submission {
            plan: slot.plan.clone(),
            trigger: "schedule",
            event: Arc::new(event),
            inputs: slot.plan.default_inputs.clone(),
            dedupe: Some(Dedupe {
                key: key(&slot.plan.name, at),
                // As long as the instant may still be looked at again.
                expires_at: Some(at.saturating_add_unsigned(slot.window_ms()) + limits::DEDUPE_TTL_MS),
            }),
            lane: overlap_lane(&slot.plan.name, slot.overlap()),
        })
    }

    /// The first of what is ready has been accepted: `started` says whether a run was begun now, and not before.
    pub fn settle(&mut self, start: &Start, started: bool) {
        let Some(ready) = self.ready.iter().position(|ready| ready.name == start.name && ready.due == start.due) else {
            // A reload dropped it, and its schedule.
            return;
        };
        self.ready.remove(ready);
        let Some(slot) = self.slots.get_mut(&start.name) else { return };
        slot.tally.started += u64::from(started);
        slot.tally.made_up += u64::from(started && start.due.missed);
        slot.pending = slot.pending.saturating_sub(1);
        if slot.pending > 0 {
            return;
        }
        slot.settled = slot.walked;
        self.unsaved.insert(start.name.clone(), slot.settled);
        if slot.retired {
            self.slots.remove(&start.name);
        }
    }

    /// This one could not be started, and lets the others go first until `until`.
    pub fn put_off(&mut self, start: &Start, until: Millis) {
        let ready = self.ready.iter().position(|ready| ready.name == start.name && ready.due == start.due);
        let aside = ready.and_then(|index| self.ready.remove(index));
        self.aside.extend(aside.map(|start| (until, start)));
    }

    /// Takes the cursors that are to be saved, at most `limit`.
    pub fn take_unsaved(&mut self, limit: usize) -> Vec<(String, Millis)> {
        let names: Vec<Name> = self.unsaved.keys().take(limit).cloned().collect();
        names.iter().filter_map(|name| Some((name.to_string(), self.unsaved.remove(name)?))).collect()
    }

    /// These could not be saved; those that have moved on since are newer.
    pub fn give_back(&mut self, cursors: Vec<(String, Millis)>) {
        for (name, at) in cursors {
            self.unsaved.entry(name.into()).or_insert(at);
        }
    }

    /// Each workflow after `after` (or only the one named `workflow`) with its schedules, by name.
    pub fn by_workflow<'b>(
        &'b self,
        workflow: Option<&str>,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&'b str, impl Iterator<Item = &'b Slot>)> {
        let wanted = |name: &str| workflow.is_none_or(|only| only == name) && after.is_none_or(|after| name > after);
        let mut found: Vec<_> = self.workflows.iter().filter(|(name, _)| wanted(name)).collect();
        found.sort_by_key(|(name, _)| *name);
        found.into_iter().map(|(name, (_, names))| (&**name, names.iter().filter_map(|name| self.slots.get(name))))
    }
}

/// One run a workflow and instant, whichever of its schedules name it and however they are written.
pub fn key(workflow: &str, at: Millis) -> String {
    format!("schedule:{workflow}:{at}")
}

fn name(plan: &Plan, cron: &str, zone: &str) -> String {
    format!("schedule:{}:{cron}:{zone}", plan.name)
}

/// The schedules of a plan: trigger number, pattern, zone.
fn schedules(plan: &Plan) -> impl Iterator<Item = (usize, &str, &str)> {
    plan.triggers.iter().enumerate().filter_map(|(index, trigger)| match &trigger.trigger {
        Trigger::Schedule { cron, timezone, .. } => Some((index, cron.as_str(), timezone.as_str())),
        _ => None,
    })
}
