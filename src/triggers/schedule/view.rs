//! Schedules as people see them.

use serde::Serialize;

use super::board::Board;
use super::slot::Slot;
use crate::base::Millis;
use crate::lang::workflow::{CatchUp, Overlap, Trigger};

/// One schedule. Times are milliseconds since 1970; counts are since the daemon started.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScheduleView {
    pub workflow: String,
    pub cron: String,
    pub timezone: String,
    pub catch_up: CatchUp,
    pub overlap: Overlap,
    pub jitter_ms: u64,
    /// The next instant; its run starts up to `jitter_ms` later. None: it never fires again.
    pub next_at: Option<Millis>,
    /// The newest instant that has passed, whether it started a run or was let go. None: there was none yet.
    pub last_at: Option<Millis>,
    /// Due instants whose run has not been accepted yet.
    pub waiting: u32,
    /// Instants that started a run.
    pub started: u64,
    /// Of these, the ones that were missed and made up for.
    pub made_up: u64,
    /// Missed instants that started no run, as `catch_up` says; at most 1,000 of one outage are counted.
    pub skipped: u64,
    pub last_skipped_at: Option<Millis>,
}

/// Some of the schedules.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Page {
    pub schedules: Vec<ScheduleView>,
    /// The last workflow of this page, if there are more.
    pub next_cursor: Option<String>,
}

pub fn page(board: &Board, workflow: Option<&str>, after: Option<&str>, limit: usize) -> Page {
    let mut page = Page::default();
    let mut last: Option<&str> = None;
    for (name, slots) in board.by_workflow(workflow, after) {
        if page.schedules.len() >= limit {
            page.next_cursor = last.map(str::to_string);
            break;
        }
        page.schedules.extend(slots.filter_map(view));
        last = Some(name);
    }
    page
}

fn view(slot: &Slot) -> Option<ScheduleView> {
    let Trigger::Schedule { cron, timezone, catch_up, overlap, jitter_ms, .. } =
        &slot.plan.triggers.get(slot.trigger)?.trigger
    else {
        return None;
    };
    // At the start the cursor is all that is known of the time before; it is an instant unless the schedule was new then.
    let settled = || (slot.cron.next_after(slot.settled - 1) == Some(slot.settled)).then_some(slot.settled);
    Some(ScheduleView {
        workflow: slot.plan.name.to_string(),
        cron: cron.clone(),
        timezone: timezone.clone(),
        catch_up: *catch_up,
        overlap: *overlap,
        jitter_ms: *jitter_ms,
        next_at: slot.next,
        last_at: slot.tally.last.or_else(settled),
        waiting: slot.pending,
        started: slot.tally.started,
        made_up: slot.tally.made_up,
        skipped: slot.tally.let_go,
        last_skipped_at: slot.tally.last_let_go,
    })
}
