//! The beat that guests look up at: it raises the engine's epoch while there are calls, and rests while there are none, so
//! that an idle daemon is idle.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

use crate::engine::clock::spawn_ticker;

/// How often guests look up from their work, in milliseconds: fine enough that a guest that computes leaves its caller's
/// thread before anyone notices, coarse enough to cost nothing.
pub(super) const TICK_MS: u64 = 2;

/// Starts and ends with calls.
pub(super) struct Ticks(Arc<Beat>);

#[derive(Default)]
struct Beat {
    calls: AtomicUsize,
    is_resting: AtomicBool,
    is_over: AtomicBool,
    rest: Mutex<()>,
    rise: Condvar,
}

/// There is a beat while this lives.
pub(super) struct Beating(Arc<Beat>);

impl Ticks {
    /// On a thread of its own, because guests may keep every worker of the async runtime busy.
    pub(super) fn of(engine: &Engine) -> std::io::Result<Self> {
        let beat = Arc::new(Beat::default());
        let (beats, weak) = (beat.clone(), engine.weak());
        spawn_ticker("wasm-epoch", Duration::from_millis(TICK_MS), move || {
            beats.rest();
            let Some(engine) = weak.upgrade().filter(|_| !beats.is_over.load(Ordering::SeqCst)) else { return false };
            engine.increment_epoch();
            true
        })?;
        Ok(Self(beat))
    }

    /// To be held for as long as a call is at work.
    pub(super) fn beat(&self) -> Beating {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        // In this order: a thread that lies down after this reads the count and stays up.
        if self.0.is_resting.load(Ordering::SeqCst) {
            self.0.wake();
        }
        Beating(self.0.clone())
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
        self.0.wake();
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Beat {
    /// Returns as soon as there is a call.
    fn rest(&self) {
        if self.is_needed() {
            return;
        }
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_resting.store(true, Ordering::SeqCst);
        while !self.is_needed() {
            rest = self.rise.wait(rest).unwrap_or_else(PoisonError::into_inner);
        }
        self.is_resting.store(false, Ordering::SeqCst);
    }

    fn is_needed(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > 0 || self.is_over.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        // Under the lock: between the look at the count and the wait nobody can call in vain.
        let _rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        self.rise.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(holds: impl Fn() -> bool) {
        while !holds() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn it_rests_without_calls_and_rises_with_them() {
        let engine = Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        let ticks = Ticks::of(&engine).unwrap();
        for _ in 0..3 {
            until(|| ticks.0.is_resting.load(Ordering::SeqCst));
            let (one, other) = (ticks.beat(), ticks.beat());
            until(|| !ticks.0.is_resting.load(Ordering::SeqCst));
            drop(one);
            assert!(ticks.0.is_needed());
            drop(other);
        }
    }

    #[test]
    fn it_ends_with_what_it_beats_for() {
        let engine = Engine::default();
        let ticks = Ticks::of(&engine).unwrap();
        let beat = Arc::downgrade(&ticks.0);
        drop(ticks);
        // The thread holds the last count; once it is gone the thread is.
        until(|| beat.strong_count() == 0);
    }
}
