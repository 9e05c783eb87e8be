//! One session's policy at work: what it has sent, who waits, and the writing down of both.
//!
//! A permission is durable before it is used (invariant 4): a crash may lose one, which is one send less that day, and never
//! grants one too many. Those that ask at once share a write: one of them writes what all of them changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use super::health::Health;
use super::policy::Policy;
use super::standing::{Decision, Standing, Why, decide};
use super::turns::{Held, STALE_MS, Turns};
use crate::base::{Json, Millis, RunId};
use crate::engine::ports::{Space, Store, StoreError, Write};

/// A send that asks for permission.
#[derive(Clone, Debug)]
pub struct Ask {
    pub session: Arc<str>,
    /// A chat id.
    pub to: Arc<str>,
    pub run: RunId,
    pub workflow: Arc<str>,
    pub step: Arc<str>,
    /// Equal for all attempts of this send.
    pub key: Arc<str>,
    /// It answers somebody who wrote in the last 24 hours.
    pub reply: bool,
}

/// What a session is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// Its turn, and when to ask again.
    Wait {
        turn: Millis,
        again: Millis,
        why: Why,
    },
}

#[derive(Serialize, Deserialize)]
struct Record {
    standing: Standing,
    #[serde(default)]
    health: Health,
}

pub struct Desk {
    pub session: Arc<str>,
    pub policy: Policy,
    state: Mutex<State>,
    /// The version that is durable; held by the one who writes.
    durable: tokio::sync::Mutex<u64>,
    /// One word of a chat after the other.
    pub words: tokio::sync::Mutex<()>,
}

pub struct State {
    pub standing: Standing,
    pub health: Health,
    pub turns: Turns,
    /// Grows with every change that has to be durable.
    version: u64,
    /// Entries of those that wait, as they are to be in the store, with the version of each.
    unsaved: BTreeMap<Arc<str>, (u64, Option<Held>)>,
    /// When the runs of those that wait were last looked at.
    pub swept_at: Millis,
    /// The last of them: the next ones come after it.
    pub swept_to: Option<RunId>,
}

impl State {
    /// From now on this is to be durable; the version to wait for.
    pub fn changed(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Where one who asks at `now` stands, behind those that wait; and the instant from which that counts.
    pub fn behind(&self, now: Millis) -> (&Standing, Millis) {
        match self.turns.last() {
            Some(last) => (last, now.max(last.at())),
            None => (&self.standing, now),
        }
    }

    pub fn save(&mut self, key: Arc<str>, held: Option<Held>) {
        self.unsaved.insert(key, (self.version + 1, held));
    }
}

impl Desk {
    pub fn new(session: Arc<str>, policy: Policy, seed: u64, now: Millis) -> Self {
        let standing = Standing::new(&policy, seed, now);
        let state = State {
            standing,
            health: Health::default(),
            turns: Turns::default(),
            version: 0,
            unsaved: BTreeMap::new(),
            swept_at: now,
            swept_to: None,
        };
        Self {
            session,
            policy,
            state: Mutex::new(state),
            durable: tokio::sync::Mutex::new(0),
            words: Default::default(),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Key of one who waits, or who opted out, in the store.
    pub fn key(&self, rest: &str) -> String {
        format!("{}\n{rest}", self.session)
    }

    /// Reads back what an earlier process left.
    pub async fn restore(&self, store: &dyn Store, now: Millis) -> Result<(), StoreError> {
        let corrupt = |what: &str, error: serde_json::Error| {
            StoreError::Corrupt(format!("the {what} of sender `{}` cannot be read: {error}", self.session))
        };
        let record = store.value(Space::Sender, &self.session, now).await?;
        let record = record.map(serde_json::from_value::<Record>).transpose();
        let record = record.map_err(|error| corrupt("record", error))?;
        let mut waiting = Vec::new();
        let prefix = self.key("");
        let mut after = None;
        loop {
            let page = store.values(Space::Held, prefix.clone(), after, PAGE, now).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, held) in page {
                let held: Held = serde_json::from_value(held).map_err(|error| corrupt("waiting sends", error))?;
                waiting.push((Arc::from(&key[prefix.len()..]), held));
            }
        }
        let state = &mut *self.state();
        if let Some(Record { standing, health }) = record {
            state.standing = standing.under(&self.policy);
            state.health = health.restored();
        }
        for (key, held) in waiting {
            state.turns.hold(key, held);
        }
        state.turns.settle(now);
        state.turns.replan(&self.policy, &state.standing, now);
        Ok(())
    }

    /// May this go out at `now`? What is decided counts once it is [saved](Self::save) up to the version.
    pub fn ask(&self, ask: &Ask, now: Millis) -> (Verdict, u64) {
        let state = &mut *self.state();
        let before = state.turns.leave(&ask.key);
        if now < state.standing.at().saturating_sub(SET_BACK_MS) {
            state.turns.unplan();
        }
        state.turns.settle(now);
        state.standing.observe(&self.policy, now);
        let decision = decide(&self.policy, &state.standing, ask.reply, now);
        let earliest = match decision {
            Decision::Go(after) if ask.reply || !state.turns.reply_is_due(now) => {
                state.standing = after;
                if before.is_some() {
                    state.save(ask.key.clone(), None);
                }
                return (Verdict::Go, state.changed());
            }
            Decision::Wait { until, .. } => until,
            Decision::Go(_) => now.saturating_add(GIVES_WAY_MS),
        };
        let mut calendar = Calendar::new(&self.policy);
        let State { turns, standing, .. } = state;
        let turn = turns.turn(&mut calendar, standing, before.as_ref(), ask.reply, earliest, now);
        let why = standing.why(&mut calendar, ask.reply, now, turn);
        let again = Turns::again(turn, now);
        self.wait(state, ask, turn, again, why)
    }

    /// It waits for `pause_ms` because its session is down.
    pub fn hold(&self, ask: &Ask, pause_ms: u64, now: Millis) -> (Verdict, u64) {
        let again = now.saturating_add_unsigned(pause_ms);
        self.wait(&mut self.state(), ask, again, again, Why::SessionNotWorking)
    }

    fn wait(&self, state: &mut State, ask: &Ask, turn: Millis, again: Millis, why: Why) -> (Verdict, u64) {
        let held = Held {
            run: ask.run,
            workflow: ask.workflow.clone(),
            step: ask.step.clone(),
            to: ask.to.clone(),
            why,
            until: turn,
            again,
            reply: ask.reply,
        };
        state.turns.hold(ask.key.clone(), held.clone());
        state.save(ask.key.clone(), Some(held));
        (Verdict::Wait { turn, again, why }, state.changed())
    }

    /// Makes everything up to `version` durable, together with what others changed meanwhile.
    pub async fn save(&self, store: &dyn Store, version: u64) -> Result<(), StoreError> {
        let mut durable = self.durable.lock().await;
        if *durable >= version {
            return Ok(());
        }
        let (written, writes) = self.writes();
        store.put(writes).await?;
        // Only now: whoever comes after a failure, or after this one was cut off, writes them again.
        self.state().unsaved.retain(|_, (version, _)| *version > written);
        *durable = written;
        Ok(())
    }

    fn writes(&self) -> (u64, Vec<Write>) {
        let state = self.state();
        let record = Record { standing: state.standing.clone(), health: state.health.clone() };
        let write = |space, key, value: Option<Json>, expires_at| Write { space, key, value, expires_at };
        let mut writes = vec![write(Space::Sender, self.session.to_string(), serde_json::to_value(record).ok(), None)];
        for (key, (_, held)) in &state.unsaved {
            let expires_at = held.as_ref().map(|held| held.again.saturating_add(STALE_MS));
            let value = held.as_ref().and_then(|held| serde_json::to_value(held).ok());
            writes.push(write(Space::Held, self.key(key), value, expires_at));
        }
        (state.version, writes)
    }
}

/// Entries that are read from the store at once.
const PAGE: u32 = crate::base::limits::PAGE;

/// A clock that goes back by more than this was set, not corrected, in milliseconds.
const SET_BACK_MS: Millis = 1_000;

/// How long a broadcast send lets a reply that is about to come back go first, in milliseconds.
const GIVES_WAY_MS: Millis = 500;
