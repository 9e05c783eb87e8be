//! A seeded world: its clock, its store, its runs, and the people and events around them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures::FutureExt;
use serde_json::json;

use super::check;
use super::cues::Cues;
use super::life::{Left, Life};
use super::workflow::Workflows;
use crate::base::{Json, Millis, RunId};
use crate::engine::decide::Input;
use crate::engine::event::{Event, Parent, Place, RunStatus};
use crate::engine::frame::Phase;
use crate::engine::ports::{Failure, NewRun, RunRow, Store};
use crate::engine::state::RunState;
use crate::engine::tests::random::{Random, mixed};
use crate::engine::waiting::Waiting;
use crate::plan::Plan;
use crate::store::memory::MemoryStore;

/// When the process dies: before or after a commit is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    Before,
    After,
}

/// Who has a `once` key.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    pub place: Place,
    pub done: bool,
}

pub struct World {
    pub workflows: Arc<Workflows>,
    pub cues: Cues,
    pub store: MemoryStore,
    pub now: Millis,
    pub decisions: u64,
    /// Commits of all lives.
    pub commits: u64,
    death: Option<(u64, Death)>,
    /// Delays and orders. Of this world alone: nothing that is compared may depend on them.
    pub random: Random,
    pub claims: BTreeMap<(RunId, String), Claim>,
    /// Runs of `on_failure` that were begun, by run and retry.
    pub alarms: BTreeSet<(RunId, u32)>,
    main: RunId,
    lives: BTreeMap<RunId, Life>,
    /// Runs that have neither ended nor a life: what the store says of them.
    parked: BTreeMap<RunId, (Arc<Plan>, RunState)>,
    posts: VecDeque<(RunId, Input)>,
    /// How often a person has the first run go on after a bad end.
    retries: u32,
    /// After so many decisions a person cancels the first run.
    cancel_after: Option<u64>,
    /// How often a person pauses a run, and the decisions after which they do so next.
    pauses: u32,
    pause_after: u64,
}

/// What a seed's world does besides: how often it retries, and when it cancels.
pub fn plot(seed: u64) -> (u32, Option<u64>) {
    let mut random = Random::new(mixed(&[seed, 99]));
    (random.below(3) as u32, random.one_in(5).then(|| random.below(40)))
}

impl World {
    pub fn new(seed: u64, workflows: Arc<Workflows>, death: Option<(u64, Death)>) -> Self {
        let (retries, cancel_after) = plot(seed);
        let main = RunId::new(1_000, u128::from(seed));
        let salt = death.map_or(0, |(at, death)| (at + 1) * 2 + u64::from(death == Death::After));
        let mut world = Self {
            workflows,
            cues: Cues::new(seed),
            store: MemoryStore::default(),
            now: 1_000,
            decisions: 0,
            commits: 0,
            death,
            random: Random::new(seed ^ salt << 32),
            claims: BTreeMap::new(),
            alarms: BTreeSet::new(),
            main,
            lives: BTreeMap::new(),
            parked: BTreeMap::new(),
            posts: VecDeque::new(),
            retries,
            cancel_after,
            pauses: Random::new(seed ^ 98).below(4) as u32,
            pause_after: 3,
        };
        world.create(main, "w0", None);
        world
    }

    fn create(&mut self, id: RunId, name: &str, parent: Option<Parent>) {
        let plan = self.workflows.named(name);
        let caller = parent.as_ref().map(|parent| parent.run);
        let first = Event::RunCreated { at: self.now, event: Arc::default(), inputs: Arc::default(), parent };
        let (workflow, digest) = (plan.name.clone(), plan.digest.clone());
        let new = NewRun {
            id,
            workflow,
            plan: digest,
            trigger: "manual",
            created_at: self.now,
            dedupe: None,
            lane: None,
            parent: caller,
            first,
        };
        self.store.create_runs(vec![new]).now_or_never().unwrap().unwrap();
    }

    pub fn journal(&self, run: RunId) -> Vec<Event> {
        self.store.journal(run, 0, u32::MAX).now_or_never().unwrap().unwrap()
    }

    pub fn row(&self, run: RunId) -> Option<RunRow> {
        self.store.row(run).now_or_never().unwrap().ok()
    }

    pub fn rows(&self) -> Vec<RunRow> {
        use crate::engine::ports::{Query, RunFilter};
        let all = RunFilter { limit: u32::MAX, ..RunFilter::default() };
        self.store.runs(all).now_or_never().unwrap().unwrap()
    }

    /// The state of a run as a start finds it: from its snapshot if it has one, which must be what the journal says.
    pub fn load(&self, run: RunId) -> (Arc<Plan>, RunState) {
        let loaded = self.store.load(run).now_or_never().unwrap().unwrap();
        let plan = self.workflows.named(&loaded.row.workflow).clone();
        let whole = RunState::fold(&plan, run, &self.journal(run)).unwrap();
        if let Some((version, snapshot)) = loaded.snapshot {
            let mut state: RunState = serde_json::from_value(snapshot).unwrap();
            assert_eq!(state.version, version);
            loaded.events.iter().for_each(|event| state.apply(&plan, event).unwrap());
            assert_eq!(state, whole, "a snapshot and the events after it");
        }
        (plan, whole)
    }

    /// Plays until every run has ended and nobody wants more of them.
    pub fn play(&mut self) {
        self.recover();
        // Far above what any of these workflows needs.
        for _ in 0..20_000 {
            self.cancel();
            self.pause();
            if let Some((run, input)) = self.posts.pop_front() {
                self.post(run, input);
            } else if let Some(run) = self.next_to_work() {
                self.work(run);
            } else if !self.people() && !self.time() && !self.unpause() && !self.again() {
                return;
            }
        }
        panic!("it does not end: {}", self.told());
    }

    fn next_to_work(&self) -> Option<RunId> {
        self.lives.iter().find(|(_, life)| !life.inputs.is_empty()).map(|(run, _)| *run)
    }

    fn work(&mut self, run: RunId) {
        let mut life = self.lives.remove(&run).unwrap();
        match life.work(self) {
            Left::AtWork => drop(self.lives.insert(run, life)),
            Left::Parked => drop(self.parked.insert(run, (life.plan, life.state))),
            Left::Ended => self.tell(run, &life.state),
            Left::Died => {
                self.lives.clear();
                self.parked.clear();
                self.posts.clear();
                self.now += self.random.below(3_000) as Millis;
                self.recover();
            }
        }
    }

    /// After a start: what has not ended goes on, what has ended is told.
    fn recover(&mut self) {
        for row in self.rows() {
            if row.status.is_final() {
                let (_, state) = self.load(row.id);
                self.tell(row.id, &state);
                continue;
            }
            let caller = row.parent.and_then(|caller| self.row(caller));
            self.begin(row.id);
            if caller.is_some_and(|caller| caller.status.is_final()) {
                self.stop_called(row.id);
            }
        }
    }

    fn begin(&mut self, run: RunId) {
        let (plan, state) = self.load(run);
        let first = if state.version == 1 { Input::Begin } else { Input::Resume };
        let mut life = Life::new(plan, state, &self.journal(run));
        life.inputs.push_back(first);
        self.lives.insert(run, life);
    }

    fn post(&mut self, run: RunId, input: Input) {
        self.parked.remove(&run);
        if !self.lives.contains_key(&run) {
            let (plan, state) = self.load(run);
            let mut life = Life::new(plan, state, &self.journal(run));
            if life.state.version > 1 && life.state.ended.is_none() {
                life.inputs.push_back(Input::Resume);
            }
            self.lives.insert(run, life);
        }
        self.lives.get_mut(&run).unwrap().inputs.push_back(input);
    }

    /// Tells the caller of an ended run, now and then twice.
    fn tell(&mut self, run: RunId, state: &RunState) {
        let Some(parent) = &state.parent else { return };
        let result = result(state);
        for _ in 0..1 + usize::from(self.random.one_in(4)) {
            let (place, result) = (parent.place.clone(), result.clone());
            self.posts.push_back((parent.run, Input::Returned { place, child: run, result }));
        }
    }

    pub fn stop_called(&mut self, child: RunId) {
        if self.row(child).is_some_and(|row| !row.status.is_final()) {
            let failure = Failure::new("run.caller_ended", "the run that called it ended");
            self.posts.push_back((child, Input::Stop { status: RunStatus::Cancelled, failure }));
        }
    }

    /// Creates the run that the step at `place` calls, unless it is there.
    pub fn call(&mut self, plan: &Plan, state: &RunState, place: &Place) -> Input {
        let Some(Phase::Waiting { why: Waiting::Call { child, workflow, .. }, .. }) =
            state.attempt(plan, place).map(|slot| slot.phase.clone())
        else {
            return Input::Wake;
        };
        match self.row(child) {
            Some(row) if row.status.is_final() => {
                let result = result(&self.load(child).1);
                Input::Returned { place: place.clone(), child, result }
            }
            Some(_) => Input::Wake,
            None => {
                let depth = state.parent.as_ref().map_or(1, |parent| parent.depth + 1);
                self.create(child, &workflow, Some(Parent { run: state.id, place: place.clone(), depth }));
                self.begin(child);
                Input::Wake
            }
        }
    }

    /// A person cancels the first run, again if a crash swallowed it.
    fn cancel(&mut self) {
        let too_early = self.cancel_after.is_none_or(|after| self.decisions < after);
        if too_early || !self.posts.is_empty() || self.next_to_work().is_some() {
            return;
        }
        let parked = || self.parked.get(&self.main).map(|(_, state)| state);
        let state = self.lives.get(&self.main).map(|life| &life.state).or_else(parked);
        // Once in all its lives, those after a retry too.
        if state.is_some_and(|state| state.ending.is_none() && state.retries == 0) {
            let failure = Failure::new("run.cancelled", "cancelled by a person");
            self.posts.push_back((self.main, Input::Stop { status: RunStatus::Cancelled, failure }));
        }
    }

    /// The states of the runs that have not ended.
    fn states(&self) -> impl Iterator<Item = &RunState> {
        self.lives.values().map(|life| &life.state).chain(self.parked.values().map(|(_, state)| state))
    }

    /// Now and then a person has a run stand still, or go on again.
    fn pause(&mut self) {
        if !self.posts.is_empty() || self.pauses == 0 && !self.random.one_in(6) || self.decisions < self.pause_after {
            return;
        }
        self.pause_after = self.decisions + self.random.below(6);
        if self.pauses == 0 {
            self.unpause();
            return;
        }
        let runs: Vec<RunId> = self.states().map(|state| state.id).collect();
        if !runs.is_empty() {
            let run = *self.random.pick(&runs);
            self.pauses -= 1;
            // It may be paused already, not begun, or ending.
            self.posts.push_back((run, Input::Pause { reason: None }));
        }
    }

    /// A person has a paused run go on: true if there is one.
    fn unpause(&mut self) -> bool {
        let paused = self.states().find(|state| state.paused.is_some()).map(|state| state.id);
        self.posts.extend(paused.map(|run| (run, Input::Unpause)));
        paused.is_some()
    }

    /// Something that people or the world do now: true if they did.
    fn people(&mut self) -> bool {
        let mut words = Vec::new();
        let lives = self.lives.values().map(|life| &life.state);
        for state in lives.chain(self.parked.values().map(|(_, state)| state)) {
            if state.ending.is_some() || state.ended.is_some() {
                continue;
            }
            state.visit(&mut |step, items, slot| {
                let place = Place { step, items: items.to_vec() };
                let input = match &slot.phase {
                    Phase::Held { .. } => {
                        let resolution = self.cues.resolution(state.id, &place);
                        Input::Resolve { place, resolution }
                    }
                    Phase::Waiting { due: None, why: Waiting::Approval { .. } } => {
                        let approval = self.cues.approval(state.id, &place, state.retries);
                        Input::Approve { place, approval }
                    }
                    Phase::Waiting { due, why: Waiting::Event { .. } } => {
                        // An old event comes again; a new one only where it was drawn.
                        match state.taken.back() {
                            Some(key) if slot.started_at % 3 == 0 => words.push((
                                state.id,
                                Input::Deliver { place: place.clone(), key: key.clone(), event: Arc::new(Json::Null) },
                                true,
                            )),
                            _ => {}
                        }
                        if due.is_some() {
                            return;
                        }
                        let key = format!("{place}#{}", state.retries);
                        let event = Arc::new(json!({"for": place.to_string()}));
                        Input::Deliver { place, key, event }
                    }
                    _ => return,
                };
                words.push((state.id, input, false));
            });
        }
        let fresh = words.iter().filter(|(_, _, again)| !again).count();
        // Time may go on first, unless nothing else would happen. A redelivery alone changes nothing.
        if fresh == 0 || self.random.one_in(2) && self.next_time().is_some() {
            return false;
        }
        let (run, input, _) = words.swap_remove(self.random.below(words.len() as u64) as usize);
        self.posts.push_back((run, input));
        true
    }

    /// The next thing that happens by itself: when, whose, and which flight if it is one.
    fn next_time(&self) -> Option<(Millis, RunId, Option<usize>)> {
        let flights = self.lives.iter().flat_map(|(run, life)| {
            life.flights.iter().enumerate().map(|(number, flight)| (flight.0, *run, Some(number)))
        });
        let own = self.lives.iter().filter_map(|(run, life)| Some((life.state.wake_at(&life.plan)?, *run, None)));
        let parked = self.parked.iter().filter_map(|(run, (plan, state))| Some((state.wake_at(plan)?, *run, None)));
        flights.chain(own).chain(parked).min()
    }

    fn time(&mut self) -> bool {
        let Some((at, run, flight)) = self.next_time() else { return false };
        self.now = self.now.max(at);
        match flight {
            None => self.post(run, Input::Wake),
            Some(number) => {
                let mut life = self.lives.remove(&run).unwrap();
                life.land(self, number);
                self.lives.insert(run, life);
            }
        }
        true
    }

    /// A person has the first run go on after a bad end: true if so.
    fn again(&mut self) -> bool {
        let rows = self.rows();
        if let Some(row) = rows.iter().find(|row| !row.status.is_final()) {
            panic!("run {} will be woken by nobody: {}", row.id, self.told());
        }
        let state = self.load(self.main).1;
        if state.retries >= self.retries {
            return false;
        }
        self.posts.push_back((self.main, Input::Retry { from: None }));
        true
    }

    /// The journals of the runs that have not ended, for a person.
    fn told(&self) -> String {
        let open = self.rows().into_iter().filter(|row| !row.status.is_final());
        let lines = open.flat_map(|row| self.journal(row.id)).map(|event| format!("{event:?}\n"));
        lines.collect()
    }

    pub fn refused(&mut self, retry: bool) {
        if retry {
            self.retries = 0;
        }
    }

    pub fn next_commit(&mut self) -> Option<Death> {
        let number = self.commits;
        self.commits += 1;
        self.death.filter(|(at, _)| *at == number).map(|(_, death)| death)
    }

    /// How every run ended.
    pub fn ends(&self) -> BTreeMap<RunId, Vec<String>> {
        let end = |row: RunRow| {
            let (plan, state) = self.load(row.id);
            (row.id, check::summary(&plan, &state))
        };
        self.rows().into_iter().map(end).collect()
    }
}

fn result(state: &RunState) -> Result<Json, Failure> {
    match state.ended {
        Some(RunStatus::Succeeded) => Ok(state.output.as_deref().cloned().unwrap_or(Json::Null)),
        Some(RunStatus::Cancelled) => Err(Failure::new("call.cancelled", "it was cancelled")),
        _ => Err(Failure::new("call.failed", "it failed")),
    }
}
