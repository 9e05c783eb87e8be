//! A driver in the small: `decide` and a store, by the rules of the real one (`run/driver.rs`), without tasks.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt;

use super::check;
use super::{each_seed, workflow};
use crate::base::{Effect, Json, Millis, RunId};
use crate::engine::decide::{Command, Ended, Input, Resolution, decide};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Commit, NewRun, RunRow, Store};
use crate::engine::state::RunState;
use crate::engine::tests::far::{Far, Place};
use crate::engine::tests::random::Random;
use crate::engine::tests::store::Death;
use crate::expr::Scope;
use crate::plan::Plan;
use crate::store::memory::MemoryStore;

/// A run and everything around it that outlives a crash.
struct World {
    plan: Arc<Plan>,
    far: Arc<Far>,
    store: MemoryStore,
    run: RunId,
    now: Millis,
    /// Commits of all lives.
    commits: u64,
    death: Option<(u64, Death)>,
    /// Delays and orders. Of this life alone: nothing that is compared may depend on them.
    random: Random,
}

/// One life of the process, with one run in memory.
struct Life<'a> {
    world: &'a mut World,
    state: RunState,
    pending: Vec<Event>,
    valuable: bool,
    unsaid: Vec<Command>,
    /// By the time they answer, with the answer if the act came first.
    flights: Vec<(Millis, Command, Option<Input>)>,
    inputs: VecDeque<Input>,
}

enum Left {
    Ended,
    Parked,
    Died,
}

impl World {
    fn new(seed: u64, plan: Arc<Plan>, death: Option<(u64, Death)>) -> Self {
        let (far, store) = (Far::new(seed), MemoryStore::default());
        let (run, now) = (RunId::new(1_000, u128::from(seed)), 1_000);
        let first = Event::RunCreated { at: now, event: Arc::new(Json::Null), inputs: Arc::new(Json::Null) };
        let (workflow, digest) = (plan.name.clone(), plan.digest.clone());
        let new = NewRun { id: run, workflow, plan: digest, trigger: "manual", created_at: now, dedupe: None, first };
        store.create_runs(vec![new]).now_or_never().unwrap().unwrap();
        let salt = death.map_or(0, |(at, _)| at + 1);
        Self { plan, far, store, run, now, commits: 0, death, random: Random::new(seed ^ salt << 32) }
    }

    fn load(&self) -> (RunRow, Vec<Event>) {
        self.store.load(self.run).now_or_never().unwrap().unwrap()
    }

    fn fold(&self) -> RunState {
        check::fold(&self.plan, self.run, &self.load().1)
    }

    /// Plays the run to its end, through deaths, timers and people who tell the truth.
    fn play(&mut self) -> RunState {
        // Far above what any of these workflows needs.
        for _ in 0..2_000 {
            let state = self.fold();
            let input = if state.version == 1 { Input::Begin } else { Input::Resume };
            match self.live(input) {
                Left::Ended => return self.fold(),
                Left::Died => self.now += self.random.below(3_000) as Millis,
                Left::Parked => self.unpark(),
            }
        }
        panic!("the run does not end: {:?}", self.fold().steps)
    }

    fn unpark(&mut self) {
        let (row, journal) = self.load();
        let state = check::fold(&self.plan, self.run, &journal);
        match row.wake_at {
            Some(at) => self.now = self.now.max(at),
            None => {
                assert_eq!(row.status, RunStatus::Attention, "a run that nobody will wake: {:?}", state.steps);
                let held = check::held(&self.plan, &self.far, &state);
                let (step, item, done) = held[self.random.below(held.len() as u64) as usize];
                let resolution = if done { Resolution::Sent } else { Resolution::NotSent };
                self.live(Input::Resolve { step, item, resolution });
            }
        }
    }

    fn live(&mut self, input: Input) -> Left {
        let state = self.fold();
        let (pending, unsaid, flights) = (Vec::new(), Vec::new(), Vec::new());
        let mut inputs = VecDeque::from([input]);
        if matches!(inputs[0], Input::Resolve { .. }) {
            inputs.push_front(Input::Resume);
        }
        Life { world: self, state, pending, valuable: false, unsaid, flights, inputs }.live()
    }
}

impl Life<'_> {
    fn live(mut self) -> Left {
        loop {
            while let Some(input) = self.inputs.pop_front() {
                self.decide(input);
            }
            let idle = self.flights.is_empty() && self.unsaid.is_empty();
            if (self.valuable || idle || !self.unsaid.is_empty()) && !self.commit() {
                return Left::Died;
            }
            for command in std::mem::take(&mut self.unsaid) {
                self.launch(command);
            }
            if self.state.ended.is_some() {
                return Left::Ended;
            }
            if self.flights.is_empty() && self.inputs.is_empty() {
                return Left::Parked;
            }
            self.wait();
        }
    }

    fn decide(&mut self, input: Input) {
        self.valuable |= match &input {
            Input::Ended { step, .. } => self.world.plan.steps[*step as usize].effect != Effect::Pure,
            Input::Begin => false,
            Input::Resume | Input::Wake | Input::Resolve { .. } => true,
        };
        let decision = decide(&self.world.plan, &mut self.state, input, self.world.now).unwrap();
        self.pending.extend(decision.events);
        for command in decision.commands {
            let Command::Execute { step, item, .. } = command;
            let planned = &self.world.plan.steps[step as usize];
            if planned.effect == Effect::AtMostOnce && (planned.for_each.is_none() || item.is_some()) {
                self.unsaid.push(command);
            } else {
                self.launch(command);
            }
        }
    }

    fn launch(&mut self, command: Command) {
        let Command::Execute { step, item, .. } = command;
        let planned = &self.world.plan.steps[step as usize];
        let scope = Scope::default();
        let settled = match (&planned.condition, &planned.for_each, item) {
            (Some(condition), _, None) if !condition.holds(&scope).unwrap() => Some(Ended::ConditionFalse),
            (_, Some(each), None) => {
                Some(Ended::Items(each.items.eval(&scope).unwrap().as_array().unwrap().len() as u32))
            }
            _ => None,
        };
        if let Some(ended) = settled {
            self.inputs.push_back(Input::Ended { step, item, result: Ok(ended), took_us: 1 });
        } else if planned.effect == Effect::Pure {
            let ended = self.act(command);
            self.inputs.push_back(ended);
        } else {
            let answers = self.world.now + self.world.random.below(50) as Millis;
            let first = self.world.random.one_in(2);
            let early = first.then(|| self.act(command));
            self.flights.push((answers, command, early));
        }
    }

    /// The act, which the journal must allow.
    fn act(&mut self, command: Command) -> Input {
        let Command::Execute { step, item, attempt, started_at } = command;
        let planned = self.world.plan.steps[step as usize].clone();
        let place: Place = (planned.id.to_string(), item);
        let (_, journal) = self.world.load();
        let said = journal.iter().any(|event| {
            matches!(event, Event::StepStarted { step: s, item: i, attempt: a, .. } if (*s, *i, *a) == (step, item, attempt))
        });
        assert!(said || planned.effect != Effect::AtMostOnce, "{place:?} acts before its intention is durable");
        let forgotten = journal
            .iter()
            .any(|event| matches!(event, Event::StepSucceeded { step: s, item: i, .. } if (*s, *i) == (step, item)));
        assert!(!forgotten, "{place:?} runs again after its success was committed");
        let outcome = self.world.far.act(&planned.uses, &place, attempt, started_at);
        Input::Ended { step, item, result: outcome.map(Ended::Step), took_us: 1 }
    }

    /// The next thing that happens: an answer, or a timer of this very run.
    fn wait(&mut self) {
        if !self.inputs.is_empty() {
            return;
        }
        let first = (0..self.flights.len()).min_by_key(|flight| self.flights[*flight].0);
        let wake_at = self.state.wake_at();
        match first {
            Some(flight) if wake_at.is_none_or(|at| self.flights[flight].0 <= at) => {
                let (at, command, early) = self.flights.swap_remove(flight);
                self.world.now = self.world.now.max(at);
                let input = early.unwrap_or_else(|| self.act(command));
                self.inputs.push_back(input);
            }
            _ => {
                self.world.now = self.world.now.max(wake_at.unwrap_or_default());
                self.inputs.push_back(Input::Wake);
            }
        }
    }

    /// False: the process died.
    fn commit(&mut self) -> bool {
        if self.pending.is_empty() {
            return true;
        }
        let number = self.world.commits;
        self.world.commits += 1;
        let death = self.world.death.filter(|(at, _)| *at == number).map(|(_, death)| death);
        if death == Some(Death::Before) {
            return false;
        }
        let parked = self.flights.is_empty() && self.unsaid.is_empty();
        let status = self.state.status();
        let commit = Commit {
            run: self.world.run,
            expected: self.state.version - self.pending.len() as u64,
            events: std::mem::take(&mut self.pending),
            status,
            wake_at: if parked { self.state.wake_at() } else { None },
            finished_at: status.is_final().then_some(self.state.latest_at),
        };
        self.valuable = false;
        self.world.store.commit(commit).now_or_never().unwrap().unwrap();
        assert_eq!(self.world.fold(), self.state, "a run is the fold of its journal");
        death.is_none()
    }
}

/// One seed: without a crash, then with one at every commit.
fn every_commit(seed: u64) {
    let plan = workflow::plan(seed);
    let mut calm = World::new(seed, plan.clone(), None);
    let calm_end = calm.play();
    let (row, journal) = calm.load();
    check::ended(&calm.plan, &calm.far, &row, &journal);
    for number in 0..calm.commits {
        for death in [Death::Before, Death::After] {
            let mut world = World::new(seed, plan.clone(), Some((number, death)));
            let end = world.play();
            let (row, journal) = world.load();
            check::ended(&world.plan, &world.far, &row, &journal);
            if !check::was_interrupted(&journal) && !check::was_interrupted(&calm.load().1) {
                let (found, expected) = (check::summary(&world.plan, &end), check::summary(&calm.plan, &calm_end));
                assert_eq!(found, expected, "dead {death:?} commit {number}");
                if !check::stops_items(&world.plan) {
                    assert_eq!(world.far.ledger(), calm.far.ledger(), "dead {death:?} commit {number}");
                }
            }
        }
    }
}

#[test]
fn a_crash_at_every_commit_changes_nothing_that_must_not_change() {
    each_seed("pure", 300, every_commit);
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    each_seed("pure", 20, |seed| {
        let journal = || {
            let mut world = World::new(seed, workflow::plan(seed), Some((2, Death::After)));
            world.play();
            world.load().1
        };
        assert_eq!(journal(), journal());
    });
}
