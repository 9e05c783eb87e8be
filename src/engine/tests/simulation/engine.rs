//! The real engine on a simulated clock, killed at every commit: its runtime is dropped and a new engine starts on the
//! same store.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

use super::check;
use super::{each_seed, workflow};
use crate::base::{Effect, Json, RunId};
use crate::engine::decide::Resolution;
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{RunRow, Store};
use crate::engine::run::{Engine, Parts, Submission};
use crate::engine::tests::catalog::catalog;
use crate::engine::tests::clock::SimClock;
use crate::engine::tests::far::{Far, Place, steps};
use crate::engine::tests::store::{Death, Frail};
use crate::plan::Plan;
use crate::store::memory::MemoryStore;
use crate::store::sqlite::SqliteStore;

/// Where a run lives between two lives of the process.
enum Shelf {
    Memory(Arc<MemoryStore>),
    Sqlite(tempfile::TempDir),
}

impl Shelf {
    async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => store.clone(),
            Self::Sqlite(folder) => Arc::new(SqliteStore::open(&folder.path().join("moltrun.db")).await.unwrap()),
        }
    }
}

struct World {
    plan: Arc<Plan>,
    far: Arc<Far>,
    clock: Arc<SimClock>,
    shelf: Shelf,
    run: Option<RunId>,
}

/// One life's end.
enum Left {
    Ended(RunRow, Vec<Event>),
    Died,
}

impl World {
    fn new(seed: u64, plan: Arc<Plan>, shelf: Shelf) -> Self {
        let clock = Arc::new(SimClock::new());
        Self { plan, far: Far::new(seed), clock, shelf, run: None }
    }

    /// A process: an engine, until the run ends or the store dies. Gives the commits made.
    fn live(&mut self, death: Option<(u64, Death)>) -> (Left, u64) {
        let runtime = runtime();
        let left = runtime.block_on(async {
            let inner = self.shelf.open().await;
            let store = Frail::new(inner.clone(), death);
            self.watch(&inner);
            let engine = Engine::start(Parts {
                store: store.clone(),
                clock: self.clock.clone(),
                catalog: Arc::new(catalog()),
                steps: steps(&self.far),
                observers: Vec::new(),
                active_runs: 4,
                recover: true,
            });
            let engine = engine.await.unwrap();
            if self.run.is_none() {
                let (event, inputs) = (Arc::new(Json::Null), Arc::new(Json::Null));
                let plan = self.plan.clone();
                let submission = Submission { plan, trigger: "manual", event, inputs, dedupe: None };
                self.run = engine.submit(vec![submission]).await.unwrap()[0];
            }
            let left = self.follow(&engine, &store, &inner).await;
            (left, store.commits())
        });
        // As a process goes: nothing is asked, nothing is finished.
        drop(runtime);
        left
    }

    /// Every at-most-once act must have been said first, and none may follow its own success.
    fn watch(&self, store: &Arc<dyn Store>) {
        // Only a store that answers at once can be asked in the middle of an act.
        if let (Shelf::Memory(_), Some(run)) = (&self.shelf, self.run) {
            let (store, plan) = (store.clone(), self.plan.clone());
            self.far.witness(move |place, attempt, effect| {
                let loaded = futures::FutureExt::now_or_never(store.load(run)).unwrap();
                said(&plan, &loaded.unwrap().1, place, attempt, effect);
            });
        }
    }

    async fn follow(&self, engine: &Engine, store: &Frail, inner: &Arc<dyn Store>) -> Left {
        let run = self.run.unwrap();
        // Far above what any of these workflows needs.
        for _ in 0..5_000 {
            settle(store, &self.far).await;
            if store.is_dead() {
                return Left::Died;
            }
            let (row, journal) = inner.load(run).await.unwrap();
            let state = check::fold(&self.plan, run, &journal);
            match row.status {
                status if status.is_final() => return Left::Ended(row, journal),
                RunStatus::Attention => {
                    let (step, item, done) = check::held(&self.plan, &self.far, &state)[0];
                    let resolution = if done { Resolution::Sent } else { Resolution::NotSent };
                    let resolved = engine.resolve(run, &self.plan.steps[step as usize].id, item, resolution).await;
                    assert!(resolved.is_ok() || store.is_dead(), "{resolved:?}");
                }
                // Never to the timeout of an attempt that only waits for its turn.
                _ => self.clock.advance_to(state.wake_at().unwrap_or_default()),
            }
        }
        let (row, journal) = inner.load(run).await.unwrap();
        panic!("the run does not end: {row:?} {:#?}", check::stands(&self.plan, &row, &journal).steps)
    }

    /// Lives until the run has ended.
    fn play(&mut self, death: Option<(u64, Death)>) -> (RunRow, Vec<Event>, u64) {
        let (mut left, commits) = self.live(death);
        if let Left::Died = left {
            (left, _) = self.live(None);
        }
        match left {
            Left::Ended(row, journal) => (row, journal, commits),
            Left::Died => unreachable!("nothing kills the second life"),
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Lets the runtime go on until nothing moves: neither the store nor the far side is called.
async fn settle(store: &Frail, far: &Far) {
    let mut quiet = 0;
    let mut last = (store.verbs(), far.calls());
    while quiet < 12 {
        yield_now().await;
        let now = (store.verbs(), far.calls());
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
    }
}

fn said(plan: &Plan, journal: &[Event], place: &Place, attempt: u32, effect: Effect) {
    let step = plan.steps.iter().position(|planned| *planned.id == *place.0).unwrap() as u32;
    let mut said = false;
    for event in journal {
        match event {
            Event::StepStarted { step: s, item, attempt: a, .. } if (*s, *item, *a) == (step, place.1, attempt) => {
                said = true;
            }
            Event::StepSucceeded { step: s, item, .. } => {
                assert!((*s, *item) != (step, place.1), "{place:?} runs again after its success was committed");
            }
            _ => {}
        }
    }
    assert!(said || effect != Effect::AtMostOnce, "{place:?} acts before its intention is durable");
}

/// One seed: without a crash, then with one at every commit (or only at every second, third, …).
fn every_commit(seed: u64, every: usize, shelf: impl Fn() -> Shelf) {
    let plan = workflow::plan(seed);
    let mut calm = World::new(seed, plan.clone(), shelf());
    let (row, journal, commits) = calm.play(None);
    check::ended(&calm.plan, &calm.far, &row, &journal);
    let expected = check::summary(&calm.plan, &check::stands(&calm.plan, &row, &journal));
    for number in (seed % every as u64..commits).step_by(every) {
        for death in [Death::Before, Death::After] {
            let mut world = World::new(seed, plan.clone(), shelf());
            let (row, after, _) = world.play(Some((number, death)));
            check::ended(&world.plan, &world.far, &row, &after);
            if !check::was_interrupted(&after) && !check::was_interrupted(&journal) {
                let found = check::summary(&world.plan, &check::stands(&world.plan, &row, &after));
                assert_eq!(found, expected, "dead {death:?} commit {number}");
                if !check::stops_items(&world.plan) {
                    assert_eq!(world.far.ledger(), calm.far.ledger(), "dead {death:?} commit {number}");
                }
            }
        }
    }
}

#[test]
fn a_crash_at_every_commit_in_memory() {
    each_seed("engine::a_crash_at_every_commit_in_memory", 60, |seed| {
        every_commit(seed, 1, || Shelf::Memory(Arc::default()));
    });
}

#[test]
fn a_crash_at_any_commit_in_sqlite() {
    // Each life opens a database file, which is what takes the time.
    each_seed("engine::a_crash_at_any_commit_in_sqlite", 4, |seed| {
        every_commit(seed, 4, || Shelf::Sqlite(tempfile::tempdir().unwrap()));
    });
}
