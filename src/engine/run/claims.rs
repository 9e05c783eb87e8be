//! `once:` keys: claimed with the intention, kept by a success, given back by a failure.
//!
//! A claim is a value `{run, place, done}` under the key. Whoever finds another's claim done is skipped; whoever finds it at
//! work waits. A claim whose run ended without saying what became of it counts as done: its outcome is unknown, and the
//! key promises at most one success.

use std::collections::HashMap;

use serde_json::json;

use super::driver::Driver;
use super::execute::{expression, permanent};
use super::scope::scope;
use super::values::ValueError;
use crate::base::{Json, Millis, RunId, limits};
use crate::engine::decide::{Ended, Input, PAUSED};
use crate::engine::event::{Event, Place, SkipReason};
use crate::engine::frame::Phase;
use crate::engine::ports::{Failure, Space, StepError, StoreError, Write};
use crate::engine::waiting::Waiting;
use crate::expr::Context;

/// The keys this run holds claims on, by place.
pub type Claims = HashMap<Place, String>;

/// Pause before a key that another run is at work with is looked at again, in milliseconds. It grows by this much each time
/// up to the maximum: the other run may wait for a person.
const BUSY_MS: u64 = 1_000;
const BUSY_MAX_MS: u64 = 60_000;

impl Driver {
    /// Claims the key of the step at `place`. False: it is not to be begun, and an input says why.
    pub(super) async fn take_claim(&mut self, place: &Place) -> bool {
        match self.claimed(place).await {
            Ok(None) => true,
            Ok(Some(ended)) => self.not_begun(place, Ok(ended)),
            Err(error) => self.not_begun(place, Err(error)),
        }
    }

    fn not_begun(&mut self, place: &Place, result: Result<Ended, StepError>) -> bool {
        let ended = Input::Ended { place: place.clone(), result, lines: Vec::new(), took_us: 0 };
        self.work.inputs.push_back(ended.into());
        false
    }

    /// None: the claim is this step's.
    async fn claimed(&mut self, place: &Place) -> Result<Option<Ended>, StepError> {
        let key = self.once_key(place).await?;
        let shared = self.shared.clone();
        let held = shared.keys.try_hold(Space::Once, &key).await?;
        let waits = self.state.attempt(&self.plan, place).map_or(0, |slot| slot.laters);
        let Some(held) = held else { return Err(busy(&key, waits)) };
        let own = json!({"run": self.state.id, "place": place.to_string(), "done": false});
        let free = match &held.value {
            Some(value) if value["run"] == own["run"] && value["place"] == own["place"] => false,
            Some(value) if value["done"] == Json::Bool(true) => return Ok(Some(Ended::Repeated)),
            Some(value) => {
                let run = value["run"].as_str().and_then(|run| RunId::parse(run).ok());
                let Some(run) = run else { return Ok(Some(Ended::Repeated)) };
                match shared.store.row(run).await {
                    Ok(row) if !row.status.is_final() => return Err(busy(&key, waits)),
                    // What became of it is unknown, and as long as a success would count.
                    Ok(row) if !self.is_over(place, row.finished_at) => return Ok(Some(Ended::Repeated)),
                    Ok(_) => true,
                    Err(StoreError::NotFound(_)) => return Ok(Some(Ended::Repeated)),
                    Err(error) => return Err(error.into()),
                }
            }
            None => true,
        };
        if free {
            let write = Write { space: Space::Once, key: key.clone(), value: Some(own), expires_at: None };
            self.work.writes.push(write);
            self.work.held.push(held);
        }
        self.work.claims.insert(place.clone(), key);
        Ok(None)
    }

    /// Whether a claim of a run that ended then has outlived the step's `ttl`.
    fn is_over(&self, place: &Place, ended_at: Option<Millis>) -> bool {
        let ttl_ms = self.plan.steps[place.step as usize].once.as_ref().and_then(|once| once.ttl_ms);
        let over = ended_at.zip(ttl_ms).map(|(ended_at, ttl_ms)| ended_at.saturating_add_unsigned(ttl_ms));
        over.is_some_and(|over| over <= self.shared.clock.now())
    }

    /// After the end of the run: steps that wait for another attempt did nothing with their keys, and never will.
    async fn give_back(&mut self) {
        if self.plan.steps.iter().all(|step| step.once.is_none()) {
            return;
        }
        let mut places = Vec::new();
        self.state.visit(&mut |step, items, slot| {
            let again = match &slot.phase {
                Phase::Waiting { why: Waiting::Retry { .. }, .. } => true,
                // One that a crash cut off may have done its work.
                Phase::Waiting { why: Waiting::Later { failure }, .. } => failure.code != PAUSED,
                _ => false,
            };
            if again && self.plan.steps[step as usize].once.is_some() {
                places.push(Place { step, items: items.to_vec() });
            }
        });
        for place in places {
            let key = match self.work.claims.remove(&place) {
                Some(key) => Some(key),
                None => self.own_claim(&place).await,
            };
            let given = key.map(|key| Write { space: Space::Once, key, value: None, expires_at: None });
            self.work.writes.extend(given);
        }
    }

    /// After the end of a step with a key: a success keeps the claim, a failure gives it back.
    pub(super) async fn settle_claim(&mut self, event: &Event) {
        let (place, done) = match event {
            Event::StepSucceeded { step, items, .. } => (Place { step: *step, items: items.clone() }, true),
            Event::StepFailed { step, items, .. } => (Place { step: *step, items: items.clone() }, false),
            // It did nothing.
            Event::StepSkipped { step, items, reason: SkipReason::Condition | SkipReason::Declined, .. } => {
                (Place { step: *step, items: items.clone() }, false)
            }
            // It may have happened: at most one success.
            Event::StepSkipped { step, items, reason: SkipReason::Unknown | SkipReason::Resolved, .. } => {
                (Place { step: *step, items: items.clone() }, true)
            }
            Event::RunEnded { .. } => return self.give_back().await,
            _ => return,
        };
        let Some(once) = &self.plan.steps[place.step as usize].once else { return };
        let ttl_ms = once.ttl_ms;
        let key = match self.work.claims.remove(&place) {
            Some(key) => key,
            // Claimed before a restart, if at all.
            None => match self.own_claim(&place).await {
                Some(key) => key,
                None => return,
            },
        };
        let write = if done {
            let value = json!({"run": self.state.id, "place": place.to_string(), "done": true});
            let expires_at = ttl_ms.map(|ttl_ms| self.state.latest_at.saturating_add_unsigned(ttl_ms));
            Write { space: Space::Once, key, value: Some(value), expires_at }
        } else {
            Write { space: Space::Once, key, value: None, expires_at: None }
        };
        self.work.writes.push(write);
    }

    /// The key of the step at `place`, if the store says that the claim is its own.
    async fn own_claim(&mut self, place: &Place) -> Option<String> {
        let key = self.once_key(place).await.ok()?;
        let value = self.shared.store.value(Space::Once, &key, self.shared.clock.now()).await.ok()??;
        let own = value["run"] == json!(self.state.id) && value["place"] == json!(place.to_string());
        own.then_some(key)
    }

    /// The key: the same for every attempt of the step, so it is evaluated at the run's first instant.
    async fn once_key(&mut self, place: &Place) -> Result<String, StepError> {
        let Some(once) = self.plan.steps[place.step as usize].once.clone() else {
            return Err(permanent("once.none", "the step has no `once`".to_string()));
        };
        let mut scope = scope(&self.plan, &self.state, place, 1, self.state.created_at);
        let filled = self.work.values.fill(&self.plan, &self.state, place, &*self.shared.store, &mut scope);
        filled.await.map_err(|error| match error {
            ValueError::Failure(failure) => StepError::Permanent(failure),
            ValueError::Store(error) => error.into(),
        })?;
        let key = once.key.render(&Context::new(&scope));
        let key = key.map_err(|error| StepError::Permanent(expression("once.key", &error)))?;
        let key = match key {
            Json::String(text) => text,
            Json::Null => String::new(),
            other => other.to_string(),
        };
        if key.is_empty() || key.len() > limits::KEY {
            let message = format!("once.key: a text of 1 to {} bytes is needed, this has {}", limits::KEY, key.len());
            return Err(permanent("once.bad_key", message));
        }
        Ok(key)
    }
}

fn busy(key: &str, waits: u32) -> StepError {
    let failure = Failure::new("once.busy", format!("another run is at work with the key `{key}`"));
    StepError::Later { failure, after_ms: (BUSY_MS * u64::from(waits + 1)).min(BUSY_MAX_MS) }
}
