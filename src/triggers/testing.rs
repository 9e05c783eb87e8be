//! What the tests of triggers stand on: plans from a few lines, and a clock that can be set like a real one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::base::Millis;
use crate::engine::ports::{Clock, Step};
use crate::lang::{Catalog, Source};
use crate::plan::Plan;
use crate::steps::set::Set;

/// Every step there is: `set`.
pub fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.insert(Set::default().spec().clone());
    catalog
}

/// One step, for texts that are about something else.
pub const STEP: &str = "\nsteps: [{ id: s, uses: set, with: { a: 1 } }]\n";

/// The plan of `text`, to which the steps are added.
pub fn plan(text: &str) -> Arc<Plan> {
    let source = Source { path: "w.yaml".to_string(), text: format!("{text}{STEP}") };
    let checked = crate::plan::check(&source, Path::new("."), &catalog(), &Default::default());
    checked.plan.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics))
}

/// A clock on a wall: time passes when the test says so, and the hands can be moved without time passing.
pub struct Wall {
    hands: Mutex<Hands>,
    drawn: AtomicU64,
}

struct Hands {
    /// What the wall shows.
    shown: Millis,
    /// What has really passed.
    passed: Millis,
    until: BTreeMap<(Millis, u64), oneshot::Sender<()>>,
    pauses: BTreeMap<(Millis, u64), oneshot::Sender<()>>,
}

impl Wall {
    pub fn at(shown: Millis) -> Arc<Self> {
        let hands = Hands { shown, passed: 0, until: BTreeMap::new(), pauses: BTreeMap::new() };
        Arc::new(Self { hands: Mutex::new(hands), drawn: AtomicU64::new(0) })
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap()
    }

    /// Lets time pass.
    pub fn pass(&self, ms: Millis) {
        let mut hands = self.hands();
        hands.passed += ms;
        hands.shown += ms;
        hands.wake();
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, by: Millis) {
        let mut hands = self.hands();
        hands.shown += by;
        hands.wake();
    }
}

impl Hands {
    fn wake(&mut self) {
        let later = self.until.split_off(&(self.shown + 1, 0));
        let woken = std::mem::replace(&mut self.until, later);
        let later = self.pauses.split_off(&(self.passed + 1, 0));
        for (_, sleeper) in woken.into_iter().chain(std::mem::replace(&mut self.pauses, later)) {
            let _ = sleeper.send(());
        }
    }
}

impl Clock for Wall {
    fn now(&self) -> Millis {
        self.hands().shown
    }

    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()> {
        let mut hands = self.hands();
        if at <= hands.shown {
            return futures::future::ready(()).boxed();
        }
        let (wake, woken) = oneshot::channel();
        hands.until.insert((at, self.drawn.fetch_add(1, SeqCst)), wake);
        woken.map(|_| ()).boxed()
    }

    fn pause(&self, ms: u64) -> BoxFuture<'static, ()> {
        let mut hands = self.hands();
        let (wake, woken) = oneshot::channel();
        let at = hands.passed.saturating_add_unsigned(ms);
        hands.pauses.insert((at, self.drawn.fetch_add(1, SeqCst)), wake);
        woken.map(|_| ()).boxed()
    }

    fn random(&self) -> u128 {
        // Ids need to differ, and the sixteen low bytes of a counter do.
        u128::from(self.drawn.fetch_add(1, SeqCst)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }
}
