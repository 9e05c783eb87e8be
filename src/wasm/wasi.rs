//! The WASI that standard libraries import anyhow, as stubs: an empty environment, no files, closed stdin, discarded
//! stdout and stderr. `wasi:sockets` is not linked at all, and `wasi:http` elsewhere (`imports`).
//!
//! | | a call that only computes | a call that may act |
//! |---|---|---|
//! | wall clock | stands still at the call's `now` | shows the time |
//! | monotonic clock | shows 0, and every pause is over at once | runs, and pauses last |
//! | randomness | seeded by the call's idempotency key | seeded by chance |
//!
//! So one that only computes repeats itself and never waits. One that waits is ended with its call's time (`call`).

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use sha2::{Digest, Sha256};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::random::{Deterministic, WasiRandom, WasiRandomView};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};

use super::state::{Attempt, State};
use crate::base::Millis;
use crate::base::limits::PLUGIN_RESOURCES;
use crate::engine::ports::Clock;

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
    pub(super) table: ResourceTable,
    chance: Chance,
    /// None: time stands still.
    running: Option<Running>,
}

impl Wasi {
    pub(super) fn new(attempt: &Attempt) -> Self {
        let running = attempt.outside.as_ref().map(|outside| Running::new(outside.clock().clone()));
        let chance =
            running.as_ref().map(|running| format!("{:x} {:x}", running.clock.random(), running.clock.random()));
        let seed = chance.as_deref().unwrap_or(&attempt.idempotency_key);
        let mut table = ResourceTable::new();
        table.set_max_capacity(PLUGIN_RESOURCES);
        let ctx = WasiCtx::builder()
            .wall_clock(WallClock {
                still: attempt.now,
                running: running.as_ref().map(|running| running.clock.clone()),
            })
            .insecure_random(Deterministic::new(stream(seed, "insecure")))
            .insecure_random_seed(u128::from_le_bytes(block(seed, "seed", 0)[..16].try_into().unwrap_or_default()))
            .max_random_size(RANDOM_BYTES)
            .build();
        Self { ctx, table, chance: Chance { seed: seed.to_string(), drawn: 0 }, running }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| Wasi::new(&self.attempt));
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
    // In the place of those that ask the machine.
    linker.allow_shadowing(true);
    clocks::monotonic_clock::add_to_linker::<State, Monotonic>(linker, |state| {
        let wasi = state.wasi();
        Monotonic { table: &mut wasi.table, running: wasi.running.as_mut() }
    })?;
    random::random::add_to_linker::<State, Chance>(linker, |state| &mut state.wasi().chance)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl State {
    fn wasi(&mut self) -> &mut Wasi {
        self.wasi.get_or_insert_with(|| Wasi::new(&self.attempt))
    }
}

/// The run's logical time, or that of the day.
struct WallClock {
    still: Millis,
    running: Option<Arc<dyn Clock>>,
}

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        let now = self.running.as_ref().map_or(self.still, |clock| clock.now());
        Duration::from_millis(now.max(0) as u64)
    }
}

/// Randomness of any length from a seed.
struct Chance {
    seed: String,
    /// Blocks so far.
    drawn: u64,
}

impl Chance {
    fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let place = self.drawn.to_le_bytes();
        Sha256::new()
            .chain_update(&self.seed)
            .chain_update([0])
            .chain_update("random")
            .chain_update(place)
            .finalize()
            .into()
    }
}

impl HasData for Chance {
    type Data<'a> = &'a mut Chance;
}

impl random::random::Host for Chance {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > RANDOM_BYTES {
            return Err(wasmtime::format_err!("{len} random bytes are more than the {RANDOM_BYTES} of one call"));
        }
        let mut bytes = Vec::with_capacity(len as usize + 32);
        while (bytes.len() as u64) < len {
            bytes.extend_from_slice(&self.draw());
        }
        bytes.truncate(len as usize);
        Ok(bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::from_le_bytes(self.draw()[..8].try_into().unwrap_or_default()))
    }
}

/// A monotonic clock that was started with its call.
struct Running {
    clock: Arc<dyn Clock>,
    start: Millis,
    /// In nanoseconds; the clock beneath may be set back.
    shown: u64,
}

impl Running {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { start: clock.now(), clock, shown: 0 }
    }

    fn now(&mut self) -> u64 {
        let passed = self.clock.now().saturating_sub(self.start).max(0) as u64;
        self.shown = self.shown.max(passed.saturating_mul(NANOS));
        self.shown
    }
}

/// Nanoseconds of a millisecond.
const NANOS: u64 = 1_000_000;

/// The monotonic clock: without a running one it shows 0, and every pause is over at once.
struct Monotonic<'a> {
    table: &'a mut ResourceTable,
    running: Option<&'a mut Running>,
}

impl HasData for Monotonic<'static> {
    type Data<'a> = Monotonic<'a>;
}

/// A pause that lasts.
struct Timer(Option<BoxFuture<'static, ()>>);

impl Pollable for Timer {
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async {
            if let Some(pause) = &mut self.0 {
                pause.await;
                self.0 = None;
            }
        })
    }
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

impl clocks::monotonic_clock::Host for Monotonic<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.running.as_mut().map_or(0, |running| running.now()))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.now()?;
        self.subscribe_duration(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, nanoseconds: u64) -> wasmtime::Result<Resource<DynPollable>> {
        match &self.running {
            Some(running) => {
                let timer = Timer(Some(running.clock.pause(nanoseconds.div_ceil(NANOS))));
                let timer = self.table.push(timer)?;
                subscribe(self.table, timer)
            }
            None => {
                let over = self.table.push(Over)?;
                subscribe(self.table, over)
            }
        }
    }
}

/// 2 KiB that look random and are the same for the same seed; the generator repeats them.
fn stream(seed: &str, purpose: &str) -> Vec<u8> {
    (0..64).flat_map(|number| block(seed, purpose, number)).collect()
}

fn block(seed: &str, purpose: &str, number: u8) -> [u8; 32] {
    Sha256::new().chain_update(seed).chain_update([0]).chain_update(purpose).chain_update([number]).finalize().into()
}
