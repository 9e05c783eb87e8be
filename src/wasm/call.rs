//! One call of a guest: a permit, a store, a fresh instance; all of it gone when the future ends or is dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{Store, UpdateDeadline};

use super::bindings::moltrun::step::types::{Output, PluginInfo, StepError};
use super::bindings::{Transform, TransformPre};
use super::cause::{Cause, DeadlineExceeded};
use super::measure::Meter;
use super::runtime::{Deadline, Runtime};
use super::slow::Spun;
use super::state::{Attempt, State};
use super::ticks::Beating;
use super::within::within;
use crate::base::limits::{PLUGIN_HANDLES, PLUGIN_JSON, STEP_TIMEOUT_MS};

/// Room beside the JSON that one crossing may carry: names, log fields.
const CROSSING_SLACK: usize = 64 * 1024;

/// Ticks before a guest yields for the first time: one that is running has begun before, and one whole.
const FIRST_TICKS: u64 = 2;

/// How much sooner than the engine gives a call up its guest is stopped, in milliseconds: a tenth of that time within these.
/// Whoever is late here says why, and whether anything had been sent; the engine would only know that there is no outcome.
/// The least is the grace of `slow` and a few ticks.
const LEAD_MS: std::ops::RangeInclusive<u64> = 30..=250;

/// What a call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) memory_bytes: usize,
    /// The guest's own time, which begins when it has a place.
    pub(super) timeout_ms: u64,
    /// The whole time of the call, the wait for a place in it: then nobody listens any more.
    pub(super) whole_ms: u64,
}

impl Bounds {
    /// With time to wait for a place besides.
    pub(super) fn new(memory_bytes: usize, timeout_ms: u64) -> Self {
        Self { memory_bytes, timeout_ms, whole_ms: STEP_TIMEOUT_MS.saturating_add(timeout_ms) }
    }

    /// What the call and its guest have of [`Self::whole_ms`].
    fn usable_ms(&self) -> u64 {
        let lead_ms = (self.whole_ms / 10).clamp(*LEAD_MS.start(), *LEAD_MS.end());
        self.whole_ms - lead_ms.min(self.whole_ms / 2)
    }

    /// How long a call waits for a place: as long as its guest keeps its own time, and at least half of all.
    fn wait_ms(&self) -> u64 {
        let usable_ms = self.usable_ms();
        usable_ms.saturating_sub(self.timeout_ms).max(usable_ms / 2)
    }
}

/// A component whose imports are resolved, ready to become instances.
pub(super) trait Ready: Clone + Send + Sync + 'static {
    type Guest: Send + Sync;

    fn instance<'a>(&'a self, store: &'a mut Store<State>) -> BoxFuture<'a, wasmtime::Result<Self::Guest>>;
}

impl Ready for TransformPre<State> {
    type Guest = Transform;

    fn instance<'a>(&'a self, store: &'a mut Store<State>) -> BoxFuture<'a, wasmtime::Result<Transform>> {
        self.instantiate_async(store).boxed()
    }
}

/// Asks a plugin what it offers, with nothing granted.
pub(super) async fn describe(
    runtime: &Runtime,
    pre: &TransformPre<State>,
    plugin: &str,
    bounds: Bounds,
) -> Result<PluginInfo, Cause> {
    let attempt = Attempt { plugin: plugin.to_string(), ..Attempt::default() };
    enter(runtime, pre, attempt, bounds, |guest, store| guest.moltrun_step_guest().call_describe(store).boxed()).await
}

/// Makes one attempt of `step`.
pub(super) async fn run(
    runtime: &Runtime,
    pre: &TransformPre<State>,
    attempt: Attempt,
    bounds: Bounds,
    step: String,
    input: String,
) -> Result<Result<Output, StepError>, Cause> {
    enter(runtime, pre, attempt, bounds, move |guest, store| {
        async move { guest.moltrun_step_guest().call_run(store, &step, &input).await }.boxed()
    })
    .await
}

/// `call`, in an instance of its own. It may go on elsewhere (see `slow`), so it owns all it needs.
pub(super) async fn enter<R: Ready, T: Send + 'static>(
    runtime: &Runtime,
    pre: &R,
    attempt: Attempt,
    bounds: Bounds,
    call: impl for<'a> FnOnce(&'a R::Guest, &'a mut Store<State>) -> BoxFuture<'a, wasmtime::Result<T>> + Send + 'static,
) -> Result<T, Cause> {
    let usable = Deadline::after(bounds.usable_ms());
    let clock = &*runtime.services.clock;
    let permit = within(clock, bounds.wait_ms(), runtime.permits.clone().acquire_owned()).await;
    let permit = permit.ok_or_else(|| Cause::busy(bounds.wait_ms()))?;
    let permit = permit.map_err(|_| Cause::new("plugin.busy", "was called while stopping"))?;
    let own_ms = bounds.timeout_ms.min(usable.remaining_ms());
    let deadline = Deadline::after(own_ms);
    let state = State::new(attempt, deadline, bounds.memory_bytes);
    let (store, spun) = store(runtime, state, deadline);
    let places = Places { _permit: permit, _beating: runtime.ticks.beat(), meter: runtime.meter.clone() };
    let work = work(places, store, pre.clone(), bounds.timeout_ms, call).boxed();
    let ended = runtime.slow.attend(clock, own_ms, &spun, work).await;
    ended.unwrap_or_else(|| Err(Cause::timeout(bounds.timeout_ms)))
}

/// `call` on this thread, which it keeps until it ends: for guests of ours that are quick. None if the pool is full.
pub(super) fn enter_here<R: Ready, T>(
    runtime: &Runtime,
    pre: &R,
    attempt: Attempt,
    bounds: Bounds,
    call: impl for<'a> FnOnce(&'a R::Guest, &'a mut Store<State>) -> BoxFuture<'a, wasmtime::Result<T>>,
) -> Option<Result<T, Cause>> {
    let permit = runtime.permits.clone().try_acquire_owned().ok()?;
    let deadline = Deadline::after(bounds.timeout_ms.min(bounds.usable_ms()));
    let (store, _) = store(runtime, State::new(attempt, deadline, bounds.memory_bytes), deadline);
    let places = Places { _permit: permit, _beating: runtime.ticks.beat(), meter: runtime.meter.clone() };
    let mut work = std::pin::pin!(work(places, store, pre.clone(), bounds.timeout_ms, call));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // It waits for nothing but its next turn.
    loop {
        if let Poll::Ready(ended) = work.as_mut().poll(&mut context) {
            return Some(ended);
        }
    }
}

/// What a call takes of the host, for as long as the guest is there.
struct Places {
    _permit: OwnedSemaphorePermit,
    _beating: Beating,
    meter: Option<Arc<Meter>>,
}

async fn work<R: Ready, T>(
    // Declared before the store, so that the place in the pool is free again before the permit is.
    places: Places,
    mut store: Store<State>,
    pre: R,
    timeout_ms: u64,
    call: impl for<'a> FnOnce(&'a R::Guest, &'a mut Store<State>) -> BoxFuture<'a, wasmtime::Result<T>>,
) -> Result<T, Cause> {
    let result = match pre.instance(&mut store).await {
        Ok(guest) => call(&guest, &mut store).await,
        Err(error) => Err(error),
    };
    if let Some(meter) = &places.meter {
        meter.end(&store);
    }
    let state = store.data();
    if state.dropped_lines() > 0 {
        tracing::warn!(
            plugin = %state.attempt.plugin, run = %state.attempt.run, step = %state.attempt.step,
            dropped = state.dropped_lines(), "the plugin logs too much, lines were dropped"
        );
    }
    result.map_err(|error| Cause::of(&error, state, timeout_ms))
}

/// A store with all bounds on, and what its guest raises when it computes for long.
fn store(runtime: &Runtime, state: State, deadline: Deadline) -> (Store<State>, Spun) {
    let mut store = Store::new(&runtime.engine, state);
    store.limiter(|state| &mut state.quota);
    store.set_hostcall_fuel(PLUGIN_JSON + CROSSING_SLACK);
    store.set_max_component_handles(PLUGIN_HANDLES);
    if runtime.meter.is_some() {
        Meter::begin(&mut store);
    }
    let spun = Spun::default();
    let raised = spun.clone();
    store.set_epoch_deadline(FIRST_TICKS);
    // At each tick the guest lets others run, or ends.
    store.epoch_deadline_callback(move |_| match deadline.remaining_ms() {
        0 => Err(wasmtime::Error::new(DeadlineExceeded)),
        _ => {
            raised.store(true, Ordering::Relaxed);
            Ok(UpdateDeadline::Yield(1))
        }
    });
    (store, spun)
}
