//! The real engine on a simulated clock, killed at every write: its runtime is dropped and a new engine starts on the
//! same store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::json;

use super::{Depth, each_seed, worlds};
use crate::base::{Effect, Json, RunId};
use crate::engine::decide::{Approval, Resolution};
use crate::engine::event::{Event, Place, RunStatus, SkipReason};
use crate::engine::frame::{Phase, StepState};
use crate::engine::ports::{Clock, RunFilter, RunRow, Space};
use crate::engine::state::RunState;
use crate::engine::tests::far::Far;
use crate::engine::tests::random::{Random, mixed};
use crate::engine::tests::shell::house::{House, Room, Shelf, World};
use crate::engine::tests::store::Death;
use crate::engine::waiting::Waiting;
use crate::lang::workflow::OnUnknown;
use crate::plan::Plan;

/// The code of an outcome that a crash made unknown.
const INTERRUPTED: &str = "outcome.unknown";

struct Play {
    seed: u64,
    house: House,
    far: Arc<Far>,
    main: Option<RunId>,
    /// What was durable when it was last looked at: nothing of it may ever be forgotten.
    seen: HashMap<RunId, Vec<Event>>,
}

/// What is compared between a life without a crash and one with it.
#[derive(Debug, PartialEq)]
struct Ending {
    steps: Vec<String>,
    count: Option<Json>,
    ledger: BTreeMap<(String, Vec<u32>), u32>,
    children: usize,
}

impl Play {
    fn new(seed: u64, texts: &[String; 2], shelf: Shelf) -> Self {
        let far = Far::new(seed);
        let house = House::of(&[("main", &texts[0]), ("child", &texts[1])]);
        let world = Arc::new(World { far: Some(far.clone()), ..World::default() });
        Self { seed, house: House { shelf, world, ..house }, far, main: None, seen: HashMap::new() }
    }

    fn plan(&self, row: &RunRow) -> Arc<Plan> {
        self.house.plans.iter().find(|plan| *plan.name == *row.workflow).unwrap().clone()
    }

    /// A process: an engine, until every run has ended or the store dies. Gives the writes made; None: it died.
    fn live(&mut self, death: Option<(u64, Death)>) -> Option<u64> {
        let (mut main, mut seen) = (self.main, std::mem::take(&mut self.seen));
        let writes = self.house.die(death, async |room| {
            if main.is_none() {
                main = room.try_submit("main", Json::Null, 1).await.ok().map(|runs| runs[0]);
            }
            let mut pauses = Random::new(mixed(&[self.seed, 5]));
            // Far above what any of these workflows needs.
            for turn in 0..3_000 {
                room.settle().await;
                if room.frail.is_dead() {
                    return None;
                }
                let rows = rows(&room).await;
                for row in &rows {
                    let journal = room.journal(row.id).await;
                    let before = seen.insert(row.id, journal.clone()).unwrap_or_default();
                    assert!(journal.starts_with(&before), "something durable was forgotten");
                }
                let open: Vec<_> = rows.iter().filter(|row| !row.status.is_final() || row.wake_at.is_some()).collect();
                if open.is_empty() {
                    return Some(room.frail.writes());
                }
                let mut moved = false;
                // A person has a run stand still now and then; a word that the store's death swallows is none.
                if turn < 40 && pauses.one_in(4) {
                    let _ = room.engine.pause(pauses.pick(&open).id, Some("a look")).await;
                    room.settle().await;
                }
                for row in &open {
                    moved |= self.speak(&room, row, &seen[&row.id]).await;
                }
                if room.frail.is_dead() {
                    return None;
                }
                if !moved || pauses.one_in(3) {
                    for row in rows_now(&room).await.iter().filter(|row| row.status == RunStatus::Paused) {
                        moved |= room.engine.resume(row.id).await.is_ok();
                    }
                }
                if room.frail.is_dead() {
                    return None;
                }
                if !moved {
                    // Never to the timeout of an attempt that only waits for its turn.
                    let earliest = open.iter().filter_map(|row| row.wake_at).min();
                    room.clock.advance_to(earliest.unwrap_or_else(|| room.clock.now() + 1_000));
                }
            }
            panic!("the runs do not end: {:#?}", rows(&room).await)
        });
        (self.main, self.seen) = (main, seen);
        writes
    }

    /// What people and customers say to a run that waits for them. True: they said something.
    async fn speak(&self, room: &Room, row: &RunRow, journal: &[Event]) -> bool {
        if row.status.is_final() {
            return false;
        }
        let plan = self.plan(row);
        let state = RunState::fold(&plan, row.id, journal).unwrap();
        let mut words = Vec::new();
        state.visit(&mut |step, items, slot| {
            words.push((Place { step, items: items.to_vec() }, slot.phase.clone()));
        });
        let mut moved = false;
        for (place, phase) in words {
            let id = &*plan.steps[place.step as usize].id;
            let mut random = Random::new(mixed(&[self.seed, u64::from(place.step), place.items.len() as u64]));
            let said = match phase {
                Phase::Held { .. } => {
                    let done =
                        self.far.done_for(&row.id.to_string(), &(format!("{}:{id}", plan.name), place.items.clone()));
                    let resolution = if done > 0 { Resolution::Sent } else { Resolution::NotSent };
                    room.engine.resolve(row.id, id, &place.items, resolution).await.is_ok()
                }
                Phase::Waiting { why: Waiting::Approval { .. }, .. } if !random.one_in(3) => {
                    let approval = Approval { approved: random.one_in(2), by: None, comment: None };
                    room.engine.approve(row.id, id, &place.items, approval).await.is_ok()
                }
                Phase::Waiting { why: Waiting::Event { .. }, .. } if !random.one_in(3) => {
                    let key = format!("{}:{place}", row.id);
                    room.engine
                        .deliver("message", &key, &Arc::new(json!({"step": id})))
                        .await
                        .is_ok_and(|taken| taken > 0)
                }
                _ => continue,
            };
            assert!(said || room.frail.is_dead(), "{id} {place} did not take the word");
            moved |= said;
            room.settle().await;
            // What was said may have moved the rest on.
            break;
        }
        moved
    }

    /// Lives until everything has ended. Gives the writes of the first life.
    fn play(&mut self, death: Option<(u64, Death)>) -> u64 {
        let writes = match self.live(death) {
            Some(writes) => writes,
            None => self.live(None).unwrap(),
        };
        self.check();
        writes
    }

    /// What must hold, wherever it died.
    fn check(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        let house = &self.house;
        house.live(async |room| {
            let rows = rows(&room).await;
            let mut calls = Vec::new();
            let mut counted = 0;
            for row in &rows {
                let plan = self.plan(row);
                let journal = room.journal(row.id).await;
                assert_eq!(journal, seen[&row.id], "a run that ended goes on");
                let state = RunState::fold(&plan, row.id, &journal).unwrap();
                assert_eq!((row.version, row.status), (state.version, state.status()));
                assert!(row.finished_at.is_some() && row.wake_at.is_none());
                calls.extend(state.parent.clone().map(|parent| (parent.run, parent.place)));
                counted += journal.iter().filter(|event| self.counts(&plan, event)).count();
                self.effects(&plan, row.id, &journal);
            }
            let all = calls.len();
            calls.sort_unstable();
            calls.dedup();
            assert_eq!(calls.len(), all, "one step called two runs");
            let value = room.value(Space::State, "count").await;
            assert_eq!(value.and_then(|value| value.as_u64()).unwrap_or(0), counted as u64);
        });
        self.seen = seen;
    }

    fn counts(&self, plan: &Plan, event: &Event) -> bool {
        matches!(event, Event::StepSucceeded { step, .. } if *plan.steps[*step as usize].uses == *"t.count")
    }

    /// No at-most-once effect twice unless that was asked for, none that was not said, none that is said to have happened
    /// and has not.
    fn effects(&self, plan: &Plan, run: RunId, journal: &[Event]) {
        let mut starts: BTreeMap<Place, u32> = BTreeMap::new();
        for event in journal {
            match event {
                Event::StepStarted { step, items, .. } => {
                    *starts.entry(Place { step: *step, items: items.clone() }).or_default() += 1;
                }
                Event::StepSucceeded { step, items, .. } if plan.steps[*step as usize].effect == Effect::AtMostOnce => {
                    let place = (format!("{}:{}", plan.name, plan.steps[*step as usize].id), items.clone());
                    assert!(self.far.done_for(&run.to_string(), &place) > 0, "{place:?} succeeded and was not done");
                }
                _ => {}
            }
        }
        for (place, starts) in starts {
            let planned = &plan.steps[place.step as usize];
            if planned.effect != Effect::AtMostOnce {
                continue;
            }
            let done =
                self.far.done_for(&run.to_string(), &(format!("{}:{}", plan.name, planned.id), place.items.clone()));
            assert!(done <= starts, "{place} was done more often than said");
            if planned.on_unknown != OnUnknown::Resend {
                assert!(done <= 1, "{place} was done {done} times");
            }
        }
    }

    fn was_interrupted(&self) -> bool {
        self.seen.values().flatten().any(|event| match event {
            Event::StepHeld { failure, .. } | Event::StepWaiting { why: Waiting::Retry { failure }, .. } => {
                failure.code == INTERRUPTED
            }
            // It does not say whether it was the crash or the far side.
            Event::StepSkipped { reason: SkipReason::Unknown, .. } => true,
            _ => false,
        })
    }

    fn ending(&self) -> Ending {
        let plan = &self.house.plans[0];
        let state = RunState::fold(plan, self.main.unwrap(), &self.seen[&self.main.unwrap()]).unwrap();
        let steps = plan.steps.iter().zip(&state.root.steps).map(|(planned, state)| match state {
            StepState::Succeeded { port, output, .. } if planned.for_each.is_some() => {
                let counts = ["total", "succeeded", "failed", "skipped", "unknown", "collected"];
                format!("{} {port} {}", planned.id, counts.map(|key| output[key].to_string()).join(" "))
            }
            StepState::Succeeded { port, .. } => format!("{} {port}", planned.id),
            StepState::Failed { failure, .. } => format!("{} failed {}", planned.id, failure.code),
            StepState::Skipped { reason, .. } => format!("{} skipped {reason:?}", planned.id),
            other => format!("{} {other:?}", planned.id),
        });
        let counted: usize = self
            .seen
            .iter()
            .map(|(run, journal)| {
                let plan = &self.house.plans[usize::from(*run != self.main.unwrap())];
                journal.iter().filter(|event| self.counts(plan, event)).count()
            })
            .sum();
        Ending {
            steps: steps.chain([state.status().to_string()]).collect(),
            count: Some(json!(counted)),
            ledger: self.far.ledger(),
            children: self.seen.len() - 1,
        }
    }
}

/// What a person sees in the list at this moment.
async fn rows_now(room: &Room) -> Vec<RunRow> {
    if room.frail.is_dead() { Vec::new() } else { rows(room).await }
}

async fn rows(room: &Room) -> Vec<RunRow> {
    room.query(RunFilter { limit: 1_000, ..RunFilter::default() }).await
}

/// Shows the workflows of a seed that fails.
struct Printed<'a>(&'a [String; 2]);

impl Drop for Printed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.join("---\n"));
        }
    }
}

/// One seed: without a crash, then with one at every write (or only at every second, third, …).
fn every_write(seed: u64, every: usize, shelf: impl Fn() -> Shelf) {
    let texts = worlds::texts(seed);
    let _printed = Printed(&texts);
    let mut calm = Play::new(seed, &texts, shelf());
    let writes = calm.play(None);
    let expected = calm.ending();
    // The first write is what accepts the run.
    for number in (1 + seed % every as u64..writes).step_by(every) {
        for death in [Death::Before, Death::After] {
            let mut play = Play::new(seed, &texts, shelf());
            play.play(Some((number, death)));
            if !play.was_interrupted() && !calm.was_interrupted() {
                assert_eq!(play.ending(), expected, "dead {death:?} write {number}");
            }
        }
    }
}

#[test]
fn a_crash_at_every_write_in_memory() {
    each_seed("engine::a_crash_at_every_write_in_memory", 24, |seed, depth| {
        every_write(seed, if depth == Depth::Whole { 1 } else { 3 }, || Shelf::Memory(Arc::default()));
    });
}

#[test]
fn a_crash_at_any_write_in_sqlite() {
    // Each life opens a database file, which is what takes the time.
    each_seed("engine::a_crash_at_any_write_in_sqlite", 2, |seed, _| {
        every_write(seed, 6, Shelf::sqlite);
    });
}
