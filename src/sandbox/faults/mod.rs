//! Faults on cue: what a far side does on a bad day, to the requests one names.
//!
//! Every request is shown to every fault in the order of their making, so that each counts what it might meet; the first
//! that picks it happens. What is picked follows from counts and a seed alone: a client that asks the same again meets the
//! same again.
//!
//! | file | holds |
//! |---|---|
//! | `fault` | a fault, and which requests it picks |
//! | `read` | how people write one |
//! | `happen` | what then happens to a request |

mod fault;
mod happen;
mod read;

use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::base::{Json, limits};
pub use fault::Fault;
use fault::What;
pub use happen::happen;
pub use read::{BadFault, json as read};

impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        read::line(text)
    }
}

/// The faults that are in force.
pub struct Faults {
    kept: Mutex<Kept>,
}

struct Kept {
    faults: Vec<Active>,
    next_id: u64,
}

struct Active {
    id: u64,
    fault: Fault,
    /// Requests it might have met.
    matched: u64,
    /// Requests it met.
    happened: u64,
}

impl Active {
    fn shown(&self) -> Json {
        let Self { id, fault, matched, happened } = self;
        json!({ "id": id, "fault": fault.to_string(), "matched": matched, "happened": happened })
    }
}

/// No more faults than [`limits::SANDBOX_OBJECTS`] are kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// What happens to a webhook delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub times: u32,
    pub delay_ms: u64,
}

impl Faults {
    /// As many as there is room for: options are written by whoever starts the process.
    pub fn new(faults: Vec<Fault>) -> Self {
        let kept = Self { kept: Mutex::new(Kept { faults: Vec::new(), next_id: 1 }) };
        for fault in faults {
            let _ = kept.add(vec![fault]);
        }
        kept
    }

    /// Adds all of them, or none; the result shows what was added.
    pub fn add(&self, faults: Vec<Fault>) -> Result<Vec<Json>, Full> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.faults.len() + faults.len() > limits::SANDBOX_OBJECTS {
            return Err(Full);
        }
        let mut shown = Vec::with_capacity(faults.len());
        for fault in faults {
            let active = Active { id: kept.next_id, fault, matched: 0, happened: 0 };
            shown.push(active.shown());
            kept.next_id += 1;
            kept.faults.push(active);
        }
        Ok(shown)
    }

    pub fn shown(&self) -> Vec<Json> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).faults.iter().map(Active::shown).collect()
    }

    /// Ends one of them, or all; the result is how many.
    pub fn remove(&self, id: Option<u64>) -> usize {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.faults.len();
        kept.faults.retain(|active| id.is_some_and(|id| id != active.id));
        before - kept.faults.len()
    }

    fn of_request(&self, method: &str, bare_path: &str) -> Option<Fault> {
        self.first(|fault| fault.is_on_request(method, bare_path))
    }

    /// What happens to a delivery of this event; usually one at once.
    pub fn of_delivery(&self, event: &str) -> Delivered {
        let fault = self.first(|fault| fault.is_on_delivery(event));
        let times = match fault.as_ref().map(|fault| &fault.what) {
            Some(What::Duplicate(times)) => *times,
            _ => 1,
        };
        Delivered { times, delay_ms: fault.map_or(0, |fault| fault.delay_ms) }
    }

    fn first(&self, matches: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first = None;
        for active in kept.faults.iter_mut().filter(|active| matches(&active.fault)) {
            active.matched += 1;
            let left = active.fault.times.is_none_or(|times| active.happened < times);
            if first.is_none() && left && active.fault.picks(active.matched) {
                active.happened += 1;
                first = Some(active.fault.clone());
            }
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(lines: &[&str]) -> Faults {
        Faults::new(lines.iter().map(|line| line.parse().unwrap()).collect())
    }

    #[test]
    fn the_first_that_picks_a_request_happens_and_all_count_it() {
        let faults = faults(&["POST /groups: nth=2 503", "POST /groups: times=2 429", "GET /groups: 500"]);
        let met = |_| faults.of_request("POST", "/groups").map(|fault| fault.to_string());
        let happened: Vec<_> = (0..4).map(met).collect();
        let (second, first) =
            (Some("POST /groups: times=2 429".to_string()), Some("POST /groups: nth=2 503".to_string()));
        assert_eq!(happened, [second.clone(), first, second, None]);
        let counts: Vec<_> =
            faults.shown().iter().map(|shown| (shown["matched"].clone(), shown["happened"].clone())).collect();
        assert_eq!(counts, [(json!(4), json!(1)), (json!(4), json!(2)), (json!(0), json!(0))]);
    }

    #[test]
    fn deliveries_are_met_by_their_event() {
        let faults = faults(&["DELIVERY message: every=2 duplicate=5", "DELIVERY group_*: delay=2s", "* /**: 500"]);
        let usual = Delivered { times: 1, delay_ms: 0 };
        assert_eq!(faults.of_delivery("message"), usual);
        assert_eq!(faults.of_delivery("message"), Delivered { times: 5, delay_ms: 0 });
        assert_eq!(faults.of_delivery("group_join"), Delivered { times: 1, delay_ms: 2_000 });
        assert_eq!(faults.of_delivery("session_status"), usual);
    }

    #[test]
    fn all_are_added_or_none_and_each_can_be_removed() {
        let faults = faults(&["GET /groups: 500"; 3]);
        let many: Vec<Fault> = vec!["GET /groups: 500".parse().unwrap(); limits::SANDBOX_OBJECTS - 2];
        assert_eq!(faults.add(many), Err(Full));
        assert_eq!((faults.remove(Some(2)), faults.remove(Some(2)), faults.shown().len()), (1, 0, 2));
        assert_eq!((faults.remove(None), faults.shown().len()), (2, 0));
        assert_eq!(faults.add(vec!["GET /groups: 500".parse().unwrap()]).unwrap()[0]["id"], 4);
    }
}
