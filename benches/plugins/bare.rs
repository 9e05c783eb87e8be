//! The floor: the same component called by nothing but wasmtime with its pool, in a fresh instance each time.

use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use self::moltrun::step::{context, log, types};

wasmtime::component::bindgen!({
    path: "wit",
    world: "transform",
    exports: { default: async },
});

pub struct Bare {
    engine: Engine,
    pre: TransformPre<State>,
}

/// No bounds, no attempt, no time.
pub struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Bare {
    pub fn new(component: &[u8]) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::new()));
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        Transform::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)?;
        let pre = linker.instantiate_pre(&Component::new(&engine, component)?)?;
        Ok(Self { engine, pre: TransformPre::new(pre)? })
    }

    /// The bytes it answers.
    #[allow(clippy::ptr_arg, reason = "the generated function takes no other")]
    pub async fn call(&self, step: &str, input: &String) -> wasmtime::Result<usize> {
        let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, state);
        let guest = self.pre.instantiate_async(&mut store).await?;
        let answer = guest.moltrun_step_guest().call_run(&mut store, step, input).await?;
        answer.map(|output| output.data.len()).map_err(|error| wasmtime::Error::msg(format!("{error:?}")))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for State {}

impl context::Host for State {
    fn run_id(&mut self) -> String {
        String::new()
    }

    fn step_id(&mut self) -> String {
        String::new()
    }

    fn attempt(&mut self) -> u32 {
        1
    }

    fn idempotency_key(&mut self) -> String {
        String::new()
    }

    fn now_ms(&mut self) -> u64 {
        0
    }

    fn remaining_ms(&mut self) -> u64 {
        0
    }
}

impl log::Host for State {
    fn write(&mut self, _: log::Level, _: String, _: Vec<(String, String)>) {}
}
