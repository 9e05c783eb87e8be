//! What keeps a WhatsApp number alive. In this release: the pace of each session.
//!
//! The pace is kept in memory, for all workflows of the process together. Sessions without a policy are not paced.

mod pace;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::ports::Clock;
use pace::Bucket;
pub use pace::{BadRate, Pace, Rate};

/// One entry of `senders:` in `moltrun.yaml`, by session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub pace: Pace,
}

/// The paces of all sessions.
pub struct Senders {
    buckets: BTreeMap<String, Mutex<Bucket>>,
    clock: Arc<dyn Clock>,
}

impl Senders {
    pub fn new(policies: BTreeMap<String, Policy>, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let buckets = policies
            .into_iter()
            .map(|(session, policy)| (session, Mutex::new(Bucket::new(policy.pace, now))))
            .collect();
        Self { buckets, clock }
    }

    /// Takes the permission for one send from `session`. An error is the time after which to ask again, in milliseconds;
    /// nothing is taken then. Callers that are refused together are given different times, so that they do not all come
    /// back at once for the one permission that is there.
    pub fn acquire(&self, session: &str) -> Result<(), u64> {
        let Some(bucket) = self.buckets.get(session) else { return Ok(()) };
        bucket.lock().unwrap_or_else(PoisonError::into_inner).acquire(self.clock.now())
    }
}
