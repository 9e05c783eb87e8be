//! Streams that the test plays, a real engine, and a store that outlives it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};

use super::*;
use crate::base::Json;
use crate::engine::event::Event;
use crate::engine::ports::{Query, RunFilter, Step, Store};
use crate::engine::run::{Parts, StepSet, Steps};
use crate::moltflow::ApiError;
use crate::plan::Plan;
use crate::steps::set::Set;
use crate::store::memory::MemoryStore;
use crate::triggers::live::{Served, ServedWorkflow};
use crate::triggers::testing::{Wall, catalog, plan};

type Item = Result<Told, ApiError>;

/// Streams that were opened, and what refuses the next ones.
#[derive(Default)]
struct Far {
    opened: Mutex<Vec<(String, mpsc::UnboundedSender<Item>)>>,
    refusals: Mutex<VecDeque<ApiError>>,
}

impl Source for Far {
    fn open(&self, session: String) -> BoxFuture<'_, Result<BoxStream<'static, Item>, ApiError>> {
        let (teller, mut told) = mpsc::unbounded_channel();
        self.opened.lock().unwrap().push((session, teller));
        if let Some(refusal) = self.refusals.lock().unwrap().pop_front() {
            return std::future::ready(Err(refusal)).boxed();
        }
        let stream: BoxStream<'static, Item> =
            Box::pin(futures::stream::poll_fn(move |context| told.poll_recv(context)));
        std::future::ready(Ok(stream)).boxed()
    }
}

impl Far {
    /// Sessions whose streams were opened, in order.
    fn sessions(&self) -> Vec<String> {
        self.opened.lock().unwrap().iter().map(|(session, _)| session.clone()).collect()
    }

    /// Tells on the latest stream of a session; false: nobody listens to it any more.
    fn tells(&self, session: &str, item: Item) -> bool {
        let opened = self.opened.lock().unwrap();
        let latest = opened.iter().rev().find(|(name, _)| name == session);
        latest.unwrap_or_else(|| panic!("nobody ever listened to {session}")).1.send(item).is_ok()
    }

    fn cuts(&self) {
        for (_, teller) in self.opened.lock().unwrap().iter_mut() {
            *teller = mpsc::unbounded_channel().0;
        }
    }
}

fn status(status: &str) -> Item {
    Ok(Told::Status(status.to_string()))
}

fn failed() -> ApiError {
    ApiError::Failed { code: "http.cut", message: "cut".to_string() }
}

/// What outlives a daemon.
struct House {
    store: Arc<MemoryStore>,
    wall: Arc<Wall>,
    far: Arc<Far>,
}

struct Daemon {
    engine: Engine,
    live: Live,
    task: JoinHandle<()>,
}

fn served(plans: &[Arc<Plan>]) -> Served {
    let workflow = |plan: &Arc<Plan>| ServedWorkflow { plan: plan.clone(), file: "w.yaml".into(), stale: false };
    Served::new(plans.iter().map(workflow).collect(), Vec::new())
}

async fn settle() {
    for _ in 0..300 {
        yield_now().await;
    }
}

impl House {
    fn new() -> Self {
        Self { store: Arc::default(), wall: Wall::at(1_000_000), far: Arc::default() }
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
        let ears = Ears {
            source: self.far.clone(),
            live: live.clone(),
            engine: engine.clone(),
            store: self.store.clone(),
            senders: Arc::new(Senders::new(BTreeMap::new(), None, self.wall.clone())),
            clock: self.wall.clone(),
        };
        let task = tokio::spawn(watch(ears, engine.stopping()));
        settle().await;
        Daemon { engine, live, task }
    }

    async fn tells(&self, session: &str, item: Item) {
        assert!(self.far.tells(session, item), "nobody listens to {session}");
        // Runs of one millisecond have no order.
        self.wall.pass(1);
        settle().await;
        self.wall.pass(1);
    }

    /// `workflow: event data` of every run, the oldest first.
    async fn started(&self) -> Vec<String> {
        let runs = self.store.runs(RunFilter { limit: 100, ..RunFilter::default() }).await.unwrap();
        let mut started = Vec::new();
        for run in runs.iter().rev() {
            let journal = self.store.load(run.id).await.unwrap().events;
            let Event::RunCreated { event, .. } = &journal[0] else { panic!("a run begins with its creation") };
            assert_eq!((run.trigger.as_str(), event["timestamp"].is_string()), ("session_events", true));
            started.push(format!(
                "{}: {} {} {}",
                run.workflow,
                event["event"].as_str().unwrap(),
                event["session"],
                event["data"]
            ));
        }
        started
    }
}

impl Daemon {
    async fn stop(self) {
        self.engine.stop().await;
        self.task.await.unwrap();
    }
}

fn one(name: &str, session: &str) -> Arc<Plan> {
    plan(&format!("name: {name}\ntriggers: [{{ session_events: {{ session: {session} }} }}]"))
}

fn told(workflow: &str, event: &str, data: Json) -> String {
    format!("{workflow}: {event} \"s\" {data}")
}

#[tokio::test]
async fn one_stream_a_session_tells_all_workflows() {
    let house = House::new();
    let picky = plan("name: c\ntriggers: [{ session_events: { session: s, when: event.data.status == 'failed' } }]");
    let daemon = house.daemon(&[one("a", "s"), one("b", "s"), picky, one("t", "t")]).await;
    let mut sessions = house.far.sessions();
    sessions.sort();
    assert_eq!(sessions, ["s", "t"]);
    house.tells("s", Ok(Told::Qr("data:x".to_string()))).await;
    house.tells("s", status("failed")).await;
    let mut started = house.started().await;
    started.sort();
    let (qr, failed) = (json!({"qr": "data:x"}), json!({"status": "failed"}));
    let expected = [
        told("a", "session_qr", qr.clone()),
        told("a", "session_status", failed.clone()),
        told("b", "session_qr", qr),
        told("b", "session_status", failed.clone()),
        told("c", "session_status", failed),
    ];
    assert_eq!(started, expected);
    daemon.stop().await;
    assert!(
        !house.far.tells("s", status("working")) && !house.far.tells("t", status("working")),
        "its streams are closed"
    );
}

#[tokio::test]
async fn what_is_told_again_starts_nothing_again() {
    let house = House::new();
    let plans = [one("a", "s")];
    let daemon = house.daemon(&plans).await;
    for item in ["qr_code", "working", "working"] {
        house.tells("s", status(item)).await;
    }
    let codes = |item: &str| Ok(Told::Qr(item.to_string()));
    for item in ["one", "one", "two"] {
        house.tells("s", codes(item)).await;
    }
    assert_eq!(house.started().await.len(), 4);
    // Cut, and opened again: the status that is comes first.
    house.far.cuts();
    settle().await;
    house.wall.pass(limits::STREAM_PAUSE_MS as i64);
    settle().await;
    assert_eq!(house.far.sessions().len(), 2);
    house.tells("s", status("working")).await;
    house.tells("s", codes("two")).await;
    assert_eq!(house.started().await.len(), 4);
    house.tells("s", status("failed")).await;
    house.tells("s", status("working")).await;
    assert_eq!(house.started().await.len(), 6);
    daemon.stop().await;

    // Another life.
    let daemon = house.daemon(&plans).await;
    house.tells("s", status("working")).await;
    assert_eq!(house.started().await.len(), 6);
    house.tells("s", status("failed")).await;
    assert_eq!(house.started().await.last(), Some(&told("a", "session_status", json!({"status": "failed"}))));
    assert_eq!(house.started().await.len(), 7);
    daemon.stop().await;
}

/// A crash after the runs and before the memory of the change.
#[tokio::test]
async fn a_change_that_was_begun_and_forgotten_is_begun_once() {
    use crate::engine::ports::{Space, Write};
    let house = House::new();
    let plans = [one("a", "s")];
    let daemon = house.daemon(&plans).await;
    house.tells("s", status("working")).await;
    let before = house.store.value(Space::Stream, "s", 0).await.unwrap();
    assert!(before.is_some());
    house.tells("s", status("failed")).await;
    daemon.stop().await;
    let write = Write { space: Space::Stream, key: "s".to_string(), value: before, expires_at: None };
    house.store.put(vec![write]).await.unwrap();
    let daemon = house.daemon(&plans).await;
    house.tells("s", status("failed")).await;
    assert_eq!(house.started().await.len(), 2);
    house.tells("s", status("working")).await;
    assert_eq!(house.started().await.len(), 3);
    daemon.stop().await;
}

/// The guide's own stream, by a far side that hangs up after it.
#[tokio::test]
async fn a_story_that_is_told_with_every_stream_starts_its_runs_once() {
    let house = House::new();
    let plans = [one("a", "s")];
    let mut daemon = house.daemon(&plans).await;
    for life in 0..3 {
        for _ in 0..4 {
            house.tells("s", status("qr_code")).await;
            house.tells("s", Ok(Told::Qr("data:x".to_string()))).await;
            house.tells("s", status("working")).await;
            house.far.cuts();
            settle().await;
            house.wall.pass(limits::STREAM_PAUSE_MAX_MS as i64);
            settle().await;
            assert_eq!(house.started().await.len(), 3, "in life {life}");
        }
        daemon.stop().await;
        daemon = house.daemon(&plans).await;
    }
    // A stream that tells half of it and falls silent is about what is.
    house.tells("s", status("qr_code")).await;
    assert_eq!(house.started().await.len(), 3);
    house.wall.pass(1_000);
    settle().await;
    assert_eq!(house.started().await.len(), 4);
    daemon.stop().await;
}

#[tokio::test]
async fn streams_follow_the_folder() {
    let house = House::new();
    let daemon = house.daemon(&[one("a", "s")]).await;
    daemon.live.publish(served(&[one("a", "s"), one("b", "t")]));
    settle().await;
    assert_eq!(house.far.sessions(), ["s", "t"], "the first one is not opened again");
    daemon.live.publish(served(&[one("b", "t"), one("c", "t")]));
    settle().await;
    assert!(!house.far.tells("s", status("working")), "nobody wants it any more");
    house.tells("t", status("working")).await;
    assert_eq!(house.started().await.len(), 2);
    daemon.live.publish(served(&[]));
    settle().await;
    assert!(!house.far.tells("t", status("failed")));
    daemon.stop().await;
}

#[tokio::test]
async fn a_far_side_that_is_away_is_asked_more_and_more_seldom() {
    let house = House::new();
    house.far.refusals.lock().unwrap().extend((0..20).map(|_| failed()));
    let daemon = house.daemon(&[one("a", "s")]).await;
    let mut seen = vec![house.far.sessions().len()];
    // An hour is at least sixty pauses of a minute, and at most those after half of one.
    for _ in 0..10 {
        for _ in 0..60 {
            house.wall.pass(1_000);
            settle().await;
        }
        seen.push(house.far.sessions().len());
    }
    let each: Vec<usize> = seen.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(each[0] >= 4 && each[0] <= 12, "{each:?}");
    assert!(each[4..].iter().all(|minute| *minute <= 3), "{each:?}");
    // The far side names a time.
    let later = ApiError::Later { code: "moltflow.rate_limited", message: "wait".to_string(), after_ms: 600_000 };
    *house.far.refusals.lock().unwrap() = VecDeque::from([later]);
    for _ in 0..70 {
        house.wall.pass(1_000);
        settle().await;
    }
    let asked = house.far.sessions().len();
    house.wall.pass(500_000);
    settle().await;
    assert_eq!(house.far.sessions().len(), asked);
    house.wall.pass(100_000);
    settle().await;
    assert_eq!(house.far.sessions().len(), asked + 1);
    house.tells("s", status("working")).await;
    assert_eq!(house.started().await.len(), 1);
    daemon.stop().await;
}
