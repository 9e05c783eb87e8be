//! One run at work, by the rules of the real driver (`run/driver.rs`), without tasks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures::FutureExt;

use super::check;
use super::world::{Claim, Death, World};
use crate::base::{Effect, Millis, RunId};
use crate::engine::decide::{Command, Ended, Input, decide};
use crate::engine::event::{Event, Place, RunStatus, SkipReason};
use crate::engine::ports::{Commit, Failure, StepError, Store};
use crate::engine::state::RunState;
use crate::expr::{Context, Scope};
use crate::plan::{Plan, PlanStep};

/// An attempt as the far side sees it.
pub struct Act<'a> {
    pub run: RunId,
    pub place: Place,
    pub uses: &'a str,
    pub attempt: u32,
    pub retries: u32,
    pub started_at: Millis,
    pub calls: String,
}

/// A run in memory.
pub struct Life {
    pub plan: Arc<Plan>,
    pub state: RunState,
    pub inputs: VecDeque<Input>,
    pending: Vec<Event>,
    valuable: bool,
    unsaid: Vec<Command>,
    after: Vec<Command>,
    finishing: bool,
    /// By the time they answer, with the answer if the act came first.
    pub flights: Vec<(Millis, Command, Option<Input>)>,
    /// Claims on `once` keys that are committed with `pending`.
    claims: BTreeMap<String, Option<Claim>>,
    snapshot_at: u64,
    ever_held: bool,
    durable: Durable,
}

/// What the journal in the store says of attempts.
#[derive(Default)]
struct Durable {
    /// The latest that was begun.
    said: BTreeMap<Place, u32>,
    succeeded: BTreeSet<Place>,
}

impl Durable {
    fn of(journal: &[Event]) -> Self {
        let mut durable = Self::default();
        durable.add(journal);
        durable
    }

    fn add(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::StepStarted { step, items, attempt, .. } => {
                    self.said.insert(Place { step: *step, items: items.clone() }, *attempt);
                }
                Event::StepSucceeded { step, items, .. } => {
                    self.succeeded.insert(Place { step: *step, items: items.clone() });
                }
                _ => {}
            }
        }
    }
}

/// Snapshots are written often, so that they are read often.
const SNAPSHOT_EVENTS: u64 = 12;

#[derive(Debug, PartialEq)]
pub enum Left {
    AtWork,
    Parked,
    Ended,
    Died,
}

impl Life {
    pub fn new(plan: Arc<Plan>, state: RunState, journal: &[Event]) -> Self {
        Self {
            durable: Durable::of(journal),
            ever_held: journal.iter().any(|event| matches!(event, Event::StepHeld { .. })),
            plan,
            snapshot_at: state.version + SNAPSHOT_EVENTS,
            state,
            inputs: VecDeque::new(),
            pending: Vec::new(),
            valuable: false,
            unsaid: Vec::new(),
            after: Vec::new(),
            finishing: false,
            flights: Vec::new(),
            claims: BTreeMap::new(),
        }
    }

    /// Until nothing is left to do before time goes on.
    pub fn work(&mut self, world: &mut World) -> Left {
        loop {
            while let Some(input) = self.inputs.pop_front() {
                self.decide(world, input);
            }
            self.claim(world);
            if !self.inputs.is_empty() {
                continue;
            }
            let idle = self.flights.is_empty() && self.unsaid.is_empty();
            let due = self.valuable || !self.after.is_empty() || !self.claims.is_empty();
            if (due || idle || !self.unsaid.is_empty()) && !self.commit(world) {
                return Left::Died;
            }
            for command in std::mem::take(&mut self.unsaid) {
                self.launch(world, command);
            }
            for command in std::mem::take(&mut self.after) {
                self.follow(world, command);
            }
            if !self.inputs.is_empty() {
                continue;
            }
            return match () {
                () if self.state.ended.is_some() => Left::Ended,
                () if self.flights.is_empty() => Left::Parked,
                () => Left::AtWork,
            };
        }
    }

    fn decide(&mut self, world: &mut World, input: Input) {
        world.decisions += 1;
        self.valuable |= match &input {
            Input::Ended { place, .. } => self.plan.steps[place.step as usize].effect != Effect::Pure,
            Input::Begin | Input::Collected { .. } => false,
            _ => true,
        };
        if matches!(input, Input::Finished { .. }) {
            self.finishing = false;
        }
        // People and events may come too late.
        let may_refuse = matches!(
            input,
            Input::Resolve { .. }
                | Input::Approve { .. }
                | Input::Deliver { .. }
                | Input::Stop { .. }
                | Input::Pause { .. }
                | Input::Unpause
                | Input::Retry { .. }
        );
        let held = check::held(&self.state);
        let resolved = match &input {
            Input::Resolve { place, .. } => Some(place.clone()),
            _ => None,
        };
        let known = match &input {
            Input::Deliver { key, .. } => self.state.taken.contains(key),
            _ => false,
        };
        let retry = matches!(input, Input::Retry { .. });
        let said = input.clone();
        let before = self.state.version;
        let decision = match decide(&self.plan, &mut self.state, input, world.now) {
            Ok(decision) => decision,
            Err(error) if may_refuse => {
                assert_eq!(self.state.version, before);
                world.refused(retry);
                return drop(error);
            }
            Err(error) => panic!("{said:?}: {error}\n{:?}", self.state.root),
        };
        assert!(!known, "an event was taken twice: {said:?}");
        if self.state.paused.is_some() {
            let begins = decision.events.iter().any(|event| matches!(event, Event::StepStarted { .. }));
            let acts = decision.commands.iter().any(|command| matches!(command, Command::Execute { .. }));
            assert!(!begins && !acts, "a paused run begins something after {said:?}");
        }
        let now_held = check::held(&self.state);
        self.ever_held |= !now_held.is_empty();
        for place in held.iter().filter(|place| Some(*place) != resolved.as_ref()) {
            assert!(now_held.contains(place), "{place} was held and is not, after {said:?}");
        }
        for event in &decision.events {
            self.settle_claim(world, event);
        }
        self.pending.extend(decision.events);
        for command in decision.commands {
            match &command {
                Command::Execute { place, .. } if is_said_first(&self.plan.steps[place.step as usize]) => {
                    self.unsaid.push(command);
                }
                Command::Execute { .. } | Command::Collect { .. } => self.launch(world, command),
                _ => self.after.push(command),
            }
        }
    }

    fn launch(&mut self, world: &mut World, command: Command) {
        let place = match &command {
            Command::Collect { place, item } => {
                let result = world.cues.collect(self.state.id, place, *item, self.state.retries);
                let (place, item) = (place.clone(), *item);
                return self.inputs.push_back(Input::Collected { place, item, result });
            }
            Command::Execute { place, .. } => place.clone(),
            other => panic!("{other:?} is nothing to launch"),
        };
        let plan = self.plan.clone();
        let planned = &plan.steps[place.step as usize];
        let scope = Scope::default();
        let settled = match (&planned.condition, &planned.for_each) {
            (Some(condition), _) if !condition.holds(&scope).unwrap() => Some(Ended::ConditionFalse),
            (_, Some(each)) => Some(Ended::Items(each.items.eval(&scope).unwrap().as_array().unwrap().len() as u32)),
            _ => None,
        };
        if let Some(ended) = settled {
            self.inputs.push_back(Input::Ended { place, result: Ok(ended), lines: Vec::new(), took_us: 1 });
        } else if planned.effect == Effect::Pure {
            let ended = self.act(world, &command);
            self.inputs.push_back(ended);
        } else {
            let answers = world.now + world.random.below(50) as Millis;
            let early = world.random.one_in(2).then(|| self.act(world, &command));
            self.flights.push((answers, command, early));
        }
    }

    fn follow(&mut self, world: &mut World, command: Command) {
        match &command {
            Command::Finish { .. } if self.finishing => {}
            Command::Finish { .. } => {
                self.finishing = true;
                self.flights.push((world.now + world.random.below(50) as Millis, command, None));
            }
            Command::Call { .. } => {
                self.flights.push((world.now + world.random.below(50) as Millis, command, None));
            }
            Command::CancelCalled { child } => {
                // That it was never created is known: nothing of this run is left that would.
                self.flights.retain(|(_, command, _)| !matches!(command, Command::Call { .. }));
                world.stop_called(*child);
            }
            Command::Execute { .. } | Command::Collect { .. } => panic!("{command:?} waits for nothing"),
        }
    }

    /// The answer to what is in flight; None: nothing that the run hears of.
    pub fn land(&mut self, world: &mut World, flight: usize) {
        let (_, command, early) = self.flights.swap_remove(flight);
        let input = match (&command, early) {
            (_, Some(early)) => early,
            (Command::Execute { .. }, None) => self.act(world, &command),
            (Command::Finish { status }, None) => {
                let output = match status {
                    RunStatus::Succeeded => world.cues.output(self.state.id, self.state.retries),
                    _ => Ok(None),
                };
                if *status == RunStatus::Failed {
                    world.alarms.insert((self.state.id, self.state.retries));
                }
                Input::Finished { status: *status, output }
            }
            (Command::Call { place }, None) => world.call(&self.plan, &self.state, place),
            (other, None) => panic!("{other:?} has no answer"),
        };
        self.inputs.push_back(input);
    }

    /// The act, which the journal must allow.
    fn act(&mut self, world: &mut World, command: &Command) -> Input {
        let Command::Execute { place, attempt, started_at } = command else { panic!("{command:?} is no act") };
        let planned = &self.plan.steps[place.step as usize];
        let said = self.durable.said.get(place) == Some(attempt);
        let succeeded = self.durable.succeeded.contains(place);
        assert!(said || planned.effect != Effect::AtMostOnce, "{place} acts before its intention is durable");
        assert!(!succeeded, "{place} ({}) runs again after its success was committed", planned.id);
        let calls = match &*planned.uses {
            "t.call" => planned.with.render(&Scope::default()).unwrap()["workflow"].as_str().unwrap().to_string(),
            _ => String::new(),
        };
        let (run, place) = (self.state.id, place.clone());
        let (attempt, started_at, retries) = (*attempt, *started_at, self.state.retries);
        let act = Act { run, place: place.clone(), uses: &planned.uses, attempt, retries, started_at, calls };
        let lines = world.cues.lines(&act);
        Input::Ended { place, result: world.cues.act(&act), lines, took_us: 1 }
    }

    /// Claims the `once` keys of the attempts about to be said.
    fn claim(&mut self, world: &World) {
        for command in std::mem::take(&mut self.unsaid) {
            let Command::Execute { place, .. } = &command else { continue };
            let Some(key) = once_key(&self.plan.steps[place.step as usize]) else {
                self.unsaid.push(command);
                continue;
            };
            let claim = match self.claims.get(&key) {
                Some(claim) => claim.clone(),
                None => world.claims.get(&(self.state.id, key.clone())).cloned(),
            };
            let result = match claim {
                Some(Claim { place: owner, .. }) if owner == *place => None,
                Some(Claim { done: true, .. }) => Some(Ok(Ended::Repeated)),
                Some(_) => {
                    let failure = Failure::new("once.busy", "busy");
                    Some(Err(StepError::Later { failure, after_ms: 100 }))
                }
                None => {
                    self.claims.insert(key, Some(Claim { place: place.clone(), done: false }));
                    None
                }
            };
            match result {
                None => self.unsaid.push(command),
                Some(result) => {
                    self.inputs.push_back(Input::Ended { place: place.clone(), result, lines: Vec::new(), took_us: 0 });
                }
            }
        }
    }

    fn settle_claim(&mut self, world: &World, event: &Event) {
        let (step, items, done) = match event {
            Event::StepSucceeded { step, items, .. } => (step, items, true),
            Event::StepSkipped { step, items, reason: SkipReason::Unknown | SkipReason::Resolved, .. } => {
                (step, items, true)
            }
            Event::StepFailed { step, items, .. } => (step, items, false),
            _ => return,
        };
        let Some(key) = once_key(&self.plan.steps[*step as usize]) else { return };
        let place = Place { step: *step, items: items.clone() };
        let claim = match self.claims.get(&key) {
            Some(claim) => claim.clone(),
            None => world.claims.get(&(self.state.id, key.clone())).cloned(),
        };
        if claim.is_some_and(|claim| claim.place == place) {
            self.claims.insert(key, done.then_some(Claim { place, done }));
        }
    }

    /// False: the process died.
    fn commit(&mut self, world: &mut World) -> bool {
        if self.pending.is_empty() && self.claims.is_empty() {
            return true;
        }
        let death = world.next_commit();
        if death == Some(Death::Before) {
            return false;
        }
        self.durable.add(&self.pending);
        let status = self.state.status();
        let snapshot = self.state.version >= self.snapshot_at;
        if snapshot {
            self.snapshot_at = self.state.version + SNAPSHOT_EVENTS;
        }
        let commit = Commit {
            run: self.state.id,
            expected: self.state.version - self.pending.len() as u64,
            events: std::mem::take(&mut self.pending),
            status,
            wake_at: self.state.wake_at(&self.plan),
            finished_at: status.is_final().then_some(self.state.latest_at),
            expires_at: None,
            writes: Vec::new(),
            listens: None,
            snapshot: snapshot.then(|| serde_json::to_value(&self.state).unwrap()),
        };
        self.valuable = false;
        for (key, claim) in std::mem::take(&mut self.claims) {
            let key = (self.state.id, key);
            match claim {
                Some(claim) => drop(world.claims.insert(key, claim)),
                None => drop(world.claims.remove(&key)),
            }
        }
        world.store.commit(commit).now_or_never().unwrap().unwrap();
        // One that was held and is done again comes on top of the others.
        if !self.ever_held {
            check::concurrency(&self.plan, &self.state.root);
        }
        death.is_none()
    }
}

/// Whether beginning it must be durable before it acts.
fn is_said_first(planned: &PlanStep) -> bool {
    planned.effect == Effect::AtMostOnce || planned.once.is_some()
}

pub fn once_key(planned: &PlanStep) -> Option<String> {
    let key = planned.once.as_ref()?.key.render(&Context::new(&Scope::default())).unwrap();
    Some(key.as_str().unwrap().to_string())
}
