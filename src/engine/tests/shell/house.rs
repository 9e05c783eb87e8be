//! An engine in a test's hands: steps end when the test says so, time passes when the test says so.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::base::json::JsonMap;
use crate::base::{Effect, Json, Millis, RunId};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{
    LogLevel, OK, Outcome, Query, Rows, RunFilter, RunRow, Space, Step, StepCall, StepError, Store, Wait, Workflows,
    Write,
};
use crate::engine::run::{Engine, Parts, StepSet, Steps, Submission, SubmitError};
use crate::engine::tests::catalog::spec;
use crate::engine::tests::clock::SimClock;
use crate::engine::tests::far::Far;
use crate::engine::tests::store::{Death, Frail};
use crate::lang::catalog::{Field, FieldKind, Fields, Ports};
use crate::lang::workflow::{End, Trigger};
use crate::lang::{Catalog, Source, StepSpec, render};
use crate::plan::{Plan, check};
use crate::store::memory::MemoryStore;
use crate::store::sqlite::SqliteStore;

pub type Answer = Result<Outcome, StepError>;

/// What is known of the far side, over all lives.
#[derive(Default)]
pub struct World {
    /// Every call, as `run/step[items]#attempt`.
    pub calls: Mutex<Vec<String>>,
    /// What `t.rows` reads.
    pub source: Mutex<Vec<Json>>,
    /// Plays the steps in the test's place.
    pub far: Option<Arc<Far>>,
}

/// Attempts that wait for the test.
pub struct Hands {
    waiting: Mutex<BTreeMap<(RunId, String), oneshot::Sender<Answer>>>,
    pub world: Arc<World>,
}

/// `send`, or `send[2.0]`.
fn label(call: &StepCall) -> String {
    if call.items.is_empty() {
        return call.step.to_string();
    }
    format!("{}[{}]", call.step, call.items.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
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
        let label = label(&call);
        if let Some(text) = call.input["says"].as_str() {
            call.log.push(LogLevel::Info, format!("{text} {label}#{}", call.attempt));
        }
        self.hands.world.calls.lock().unwrap().push(format!("{}/{label}#{}", call.run, call.attempt));
        if let Some(far) = &self.hands.world.far
            && FAR.contains(&&*self.spec.name)
        {
            return play(far.clone(), self.spec.clone(), call);
        }
        let due = call.input.get("ms").and_then(Json::as_i64).map(|ms| call.now + ms);
        let text = |name: &str| call.input[name].as_str().unwrap_or_default().to_string();
        match &*self.spec.name {
            // Before there is a future at all.
            "t.route" if call.step.starts_with("panic") => panic!("a step panics"),
            "t.pure" | "t.route" | "t.act" => done(call.input),
            "t.fail" => {
                let failure = crate::engine::ports::Failure::new("t.failed", "it failed");
                futures::future::ready(Err(StepError::Permanent(failure))).boxed()
            }
            "t.wait" => waits(Wait::Until(due.unwrap_or(call.now + 5_000))),
            "wait_for" => {
                let event = call.input.get("event").and_then(Json::as_str).unwrap_or("message").to_string();
                waits(Wait::Event { event, due })
            }
            "approve" => waits(Wait::Approval { title: text("title"), details: Json::Null, due }),
            "call" => waits(Wait::Call {
                workflow: text("workflow"),
                inputs: call.input.get("inputs").cloned().unwrap_or_default(),
            }),
            "t.rows" => {
                let rows = self.hands.world.source.lock().unwrap().clone();
                let rows = futures::stream::iter(rows.into_iter().map(Ok));
                futures::future::ready(Ok(Outcome::Rows(Rows(Box::pin(rows))))).boxed()
            }
            "t.count" => async move {
                let key = call.input["key"].as_str().unwrap_or("count").to_string();
                let held = call.keys.hold(Space::State, &key).await.unwrap();
                let count = held.value.as_ref().and_then(Json::as_i64).unwrap_or(0) + 1;
                // Others have their chance to read too early.
                yield_now().await;
                let write = Write { space: Space::State, key, value: Some(json!(count)), expires_at: None };
                let output = json!({"value": count});
                Ok(Outcome::Written { port: OK, output, writes: vec![write], held: vec![held] })
            }
            .boxed(),
            _ => async move {
                if call.step.starts_with("panic") {
                    panic!("a step panics");
                }
                let (end, ended) = oneshot::channel();
                self.hands.waiting.lock().unwrap().insert((call.run, label), end);
                match ended.await {
                    Ok(answer) => answer,
                    // Another attempt took its place: this one goes on for ever.
                    Err(_) => std::future::pending().await,
                }
            }
            .boxed(),
        }
    }
}

/// The steps that the far side plays.
const FAR: [&str; 5] = ["t.pure", "t.read", "t.send", "t.route", "t.wait"];

fn play(far: Arc<Far>, spec: StepSpec, call: StepCall) -> BoxFuture<'static, Answer> {
    async move {
        let place = (format!("{}:{}", call.workflow.name, call.step), call.items);
        let turns = if spec.effect == Effect::Pure { 0 } else { far.turns(&place, call.attempt) };
        // Some act first and answer later, some the other way round.
        for _ in 0..turns / 2 {
            yield_now().await;
        }
        let outcome = far.act_for(&call.run.to_string(), &spec.name, &place, call.attempt, call.now);
        for _ in 0..turns.div_ceil(2) {
            yield_now().await;
        }
        outcome
    }
    .boxed()
}

fn done(output: Json) -> BoxFuture<'static, Answer> {
    futures::future::ready(Ok(Outcome::Done { port: OK, output })).boxed()
}

fn waits(wait: Wait) -> BoxFuture<'static, Answer> {
    futures::future::ready(Ok(Outcome::Waits(wait))).boxed()
}

fn specs() -> Vec<StepSpec> {
    let fixed = |ports: &[&str]| Ports::Fixed(ports.iter().map(|port| port.to_string()).collect());
    let any = |name: &str, effect| spec(name, effect, fixed(&["ok"]), Fields::Any);
    let known = |name: &str, ports: &[&str], fields: &[(&'static str, FieldKind)]| {
        let field =
            |(name, kind): &(&'static str, FieldKind)| Field { name, kind: *kind, required: false, summary: "" };
        spec(name, Effect::Pure, fixed(ports), Fields::Known(fields.iter().map(field).collect()))
    };
    use FieldKind::{Any, Incoming, Number, Text, Workflow};
    vec![
        any("t.pure", Effect::Pure),
        spec("t.route", Effect::Pure, fixed(&["ok", "left", "right"]), Fields::Any),
        any("t.wait", Effect::Pure),
        any("t.fail", Effect::Pure),
        any("t.read", Effect::Idempotent),
        any("t.rows", Effect::Idempotent),
        any("t.count", Effect::Pure),
        any("t.send", Effect::AtMostOnce),
        any("t.act", Effect::AtMostOnce),
        plugged(Effect::Pure),
        known("wait_for", &["ok", "timeout"], &[("event", Text), ("when", Incoming), ("ms", Number)]),
        known("approve", &["ok", "rejected", "timeout"], &[("title", Text), ("ms", Number)]),
        known("call", &["ok"], &[("workflow", Workflow), ("inputs", Any)]),
    ]
}

pub fn catalog() -> Catalog {
    catalog_without(None)
}

fn catalog_without(lacks: Option<&str>) -> Catalog {
    let mut catalog = Catalog::default();
    specs().into_iter().filter(|spec| lacks != Some(&*spec.name)).for_each(|spec| catalog.insert(spec));
    catalog
}

/// The plan of a workflow. Text that begins with a step is its `steps:`.
pub fn workflow(name: &str, text: &str) -> Arc<Plan> {
    try_workflow(name, text).unwrap_or_else(|problems| panic!("{problems}"))
}

pub fn try_workflow(name: &str, text: &str) -> Result<Arc<Plan>, String> {
    let keys = if text.contains("steps:\n") && !text.trim_start().starts_with('-') {
        text.to_string()
    } else {
        format!("steps:\n{text}")
    };
    let manual = if keys.starts_with("triggers:") { "" } else { "triggers: [manual]\n" };
    let source = Source { path: "t.yaml".into(), text: format!("name: {name}\n{manual}{keys}\n") };
    let checked = check(&source, Path::new("."), &catalog(), &JsonMap::new());
    checked.plan.ok_or_else(|| render::human(&checked.diagnostics, &[source], false))
}

struct Folder(BTreeMap<String, Arc<Plan>>);

impl Workflows for Folder {
    fn plan(&self, name: &str) -> Option<Arc<Plan>> {
        self.0.get(name).cloned()
    }

    fn after(&self, name: &str, end: End) -> Vec<Arc<Plan>> {
        let wants = |plan: &Arc<Plan>| {
            plan.triggers.iter().any(|trigger| match &trigger.trigger {
                Trigger::Workflow { name: wanted, status } => {
                    wanted == name && (status.is_empty() || status.contains(&end))
                }
                _ => false,
            })
        };
        self.0.values().filter(|plan| wants(plan)).cloned().collect()
    }
}

/// Where runs live between two lives of the process.
pub enum Shelf {
    Memory(Arc<MemoryStore>),
    Sqlite(tempfile::TempDir),
}

impl Shelf {
    pub fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub async fn open(&self, clock: &Arc<SimClock>) -> (Arc<dyn Store>, Arc<dyn Query>) {
        match self {
            Self::Memory(store) => (store.clone(), store.clone()),
            Self::Sqlite(folder) => {
                let opened = SqliteStore::open(&folder.path().join("moltrun.db"), clock.clone()).await;
                let store = Arc::new(opened.unwrap());
                (store.clone(), store)
            }
        }
    }
}

/// What outlives an engine.
pub struct House {
    /// The first one is what `submit` runs.
    pub plans: Vec<Arc<Plan>>,
    pub shelf: Shelf,
    pub clock: Arc<SimClock>,
    pub world: Arc<World>,
    pub workers: usize,
    /// A step that the next engine begins without.
    pub lacks: Option<&'static str>,
}

/// One engine.
pub struct Room {
    pub engine: Engine,
    pub frail: Arc<Frail>,
    queries: Arc<dyn Query>,
    pub hands: Arc<Hands>,
    pub plans: Vec<Arc<Plan>>,
    pub clock: Arc<SimClock>,
    pub steps: Steps,
    /// Calls of earlier lives.
    born: usize,
}

impl House {
    pub fn new(steps: &str) -> Self {
        Self::of(&[("t", steps)])
    }

    pub fn of(workflows: &[(&str, &str)]) -> Self {
        let plans = workflows.iter().map(|(name, text)| workflow(name, text)).collect();
        let (clock, world) = (Arc::new(SimClock::new()), Arc::default());
        Self { plans, shelf: Shelf::Memory(Arc::default()), clock, world, workers: 8, lacks: None }
    }

    /// On a real database file.
    pub fn on_disk(self) -> Self {
        Self { shelf: Shelf::sqlite(), ..self }
    }

    pub fn with_workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// How often this was called, over all lives, whichever run and attempt.
    pub fn calls(&self, label: &str) -> usize {
        calls(&self.world, 0, label)
    }

    /// Lives one life: what it began and did not end dies with it.
    pub fn live<T>(&self, test: impl AsyncFnOnce(Room) -> T) -> T {
        self.die(None, test)
    }

    /// Lives one life that ends at a write.
    pub fn die<T>(&self, death: Option<(u64, Death)>, test: impl AsyncFnOnce(Room) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, queries) = self.shelf.open(&self.clock).await;
            let frail = Frail::new(store, death);
            let hands = Arc::new(Hands { waiting: Mutex::default(), world: self.world.clone() });
            let workflows = self.plans.iter().map(|plan| (plan.name.to_string(), plan.clone())).collect();
            let steps = Steps::new(hand_steps(&hands, self.lacks));
            let engine = Engine::start(Parts {
                store: frail.clone(),
                clock: self.clock.clone(),
                steps: steps.clone(),
                workflows: Arc::new(Folder(workflows)),
                observers: Vec::new(),
                workers: self.workers,
                workers_per_workflow: self.workers,
                queue: crate::base::limits::QUEUED_RUNS,
                retention_ms: None,
                recover: true,
            });
            let born = self.world.calls.lock().unwrap().len();
            let engine = engine.await.unwrap();
            let (plans, clock) = (self.plans.clone(), self.clock.clone());
            test(Room { engine, frail, queries, hands, plans, clock, steps, born }).await
        })
    }
}

fn calls(world: &World, born: usize, label: &str) -> usize {
    let calls = world.calls.lock().unwrap();
    calls.iter().skip(born).filter(|call| call.split_once('/').unwrap().1.split('#').next() == Some(label)).count()
}

fn hand_steps(hands: &Arc<Hands>, lacks: Option<&str>) -> StepSet {
    let step = |spec: StepSpec| {
        let name = Arc::from(spec.name.as_str());
        (name, Arc::new(HandStep { spec, hands: hands.clone() }) as Arc<dyn Step>)
    };
    let specs = specs().into_iter().filter(|spec| lacks != Some(&*spec.name));
    StepSet { catalog: Arc::new(catalog_without(lacks)), steps: specs.map(step).collect() }
}

/// A step as plugins have them.
pub fn plugged(effect: Effect) -> StepSpec {
    let input = Fields::Schema(json!({"type": "object"}));
    spec("p/plugged", effect, Ports::Fixed(vec!["ok".to_string()]), input)
}

impl Room {
    pub async fn try_submit(&self, workflow: &str, event: Json, count: usize) -> Result<Vec<RunId>, SubmitError> {
        let plan = self.plans.iter().find(|plan| &*plan.name == workflow).unwrap().clone();
        let (event, inputs) = (Arc::new(event), plan.default_inputs.clone());
        let submission = Submission { plan, trigger: "manual", event, inputs, dedupe: None, lane: None };
        let accepted = self.engine.submit(vec![submission; count]).await?;
        self.settle().await;
        Ok(accepted.into_iter().flatten().collect())
    }

    pub async fn submit(&self) -> RunId {
        self.submit_with(Json::Null).await
    }

    pub async fn submit_with(&self, event: Json) -> RunId {
        self.try_submit(&self.plans[0].name, event, 1).await.unwrap()[0]
    }

    /// Puts a step in the place of the one of its name; None takes it away.
    pub fn replace(&self, name: &str, spec: Option<StepSpec>) {
        let mut set = StepSet::clone(&self.steps.now());
        set.steps.remove(name);
        if let Some(spec) = spec {
            let mut catalog = Catalog::clone(&set.catalog);
            catalog.insert(spec.clone());
            set.catalog = Arc::new(catalog);
            set.steps.insert(Arc::from(name), Arc::new(HandStep { spec, hands: self.hands.clone() }));
        }
        self.steps.replace(set);
    }

    /// The same, but no plan of this moment may use it.
    pub fn replace_unseen(&self, name: &str, spec: StepSpec) {
        let mut set = StepSet::clone(&self.steps.now());
        set.catalog = Arc::new(catalog_without(Some(name)));
        set.steps.insert(Arc::from(name), Arc::new(HandStep { spec, hands: self.hands.clone() }));
        self.steps.replace(set);
    }

    /// Ends the attempt that waits.
    pub async fn end(&self, run: RunId, label: &str, answer: Answer) {
        self.settle().await;
        self.end_now(run, label, answer);
        self.settle().await;
    }

    pub fn end_now(&self, run: RunId, label: &str, answer: Answer) {
        let waiting = self.hands.waiting.lock().unwrap().remove(&(run, label.to_string()));
        waiting.unwrap_or_else(|| panic!("{label} does not run")).send(answer).unwrap();
    }

    pub async fn done(&self, run: RunId, label: &str) {
        self.end(run, label, Ok(Outcome::ok(Json::Null))).await;
    }

    /// How often this was called in this life, whichever run and attempt.
    pub fn calls(&self, label: &str) -> usize {
        calls(&self.hands.world, self.born, label)
    }

    pub async fn row(&self, run: RunId) -> RunRow {
        self.settle().await;
        self.frail.inner.row(run).await.unwrap()
    }

    pub async fn journal(&self, run: RunId) -> Vec<Event> {
        self.settle().await;
        self.frail.inner.journal(run, 0, u32::MAX).await.unwrap()
    }

    pub async fn status(&self, run: RunId) -> RunStatus {
        self.row(run).await.status
    }

    /// Lets time pass, and what is due happen.
    pub async fn advance(&self, ms: Millis) {
        self.settle().await;
        self.clock.advance(ms);
        self.settle().await;
    }

    /// The statuses of a run's steps, by id.
    pub async fn steps(&self, run: RunId) -> String {
        self.settle().await;
        let seen = self.engine.report(run).await.unwrap();
        let steps = seen.report.steps.iter().map(|(id, step)| format!("{id}={}", step["status"].as_str().unwrap()));
        steps.collect::<Vec<_>>().join(" ")
    }

    /// What a step handed on.
    pub async fn output(&self, run: RunId, step: &str) -> Json {
        self.settle().await;
        self.engine.report(run).await.unwrap().report.steps[step]["output"].clone()
    }

    /// Why a step failed.
    pub async fn code(&self, run: RunId, step: &str) -> String {
        self.settle().await;
        let steps = self.engine.report(run).await.unwrap().report.steps;
        steps[step]["error"]["code"].as_str().unwrap_or_default().to_string()
    }

    pub async fn value(&self, space: Space, key: &str) -> Option<Json> {
        use crate::engine::ports::Clock;
        self.frail.inner.value(space, key, self.clock.now()).await.unwrap()
    }

    pub async fn query(&self, filter: RunFilter) -> Vec<RunRow> {
        self.settle().await;
        self.queries.runs(filter).await.unwrap()
    }

    pub async fn unfinished(&self) -> Vec<RunRow> {
        self.settle().await;
        self.frail.inner.unfinished(None, 100_000).await.unwrap()
    }

    /// The run that the call at `step` of `run` started.
    pub async fn child(&self, run: RunId, step: &str) -> RunId {
        self.settle().await;
        let steps = self.engine.report(run).await.unwrap().report.steps;
        RunId::parse(steps[step]["waits_for"]["run"].as_str().unwrap()).unwrap()
    }

    /// Lets every task go as far as it can: until neither the store nor a step is called any more.
    pub async fn settle(&self) {
        let seen = || (self.frail.verbs(), self.hands.world.calls.lock().unwrap().len());
        let (mut quiet, mut last) = (0, seen());
        while quiet < 60 {
            if self.frail.in_flight() > 0 {
                // Its answer comes from a thread.
                std::thread::yield_now();
                quiet = 0;
            }
            yield_now().await;
            let now = seen();
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
        }
    }
}
