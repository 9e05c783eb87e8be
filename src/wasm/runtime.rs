//! The WASM engine of the process: its one configuration, its pool, its threads.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::bindings::Transform;
use super::host::Services;
use super::imports::{Accounts, link_http};
use super::measure::Meter;
use super::slow::Slow;
use super::state::State;
use super::ticks::Ticks;
use super::wasi;
use crate::base::limits::PLUGIN_CALLS;
use crate::engine::clock::{Stopwatch, stopwatch};

/// Native stack of a guest: wasmtime's default, spelled out because errors name it.
pub(super) const GUEST_STACK: usize = 512 * 1024;

/// Stack of the fiber a guest runs on. What is beyond [`GUEST_STACK`] is for host functions.
const FIBER_STACK: usize = 2 * 1024 * 1024;

/// A page of WASM memory, the unit it grows by.
const PAGE: usize = 64 * 1024;

/// Core instances of one component. Python guests have 38.
pub(super) const CORE_INSTANCES: u32 = 48;

/// Memories of one component: one, and room for an adapter's. JavaScript guests have 3, two of them of stubs.
pub(super) const MEMORIES: u32 = 4;

/// Tables of one component: one for each core module with function pointers.
pub(super) const TABLES: u32 = 24;

/// Elements of one table: function pointers of a large guest (Python has about 10,000).
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// Everything that calls share.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    /// No more calls at once than the pool has places.
    pub(super) permits: Arc<Semaphore>,
    pub(super) services: Services,
    /// How much each plugin keeps.
    pub(super) accounts: Accounts,
    pub(super) ticks: Ticks,
    pub(super) slow: Slow,
    /// Counts what calls cost, on an engine that can.
    pub(super) meter: Option<Arc<Meter>>,
}

impl Runtime {
    /// An engine whose calls may take up to `memory_bytes` each. Falls back to allocating on demand, with a warning,
    /// where the address space is too small for the pool.
    pub(super) fn new(memory_bytes: usize, services: Services) -> wasmtime::Result<Self> {
        let engine = match Engine::new(&config(Some(memory_bytes))) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!(%error, "no room for the pool of plugin instances, they are allocated on demand");
                Engine::new(&config(None))?
            }
        };
        Self::over(engine, services, None)
    }

    /// An engine that counts fuel. It makes few calls, so it has no pool.
    pub(super) fn metered(services: Services, meter: Arc<Meter>) -> wasmtime::Result<Self> {
        let mut config = config(None);
        config.consume_fuel(true);
        Self::over(Engine::new(&config)?, services, Some(meter))
    }

    fn over(engine: Engine, services: Services, meter: Option<Arc<Meter>>) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(&engine);
        Transform::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)?;
        wasi::link(&mut linker)?;
        link_http(&mut linker)?;

        let ticks = Ticks::of(&engine)?;
        let permits = Arc::new(Semaphore::new(PLUGIN_CALLS as usize));
        let (accounts, slow) = (Accounts::default(), Slow::default());
        Ok(Self { engine, linker, permits, services, accounts, meter, ticks, slow })
    }
}

/// The end of a call's time: real time, whatever the wall clock is set to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    began: Stopwatch,
    timeout_ms: u64,
}

impl Deadline {
    /// `timeout_ms` from now.
    pub(super) fn after(timeout_ms: u64) -> Self {
        Self { began: stopwatch(), timeout_ms }
    }

    /// Milliseconds, rounded up; 0 once it has passed.
    pub(super) fn remaining_ms(&self) -> u64 {
        Duration::from_millis(self.timeout_ms)
            .saturating_sub(self.began.elapsed())
            .as_nanos()
            .div_ceil(1_000_000)
            .try_into()
            .unwrap_or(u64::MAX)
    }
}

/// The only configuration of the house. `pool` is the memory bound of a pooled instance; none allocates on demand.
fn config(pool: Option<usize>) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(FIBER_STACK)
        // A pure step gives the same bits for the same input on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        // Components made of others (JavaScript, whose WASI is a stub of its own) copy strings between memories. How many a
        // guest may have is bounded by the pool and the quota.
        .wasm_multi_memory(true)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        // Errors name the cause; the frames of a stripped guest would say nothing more.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    if let Some(memory_bytes) = pool {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(PLUGIN_CALLS)
            .total_core_instances(PLUGIN_CALLS * CORE_INSTANCES)
            .total_memories(PLUGIN_CALLS * MEMORIES)
            .total_tables(PLUGIN_CALLS * TABLES)
            .total_stacks(PLUGIN_CALLS)
            .max_core_instances_per_component(CORE_INSTANCES)
            .max_memories_per_component(MEMORIES)
            .max_tables_per_component(TABLES)
            .max_memories_per_module(1)
            .max_tables_per_module(4)
            .table_elements(TABLE_ELEMENTS)
            .max_memory_size(memory_bytes.next_multiple_of(PAGE));
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::PLUGIN_MEMORY;
    use crate::wasm::state::Attempt;
    use wasmtime::component::Component;
    use wasmtime::{PoolConcurrencyLimitError, Store};

    /// The pool is full exactly when the permits are out.
    #[tokio::test]
    async fn the_pool_has_a_place_for_every_permit() {
        let runtime = Runtime::new(PLUGIN_MEMORY, Services::none()).unwrap();
        assert_eq!(runtime.permits.available_permits(), PLUGIN_CALLS as usize);
        let text = "(component (core module $m (memory 1) (table 8 funcref)) (core instance (instantiate $m))
            (core instance (instantiate $m)))";
        let component = Component::new(&runtime.engine, wat::parse_str(text).unwrap()).unwrap();
        let pre = runtime.linker.instantiate_pre(&component).unwrap();
        let store = || {
            let state = State::new(Attempt::default(), Deadline::after(1_000), PLUGIN_MEMORY);
            let mut store = Store::new(&runtime.engine, state);
            store.set_epoch_deadline(1_000_000);
            store
        };
        let mut held = Vec::new();
        for _ in 0..PLUGIN_CALLS {
            let mut store = store();
            pre.instantiate_async(&mut store).await.unwrap();
            held.push(store);
        }
        let mut beyond = store();
        let error = pre.instantiate_async(&mut beyond).await.err().unwrap();
        assert!(error.is::<PoolConcurrencyLimitError>(), "{error:?}");
        drop(held.pop());
        pre.instantiate_async(&mut store()).await.unwrap();
    }

    /// No machine has the address space of this pool.
    #[test]
    fn without_room_for_a_pool_there_is_none() {
        assert!(Engine::new(&config(Some(1 << 60))).is_err());
        assert!(Runtime::new(1 << 60, Services::none()).is_ok());
    }

    #[test]
    fn both_ways_to_allocate_run_the_same_code() {
        let pooled = Engine::new(&config(Some(PLUGIN_MEMORY))).unwrap();
        let on_demand = Engine::new(&config(None)).unwrap();
        let code = pooled.precompile_component(&wat::parse_str("(component)").unwrap()).unwrap();
        assert_eq!(code, on_demand.precompile_component(&wat::parse_str("(component)").unwrap()).unwrap());
    }
}
