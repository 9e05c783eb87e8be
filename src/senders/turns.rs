//! Who waits for a session, and when each one's turn is.
//!
//! Turns are planned by the rule that will judge them: behind the last one there is a [`Standing`] in which all sends that
//! wait have been made, and the next turn is the first instant that it allows. So 10,000 sends of a quiet night come back
//! one by one from the morning on, over as many days as the caps make of them.
//!
//! A turn is a promise to come back, not a permission: what goes out is decided by what was sent. One whose place was taken
//! goes to the end; one who comes early, to see whether others have given up, keeps its turn.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use super::policy::Policy;
use super::standing::{Standing, Why};
use crate::base::{Millis, RunId, limits};

/// A send that waits, as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub run: RunId,
    pub workflow: Arc<str>,
    pub step: Arc<str>,
    /// A chat id.
    pub to: Arc<str>,
    pub why: Why,
    /// Its turn.
    pub until: Millis,
    /// When it comes back to look: at its turn, or before.
    pub again: Millis,
    /// It answers somebody.
    pub reply: bool,
}

/// One whose turn is past by so much has given up, in milliseconds: its run was cancelled, or paused.
const GONE_MS: Millis = 5_000;

/// How long what waits is shown after it should have come back, and kept in the store, in milliseconds: the longest that a
/// busy machine takes to wake a run.
pub const STALE_MS: Millis = 10 * 60_000;

/// Whose turn is later than in this time comes back at half of it, in milliseconds. That fills the places of those that
/// have given up, and takes notice of a policy that was changed.
const LOOK_MS: Millis = 60 * 60_000;

/// The turns of one kind.
#[derive(Debug, Default)]
struct Lane {
    turns: BTreeSet<(Millis, Arc<str>)>,
    /// The standing after the last of them.
    last: Option<Standing>,
}

/// Those that wait for one session, by their idempotency key.
#[derive(Debug, Default)]
pub struct Turns {
    held: HashMap<Arc<str>, Held>,
    by_again: BTreeSet<(Millis, Arc<str>)>,
    broadcasts: Lane,
    /// They have a plan of their own, which does not look at the broadcasts': who asked something does not wait for those
    /// who did not.
    replies: Lane,
}

impl Turns {
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.held.values()
    }

    fn lane(&mut self, reply: bool) -> &mut Lane {
        if reply { &mut self.replies } else { &mut self.broadcasts }
    }

    /// It is here, or gone for good: its place, if it had one, is free.
    pub fn leave(&mut self, key: &str) -> Option<Held> {
        let (key, held) = self.held.remove_entry(key)?;
        self.by_again.remove(&(held.again, key.clone()));
        self.lane(held.reply).turns.remove(&(held.until, key));
        Some(held)
    }

    /// Forgets turns that nobody came to, and what is no longer worth showing.
    pub fn settle(&mut self, now: Millis) {
        for lane in [&mut self.broadcasts, &mut self.replies] {
            while lane.turns.first().is_some_and(|(until, _)| *until < now.saturating_sub(GONE_MS)) {
                lane.turns.pop_first();
            }
            if lane.turns.is_empty() {
                lane.last = None;
            }
        }
        while let Some((again, key)) = self.by_again.first().cloned() {
            if again >= now.saturating_sub(STALE_MS) {
                break;
            }
            self.by_again.pop_first();
            self.held.remove(&key);
        }
    }

    /// A reply that is about to come back has the next place.
    pub fn reply_is_due(&self, now: Millis) -> bool {
        self.replies.turns.first().is_some_and(|(until, _)| *until <= now)
    }

    /// The turn of one that must wait at `now` and could go out at `earliest` if nobody else did. `before` is what it waited
    /// for until now.
    pub fn turn(
        &mut self,
        calendar: &mut Calendar<'_>,
        standing: &Standing,
        before: Option<&Held>,
        reply: bool,
        earliest: Millis,
        now: Millis,
    ) -> Millis {
        if let Some(before) = before.filter(|before| before.reply == reply && before.why != Why::SessionNotWorking) {
            if before.until > now && before.until >= earliest {
                return before.until;
            }
            // It takes a moment to be woken, and these add up along the line: that is not worth a place.
            if earliest > now && earliest - now <= calendar.policy.pace.slot_ms() / 2 {
                return earliest;
            }
        }
        let lane = self.lane(reply);
        let planned = lane.last.take().filter(|last| last.at() >= standing.at());
        let mut last = planned.unwrap_or_else(|| standing.clone());
        let from = now.max(last.at());
        let turn = last.plan(calendar, reply, from, 1).max(earliest).max(now.saturating_add(1));
        lane.last = Some(last);
        turn
    }

    /// When one whose turn is at `turn` comes back to look.
    pub fn again(turn: Millis, now: Millis) -> Millis {
        let left = turn.saturating_sub(now);
        if left <= LOOK_MS { turn } else { now.saturating_add((left / 2).max(LOOK_MS)) }
    }

    /// One more waits. Beyond the bound it does so unseen.
    pub fn hold(&mut self, key: Arc<str>, held: Held) {
        self.leave(&key);
        if self.held.len() >= limits::SENDER_HELD {
            return;
        }
        self.by_again.insert((held.again, key.clone()));
        if held.why != Why::SessionNotWorking {
            self.lane(held.reply).turns.insert((held.until, key.clone()));
        }
        self.held.insert(key, held);
    }

    /// The runs of those that wait, each once, at most `limit`: those after `after`, and from the beginning again.
    pub fn runs(&self, after: Option<RunId>, limit: usize) -> Vec<RunId> {
        let runs: BTreeSet<RunId> = self.held.values().map(|held| held.run).collect();
        let (before, behind): (Vec<_>, Vec<_>) =
            runs.into_iter().partition(|run| after.is_some_and(|after| *run <= after));
        behind.into_iter().chain(before).take(limit).collect()
    }

    /// Those of runs that have ended are gone; says their keys. The plan begins anew with the others.
    pub fn forget(
        &mut self,
        policy: &Policy,
        standing: &Standing,
        ended: &BTreeSet<RunId>,
        now: Millis,
    ) -> Vec<Arc<str>> {
        let gone = self.held.iter().filter(|(_, held)| ended.contains(&held.run));
        let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
        for key in &gone {
            self.leave(key);
        }
        if !gone.is_empty() {
            self.replan(policy, standing, now);
        }
        gone
    }

    /// Plans behind as many sends as there are turns.
    pub fn replan(&mut self, policy: &Policy, standing: &Standing, now: Millis) {
        let mut calendar = Calendar::new(policy);
        let after = |calendar: &mut Calendar<'_>, reply: bool, count: usize| {
            let mut last = standing.clone();
            last.plan(calendar, reply, now.max(standing.at()), count as u64);
            (count > 0).then_some(last)
        };
        let (replies, all) = (self.replies.turns.len(), self.replies.turns.len() + self.broadcasts.turns.len());
        self.replies.last = after(&mut calendar, true, replies);
        self.broadcasts.last = after(&mut calendar, false, all).filter(|_| !self.broadcasts.turns.is_empty());
    }

    /// Forgets every plan: the clock was set back, and they are of another time.
    pub fn unplan(&mut self) {
        for lane in [&mut self.broadcasts, &mut self.replies] {
            *lane = Lane::default();
        }
    }

    /// The standing after everything that waits for its turn, if something does.
    pub fn last(&self) -> Option<&Standing> {
        self.broadcasts.last.as_ref()
    }
}
