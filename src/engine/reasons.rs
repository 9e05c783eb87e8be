//! Why items of a `for_each` did not succeed: a count for each code, and a bounded number of codes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::SkipReason;
use super::frame::{Frame, StepState};
use crate::base::limits;

/// Counts by code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reasons(BTreeMap<String, u32>);

/// What is counted together when there are too many codes.
const OTHER: &str = "other";

/// An item that was not begun, because another one failed.
pub const STOPPED: &str = "for_each.stopped";

impl Reasons {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts `count` more items with this code.
    pub fn add(&mut self, code: &str, count: u32) {
        if count == 0 {
            return;
        }
        let known = self.0.contains_key(code) || self.0.len() < limits::FOR_EACH_REASONS;
        *self.0.entry(if known { code } else { OTHER }.to_string()).or_default() += count;
    }

    /// The counts of both.
    pub fn with(&self, more: &Self) -> Self {
        let mut all = self.clone();
        more.0.iter().for_each(|(code, count)| all.add(code, *count));
        all
    }

    /// All items counted.
    pub fn total(&self) -> u32 {
        self.0.values().sum()
    }
}

/// Why nothing came of an item that was skipped or let go. What it was for counts before what merely did not apply.
pub fn of_skipped(frame: &Frame) -> &str {
    let mut found = ("not_reached", 0);
    for step in &frame.steps {
        let StepState::Skipped { reason, why } = step else { continue };
        let (code, weight) = match reason {
            SkipReason::NotReached => continue,
            SkipReason::Condition => ("condition", 1),
            SkipReason::Resolved => ("resolved", 2),
            SkipReason::Repeated => ("once", 3),
            SkipReason::Declined => (why.as_ref().map_or("declined", |why| why.code.as_str()), 3),
            SkipReason::Unknown => ("unknown", 4),
        };
        if weight > found.1 {
            found = (code, weight);
        }
    }
    found.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_beyond_the_bound_are_counted_together() {
        let mut reasons = Reasons::default();
        for number in 0..limits::FOR_EACH_REASONS + 7 {
            reasons.add(&format!("code.{number:03}"), 2);
        }
        reasons.add("code.000", 1);
        reasons.add("nothing", 0);
        assert_eq!(reasons.0.len(), limits::FOR_EACH_REASONS + 1);
        assert_eq!((reasons.0["code.000"], reasons.0[OTHER]), (3, 14));
        let all = reasons.with(&reasons);
        assert_eq!((all.0.len(), all.total()), (limits::FOR_EACH_REASONS + 1, 2 * reasons.total()));
    }
}
