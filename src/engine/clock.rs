//! The real clock. The only file of the house that may ask for time or randomness or sleep; `tests/tidy.rs` sees to it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;

use super::ports::Clock;
use crate::base::Millis;

/// The machine's own time and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        // Before 1970 the clock is wrong, and 0 is as good as anything.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
    }

    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()> {
        let clock = *self;
        Box::pin(async move {
            // In slices, so that a clock that is set forward wakes its sleepers within one.
            loop {
                let left = at - clock.now();
                if left <= 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(left.min(MAX_SLICE_MS) as u64)).await;
            }
        })
    }

    fn pause(&self, ms: u64) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }

    fn random(&self) -> u128 {
        use std::hash::{BuildHasher, RandomState};
        // `RandomState` is keyed by the operating system once a thread and differs at every call; ids need
        // uniqueness, not secrecy.
        let half = || u128::from(RandomState::new().hash_one(std::process::id()));
        half() << 64 | half()
    }
}

/// How long a clock that jumped may go unnoticed, in milliseconds.
const MAX_SLICE_MS: Millis = 30_000;

/// Calls `tick` every `period` on a thread of its own until it returns false: for what must go on while every worker of
/// the async runtime is busy (the epoch of WASM guests).
pub fn spawn_ticker(
    name: &str,
    period: Duration,
    mut tick: impl FnMut() -> bool + Send + 'static,
) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_string()).spawn(move || {
        while tick() {
            std::thread::sleep(period);
        }
    })?;
    Ok(())
}

/// The monotonic now, for measuring durations that are shown to people.
pub fn stopwatch() -> Stopwatch {
    Stopwatch(std::time::Instant::now())
}

/// A running measurement.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
