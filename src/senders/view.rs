//! Senders as people see them. Times are milliseconds since 1970.

use std::collections::BTreeMap;

use serde::Serialize;

use super::calendar::{Calendar, shown};
use super::desk::Desk;
use super::turns::Held;
use crate::base::{Millis, limits};

/// One session with a policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SenderView {
    pub session: String,
    /// MoltFlow's word for it; None: not known yet.
    pub status: Option<String>,
    /// Since when it has been working, or has not been.
    pub status_since: Option<Millis>,
    pub today: Today,
    /// None: it is over, or there is none.
    pub warm_up: Option<WarmUp>,
    pub pace: PaceView,
    pub quiet_hours: Option<QuietView>,
    /// When a broadcast send that asks now would go out, behind those that wait.
    pub next_at: Millis,
    pub waiting: Waiting,
    /// People who opted out; at most 100,000 are counted.
    pub opted_out: usize,
}

/// A calendar day of the policy's time zone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Today {
    pub day: String,
    pub timezone: Option<String>,
    pub sent: u32,
    pub cap: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WarmUp {
    /// From 1.
    pub day: usize,
    pub days: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PaceView {
    pub rate: String,
    pub burst: u32,
    pub jitter: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuietView {
    pub from: String,
    pub to: String,
    pub timezone: Option<String>,
    pub now: bool,
    /// When they end, or begin.
    pub changes_at: Millis,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Waiting {
    pub total: usize,
    /// By the code of the reason.
    pub by_reason: BTreeMap<&'static str, usize>,
    /// The turns of the first and of the last.
    pub next_at: Option<Millis>,
    pub last_at: Option<Millis>,
    /// Those whose turn is next.
    pub first: Vec<HeldView>,
}

/// A send that waits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldView {
    pub run: String,
    pub workflow: String,
    pub step: String,
    pub to: String,
    pub why: &'static str,
    pub until: Millis,
}

pub fn view(desk: &Desk, opted_out: usize, now: Millis) -> SenderView {
    let policy = &desk.policy;
    let mut calendar = Calendar::new(policy);
    let state = &mut *desk.state();
    state.turns.settle(now);
    let standing = &state.standing;
    let today = calendar.at(now);
    let (behind, from) = state.behind(now);
    let name = |zone: &jiff::tz::TimeZone| zone.iana_name().map(str::to_string);
    SenderView {
        session: desk.session.to_string(),
        status: state.health.status().map(str::to_string),
        status_since: state.health.since(),
        today: Today {
            day: shown(today.day),
            timezone: name(&policy.timezone),
            sent: standing.sent_on(today.day),
            cap: policy.cap(today.day, standing.first_day()),
        },
        warm_up: policy
            .warm_up_day(today.day, standing.first_day())
            .map(|day| WarmUp { day, days: policy.warm_up.len() }),
        pace: PaceView {
            rate: policy.pace.rate.to_string(),
            burst: policy.pace.burst,
            jitter: policy.pace.jitter.to_string(),
        },
        quiet_hours: policy.quiet_hours.as_ref().map(|hours| QuietView {
            from: hours.from().strftime("%H:%M").to_string(),
            to: hours.to().strftime("%H:%M").to_string(),
            timezone: name(hours.zone()),
            now: hours.holds(now),
            changes_at: hours.next_change(now),
        }),
        next_at: behind.earliest(&mut calendar, false, from),
        waiting: waiting(state.turns.held()),
        opted_out,
    }
}

fn waiting<'h>(all: impl Iterator<Item = &'h Held>) -> Waiting {
    let mut waiting = Waiting::default();
    let mut all: Vec<&Held> = all.collect();
    for held in &all {
        *waiting.by_reason.entry(held.why.code()).or_default() += 1;
    }
    all.sort_unstable_by_key(|held| (held.until, held.run));
    waiting.total = all.len();
    waiting.next_at = all.first().map(|held| held.until);
    waiting.last_at = all.last().map(|held| held.until);
    waiting.first = all.into_iter().take(limits::SENDER_SHOWN).map(shown_one).collect();
    waiting
}

fn shown_one(held: &Held) -> HeldView {
    HeldView {
        run: held.run.to_string(),
        workflow: held.workflow.to_string(),
        step: held.step.to_string(),
        to: held.to.to_string(),
        why: held.why.code(),
        until: held.until,
    }
}
