//! The far side: what steps meet when they act, drawn from a seed; and a ledger of what was really done.
//!
//! An outcome depends on the seed, the step, its item and the attempt, and on nothing else: neither on time nor on order.
//! So a run that crashed and went on meets what it would have met without the crash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::catalog::{STEPS, spec};
use super::random::{Random, mixed};
use crate::base::{Effect, Millis};
use crate::engine::ports::{Failure, Outcome, Port, Step, StepCall, StepError};
use crate::engine::run::Steps;
use crate::lang::StepSpec;
use crate::lang::catalog::{Fields, Ports};

/// A step of the one run, or an item of it.
pub type Place = (String, Option<u32>);

/// Told of each effect before it is done.
type Witness = Box<dyn Fn(&Place, u32, Effect) + Send>;

/// The far side that every test step plays against.
pub struct Far {
    seed: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// How often an at-most-once effect was really done.
    ledger: BTreeMap<Place, u32>,
    /// Attempts that were told to come later, each once.
    told_later: BTreeSet<(Place, u32)>,
    /// Calls in all.
    calls: u64,
    /// Called at every act, before it is done.
    witness: Option<Witness>,
}

impl Far {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { seed, inner: Mutex::default() })
    }

    /// Has every act looked at.
    pub fn witness(&self, witness: impl Fn(&Place, u32, Effect) + Send + 'static) {
        self.inner.lock().unwrap().witness = Some(Box::new(witness));
    }

    pub fn done(&self, place: &Place) -> u32 {
        self.inner.lock().unwrap().ledger.get(place).copied().unwrap_or(0)
    }

    pub fn ledger(&self) -> BTreeMap<Place, u32> {
        self.inner.lock().unwrap().ledger.clone()
    }

    pub fn calls(&self) -> u64 {
        self.inner.lock().unwrap().calls
    }

    fn draw(&self, place: &Place, attempt: u32) -> Random {
        let name = place.0.bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte));
        Random::new(mixed(&[self.seed, name, place.1.map_or(0, |item| u64::from(item) + 1), u64::from(attempt)]))
    }

    /// How many turns the attempt takes.
    pub fn turns(&self, place: &Place, attempt: u32) -> u64 {
        self.draw(place, attempt).below(4)
    }

    /// One attempt at `uses`, all at once.
    pub fn act(&self, uses: &str, place: &Place, attempt: u32, now: Millis) -> Result<Outcome, StepError> {
        let (_, effect, ports) = STEPS.into_iter().find(|(name, ..)| *name == uses).unwrap();
        let mut random = self.draw(place, attempt);
        random.next();
        let mut inner = self.inner.lock().unwrap();
        inner.calls += 1;
        if let Some(witness) = &inner.witness {
            witness(place, attempt, effect);
        }
        let failure = |code: &str| Failure::new(code, format!("{} attempt {attempt}", place.0));
        if uses == "t.wait" {
            return Ok(Outcome::SleepUntil(now + random.below(2_000) as Millis));
        }
        let told = (place.clone(), attempt);
        if random.one_in(8) && effect != Effect::Pure && inner.told_later.insert(told) {
            return Err(StepError::Later { failure: failure("far.later"), after_ms: random.below(500) });
        }
        let roll = random.below(100);
        let done = match effect {
            Effect::Pure => roll >= 6,
            _ => roll >= 40,
        };
        let unknown = effect == Effect::AtMostOnce && (24..40).contains(&roll);
        if effect == Effect::AtMostOnce && (done || unknown && roll.is_multiple_of(2)) {
            *inner.ledger.entry(place.clone()).or_default() += 1;
        }
        match roll {
            _ if done => {
                let port = Port::Borrowed(ports[random.below(ports.len() as u64) as usize]);
                Ok(Outcome::Done { port, output: json!({"step": place.0, "item": place.1, "attempt": attempt}) })
            }
            _ if unknown => Err(StepError::Unknown(failure("far.unknown"))),
            0..6 => Err(StepError::Permanent(failure("far.permanent"))),
            _ => Err(StepError::Transient(failure("far.transient"))),
        }
    }
}

/// Every test step, played by `far`.
pub fn steps(far: &Arc<Far>) -> Steps {
    let step = |(name, effect, ports): (&str, Effect, &[&str])| {
        let ports = Ports::Fixed(ports.iter().map(|port| port.to_string()).collect());
        let step = FarStep { spec: spec(name, effect, ports, Fields::Any), far: far.clone() };
        (Arc::from(name), Arc::new(step) as Arc<dyn Step>)
    };
    STEPS.into_iter().map(step).collect()
}

struct FarStep {
    spec: StepSpec,
    far: Arc<Far>,
}

impl Step for FarStep {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        async move {
            let place = (call.step.to_string(), call.item);
            let turns = if self.spec.effect == Effect::Pure { 0 } else { self.far.turns(&place, call.attempt) };
            // Some act first and answer later, some the other way round.
            for _ in 0..turns / 2 {
                tokio::task::yield_now().await;
            }
            let outcome = self.far.act(&self.spec.name, &place, call.attempt, call.now);
            for _ in 0..turns.div_ceil(2) {
                tokio::task::yield_now().await;
            }
            outcome
        }
        .boxed()
    }
}
