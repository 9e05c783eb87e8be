//! The `schedule` trigger: each due instant starts exactly one run of its workflow, across restarts and clock changes.
//!
//! A schedule's *cursor* (in the store) is the last instant it was considered at. An instant becomes a run under a dedupe
//! key of its own before the cursor moves past it, so a crash between the two repeats the question, not the run.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;

use crate::base::time::rfc3339;
use crate::base::{Json, Millis, limits};
use crate::engine::ports::{Clock, Dedupe, Store, StoreError};
use crate::engine::run::{Engine, Submission, SubmitError};
use crate::lang::cron::Cron;
use crate::lang::workflow::{CatchUp, Trigger};
use crate::plan::Plan;

/// One schedule of one workflow.
pub struct Schedule {
    plan: Arc<Plan>,
    cron: Cron,
    /// `schedule:<workflow>:<cron>:<zone>`: a changed pattern is another schedule.
    name: String,
    catch_up: CatchUp,
    window_ms: u64,
    /// The last instant that was considered.
    cursor: Millis,
    /// The instant whose run was not accepted yet.
    refused: Option<Due>,
}

/// An instant that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Due {
    at: Millis,
    /// It passed while nothing ran.
    missed: bool,
}

/// Pause before a start that was refused is tried again, in milliseconds.
const RETRY_MS: Millis = 1_000;

/// An instant found later than this was missed, not just late, in milliseconds.
const LATE_MS: Millis = 60_000;

/// The schedules of all workflows, each at the place it had reached.
pub async fn load(plans: &[Arc<Plan>], store: &dyn Store, now: Millis) -> Result<Vec<Schedule>, StoreError> {
    let cursors = store.cursors().await?;
    let mut schedules = Vec::new();
    for plan in plans {
        for trigger in &plan.triggers {
            let Trigger::Schedule { cron, timezone, catch_up, catch_up_window_ms } = &trigger.trigger else { continue };
            // The checker has parsed it; a plan with another is not made.
            let Ok(parsed) = Cron::parse(cron, timezone) else { continue };
            let name = format!("schedule:{}:{cron}:{timezone}", plan.name);
            let cursor = match cursors.get(&name) {
                // A clock that was ahead when it was saved must not silence the schedule; the dedupe keys know what was started.
                Some(cursor) => (*cursor).min(now),
                None => {
                    // A new schedule has missed nothing.
                    store.set_cursor(&name, now).await?;
                    now
                }
            };
            let (plan, catch_up, window_ms) = (plan.clone(), *catch_up, *catch_up_window_ms);
            schedules.push(Schedule { plan, cron: parsed, name, catch_up, window_ms, cursor, refused: None });
        }
    }
    Ok(schedules)
}

/// Starts runs as they fall due, until the daemon stops.
pub async fn run(
    mut schedules: Vec<Schedule>,
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let now = clock.now();
        let mut next = None;
        for schedule in &mut schedules {
            let soonest = schedule.fire(&engine, &*store, now).await;
            next = match (next, soonest) {
                (Some(a), Some(b)) => Some(std::cmp::min::<Millis>(a, b)),
                (a, b) => a.or(b),
            };
        }
        let sleep = async {
            match next {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

impl Schedule {
    /// Starts what is due at `now` and says when to come again.
    async fn fire(&mut self, engine: &Engine, store: &dyn Store, now: Millis) -> Option<Millis> {
        for due in self.due(now) {
            match engine.submit(vec![self.submission(due)]).await {
                Ok(_) => {
                    if due.missed {
                        tracing::warn!(workflow = %self.plan.name, scheduled_at = %rfc3339(due.at), "a missed instant is made up for");
                    }
                    self.cursor = due.at;
                    self.refused = None;
                }
                Err(SubmitError::Stopping) => return None,
                Err(error) => {
                    tracing::error!(workflow = %self.plan.name, %error, "a scheduled run could not be started yet");
                    self.refused = Some(due);
                    return Some(now + RETRY_MS);
                }
            }
        }
        self.cursor = self.cursor.max(now);
        if let Err(error) = store.set_cursor(&self.name, self.cursor).await {
            // Harmless: the dedupe keys know what was started.
            tracing::warn!(workflow = %self.plan.name, %error, "the schedule's place could not be saved");
        }
        self.cron.next_after(self.cursor)
    }

    /// The instants after the cursor up to `now` that are to start runs, at most [`limits::CATCH_UP_INSTANTS`], the newest.
    fn due(&self, now: Millis) -> VecDeque<Due> {
        let oldest = match self.catch_up {
            CatchUp::None => now.saturating_sub(LATE_MS),
            CatchUp::Last | CatchUp::All => now.saturating_sub_unsigned(self.window_ms.max(LATE_MS as u64)),
        };
        let mut due = VecDeque::new();
        // One that was refused is late by our own fault: it stays due, whatever `catch_up` says.
        due.extend(self.refused);
        let mut at = due.back().map_or(self.cursor, |refused: &Due| refused.at);
        if at < oldest - 1 {
            if let Some(first) = self.cron.next_after(at).filter(|first| *first < oldest) {
                tracing::warn!(workflow = %self.plan.name, from = %rfc3339(first), "instants that were missed are let go, as `catch_up` says");
            }
            at = oldest - 1;
        }
        while let Some(instant) = self.cron.next_after(at).filter(|instant| *instant <= now) {
            at = instant;
            let missed = now - instant > LATE_MS;
            if missed && self.catch_up == CatchUp::Last {
                // Only missed ones stand back for a later one.
                due.retain(|earlier: &Due| !earlier.missed);
            }
            if due.len() == limits::CATCH_UP_INSTANTS {
                due.pop_front();
            }
            due.push_back(Due { at: instant, missed });
        }
        due
    }

    fn submission(&self, due: Due) -> Submission {
        let event: Json = json!({"event": "schedule", "scheduled_at": rfc3339(due.at), "missed": due.missed});
        Submission {
            plan: self.plan.clone(),
            trigger: "schedule",
            event: Arc::new(event),
            inputs: self.plan.default_inputs.clone(),
            dedupe: Some(Dedupe {
                key: format!("{}:{}", self.name, due.at),
                // As long as the instant may still be looked at again.
                expires_at: Some(due.at.saturating_add_unsigned(self.window_ms) + limits::DEDUPE_TTL_MS),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::{Catalog, Source};

    const MINUTE: Millis = 60_000;
    const DAY: Millis = 24 * 60 * MINUTE;

    fn schedule(catch_up: CatchUp, window_ms: u64, cron: &str) -> Schedule {
        let text = "name: w\ntriggers: [manual]\nsteps: [{ id: s, uses: set, with: { a: 1 } }]\n".to_string();
        let mut catalog = Catalog::default();
        catalog.insert(crate::engine::ports::Step::spec(&crate::steps::set::Set::default()).clone());
        let source = Source { path: "w.yaml".to_string(), text };
        let checked = crate::plan::check(&source, std::path::Path::new("."), &catalog, &Default::default());
        let (plan, cron) = (checked.plan.unwrap(), Cron::parse(cron, "UTC").unwrap());
        Schedule { plan, cron, name: "s".to_string(), catch_up, window_ms, cursor: 0, refused: None }
    }

    /// The instants that are due at `now` after nothing ran since the epoch.
    fn due(catch_up: CatchUp, window_ms: u64, cron: &str, now: Millis) -> Vec<(Millis, bool)> {
        schedule(catch_up, window_ms, cron).due(now).into_iter().map(|due| (due.at, due.missed)).collect()
    }

    #[test]
    fn missed_instants_are_met_as_catch_up_says() {
        let hour = 60 * MINUTE as u64;
        let on_time = (600 * MINUTE, false);
        let now = 600 * MINUTE + 5;
        assert_eq!(due(CatchUp::None, hour, "*/10 * * * *", now), [on_time]);
        assert_eq!(due(CatchUp::Last, hour, "*/10 * * * *", now), [(590 * MINUTE, true), on_time]);
        let all: Vec<_> =
            (54..60).map(|tens| (tens * 10 * MINUTE, true)).filter(|(at, _)| *at >= now - hour as Millis).collect();
        assert_eq!(due(CatchUp::All, hour, "*/10 * * * *", now), [all, vec![on_time]].concat());
    }

    #[test]
    fn on_time_instants_never_stand_back_for_each_other() {
        let instants = due(CatchUp::Last, 0, "*/10 * * * * *", 45_000);
        assert_eq!(instants, [10, 20, 30, 40].map(|second| (second * 1_000, false)));
    }

    #[test]
    fn the_newest_of_too_many_are_kept() {
        let instants = due(CatchUp::All, DAY as u64, "* * * * *", DAY);
        assert_eq!(instants.len(), limits::CATCH_UP_INSTANTS);
        assert_eq!((instants[0].0, instants[999].0), (DAY - 999 * MINUTE, DAY));
    }

    #[test]
    fn a_long_outage_is_not_walked_through() {
        // Ten years of seconds; walking over each would take minutes.
        assert_eq!(
            due(CatchUp::None, 0, "0 * * * * *", 3_650 * DAY),
            [(3_650 * DAY - MINUTE, false), (3_650 * DAY, false)]
        );
    }

    #[test]
    fn a_refused_instant_stays_due() {
        let mut schedule = schedule(CatchUp::None, 0, "*/10 * * * *");
        schedule.refused = Some(Due { at: 10 * MINUTE, missed: false });
        let due: Vec<_> = schedule.due(15 * MINUTE).into_iter().map(|due| due.at).collect();
        assert_eq!(due, [10 * MINUTE]);
    }
}
