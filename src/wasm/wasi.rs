//! The WASI that standard libraries import anyhow, as stubs: an empty environment, no files, closed stdin, discarded
//! stdout and stderr, a clock that stands still at the call's `now`, randomness seeded by the call's idempotency key.
//! `wasi:sockets` and `wasi:http` are not linked at all.
//!
//! No function here ever waits: a guest that sleeps wakes at once. So a call is always either computing, where the
//! deadline finds it, or done.

use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::random::{Deterministic, WasiRandom, WasiRandomView};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};

use super::state::State;
use crate::base::Millis;
use crate::base::limits::PLUGIN_RESOURCES;

/// Random bytes of one WASI call.
const RANDOM_BYTES: u64 = 64 * 1024;

/// Interfaces that are linked, of any version 0.2.
pub(super) const INTERFACES: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// The stubs' data of one call.
pub(super) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl Wasi {
    fn new(now: Millis, seed: &str) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(PLUGIN_RESOURCES);
        let ctx = WasiCtx::builder()
            .wall_clock(StillClock(now))
            .secure_random(Deterministic::new(stream(seed, "random")))
            .insecure_random(Deterministic::new(stream(seed, "insecure")))
            .insecure_random_seed(u128::from_le_bytes(block(seed, "seed", 0)[..16].try_into().unwrap_or_default()))
            .max_random_size(RANDOM_BYTES)
            .build();
        Self { ctx, table }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let attempt = &self.attempt;
        let wasi = self.wasi.get_or_insert_with(|| Wasi::new(attempt.now, &attempt.idempotency_key));
        WasiCtxView { ctx: &mut wasi.ctx, table: &mut wasi.table }
    }
}

/// Links [`INTERFACES`] and nothing else.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    // Streams, polls, clocks, randomness and the three standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<State, WasiRandom>(linker, State::random)?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(linker, State::random)?;
    cli::environment::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::exit::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)?;
    filesystem::types::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)?;
    // In the place of the one that sleeps.
    linker.allow_shadowing(true);
    clocks::monotonic_clock::add_to_linker::<State, Sleepless>(linker, |state| Sleepless { table: state.ctx().table })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The run's logical time.
struct StillClock(Millis);

impl HostWallClock for StillClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.max(0) as u64)
    }
}

/// A monotonic clock that always shows 0, and whose every pause is over at once.
struct Sleepless<'a> {
    table: &'a mut ResourceTable,
}

impl HasData for Sleepless<'static> {
    type Data<'a> = Sleepless<'a>;
}

struct Over;

impl Pollable for Over {
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(ready(()))
    }
}

impl clocks::monotonic_clock::Host for Sleepless<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(0)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let over = self.table.push(Over)?;
        subscribe(self.table, over)
    }

    fn subscribe_duration(&mut self, nanoseconds: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_instant(nanoseconds)
    }
}

/// 2 KiB that look random and are the same for the same seed; the generator repeats them.
fn stream(seed: &str, purpose: &str) -> Vec<u8> {
    (0..64).flat_map(|number| block(seed, purpose, number)).collect()
}

fn block(seed: &str, purpose: &str, number: u8) -> [u8; 32] {
    Sha256::new().chain_update(seed).chain_update([0]).chain_update(purpose).chain_update([number]).finalize().into()
}
