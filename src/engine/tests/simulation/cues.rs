//! The far side, people and the world, all on cue: what a step meets when it acts, what a person says, which events come;
//! and a ledger of what was really done.
//!
//! Everything depends on the seed, the run, the place and the attempt, and on nothing else: neither on time nor on order.
//! So a run that crashed and went on meets what it would have met without the crash.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::life::Act;
use crate::base::{Effect, Json, Millis, RunId};
use crate::engine::decide::{Approval, Ended, Resolution};
use crate::engine::event::Place;
use crate::engine::ports::{Failure, Listen, LogLevel, LogLine, Port, StepError};
use crate::engine::tests::catalog::STEPS;
use crate::engine::tests::random::{Random, mixed};
use crate::engine::waiting::Waiting;

pub struct Cues {
    seed: u64,
    /// How often an at-most-once effect was really done.
    pub ledger: BTreeMap<(RunId, Place), u32>,
    /// Attempts that were told to come later, each once.
    told_later: BTreeSet<(RunId, Place, u32, u32)>,
}

fn failure(code: &str) -> Failure {
    Failure::new(code, "as drawn")
}

impl Cues {
    pub fn new(seed: u64) -> Self {
        Self { seed, ledger: BTreeMap::new(), told_later: BTreeSet::new() }
    }

    pub fn done(&self, run: RunId, place: &Place) -> u32 {
        self.ledger.get(&(run, place.clone())).copied().unwrap_or(0)
    }

    fn draw(&self, run: RunId, place: &Place, about: u64) -> Random {
        let items = place.items.iter().fold(7, |sum, item| mixed(&[sum, u64::from(*item)]));
        Random::new(mixed(&[self.seed, run.seed(), u64::from(place.step), items, about]))
    }

    /// The run that a step calls: the same whenever the attempt is made.
    pub fn child(&self, run: RunId, place: &Place, retries: u32) -> RunId {
        RunId::new(1_000, u128::from(self.draw(run, place, 77 + u64::from(retries)).next()))
    }

    /// One attempt, all at once.
    pub fn act(&mut self, act: &Act) -> Result<Ended, StepError> {
        let Act { run, place, uses, attempt, retries, started_at, calls } = act;
        let (_, effect, ports) = STEPS.into_iter().find(|(name, ..)| name == uses).unwrap();
        let mut random = self.draw(*run, place, u64::from(*attempt) << 8 | u64::from(*retries));
        let due = started_at + random.below(2_000) as Millis;
        let comes = random.one_in(2);
        let waits = |due, why| Ok(Ended::Waits { due, why });
        match *uses {
            "t.wait" => return waits(Some(due), Waiting::Sleep),
            "t.event" => {
                let on = vec![Listen { event: "message".to_string(), path: String::new(), value: String::new() }];
                return waits((!comes).then_some(due), Waiting::Event { on });
            }
            "t.approve" => {
                let why = Waiting::Approval { title: "go?".to_string(), details: Json::Null };
                return waits((!comes).then_some(due), why);
            }
            "t.call" => {
                let child = self.child(*run, place, *retries);
                return waits(None, Waiting::Call { child, workflow: calls.clone(), inputs: Json::Null });
            }
            _ => {}
        }
        let told = (*run, place.clone(), *attempt, *retries);
        if random.one_in(8) && effect != Effect::Pure && self.told_later.insert(told) {
            return Err(StepError::Later { failure: failure("far.later"), after_ms: random.below(500) });
        }
        let roll = random.below(100);
        let done = match effect {
            Effect::Pure => roll >= 6,
            _ => roll >= 35,
        };
        let unknown = effect == Effect::AtMostOnce && (24..35).contains(&roll);
        if effect == Effect::AtMostOnce && (done || unknown && roll.is_multiple_of(2)) {
            *self.ledger.entry((*run, place.clone())).or_default() += 1;
        }
        match roll {
            _ if done => {
                let port = Port::Borrowed(*random.pick(ports));
                Ok(Ended::Done { port, output: json!({"place": place.to_string(), "attempt": attempt}), rows: None })
            }
            _ if unknown => Err(StepError::Unknown(failure("far.unknown"))),
            0..6 => Err(StepError::Permanent(failure("far.permanent"))),
            _ => Err(StepError::Transient(failure("far.transient"))),
        }
    }

    /// What an attempt tells people: nothing, or a line or two that name it.
    pub fn lines(&self, act: &Act) -> Vec<LogLine> {
        let mut random =
            self.draw(act.run, &act.place, 99 << 32 | u64::from(act.attempt) << 8 | u64::from(act.retries));
        let text = format!("{}#{}", act.place, act.attempt);
        vec![LogLine { level: LogLevel::Info, text }; random.below(3) as usize]
    }

    /// What `collect` gives.
    pub fn collect(&self, run: RunId, owner: &Place, item: u32, retries: u32) -> Result<Json, Failure> {
        let mut random = self.draw(run, &owner.inside(item, owner.step), 55 + u64::from(retries));
        if random.one_in(12) { Err(failure("far.collect")) } else { Ok(json!(item)) }
    }

    /// What `output` gives.
    pub fn output(&self, run: RunId, retries: u32) -> Result<Option<Json>, Failure> {
        let mut random = self.draw(run, &Place::root(0), 33 + u64::from(retries));
        if random.one_in(8) { Err(failure("far.output")) } else { Ok(Some(json!("out"))) }
    }

    /// A person tells the truth, or lets it go.
    pub fn resolution(&self, run: RunId, place: &Place) -> Resolution {
        match self.done(run, place) {
            _ if self.draw(run, place, 22).one_in(6) => Resolution::Skip,
            0 => Resolution::NotSent,
            _ => Resolution::Sent,
        }
    }

    pub fn approval(&self, run: RunId, place: &Place, retries: u32) -> Approval {
        let approved = !self.draw(run, place, 11 + u64::from(retries)).one_in(3);
        Approval { approved, by: None, comment: None }
    }
}
