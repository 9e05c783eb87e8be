//! What plugins cost: a call beside bare wasmtime, a start, memory, and what endless guests do to everyone else. Everything is
//! measured in one run on one machine, in turns, and printed as it is; nothing is asserted.
//!
//! `cargo bench --bench plugins` runs every scenario; `cargo bench --bench plugins -- calls spinning` some;
//! `-- --help` lists the rest.

mod bare;
mod calls;
mod script;
mod spinning;
mod stage;
mod start;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Calls,
    Memory,
    Start,
    Spinning,
    Script,
}

/// Sizes of everything.
#[derive(Parser)]
#[command(about = "what plugins cost")]
struct Sizes {
    /// What to measure; all if nothing is named
    scenarios: Vec<Scenario>,
    /// Calls of one round (calls, script), and all of them (memory)
    #[arg(long, default_value_t = 10_000)]
    calls: usize,
    /// Rounds of each contender, taken in turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Plugins in the folder (start)
    #[arg(long, default_value_t = 100)]
    plugins: usize,
    /// Another component to load from the cache (start); may be given more than once
    #[arg(long = "component")]
    components: Vec<PathBuf>,
    /// Endless guests at once (spinning)
    #[arg(long, default_value_t = 10)]
    spinners: usize,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let sizes = Sizes::parse();
    // As in the daemon: the client of connectors wants a provider of TLS. An error means that there is one.
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
    let wanted = |scenario| sizes.scenarios.is_empty() || sizes.scenarios.contains(&scenario);
    if wanted(Scenario::Calls) {
        calls::times(sizes).await?;
    }
    if wanted(Scenario::Memory) {
        calls::memory(sizes).await?;
    }
    if wanted(Scenario::Start) {
        start::run(sizes).await?;
    }
    if wanted(Scenario::Spinning) {
        spinning::run(sizes).await?;
    }
    if wanted(Scenario::Script) {
        script::run(sizes).await?;
    }
    Ok(())
}
