//! What a dry run would have done: counts, the first few of each kind, and nothing that grows with the list but a hash of
//! each recipient.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::base::limits;

/// Told of everything that would happen.
pub struct Recorder {
    /// Samples that are kept.
    samples: usize,
    recorded: Mutex<Recorded>,
}

/// What it was told.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Messages that would be sent.
    pub sends: u64,
    /// Of those, to somebody who gets one of the same step before: the list names them twice.
    pub again: u64,
    /// The first of them.
    pub again_to: Vec<String>,
    /// By the session that sends.
    pub by_session: BTreeMap<String, u64>,
    /// Messages to more sessions than are told apart.
    pub other_sessions: u64,
    pub samples: Vec<Sample>,
    /// Steps that would be called, by workflow, id and kind of step, and how often.
    pub calls: BTreeMap<(String, String, String), u64>,
    /// Steps whose text a model writes, and how often.
    pub prompts: BTreeMap<String, u64>,
    /// Steps that were not waited for, by id and kind of step, with the port that was taken.
    pub waits: BTreeMap<(String, String), &'static str>,
    /// Of step, session and chat: two that have the same one are taken for the same, which of a million happens to one in ten
    /// million lists.
    seen: HashSet<u64>,
}

/// A message as it would be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    pub step: String,
    pub session: String,
    pub to: String,
    pub text: String,
}

impl Recorder {
    pub fn new(samples: usize) -> Self {
        Self { samples, recorded: Mutex::default() }
    }

    /// Everything so far.
    pub fn recorded(&self) -> Recorded {
        let mut recorded = self.lock();
        let seen = std::mem::take(&mut recorded.seen);
        let told = recorded.clone();
        recorded.seen = seen;
        told
    }

    pub(super) fn sends(&self, step: &str, session: &str, to: &str, text: &str) {
        let mut recorded = self.lock();
        recorded.sends += 1;
        let is_told_apart = recorded.by_session.contains_key(session) || recorded.by_session.len() < limits::PLAN_NAMES;
        if is_told_apart {
            *recorded.by_session.entry(session.to_string()).or_default() += 1;
        } else {
            recorded.other_sessions += 1;
        }
        let mut hasher = DefaultHasher::new();
        (step, session, to).hash(&mut hasher);
        if !recorded.seen.insert(hasher.finish()) {
            recorded.again += 1;
            if recorded.again_to.len() < limits::PLAN_EXAMPLES {
                recorded.again_to.push(to.to_string());
            }
        }
        if recorded.samples.len() < self.samples {
            let [step, session, to, text] = [step, session, to, text].map(str::to_string);
            recorded.samples.push(Sample { step, session, to, text });
        }
    }

    pub(super) fn calls(&self, workflow: &str, step: &str, uses: &str) {
        count(&mut self.lock().calls, (workflow.to_string(), step.to_string(), uses.to_string()));
    }

    pub(super) fn prompts(&self, step: &str) {
        count(&mut self.lock().prompts, step.to_string());
    }

    pub(super) fn waits(&self, step: &str, uses: &str, port: &'static str) {
        self.lock().waits.insert((step.to_string(), uses.to_string()), port);
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Steps are as many as the files have, so that their counts need no bound.
fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    *counts.entry(key).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_counted_and_the_first_are_kept() {
        let recorder = Recorder::new(3);
        for number in 0..1_000 {
            recorder.sends("message", "a", &format!("{}@c.us", number % 900), "hello");
        }
        recorder.sends("message", "b", "1@c.us", "hello");
        for number in 0..100 {
            recorder.sends("message", &format!("s{number}"), "1@c.us", "hello");
        }
        let recorded = recorder.recorded();
        assert_eq!((recorded.sends, recorded.again, recorded.by_session["a"]), (1_101, 100, 1_000));
        assert_eq!(recorded.again_to.len(), limits::PLAN_EXAMPLES);
        assert_eq!(recorded.samples.len(), 3);
        assert_eq!(recorded.by_session.len(), limits::PLAN_NAMES);
        assert_eq!(recorded.by_session.values().sum::<u64>() + recorded.other_sessions, 1_101);
    }
}
