//! Webhook deliveries: POST, signed if a secret is set, repeated with growing pauses until the receiver answers 200.
//!
//! Deliveries go through a fixed number of lanes, one request at a time each. All events of one chat to one webhook share
//! a lane, so they arrive in order unless one has to be repeated.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

use super::faults::Delivered;
use crate::base::{Json, Secret, limits};
use crate::engine::ports::Clock;
use crate::moltflow::signature;
use crate::net::{Method, Net, Redirects, Request};

/// Deliveries at once: what one receiver on the same machine can use.
const LANES: usize = 16;

/// Attempts for one event. With doubling pauses the last is half a minute after the first.
const ATTEMPTS: u32 = 6;

/// The pause before the second attempt, in milliseconds; doubled before each further one.
const FIRST_PAUSE_MS: u64 = 1_000;

/// Time for one attempt, in milliseconds.
const TIMEOUT_MS: u64 = 10_000;

/// How a webhook has fared; attempts, not events.
#[derive(Debug, Default)]
pub struct Stats {
    pub succeeded: AtomicU64,
    pub failed: AtomicU64,
    /// In milliseconds; 0: never.
    pub last_delivered_at: AtomicI64,
}

/// Where an event goes.
#[derive(Clone)]
pub struct Target {
    pub url: Arc<str>,
    pub stats: Arc<Stats>,
}

struct Delivery {
    target: Target,
    body: Body,
    /// From 1.
    attempt: u32,
    /// What it waits before its first attempt.
    delay_ms: u64,
}

/// The text of a delivery, counted as long as it waits.
struct Body {
    text: Bytes,
    waiting: Arc<AtomicUsize>,
}

impl Body {
    fn new(text: Bytes, waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(text.len(), Ordering::Relaxed);
        Self { text, waiting: waiting.clone() }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.text.len(), Ordering::Relaxed);
    }
}

/// The lanes.
pub struct Deliveries {
    lanes: Vec<mpsc::Sender<Delivery>>,
    /// Bytes in all of them.
    waiting: Arc<AtomicUsize>,
}

/// Too much is waiting already.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy;

impl Deliveries {
    pub fn start(net: Arc<Net>, clock: Arc<dyn Clock>, secret: Option<Secret>, stopped: watch::Receiver<bool>) -> Self {
        let lanes = (0..LANES).map(|_| {
            let (sender, receiver) = mpsc::channel(limits::SANDBOX_LANE);
            let lane = Lane { net: net.clone(), clock: clock.clone(), secret: secret.clone() };
            tokio::spawn(lane.run(receiver, stopped.clone()));
            sender
        });
        Self { lanes: lanes.collect(), waiting: Arc::default() }
    }

    /// Hands `event` to every target, or to none if too much is waiting. `chat` keeps its events in order. What is delivered
    /// more than once goes through several lanes, so that it comes at once; the result counts webhooks, not deliveries.
    pub fn send(&self, event: &Json, targets: Vec<Target>, chat: &str, how: Delivered) -> Result<usize, Busy> {
        let body = Bytes::from(event.to_string());
        let count = targets.len();
        if self.waiting.load(Ordering::Relaxed) > limits::SANDBOX_TEXT {
            return Err(Busy);
        }
        let mut permits = Vec::with_capacity(count);
        for target in targets {
            let mut hasher = DefaultHasher::new();
            (&target.url, chat).hash(&mut hasher);
            let first = hasher.finish() as usize % LANES;
            for copy in 0..how.times as usize {
                let lane = &self.lanes[(first + copy) % LANES];
                permits.push((lane.try_reserve().map_err(|_| Busy)?, target.clone()));
            }
        }
        for (permit, target) in permits {
            let body = Body::new(body.clone(), &self.waiting);
            permit.send(Delivery { target, body, attempt: 1, delay_ms: how.delay_ms });
        }
        Ok(count)
    }
}

struct Lane {
    net: Arc<Net>,
    clock: Arc<dyn Clock>,
    secret: Option<Secret>,
}

impl Lane {
    async fn run(self, mut waiting: mpsc::Receiver<Delivery>, mut stopped: watch::Receiver<bool>) {
        let mut repeats: FuturesUnordered<BoxFuture<'static, Delivery>> = FuturesUnordered::new();
        loop {
            let delivery = tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return,
                Some(delivery) = repeats.next() => delivery,
                // Repeats are bounded like new events: while there are too many, new ones wait in the lane.
                delivery = waiting.recv(), if repeats.len() < limits::SANDBOX_LANE => match delivery {
                    Some(delivery) => delivery,
                    None => return,
                },
            };
            if delivery.delay_ms > 0 {
                repeats.push(self.later(Delivery { delay_ms: 0, ..delivery }, delivery.delay_ms));
                continue;
            }
            let delivered = tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return,
                delivered = self.deliver(&delivery) => delivered,
            };
            let stats = &delivery.target.stats;
            if delivered {
                stats.succeeded.fetch_add(1, Ordering::Relaxed);
                stats.last_delivered_at.store(self.clock.now(), Ordering::Relaxed);
                continue;
            }
            stats.failed.fetch_add(1, Ordering::Relaxed);
            if delivery.attempt < ATTEMPTS {
                let pause = FIRST_PAUSE_MS << (delivery.attempt - 1);
                repeats.push(self.later(Delivery { attempt: delivery.attempt + 1, ..delivery }, pause));
            }
        }
    }

    fn later(&self, delivery: Delivery, pause_ms: u64) -> BoxFuture<'static, Delivery> {
        let due = self.clock.sleep_until(self.clock.now().saturating_add_unsigned(pause_ms));
        Box::pin(async move {
            due.await;
            delivery
        })
    }

    /// Whether the receiver answered 200, which is what the guide asks of it.
    async fn deliver(&self, delivery: &Delivery) -> bool {
        let mut request =
            Request::new(Method::POST, &*delivery.target.url).timeout_ms(TIMEOUT_MS).redirects(Redirects::HandBack);
        request.body = delivery.body.text.clone();
        let mut headers = vec![("content-type", "application/json".to_string())];
        if let Some(secret) = &self.secret {
            headers.push((signature::HEADER, signature::sign(secret, &delivery.body.text)));
        }
        for (name, value) in headers {
            request = match request.header(name, &value) {
                Ok(request) => request,
                Err(_) => return false,
            };
        }
        self.net.send(request).await.is_ok_and(|response| response.status == 200)
    }
}
