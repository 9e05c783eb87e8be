//! Time that passes only when a test says so.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::random::mixed;
use crate::base::Millis;
use crate::engine::ports::Clock;

/// The simulated clock: now, and who sleeps until when.
pub struct SimClock(Mutex<Time>);

struct Time {
    now: Millis,
    drawn: u64,
    sleepers: BTreeMap<(Millis, u64), oneshot::Sender<()>>,
}

impl SimClock {
    pub fn new() -> Self {
        Self(Mutex::new(Time { now: 1_000_000, drawn: 0, sleepers: BTreeMap::new() }))
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.0.lock().unwrap()
    }

    /// Lets `ms` milliseconds pass.
    pub fn advance(&self, ms: Millis) {
        let mut time = self.time();
        time.now += ms;
        time.wake();
    }

    /// Lets time pass until `at`, if that is not past.
    pub fn advance_to(&self, at: Millis) {
        let mut time = self.time();
        time.now = time.now.max(at);
        time.wake();
    }

    /// Lets time pass until the first sleeper wakes. False: nobody sleeps.
    pub fn advance_to_next(&self) -> bool {
        let mut time = self.time();
        time.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        let Some((first, _)) = time.sleepers.keys().next().copied() else { return false };
        time.now = time.now.max(first);
        time.wake();
        true
    }

    /// Who sleeps still.
    pub fn sleepers(&self) -> usize {
        self.time().sleepers.values().filter(|sleeper| !sleeper.is_closed()).count()
    }
}

impl Time {
    fn wake(&mut self) {
        let later = self.sleepers.split_off(&(self.now + 1, 0));
        for (_, sleeper) in std::mem::replace(&mut self.sleepers, later) {
            let _ = sleeper.send(());
        }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Millis {
        self.time().now
    }

    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()> {
        let mut time = self.time();
        if at <= time.now {
            return futures::future::ready(()).boxed();
        }
        time.drawn += 1;
        let (wake, woken) = oneshot::channel();
        let key = (at, time.drawn);
        time.sleepers.insert(key, wake);
        woken.map(|_| ()).boxed()
    }

    fn random(&self) -> u128 {
        let mut time = self.time();
        time.drawn += 1;
        u128::from(mixed(&[time.drawn]))
    }
}
