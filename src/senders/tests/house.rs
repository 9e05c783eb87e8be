//! Senders over a store: what is written down before it counts, what another process finds, and sessions that come and go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use serde_json::json;

use super::line::{ask, ms, pace};
use crate::base::Millis;
use crate::engine::ports::{Clock, Space, StepError, Store};
use crate::lang::Catalog;
use crate::moltflow::ApiError;
use crate::senders::{Permit, Policy, Senders, Sessions};
use crate::store::memory::MemoryStore;

/// A clock that the test sets.
pub struct Set(pub AtomicI64, AtomicU64);

impl Set {
    pub fn at(now: Millis) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now), AtomicU64::new(1)))
    }

    pub fn pass(&self, ms: Millis) {
        self.0.fetch_add(ms, SeqCst);
    }
}

impl Clock for Set {
    fn now(&self) -> Millis {
        self.0.load(SeqCst)
    }

    fn sleep_until(&self, _: Millis) -> BoxFuture<'static, ()> {
        futures::future::pending().boxed()
    }

    fn random(&self) -> u128 {
        u128::from(self.1.fetch_add(1, SeqCst)) << 64
    }
}

/// Answers with what it was given, the last of it again and again, and counts.
#[derive(Default)]
struct Far {
    answers: Mutex<VecDeque<&'static str>>,
    asked: AtomicU64,
}

impl Far {
    fn says(answers: impl IntoIterator<Item = &'static str>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), asked: AtomicU64::new(0) })
    }
}

impl Sessions for Far {
    fn status<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<String, ApiError>> {
        self.asked.fetch_add(1, SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
        futures::future::ready(Ok(answer.unwrap_or("working").to_string())).boxed()
    }
}

pub async fn open(
    policy: Policy,
    far: Option<Arc<dyn Sessions>>,
    store: &Arc<MemoryStore>,
    clock: &Arc<Set>,
) -> Senders {
    let senders = Senders::new(BTreeMap::from([("s".to_string(), policy)]), far, clock.clone());
    senders.start(store.clone(), &Catalog::default()).await.unwrap();
    senders
}

fn code(answer: Result<Permit, StepError>) -> String {
    match answer {
        Ok(_) => "go".to_string(),
        Err(StepError::Later { failure, after_ms }) => {
            assert!(after_ms > 0);
            failure.code
        }
        Err(error) => panic!("{error:?}"),
    }
}

fn capped(cap: u32) -> Policy {
    Policy { daily_cap: Some(cap), ..Policy::paced(pace("100/s", 100, "0s..0s")) }
}

const NOON: &str = "2026-01-10T12:00:00Z";

#[tokio::test]
async fn a_cap_outlives_the_process() {
    let (store, clock) = (Arc::new(MemoryStore::default()), Set::at(ms(NOON)));
    for number in 0..5 {
        // Another process each time.
        let senders = open(capped(3), None, &store, &clock).await;
        clock.pass(60_000);
        let expected = if number < 3 { "go" } else { "sender.daily_cap" };
        assert_eq!(code(senders.acquire(&ask(number, false)).await), expected);
    }
    let senders = open(capped(3), None, &store, &clock).await;
    let view = senders.view().await.unwrap().remove(0);
    assert_eq!((view.today.sent, view.today.cap), (3, Some(3)));
    // The store has no such runs: they have ended, and are neither shown nor counted.
    assert_eq!(view.waiting.total, 0);
}

#[tokio::test]
async fn what_waits_is_in_the_store_until_it_goes() {
    let (store, clock) = (Arc::new(MemoryStore::default()), Set::at(ms(NOON)));
    let senders = open(capped(1), None, &store, &clock).await;
    assert_eq!(code(senders.acquire(&ask(0, false)).await), "go");
    assert_eq!(code(senders.acquire(&ask(1, false)).await), "sender.daily_cap");
    let held = |now| {
        let store = store.clone();
        async move { store.values(Space::Held, "s\n".to_string(), None, 10, now).await.unwrap() }
    };
    let waiting = held(clock.now()).await;
    assert_eq!(waiting.len(), 1);
    let (key, value) = &waiting[0];
    assert_eq!((key.as_str(), &value["why"], &value["workflow"]), ("s\n1", &json!("daily_cap"), &json!("w")));
    assert_eq!(value["until"], json!(ms("2026-01-11T00:00:00Z")));
    // One that never comes back vanishes.
    assert_eq!(held(ms("2026-01-11T00:20:00Z")).await.len(), 0);
    clock.pass(12 * 3_600_000);
    assert_eq!(code(senders.acquire(&ask(1, false)).await), "go");
    assert_eq!(held(ms(NOON)).await.len(), 0);
}

#[tokio::test]
async fn those_who_ask_at_once_never_get_more_than_there_is() {
    let (store, clock) = (Arc::new(MemoryStore::default()), Set::at(ms(NOON)));
    let senders = open(capped(40), None, &store, &clock).await;
    clock.pass(60_000);
    let asks: Vec<_> = (0..200).map(|number| ask(number, false)).collect();
    let answers = join_all(asks.iter().map(|ask| senders.acquire(ask))).await;
    assert_eq!(answers.into_iter().filter(Result::is_ok).count(), 40);
    let record = store.value(Space::Sender, "s", clock.now()).await.unwrap().unwrap();
    let days: u64 = record["standing"]["days"].as_object().unwrap().values().map(|sent| sent.as_u64().unwrap()).sum();
    assert_eq!(days, 40);
}

#[tokio::test]
async fn before_the_start_nothing_goes_out_that_has_a_policy() {
    let clock = Set::at(ms(NOON));
    let senders = Senders::new(BTreeMap::from([("s".to_string(), capped(3))]), None, clock);
    assert_eq!(code(senders.acquire(&ask(0, false)).await), "sender.paced");
    let free = super::super::Ask { session: "free".into(), ..ask(0, false) };
    assert_eq!(code(senders.acquire(&free).await), "go");
}

#[tokio::test]
async fn a_session_that_is_down_pauses_its_sends() {
    let (store, clock) = (Arc::new(MemoryStore::default()), Set::at(ms(NOON)));
    let far = Far::says(["qr_code", "qr_code", "working"]);
    let senders = open(capped(100), Some(far.clone()), &store, &clock).await;
    // Not known: asked for once, whoever sends.
    assert_eq!(code(senders.acquire(&ask(0, false)).await), "sender.session_not_working");
    assert_eq!(code(senders.acquire(&ask(1, false)).await), "sender.session_not_working");
    assert_eq!(far.asked.load(SeqCst), 1);
    let record = store.value(Space::Sender, "s", clock.now()).await.unwrap().unwrap();
    assert_eq!((&record["health"]["status"], &record["standing"]["sent"]), (&json!("qr_code"), &json!(0)));
    // Another process knows it, and asks again.
    drop(senders);
    clock.pass(10_000);
    let senders = open(capped(100), Some(far.clone()), &store, &clock).await;
    assert_eq!(code(senders.acquire(&ask(0, false)).await), "sender.session_not_working");
    clock.pass(10_000);
    assert_eq!(code(senders.acquire(&ask(0, false)).await), "go");
    assert_eq!(far.asked.load(SeqCst), 3);
    // An event says it sooner than anybody asks.
    clock.pass(10_000);
    senders.status("s", "failed").await;
    assert_eq!(code(senders.acquire(&ask(2, false)).await), "go", "the API says that it is working");
    senders.status("s", "failed").await;
    assert_eq!(code(senders.acquire(&ask(3, false)).await), "sender.session_not_working");
    senders.status("s", "working").await;
    assert_eq!(code(senders.acquire(&ask(3, false)).await), "go");
}

#[tokio::test]
async fn a_refused_send_tells_that_the_session_is_down() {
    let refused = |status, error_code: Option<&str>| ApiError::Refused {
        status,
        error_code: error_code.map(str::to_string),
        detail: "no".to_string(),
    };
    for (far, error, expected, count) in [
        ("failed", refused(400, Some("SESSION_NOT_WORKING")), "sender.session_not_working", 0),
        // It works again by the time it is asked about: soon.
        ("working", refused(400, Some("SESSION_NOT_WORKING")), "sender.session_not_working", 0),
        // A code that nobody knows, and a status that says enough.
        ("failed", refused(409, Some("WHATSAPP_GONE")), "sender.session_not_working", 0),
        ("working", refused(400, Some("INVALID_CHAT_ID")), "moltflow.invalid_chat_id", 0),
        ("failed", ApiError::Unknown { code: "net.cut", message: "cut".to_string() }, "net.cut", 1),
    ] {
        for session in ["s", "free"] {
            let (store, clock) = (Arc::new(MemoryStore::default()), Set::at(ms(NOON)));
            let far = Far::says([far]);
            let senders = open(capped(100), Some(far), &store, &clock).await;
            senders.status(session, "working").await;
            let ask = super::super::Ask { session: session.into(), ..ask(0, false) };
            let permit = senders.acquire(&ask).await.unwrap();
            let (failure, waits) = match senders.failed(&ask, permit, error.clone()).await {
                StepError::Later { failure, .. } => (failure, true),
                StepError::Permanent(failure) | StepError::Transient(failure) | StepError::Unknown(failure) => {
                    (failure, false)
                }
            };
            assert_eq!(
                (failure.code.as_str(), waits),
                (expected, expected.starts_with("sender.")),
                "{session}: {error}"
            );
            let sent = senders.view().await.unwrap()[0].today.sent;
            assert_eq!(sent, if session == "s" { count } else { 0 }, "{session}: {error}");
        }
    }
}
