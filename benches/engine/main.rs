//! How fast moltrun is, beside a bare handler that does the same job and keeps nothing. Everything is measured in one run on one
//! machine and printed as it is; nothing is asserted.
//!
//! `cargo bench --bench engine` runs every scenario at modest sizes; `cargo bench --bench engine -- throughput --events 20000`
//! runs one; `-- --help` lists the rest. Load generator and far side are this process, which takes its share of the cores; the
//! floor and the daemon are processes of their own, and take turns.

mod book;
mod daemon;
mod far;
mod floor;
mod growth;
mod history;
mod http;
mod latency;
mod load;
mod memory;
mod script;
mod start;
mod steps;
mod throughput;
mod timers;
mod usage;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use far::Far;

/// Longer than any round takes; what is not there by then does not come.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Throughput,
    Latency,
    Steps,
    Script,
    Memory,
    Start,
    Growth,
    Timers,
}

/// Sizes of everything.
#[derive(Parser)]
#[command(about = "moltrun beside a bare handler that keeps nothing")]
struct Sizes {
    /// What to measure; all if nothing is named
    scenarios: Vec<Scenario>,
    /// Another daemon to measure, beside or instead of the one just built; may be given more than once
    #[arg(long = "binary")]
    binaries: Vec<PathBuf>,
    /// Events of one round
    #[arg(long, default_value_t = 10_000)]
    events: usize,
    /// Counted rounds of each contender, taken in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections that post webhooks
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Events that may be accepted and not yet sent; any number if left out
    #[arg(long)]
    window: Option<usize>,
    /// Runs parked in `wait` (memory)
    #[arg(long, default_value_t = 20_000)]
    parked: usize,
    /// Items of the large `for_each` (memory)
    #[arg(long, default_value_t = 20_000)]
    items: usize,
    /// Workflow files (start)
    #[arg(long, default_value_t = 1_000)]
    files: usize,
    /// Unfinished runs (start)
    #[arg(long, default_value_t = 20_000)]
    unfinished: usize,
    /// Finished runs in the database (growth)
    #[arg(long, default_value_t = 100_000)]
    finished: usize,
    /// Waits that are due within a minute (timers)
    #[arg(long, default_value_t = 20_000)]
    waits: usize,
    /// Serve the floor, talking to this address (how the benchmark calls itself)
    #[arg(long, hide = true)]
    floor: Option<SocketAddr>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let mut sizes = Sizes::parse();
    if sizes.binaries.is_empty() {
        sizes.binaries.push(PathBuf::from(env!("CARGO_BIN_EXE_moltrun")));
    }
    // Plain http only; the client wants a provider of TLS all the same. An error means that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&sizes)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    if let Some(far) = sizes.floor {
        return Ok(floor::serve(far).await?);
    }
    let far = Far::start().await?;
    let wanted = |scenario| sizes.scenarios.is_empty() || sizes.scenarios.contains(&scenario);
    if wanted(Scenario::Throughput) {
        throughput::run(&far, sizes).await?;
    }
    if wanted(Scenario::Latency) {
        latency::run(&far, sizes).await?;
    }
    if wanted(Scenario::Steps) {
        steps::run(&far, sizes).await?;
    }
    if wanted(Scenario::Script) {
        script::run(&far, sizes).await?;
    }
    if wanted(Scenario::Memory) {
        memory::run(&far, sizes).await?;
    }
    if wanted(Scenario::Start) {
        start::run(&far, sizes).await?;
    }
    if wanted(Scenario::Growth) {
        growth::run(&far, sizes).await?;
    }
    if wanted(Scenario::Timers) {
        timers::run(&far, sizes).await?;
    }
    Ok(())
}
