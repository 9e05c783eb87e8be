//! When a number of messages would have left under a sender's policy.

use crate::base::Millis;
use crate::config::Config;

/// When the last of `count` messages of `session`, the first of them ready at `now`, would have left; None: nothing paces it.
pub fn ends_at(config: &Config, session: &str, count: u64, now: Millis) -> Option<Millis> {
    let policy = config.senders.get(session)?;
    Some(now.saturating_add_unsigned(policy.pace.rate.ms_for(count.saturating_sub(u64::from(policy.pace.burst)))))
}
