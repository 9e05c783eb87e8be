//! Waits that end.

use futures::future::{Either, select};

use crate::engine::ports::Clock;

/// `work`, unless it takes longer than `ms` milliseconds.
pub(super) async fn within<T>(clock: &dyn Clock, ms: u64, work: impl Future<Output = T>) -> Option<T> {
    match select(std::pin::pin!(work), clock.pause(ms)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
