//! Where the `for_each` of a run stands: from its state, or from its report.

use std::fmt;

use crate::base::Json;
use crate::engine::frame::StepState;
use crate::engine::state::RunState;
use crate::plan::Plan;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub step: String,
    pub total: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Let go with an unknown outcome.
    pub unknown: u64,
    /// Waiting for a person.
    pub held: u64,
}

impl Counts {
    /// Of the first `for_each` at work in the workflow's own block.
    pub fn of(plan: &Plan, state: &RunState) -> Option<Self> {
        let (planned, items) = plan.steps.iter().zip(&state.root.steps).find_map(|(planned, step)| match step {
            StepState::Items(items) => Some((planned, items)),
            _ => None,
        })?;
        Some(Self {
            step: planned.id.to_string(),
            total: u64::from(items.total),
            succeeded: u64::from(items.succeeded),
            failed: items.failed.len() as u64,
            skipped: u64::from(items.skipped),
            unknown: u64::from(items.unknown),
            held: items.held() as u64,
        })
    }

    /// The same of a run as the daemon's API shows it.
    pub fn of_report(run: &Json) -> Option<Self> {
        let steps = run["steps"].as_object()?;
        let at_work = |step: &Json| step["status"] == "running" || step["status"] == "held";
        let (id, step) = steps.iter().find(|(_, step)| at_work(step) && step["items"].is_object())?;
        let items = &step["items"];
        let count = |name: &str| items[name].as_u64().unwrap_or(0);
        Some(Self {
            step: id.clone(),
            total: count("total"),
            succeeded: count("succeeded"),
            failed: count("failed"),
            skipped: count("skipped"),
            unknown: count("unknown"),
            held: items["held"].as_array().map_or(0, |held| held.len() as u64),
        })
    }

    /// Items that have ended.
    pub fn done(&self) -> u64 {
        self.succeeded + self.failed + self.skipped + self.unknown
    }

    /// What became of those that did not succeed; None if all did.
    pub fn others(&self) -> Option<String> {
        let others =
            [("failed", self.failed), ("skipped", self.skipped), ("unknown", self.unknown), ("held", self.held)];
        let others: Vec<_> =
            others.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
        (!others.is_empty()).then(|| others.join(", "))
    }
}

/// `message 120/1000, 3 failed`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.step, self.done(), self.total)?;
        self.others().map_or(Ok(()), |others| write!(f, ", {others}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_says_where_it_stands() {
        let items = json!({"total": 9, "succeeded": 3, "failed": 1, "skipped": 2, "unknown": 0, "held": [{}, {}]});
        let run = json!({"steps": {"list": {"status": "succeeded"}, "all": {"status": "running", "items": items}}});
        let counts = Counts::of_report(&run).unwrap();
        assert_eq!((counts.done(), counts.to_string()), (6, "all 6/9, 1 failed, 2 skipped, 2 held".to_string()));
        let ended = json!({"steps": {"all": {"status": "failed", "items": items}}});
        assert_eq!(Counts::of_report(&ended), None);
    }
}
