//! The loop with a real engine and a store, on a clock that the test moves.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::{JoinHandle, yield_now};

use super::*;
use crate::base::limits;
use crate::base::time::rfc3339;
use crate::engine::event::Event;
use crate::engine::ports::{Query, RunFilter, Step, Store};
use crate::engine::run::{Engine, Parts, StepSet, Steps};
use crate::steps::set::Set;
use crate::store::memory::MemoryStore;
use crate::triggers::live::{Live, Served, ServedWorkflow};
use crate::triggers::schedule::{ScheduleView, Schedules, start};
use crate::triggers::testing::{Wall, catalog};

/// One life of a daemon.
struct Daemon {
    engine: Engine,
    live: Live,
    schedules: Schedules,
    task: JoinHandle<()>,
}

/// What outlives it.
struct House {
    store: Arc<MemoryStore>,
    wall: Arc<Wall>,
}

fn served(plans: &[Arc<Plan>]) -> Served {
    let workflow = |plan: &Arc<Plan>| ServedWorkflow { plan: plan.clone(), file: "w.yaml".into(), stale: false };
    Served::new(plans.iter().map(workflow).collect(), Vec::new())
}

async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

impl House {
    fn at(time: &str) -> Self {
        Self { store: Arc::default(), wall: Wall::at(at(time)) }
    }

    async fn daemon(&self, plans: &[Arc<Plan>]) -> Daemon {
        let set: Arc<dyn Step> = Arc::new(Set::default());
        let live = Live::new(served(plans));
        let parts = Parts {
            store: self.store.clone(),
            clock: self.wall.clone(),
            steps: Steps::new(StepSet { catalog: Arc::new(catalog()), steps: [(Arc::from("set"), set)].into() }),
            observers: Vec::new(),
            workflows: Arc::new(live.clone()),
            retention_ms: None,
            workers: 8,
            workers_per_workflow: 8,
            queue: 1_000,
            recover: true,
        };
        let engine = Engine::start(parts).await.unwrap();
        let (schedules, task) = start(&live, engine.clone(), self.store.clone(), self.wall.clone()).await.unwrap();
        settle().await;
        Daemon { engine, live, schedules, task }
    }

    async fn pass(&self, ms: Millis) {
        self.wall.pass(ms);
        settle().await;
    }

    /// Time goes by in steps that a loop would see.
    async fn live_through(&self, ms: Millis) {
        for _ in 0..ms / MINUTE {
            self.pass(MINUTE).await;
        }
    }

    /// `scheduled_at` of every run, and how often.
    async fn started(&self) -> BTreeMap<String, u32> {
        let runs = self.store.runs(RunFilter { limit: limits::PAGE, ..RunFilter::default() }).await.unwrap();
        let mut started = BTreeMap::new();
        for run in runs {
            let journal = self.store.load(run.id).await.unwrap().events;
            let Event::RunCreated { event, .. } = &journal[0] else { panic!("a run begins with its creation") };
            *started.entry(event["scheduled_at"].as_str().unwrap().to_string()).or_default() += 1;
        }
        started
    }
}

impl Daemon {
    fn view(&self) -> ScheduleView {
        self.schedules.page(None, None, 10).schedules.remove(0)
    }

    async fn stop(self) {
        self.engine.stop().await;
        self.task.await.unwrap();
    }

    fn serve(&self, plans: &[Arc<Plan>]) {
        self.live.publish(served(plans));
    }
}

fn once(instants: &[&str]) -> BTreeMap<String, u32> {
    instants.iter().map(|instant| (instant.to_string(), 1)).collect()
}

#[tokio::test]
async fn instants_start_once_through_reloads_and_restarts() {
    let house = House::at("2026-01-01T00:30:00Z");
    let hourly = || scheduled("cron: '0 * * * *', catch_up: all, catch_up_window: 1d");
    let daemon = house.daemon(&[hourly()]).await;
    house.live_through(31 * MINUTE).await;
    assert_eq!(house.started().await, once(&["2026-01-01T01:00:00Z"]));
    let view = daemon.view();
    assert_eq!((view.started, view.skipped, view.waiting), (1, 0, 0));
    assert_eq!(view.last_at.map(rfc3339).as_deref(), Some("2026-01-01T01:00:00Z"));
    assert_eq!(view.next_at.map(rfc3339).as_deref(), Some("2026-01-01T02:00:00Z"));

    // Another plan with the same schedule, in the very moment in which it is due.
    house.pass(58 * MINUTE + 59_999).await;
    daemon.serve(&[hourly()]);
    house.pass(1).await;
    daemon.serve(&[hourly()]);
    house.pass(1).await;
    assert_eq!(house.started().await, once(&["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]));
    assert_eq!(daemon.view().started, 2, "an edit of the workflow does not begin anew");
    daemon.stop().await;

    // It was down at 3 and 4.
    house.pass(150 * MINUTE).await;
    let daemon = house.daemon(&[hourly()]).await;
    let started = house.started().await;
    assert_eq!(started.len(), 4, "{started:?}");
    let view = daemon.view();
    assert_eq!((view.started, view.made_up, view.skipped), (2, 2, 0));
    daemon.stop().await;

    let daemon = house.daemon(&[hourly()]).await;
    assert_eq!(daemon.view().last_at.map(rfc3339).as_deref(), Some("2026-01-01T04:00:00Z"), "known from the cursor");
    assert_eq!(house.started().await, started);
    daemon.stop().await;
}

#[tokio::test]
async fn a_changed_pattern_is_another_schedule_and_no_instant_starts_twice() {
    let house = House::at("2026-01-01T00:30:00Z");
    let daemon = house.daemon(&[scheduled("cron: '0 * * * *'")]).await;
    house.live_through(30 * MINUTE).await;
    assert_eq!(house.started().await, once(&["2026-01-01T01:00:00Z"]));
    // Still the same second: the new pattern names it too.
    daemon.serve(&[scheduled("cron: '*/30 * * * *'")]);
    house.live_through(30 * MINUTE).await;
    assert_eq!(house.started().await, once(&["2026-01-01T01:00:00Z", "2026-01-01T01:30:00Z"]));
    // Gone, and nothing starts; back, and what it missed is let go, and told.
    daemon.serve(&[]);
    house.live_through(120 * MINUTE).await;
    assert_eq!(house.started().await.len(), 2);
    assert_eq!(daemon.schedules.page(None, None, 10).schedules, []);
    house.live_through(15 * MINUTE).await;
    daemon.serve(&[scheduled("cron: '*/30 * * * *'")]);
    house.live_through(2 * MINUTE).await;
    assert_eq!(house.started().await.len(), 2);
    let view = daemon.view();
    assert_eq!((view.skipped, view.last_skipped_at.map(rfc3339).as_deref()), (4, Some("2026-01-01T03:30:00Z")));
    daemon.stop().await;
}

#[tokio::test]
async fn two_schedules_of_a_workflow_share_an_instant() {
    let house = House::at("2026-01-01T00:30:00Z");
    let both = plan("name: w\ntriggers: [{ schedule: { cron: '@hourly' } }, { schedule: { cron: '0 1 * * *' } }]");
    let daemon = house.daemon(&[both]).await;
    house.live_through(31 * MINUTE).await;
    assert_eq!(house.started().await, once(&["2026-01-01T01:00:00Z"]));
    assert_eq!(daemon.schedules.page(Some("w"), None, 10).schedules.len(), 2);
    daemon.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_set_repeats_nothing_and_silences_nothing() {
    let house = House::at("2026-01-01T00:30:00Z");
    let daemon = house.daemon(&[scheduled("cron: '0 * * * *'")]).await;
    house.live_through(60 * MINUTE).await;
    house.wall.set(-2 * HOUR);
    house.pass(MINUTE).await;
    // 23:31: midnight is due for the first time, 01:00 for the second.
    house.live_through(120 * MINUTE).await;
    assert_eq!(house.started().await, once(&["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"]));
    // Ahead by a day, and what was passed over is missed; then it is set right, and those instants come after all.
    house.wall.set(DAY);
    house.pass(MINUTE).await;
    assert_eq!(daemon.view().skipped, 24);
    house.wall.set(-DAY);
    house.pass(MINUTE).await;
    house.live_through(90 * MINUTE).await;
    let expected = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"];
    assert_eq!(house.started().await, once(&expected));
    daemon.stop().await;
}

#[tokio::test]
async fn a_thousand_schedules_of_one_instant_start_once_each() {
    let house = House::at("2026-01-01T00:59:00Z");
    let name = |number| plan(&format!("name: w{number}\ntriggers: [{{ schedule: {{ cron: '@hourly' }} }}]"));
    let plans: Vec<_> = (0..1_000).map(name).collect();
    let daemon = house.daemon(&plans).await;
    house.live_through(2 * MINUTE).await;
    settle().await;
    let mut runs = 0;
    let mut cursor = None;
    loop {
        let page = daemon.schedules.page(None, cursor.as_deref(), 300);
        runs += page.schedules.iter().filter(|schedule| schedule.started == 1 && schedule.waiting == 0).count();
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(runs, 1_000);
    daemon.stop().await;
    assert_eq!(house.store.cursors().await.unwrap().len(), 1_000);
}
