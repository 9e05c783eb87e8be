//! One call of a guest: a permit, a store, a fresh instance; all of it gone when the future ends or is dropped.

use futures::future::{Either, select};
use wasmtime::{Store, UpdateDeadline};

use super::bindings::moltrun::step::types::{Output, PluginInfo, StepError};
use super::bindings::{Transform, TransformPre};
use super::cause::{Cause, DeadlineExceeded};
use super::runtime::Runtime;
use super::runtime::TICK_MS;
use super::state::{Attempt, State};
use crate::base::limits::{PLUGIN_HANDLES, PLUGIN_JSON};

/// Room beside the JSON that one crossing may carry: names, log fields.
const CROSSING_SLACK: usize = 64 * 1024;

/// What a call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) memory_bytes: usize,
    pub(super) timeout_ms: u64,
}

/// Asks a plugin what it offers, with nothing granted.
pub(super) async fn describe(
    runtime: &Runtime,
    pre: &TransformPre<State>,
    plugin: &str,
    bounds: Bounds,
) -> Result<PluginInfo, Cause> {
    let attempt = Attempt { plugin: plugin.to_string(), ..Attempt::default() };
    enter(runtime, pre, attempt, bounds, async |guest, store| guest.moltrun_step_guest().call_describe(store).await)
        .await
}

/// Makes one attempt of `step`.
pub(super) async fn run(
    runtime: &Runtime,
    pre: &TransformPre<State>,
    attempt: Attempt,
    bounds: Bounds,
    step: &str,
    input: &String,
) -> Result<Result<Output, StepError>, Cause> {
    enter(runtime, pre, attempt, bounds, async |guest, store| {
        guest.moltrun_step_guest().call_run(store, step, input).await
    })
    .await
}

async fn enter<T>(
    runtime: &Runtime,
    pre: &TransformPre<State>,
    attempt: Attempt,
    bounds: Bounds,
    call: impl AsyncFnOnce(Transform, &mut Store<State>) -> wasmtime::Result<T>,
) -> Result<T, Cause> {
    // Declared before the store, so that the place in the pool is free again before the permit is.
    let _permit =
        runtime.permits.acquire().await.map_err(|_| Cause::new("plugin.busy", "was called while stopping"))?;
    let deadline = runtime.deadline(bounds.timeout_ms);
    let mut store = Store::new(&runtime.engine, State::new(attempt, deadline.clone(), bounds.memory_bytes));
    store.limiter(|state| &mut state.quota);
    store.set_hostcall_fuel(PLUGIN_JSON + CROSSING_SLACK);
    store.set_max_component_handles(PLUGIN_HANDLES);
    // At each tick the guest lets others run, or ends.
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| match deadline.remaining_ms() {
        0 => Err(wasmtime::Error::new(DeadlineExceeded)),
        _ => Ok(UpdateDeadline::Yield(1)),
    });
    // The ticks find a guest that computes; one that waits for the host is found by a clock, a little later.
    let over = runtime.services.clock.pause(bounds.timeout_ms + 2 * TICK_MS);
    let work = async {
        match pre.instantiate_async(&mut store).await {
            Ok(guest) => call(guest, &mut store).await,
            Err(error) => Err(error),
        }
    };
    let result = match select(std::pin::pin!(work), over).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(wasmtime::Error::new(DeadlineExceeded)),
    };
    let state = store.data();
    if state.dropped_lines() > 0 {
        tracing::warn!(
            plugin = %state.attempt.plugin, run = %state.attempt.run, step = %state.attempt.step,
            dropped = state.dropped_lines(), "the plugin logs too much, lines were dropped"
        );
    }
    result.map_err(|error| Cause::of(&error, state, bounds.timeout_ms))
}
