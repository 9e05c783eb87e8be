//! The far side: what steps meet when they act, drawn from a seed; and a ledger of what was really done.
//!
//! An outcome depends on the seed, the step, its item and the attempt, and on nothing else: neither on time nor on order.
//! So a run that crashed and went on meets what it would have met without the crash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::catalog::STEPS;
use super::random::{Random, mixed};
use crate::base::{Effect, Millis};
use crate::engine::ports::{Failure, Outcome, Port, StepError, Wait};

/// A step of a workflow, or of items of it.
pub type Place = (String, Vec<u32>);

/// The far side that every test step plays against.
pub struct Far {
    seed: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// How often an at-most-once effect was really done.
    ledger: BTreeMap<(String, Place), u32>,
    /// Attempts that were told to come later, each once.
    told_later: BTreeSet<(String, Place, u32)>,
}

impl Far {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { seed, inner: Mutex::default() })
    }

    /// How often a run did it.
    pub fn done_for(&self, run: &str, place: &Place) -> u32 {
        self.inner.lock().unwrap().ledger.get(&(run.to_string(), place.clone())).copied().unwrap_or(0)
    }

    /// How often it was done, by all runs together.
    pub fn ledger(&self) -> BTreeMap<Place, u32> {
        let mut ledger = BTreeMap::new();
        for ((_, place), times) in &self.inner.lock().unwrap().ledger {
            *ledger.entry(place.clone()).or_default() += times;
        }
        ledger
    }

    fn draw(&self, place: &Place, attempt: u32) -> Random {
        let name = place.0.bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte));
        Random::new(mixed(&[
            self.seed,
            name,
            place.1.iter().fold(0, |sum, item| sum * 1_000 + u64::from(*item) + 1),
            u64::from(attempt),
        ]))
    }

    /// How many turns the attempt takes.
    pub fn turns(&self, place: &Place, attempt: u32) -> u64 {
        self.draw(place, attempt).below(4)
    }

    /// One attempt of a run at `uses`, all at once. All runs meet the same outcomes; what they did is counted for each.
    pub fn act_for(
        &self,
        run: &str,
        uses: &str,
        place: &Place,
        attempt: u32,
        now: Millis,
    ) -> Result<Outcome, StepError> {
        let (_, effect, ports) = STEPS.into_iter().find(|(name, ..)| *name == uses).unwrap();
        let mut random = self.draw(place, attempt);
        random.next();
        let mut inner = self.inner.lock().unwrap();
        let failure = |code: &str| Failure::new(code, format!("{} attempt {attempt}", place.0));
        if uses == "t.wait" {
            return Ok(Outcome::Waits(Wait::Until(now + random.below(2_000) as Millis)));
        }
        let told = (run.to_string(), place.clone(), attempt);
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
            *inner.ledger.entry((run.to_string(), place.clone())).or_default() += 1;
        }
        match roll {
            _ if done => {
                let port = Port::Borrowed(ports[random.below(ports.len() as u64) as usize]);
                Ok(Outcome::Done { port, output: json!({"step": place.0, "items": place.1, "attempt": attempt}) })
            }
            _ if unknown => Err(StepError::Unknown(failure("far.unknown"))),
            0..6 => Err(StepError::Permanent(failure("far.permanent"))),
            _ => Err(StepError::Transient(failure("far.transient"))),
        }
    }
}
