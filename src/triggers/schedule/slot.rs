//! One schedule: where it has got to, and which of its instants are due.

use std::collections::VecDeque;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::base::{Millis, limits};
use crate::lang::cron::Cron;
use crate::lang::workflow::{CatchUp, Overlap, Trigger};
use crate::plan::Plan;

/// An instant found later than this was missed, not just late, in milliseconds.
pub const LATE_MS: Millis = 60_000;

/// A range that is walked instant by instant and not halved, in milliseconds: sixty of the densest pattern.
const WALKED_MS: Millis = 60_000;

/// An instant that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub at: Millis,
    /// It passed while nothing ran.
    pub missed: bool,
}

/// Instants that start no run, because they were missed and `catch_up` does not want them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LetGo {
    /// At most [`limits::CATCH_UP_INSTANTS`] of one outage are counted.
    pub count: u64,
    pub last: Option<Millis>,
}

/// One schedule of one workflow.
#[derive(Debug)]
pub struct Slot {
    pub plan: Arc<Plan>,
    /// Its number among the triggers of the plan.
    pub trigger: usize,
    pub cron: Arc<Cron>,
    /// The instants up to here have been handed out or let go.
    pub walked: Millis,
    /// The first instant after it.
    pub next: Option<Millis>,
    /// When the next instant starts: later than the instant itself by its jitter.
    pub wake: Option<Millis>,
    /// The instants up to here have started their run or were let go: the cursor.
    pub settled: Millis,
    /// Instants that were handed out and have not started their run yet.
    pub pending: u32,
    /// Its workflow has it no more; it is here for what is pending.
    pub retired: bool,
    pub tally: Tally,
}

/// What has become of instants since the daemon started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub started: u64,
    /// Of them, those that were missed and made up for.
    pub made_up: u64,
    pub let_go: u64,
    pub last_let_go: Option<Millis>,
    /// The newest instant that passed.
    pub last: Option<Millis>,
}

/// What `schedule` says besides the pattern.
#[derive(Clone, Copy, Debug)]
struct Rules {
    catch_up: CatchUp,
    window_ms: u64,
    jitter_ms: u64,
}

impl Slot {
    /// A schedule whose instants up to `cursor` are settled.
    pub fn new(plan: Arc<Plan>, trigger: usize, cron: Arc<Cron>, name: &str, cursor: Millis) -> Self {
        let (next, wake, tally) = (None, None, Tally::default());
        let mut slot = Self {
            plan,
            trigger,
            cron,
            walked: cursor,
            next,
            wake,
            settled: cursor,
            pending: 0,
            retired: false,
            tally,
        };
        slot.walk_to(cursor, name);
        slot
    }

    fn rules(&self) -> Rules {
        match self.plan.triggers.get(self.trigger).map(|trigger| &trigger.trigger) {
            Some(Trigger::Schedule { catch_up, catch_up_window_ms, jitter_ms, .. }) => {
                Rules { catch_up: *catch_up, window_ms: *catch_up_window_ms, jitter_ms: *jitter_ms }
            }
            // A retired one may stand for a plan that has no schedule; nothing of it is looked at any more.
            _ => Rules { catch_up: CatchUp::None, window_ms: 0, jitter_ms: 0 },
        }
    }

    /// How long a missed instant may be made up for, in milliseconds.
    pub fn window_ms(&self) -> u64 {
        self.rules().window_ms
    }

    /// Whether its runs may go on at the same time.
    pub fn overlap(&self) -> Overlap {
        match self.plan.triggers.get(self.trigger).map(|trigger| &trigger.trigger) {
            Some(Trigger::Schedule { overlap, .. }) => *overlap,
            _ => Overlap::Allow,
        }
    }

    /// Goes on after `at`.
    pub fn walk_to(&mut self, at: Millis, name: &str) {
        self.walked = at;
        self.next = self.cron.next_after(at);
        self.wake = self.next.map(|next| next + jitter(name, next, self.rules().jitter_ms));
    }

    /// Hands out what is due at `now`, in the order of the instants, at most [`limits::CATCH_UP_INSTANTS`] that were missed
    /// and about as many that were not; a next one that is due then stays so.
    pub fn due(&mut self, now: Millis, name: &str) -> (VecDeque<Due>, LetGo) {
        let Rules { catch_up, window_ms, jitter_ms } = self.rules();
        let mut due = VecDeque::new();
        let mut let_go = LetGo::default();
        // Instants before this one are missed, whatever their jitter.
        let late = now.saturating_sub(LATE_MS).saturating_sub_unsigned(jitter_ms) - 1;
        if self.next.is_some_and(|next| next <= late) {
            let oldest = now.saturating_sub_unsigned(window_ms.max(LATE_MS as u64)) - 1;
            let wanted = match catch_up {
                CatchUp::None => 0,
                CatchUp::Last => 1,
                CatchUp::All => limits::CATCH_UP_INSTANTS,
            };
            let after = self.walked.max(oldest).min(late);
            let mut kept = VecDeque::new();
            newest(&self.cron, after, late, wanted, &mut kept);
            // All others lie before the first that is kept.
            let until = kept.front().map_or(late, |first| first - 1);
            let_go.count = first(&self.cron, self.walked, until, limits::CATCH_UP_INSTANTS).len() as u64;
            let mut last = VecDeque::new();
            newest(&self.cron, self.walked, until, 1, &mut last);
            let_go.last = last.pop_front();
            let passed = kept.back().copied().or(let_go.last).unwrap_or(late);
            due.extend(kept.into_iter().map(|at| Due { at, missed: true }));
            self.walk_to(passed, name);
        }
        let mut on_time = 0;
        while let (Some(at), Some(start)) = (self.next, self.wake)
            && start <= now
            && on_time < limits::CATCH_UP_INSTANTS
        {
            self.walk_to(at, name);
            let missed = now - start > LATE_MS;
            if missed && catch_up == CatchUp::None {
                let_go.add(at);
                continue;
            }
            if missed && catch_up == CatchUp::Last {
                // Only missed ones stand back for a later one.
                due.retain(|earlier: &Due| {
                    if earlier.missed {
                        let_go.add(earlier.at);
                    }
                    !earlier.missed
                });
            }
            on_time += usize::from(!missed);
            due.push_back(Due { at, missed });
        }
        // Of all that was missed the newest are kept.
        let missed = due.iter().filter(|due| due.missed).count();
        let mut excess = missed.saturating_sub(limits::CATCH_UP_INSTANTS);
        due.retain(|due| {
            let goes = due.missed && excess > 0;
            if goes {
                excess -= 1;
                let_go.add(due.at);
            }
            !goes
        });
        self.tally.last = self.tally.last.max(due.back().map(|due| due.at)).max(let_go.last);
        self.tally.let_go += let_go.count;
        self.tally.last_let_go = self.tally.last_let_go.max(let_go.last);
        (due, let_go)
    }
}

impl LetGo {
    fn add(&mut self, at: Millis) {
        self.count += 1;
        self.last = self.last.max(Some(at));
    }
}

/// The pause between an instant and its start, from 0 to `jitter_ms`. It is drawn from the schedule's name and the instant, so
/// that a restart in between draws the same.
pub fn jitter(name: &str, at: Millis, jitter_ms: u64) -> Millis {
    if jitter_ms == 0 {
        return 0;
    }
    let mut hash = Sha256::new();
    hash.update(name);
    hash.update(at.to_be_bytes());
    let drawn = hash.finalize().iter().take(8).fold(0_u64, |drawn, byte| drawn << 8 | u64::from(*byte));
    // A jitter is a day at most.
    (drawn % (jitter_ms + 1)) as Millis
}

/// The first `limit` instants after `after` and up to `until`.
fn first(cron: &Cron, after: Millis, until: Millis, limit: usize) -> Vec<Millis> {
    let next = |at: &Millis| cron.next_after(*at).filter(|next| *next <= until);
    std::iter::successors(next(&after), next).take(limit).collect()
}

/// Puts the newest instants after `after` and up to `until` in front of `found`, until it holds `limit`. Halves of the range
/// that hold none are not entered, so that ten years of seconds are not walked through for the last of them.
fn newest(cron: &Cron, after: Millis, until: Millis, limit: usize, found: &mut VecDeque<Millis>) {
    if found.len() >= limit || after >= until || cron.next_after(after).is_none_or(|next| next > until) {
        return;
    }
    if until - after <= WALKED_MS {
        for at in first(cron, after, until, usize::MAX).into_iter().rev().take(limit - found.len()) {
            found.push_front(at);
        }
        return;
    }
    let middle = after + (until - after) / 2;
    newest(cron, middle, until, limit, found);
    newest(cron, after, middle, limit, found);
}
