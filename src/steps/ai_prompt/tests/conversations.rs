//! Conversations, through the real engine: nothing that was said is lost, whoever speaks at once.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;

use super::super::{AiPrompt, AiProviders, Kind};
use super::model::{Asked, Model, kind_of, output, plain, says, step};
use crate::base::json::JsonMap;
use crate::base::{Json, RunId, limits};
use crate::engine::clock::SystemClock;
use crate::engine::event::Event;
use crate::engine::ports::{Clock, Keys, Space, Store, Workflows};
use crate::engine::run::{Engine, Observer, Parts, Steps, Submission};
use crate::engine::state::RunState;
use crate::lang::{Source, render};
use crate::net::{Net, Policy};
use crate::plan::{Plan, check};
use crate::steps::Registry;
use crate::steps::testing::call;
use crate::store::memory::MemoryStore;

struct Nobody;

impl Workflows for Nobody {
    fn plan(&self, _: &str) -> Option<Arc<Plan>> {
        None
    }
}

/// Counts the runs that have ended.
struct Ends(watch::Sender<usize>);

impl Observer for Ends {
    fn committed(&self, _: &Plan, _: &RunState, events: &[Event]) {
        let ended = events.iter().filter(|event| matches!(event, Event::RunEnded { .. })).count();
        self.0.send_modify(|count| *count += ended);
    }
}

struct House {
    store: Arc<MemoryStore>,
    registry: Registry,
}

impl House {
    fn new(model: &Model) -> Self {
        let clock = Arc::new(SystemClock);
        let mut policy = Policy::default();
        policy.trust(&model.url).unwrap();
        let providers = AiProviders::only("main", model.provider(Kind::OpenAi));
        let net = Arc::new(Net::new(policy, clock.clone()));
        let mut registry = Registry::default();
        registry.add(Arc::new(AiPrompt::new(providers, net, clock)));
        Self { store: Arc::default(), registry }
    }

    fn plan(&self, history: &str) -> Arc<Plan> {
        let text = format!(
            "name: chat\ntriggers: [manual]\nsteps:\n  - {{id: a, uses: ai.prompt, with: {{prompt: '{{{{ event.text }}}}', history: {history}}}}}\n"
        );
        let source = Source { path: "t.yaml".into(), text };
        let checked = check(&source, Path::new("."), &self.registry.catalog, &JsonMap::new());
        checked.plan.unwrap_or_else(|| panic!("{}", render::human(&checked.diagnostics, &[source], false)))
    }

    /// Lets one run for each event go to its end, all at once, in an engine of their own.
    async fn run(&self, plan: &Arc<Plan>, events: Vec<Json>) -> Vec<RunId> {
        let (ends, mut ended) = watch::channel(0);
        let engine = Engine::start(Parts {
            store: self.store.clone(),
            clock: Arc::new(SystemClock),
            steps: Steps::new(self.registry.clone().into_set()),
            workflows: Arc::new(Nobody),
            observers: vec![Arc::new(Ends(ends))],
            workers: 64,
            workers_per_workflow: 64,
            queue: limits::QUEUED_RUNS,
            retention_ms: None,
            recover: true,
        });
        let engine = engine.await.unwrap();
        let count = events.len();
        let submissions = events.into_iter().map(|event| Submission {
            plan: plan.clone(),
            trigger: "manual",
            event: Arc::new(event),
            inputs: plan.default_inputs.clone(),
            dedupe: None,
            lane: None,
        });
        let runs = engine.submit(submissions.collect()).await.unwrap();
        ended.wait_for(|ended| *ended >= count).await.unwrap();
        engine.stop().await;
        runs.into_iter().flatten().collect()
    }

    /// What is remembered, each turn as its two texts.
    async fn turns(&self, key: &str) -> Vec<(String, String)> {
        let value = self.store.value(Space::History, key, SystemClock.now()).await.unwrap();
        let Some(Json::Array(turns)) = value.map(|value| value["turns"].clone()) else { return Vec::new() };
        serde_json::from_value(Json::Array(turns)).unwrap()
    }
}

fn question(asked: &Asked) -> String {
    let messages = asked.body["messages"].as_array().unwrap();
    messages.last().unwrap()["content"].as_str().unwrap().to_string()
}

async fn echo() -> Model {
    Model::start(|_, asked| plain(200, &says(Kind::OpenAi, &format!("re: {}", question(asked))))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_runs_of_one_chat_at_once_no_turn_is_lost() {
    let model = echo().await;
    let house = House::new(&model);
    let plan = house.plan("{key: '{{ event.from }}', turns: 100, tokens: 60000}");
    let events = (0..40).map(|number| json!({"from": format!("chat{}", number % 2), "text": format!("say {number}")}));
    house.run(&plan, events.collect()).await;
    for chat in 0..2 {
        let turns = house.turns(&format!("chat\nchat{chat}")).await;
        let mut said: Vec<String> = turns.iter().map(|(user, _)| user.clone()).collect();
        assert!(turns.iter().all(|(user, assistant)| *assistant == format!("re: {user}")));
        said.sort();
        let mut expected: Vec<String> = (0..40).filter(|n| n % 2 == chat).map(|n| format!("say {n}")).collect();
        expected.sort();
        assert_eq!(said, expected);
    }
    // Each of them knew exactly those before it.
    let mut lengths: Vec<usize> =
        model.asked().iter().map(|asked| asked.body["messages"].as_array().unwrap().len()).collect();
    lengths.sort_unstable();
    let expected: Vec<usize> = (0..20).flat_map(|before| [2 * before + 1; 2]).collect();
    assert_eq!(lengths, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_conversation_outlives_the_process_and_forgets_its_beginning() {
    let model = echo().await;
    let house = House::new(&model);
    let plan = house.plan("{key: '{{ event.from }}', turns: 2}");
    for number in 0..4 {
        house.run(&plan, vec![json!({"from": "ana", "text": format!("say {number}")})]).await;
    }
    let asked = model.asked();
    let last: Vec<&str> =
        asked[3].body["messages"].as_array().unwrap().iter().map(|one| one["content"].as_str().unwrap()).collect();
    assert_eq!(last, ["say 1", "re: say 1", "say 2", "re: say 2", "say 3"]);
    // Another workflow has a memory of its own, unless both name one.
    assert_eq!(house.turns("chat\nana").await.len(), 2);
    let shared = house.plan("{key: ana, scope: customers}");
    house.run(&shared, vec![json!({"text": "hello"})]).await;
    assert_eq!(house.turns("customers\nana").await, [("hello".to_string(), "re: hello".to_string())]);
}

#[tokio::test]
async fn what_fails_is_not_remembered_and_a_busy_conversation_is_put_off() {
    let model = Model::says(vec![(500, json!({}))]).await;
    let step = step(&[("main", model.provider(Kind::OpenAi))]);
    let store = Arc::new(MemoryStore::default());
    let keys = Keys::new(store.clone(), Arc::new(SystemClock));
    let asks = || {
        let mut call = call(json!({"prompt": "x", "history": {"key": "ana"}}));
        call.keys = keys.clone();
        call.timeout_ms = 60;
        call
    };
    assert_eq!(kind_of(&output(&step, asks()).await.unwrap_err()).0, "transient ai.http_500");
    assert_eq!(store.value(Space::History, "w\nana", 0).await.unwrap(), None);
    let _held = keys.hold(Space::History, "w\nana").await.unwrap();
    assert_eq!(kind_of(&output(&step, asks()).await.unwrap_err()).0, "later ai.busy");
    assert_eq!(model.asked().len(), 1);
}

#[tokio::test]
async fn what_is_too_long_to_be_sent_stays_remembered() {
    let model = Model::says(vec![(200, says(Kind::OpenAi, "short"))]).await;
    let step = step(&[("main", model.provider(Kind::OpenAi))]);
    let long = "x".repeat(1_000);
    // Which turns there are, how many are sent of them with a budget of 100 tokens, and what is remembered after.
    for (before, turns, sent, after) in [
        (json!([["one", "two"], ["q", long]]), 10, 0, json!([["one", "two"], ["q", long], ["x", "short"]])),
        (json!([["q", long], ["one", "two"]]), 10, 1, json!([["q", long], ["one", "two"], ["x", "short"]])),
        (json!([["one", "two"], ["q", long]]), 2, 0, json!([["q", long], ["x", "short"]])),
    ] {
        let asked = model.asked().len();
        let store = Arc::new(MemoryStore::default());
        let write = crate::engine::ports::Write {
            space: Space::History,
            key: "w\nana".to_string(),
            value: Some(json!({ "turns": before })),
            expires_at: None,
        };
        store.put(vec![write]).await.unwrap();
        let history = json!({"key": "ana", "turns": turns, "tokens": 100});
        let mut call = call(json!({"prompt": "x", "history": history}));
        call.keys = Keys::new(store, Arc::new(SystemClock));
        let ended = crate::engine::ports::Step::run(&step, call).await.unwrap();
        let crate::engine::ports::Outcome::Written { writes, .. } = ended else { panic!("{ended:?}") };
        assert_eq!(writes[0].value, Some(json!({ "turns": after })));
        assert_eq!(model.asked()[asked].body["messages"].as_array().unwrap().len(), 2 * sent + 1);
    }
}

#[tokio::test]
async fn what_is_too_long_for_the_model_is_asked_without_what_was_said_before() {
    let model = Model::start(|_, asked| {
        if asked.body["messages"].as_array().unwrap().len() > 1 {
            let error = json!({"error": {"message": "too long", "code": "context_length_exceeded"}});
            return plain(400, &error);
        }
        plain(200, &says(Kind::OpenAi, "short"))
    })
    .await;
    let step = step(&[("main", model.provider(Kind::OpenAi))]);
    let store = Arc::new(MemoryStore::default());
    let before = crate::engine::ports::Write {
        space: Space::History,
        key: "w\nana".to_string(),
        value: Some(json!({"turns": [["one", "two"], ["three", "four"]]})),
        expires_at: None,
    };
    store.put(vec![before]).await.unwrap();
    let mut call = call(json!({"prompt": "x", "history": {"key": "ana"}}));
    call.keys = Keys::new(store, Arc::new(SystemClock));
    let ended = crate::engine::ports::Step::run(&step, call).await.unwrap();
    let crate::engine::ports::Outcome::Written { output, writes, .. } = ended else { panic!("{ended:?}") };
    assert_eq!(output["text"], "short");
    assert_eq!(writes[0].value, Some(json!({"turns": [["x", "short"]]})));
    assert!(writes[0].expires_at.is_some());
    assert_eq!(model.asked().len(), 2);
}
