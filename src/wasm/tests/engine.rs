//! Steps of plugins in runs of the engine, which has a timer of its own.

use std::path::Path;

use tokio::sync::mpsc;

use super::probe::{Given, Lab};
use super::*;
use crate::base::json::JsonMap;
use crate::engine::clock::SystemClock;
use crate::engine::event::Event;
use crate::engine::ports::Workflows;
use crate::engine::run::{Engine, Observer, Parts, StepSet, Steps, Submission};
use crate::engine::state::RunState;
use crate::lang::{Catalog, Source, render};
use crate::plan::{Plan, check};
use crate::store::memory::MemoryStore;

/// There is no other workflow.
struct Alone;

impl Workflows for Alone {
    fn plan(&self, _: &str) -> Option<Arc<Plan>> {
        None
    }
}

/// Hands on what happens.
struct Told(mpsc::UnboundedSender<String>);

impl Observer for Told {
    fn committed(&self, _: &Plan, _: &RunState, events: &[Event]) {
        events.iter().for_each(|event| drop(self.0.send(format!("{event:?}"))));
    }
}

/// The first failure in a run of `steps`, as the journal has it.
async fn failure(lab: &Lab, steps: &str) -> String {
    let mut catalog = Catalog::default();
    lab.plugin.steps.iter().for_each(|step| catalog.insert(step.spec().clone()));
    let text = format!("name: t\ntriggers: [manual]\nsteps:\n{steps}\n");
    let source = Source { path: "t.yaml".to_string(), text };
    let checked = check(&source, Path::new("."), &catalog, &JsonMap::new());
    let plan = checked.plan.unwrap_or_else(|| panic!("{}", render::human(&checked.diagnostics, &[source], false)));
    let named = lab.plugin.steps.iter().map(|step| (Arc::from(step.spec().name.as_str()), step.clone()));
    let (told, mut heard) = mpsc::unbounded_channel();
    let engine = Engine::start(Parts {
        store: Arc::new(MemoryStore::default()),
        clock: Arc::new(SystemClock),
        steps: Steps::new(StepSet { catalog: Arc::new(catalog), steps: named.collect() }),
        workflows: Arc::new(Alone),
        observers: vec![Arc::new(Told(told))],
        workers: 1,
        workers_per_workflow: 1,
        queue: 10,
        retention_ms: None,
        recover: false,
    });
    let engine = engine.await.unwrap();
    let inputs = plan.default_inputs.clone();
    let event = Arc::new(Json::Null);
    engine.submit(vec![Submission { plan, trigger: "manual", event, inputs, dedupe: None, lane: None }]).await.unwrap();
    loop {
        let event = heard.recv().await.unwrap();
        if event.contains("timeout\"") {
            engine.stop().await;
            return event;
        }
    }
}

/// Else a step that must not be repeated would be held for a person, though it had sent nothing, and others would be tried
/// again, though they would do the same.
#[tokio::test]
async fn a_guest_that_computes_without_end_ends_before_the_engine_gives_it_up() {
    let lab = Lab::new(Given { grant: probe::patient(), ..Given::default() }).await;
    for name in ["once", "again", "pure"] {
        let step = format!("  - {{ id: a, uses: probe/{name}, timeout: 2s, with: {{ do: spin }} }}");
        let event = failure(&lab, &step).await;
        assert!(event.starts_with("StepFailed") && event.contains("\"plugin.timeout\""), "{name}: {event}");
    }
}
