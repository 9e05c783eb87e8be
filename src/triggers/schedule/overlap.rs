//! Whether scheduled runs of a workflow may go on at the same time.

use crate::engine::run::Lane;
use crate::lang::workflow::{Overflow, Overlap};

/// The lane of a scheduled run of `workflow`; None where runs may overlap. All schedules of a workflow share one: what must
/// not overlap is the work, whichever pattern it was due by.
pub fn overlap_lane(workflow: &str, overlap: Overlap) -> Option<Lane> {
    let overflow = match overlap {
        Overlap::Allow => return None,
        Overlap::Queue => Overflow::Queue,
        Overlap::Skip => Overflow::Skip,
    };
    Some(Lane::of_schedules(workflow, overflow))
}
