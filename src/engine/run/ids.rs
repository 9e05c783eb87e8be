//! Run ids in the order of arrival: two runs of one millisecond sort as they came.

use std::sync::{Mutex, PoisonError};

use crate::base::RunId;
use crate::engine::ports::Clock;

#[derive(Default)]
pub struct Ids(Mutex<Option<RunId>>);

impl Ids {
    pub fn next(&self, clock: &dyn Clock) -> RunId {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = RunId::new(clock.now(), clock.random());
        // Also when the clock was set back.
        let next = match *last {
            Some(last) if fresh <= last => last.successor(),
            _ => fresh,
        };
        *last = Some(next);
        next
    }
}
