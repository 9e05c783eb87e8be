//! An engine in a test's hands: steps end when the test says so, time passes when the test says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::base::{Effect, Json, RunId};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Outcome, Step, StepCall, StepError, Store};
use crate::engine::report::Report;
use crate::engine::run::{Engine, Parts, Steps, Submission, SubmitError};
use crate::engine::tests::catalog::{STEPS, catalog, plan, spec};
use crate::engine::tests::clock::SimClock;
use crate::engine::tests::store::Frail;
use crate::lang::StepSpec;
use crate::lang::catalog::{Fields, Ports};
use crate::plan::Plan;
use crate::store::memory::MemoryStore;

type Answer = Result<Outcome, StepError>;

/// Attempts at work, by step and item.
type Waiting = BTreeMap<(String, Option<u32>), oneshot::Sender<Answer>>;

/// Attempts that wait for the test, and how often each step (and item) was called.
#[derive(Default)]
pub struct Hands {
    waiting: Mutex<Waiting>,
    calls: Mutex<BTreeMap<(String, Option<u32>), u32>>,
}

impl Hands {
    /// Ends the attempt that waits.
    pub fn end(&self, step: &str, item: Option<u32>, answer: Answer) {
        let place = (step.to_string(), item);
        let waiting = self.waiting.lock().unwrap().remove(&place);
        waiting.unwrap_or_else(|| panic!("{place:?} does not run")).send(answer).unwrap();
    }

    pub fn done(&self, step: &str, item: Option<u32>) {
        self.end(step, item, Ok(Outcome::ok(Json::Null)));
    }

    pub fn calls(&self, step: &str, item: Option<u32>) -> u32 {
        self.calls.lock().unwrap().get(&(step.to_string(), item)).copied().unwrap_or(0)
    }
}

struct HandStep {
    spec: StepSpec,
    hands: Arc<Hands>,
}

impl Step for HandStep {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Answer> {
        let place = (call.step.to_string(), call.item);
        *self.hands.calls.lock().unwrap().entry(place.clone()).or_default() += 1;
        match &*self.spec.name {
            // Before there is a future at all.
            "t.route" if call.step.starts_with("panic") => panic!("a step panics"),
            "t.pure" | "t.route" => return futures::future::ready(Ok(Outcome::ok(Json::Null))).boxed(),
            "t.wait" => return futures::future::ready(Ok(Outcome::SleepUntil(call.now + 5_000))).boxed(),
            _ => {}
        }
        async move {
            if call.step.starts_with("panic") {
                panic!("a step panics");
            }
            let (end, ended) = oneshot::channel();
            self.hands.waiting.lock().unwrap().insert(place, end);
            match ended.await {
                Ok(answer) => answer,
                // Another run's attempt took its place: this one goes on for ever.
                Err(_) => std::future::pending().await,
            }
        }
        .boxed()
    }
}

/// What outlives an engine.
pub struct House {
    pub plan: Arc<Plan>,
    pub store: Arc<MemoryStore>,
    pub clock: Arc<SimClock>,
}

/// One engine.
pub struct Room {
    pub engine: Engine,
    pub frail: Arc<Frail>,
    pub hands: Arc<Hands>,
    pub plan: Arc<Plan>,
    store: Arc<MemoryStore>,
    pub clock: Arc<SimClock>,
}

impl House {
    pub fn new(steps: &str) -> Self {
        Self { plan: plan(steps), store: Arc::default(), clock: Arc::new(SimClock::new()) }
    }

    /// Lives one life: what it began and did not end dies with it.
    pub fn live<T>(&self, test: impl AsyncFnOnce(Room) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (frail, hands) = (Frail::new(self.store.clone(), None), Arc::new(Hands::default()));
            let engine = Engine::start(Parts {
                store: frail.clone(),
                clock: self.clock.clone(),
                catalog: Arc::new(catalog()),
                steps: hand_steps(&hands),
                observers: Vec::new(),
                active_runs: 8,
                recover: true,
            });
            let engine = engine.await.unwrap();
            let (plan, store, clock) = (self.plan.clone(), self.store.clone(), self.clock.clone());
            test(Room { engine, frail, hands, plan, store, clock }).await
        })
    }
}

fn hand_steps(hands: &Arc<Hands>) -> Steps {
    let step = |(name, effect, ports): (&str, Effect, &[&str])| {
        let ports = Ports::Fixed(ports.iter().map(|port| port.to_string()).collect());
        let step = HandStep { spec: spec(name, effect, ports, Fields::Any), hands: hands.clone() };
        (Arc::from(name), Arc::new(step) as Arc<dyn Step>)
    };
    STEPS.into_iter().map(step).collect()
}

impl Room {
    pub async fn try_submit(&self, count: usize) -> Result<Vec<RunId>, SubmitError> {
        let (event, inputs) = (Arc::new(Json::Null), Arc::new(Json::Null));
        let submission = Submission { plan: self.plan.clone(), trigger: "manual", event, inputs, dedupe: None };
        let accepted = self.engine.submit(vec![submission; count]).await?;
        settle().await;
        Ok(accepted.into_iter().flatten().collect())
    }

    pub async fn submit(&self) -> RunId {
        self.try_submit(1).await.unwrap()[0]
    }

    pub async fn journal(&self, run: RunId) -> (RunStatus, Vec<Event>) {
        settle().await;
        let (row, journal) = self.store.load(run).await.unwrap();
        (row.status, journal)
    }

    pub async fn status(&self, run: RunId) -> RunStatus {
        self.journal(run).await.0
    }

    /// Lets time pass, and what is due happen.
    pub async fn advance(&self, ms: i64) {
        settle().await;
        self.clock.advance(ms);
        settle().await;
    }

    /// The statuses of a run's steps, by id.
    pub async fn steps(&self, run: RunId) -> String {
        let report = Report::of(&self.plan, run, &self.journal(run).await.1).unwrap();
        let steps = report.steps.iter().map(|(id, step)| format!("{id}={}", step["status"].as_str().unwrap()));
        steps.collect::<Vec<_>>().join(" ")
    }

    pub async fn unfinished(&self) -> usize {
        self.store.unfinished(None, 100_000).await.unwrap().len()
    }
}

/// Lets every task go as far as it can. One thread runs them in turn, so that this is certain and not a matter of time.
pub async fn settle() {
    for _ in 0..60 {
        yield_now().await;
    }
}
