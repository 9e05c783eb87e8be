//! What steps told people, read from the journal: the latest of each step for the report of a run, and all of it page by page.

use std::collections::BTreeMap;

use super::people::WordError;
use super::{Engine, LoadError, Shared};
use crate::base::{RunId, limits};
use crate::engine::event::Event;
use crate::engine::ports::StoreError;
use crate::engine::report::RunLine;
use crate::engine::state::RunState;
use crate::plan::Plan;

/// Events that are read at once around one that is wanted: attempts that tell something are often neighbours. An event may be
/// as large as an output, and most of these are not wanted.
const WINDOW: u64 = 8;

/// Windows that are read for one report, at most: sixteen attempts that lie apart.
const WINDOWS: usize = 16;

/// Lines of a run, in the order of its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct LogPage {
    pub lines: Vec<RunLine>,
    /// The event to go on from; None: there are no more.
    pub next: Option<u64>,
}

impl Engine {
    /// What `step` told, in its items too, or every step where none is named: of events from number `from` on, until there
    /// are [`limits::LOG_SHOWN`] bytes or [`limits::JOURNAL_PAGE`] events were looked at.
    pub async fn log(&self, run: RunId, step: Option<&str>, from: u64) -> Result<LogPage, WordError> {
        let (plan, _) = self.0.plan_of(run).await?;
        if let Some(step) = step.filter(|step| plan.steps.iter().all(|planned| *planned.id != **step)) {
            return Err(WordError::NoStep(step.to_string()));
        }
        let wanted = |number: u32| {
            let Some(planned) = plan.steps.get(number as usize) else { return false };
            let around = &plan.blocks[planned.block].chain;
            step.is_none_or(|id| *planned.id == *id || around.iter().any(|outer| *plan.steps[*outer].id == *id))
        };
        let events = self.0.store.journal(run, from, limits::JOURNAL_PAGE).await.map_err(LoadError::from)?;
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let mut next =
            (events.len() == limits::JOURNAL_PAGE as usize).then(|| from.saturating_add(events.len() as u64));
        for (index, event) in events.iter().enumerate() {
            let number = from.saturating_add(index as u64);
            let Event::StepLogged { step, .. } = event else { continue };
            if bytes >= limits::LOG_SHOWN {
                next = Some(number);
                break;
            }
            if wanted(*step) {
                let told = lines_of(&plan, number, event);
                bytes += text_bytes(&told);
                lines.extend(told);
            }
        }
        Ok(LogPage { lines, next })
    }
}

impl Shared {
    /// The latest lines of each step of the workflow's own, the newest first: [`limits::LOG_SHOWN`] bytes of them, or what
    /// [`WINDOWS`] reads of the journal bring. Costs nothing where no step told anything.
    pub(super) async fn latest_lines(
        &self,
        plan: &Plan,
        state: &RunState,
    ) -> Result<BTreeMap<u32, Vec<RunLine>>, StoreError> {
        let numbers = state.logged.iter().flat_map(|(step, logged)| logged.latest.iter().map(|at| (*at, *step)));
        let mut wanted: Vec<(u64, u32)> = numbers.collect();
        wanted.sort_unstable();
        let (mut first, mut window, mut windows) = (u64::MAX, Vec::new(), 0);
        let (mut latest, mut bytes) = (BTreeMap::<u32, Vec<RunLine>>::new(), 0);
        while let Some((number, step)) = wanted.pop() {
            if number < first {
                if windows == WINDOWS {
                    break;
                }
                windows += 1;
                first = (number + 1).saturating_sub(WINDOW);
                window = self.journal(state.id, first).await?;
            }
            let Some(event) = usize::try_from(number - first).ok().and_then(|at| window.get(at)) else { continue };
            let told = lines_of(plan, number, event);
            bytes += text_bytes(&told);
            if bytes > limits::LOG_SHOWN {
                break;
            }
            latest.entry(step).or_default().splice(0..0, told);
        }
        Ok(latest)
    }

    async fn journal(&self, run: RunId, from: u64) -> Result<Vec<Event>, StoreError> {
        self.store.journal(run, from, WINDOW as u32).await
    }
}

fn lines_of(plan: &Plan, number: u64, event: &Event) -> Vec<RunLine> {
    let Event::StepLogged { at, step, items, attempt, lines } = event else { return Vec::new() };
    let Some(planned) = plan.steps.get(*step as usize) else { return Vec::new() };
    let told = lines.iter().map(|line| RunLine {
        event: number,
        at: *at,
        step: planned.id.clone(),
        items: items.clone(),
        attempt: *attempt,
        line: line.clone(),
    });
    told.collect()
}

fn text_bytes(lines: &[RunLine]) -> usize {
    lines.iter().map(|told| told.line.text.len()).sum()
}
