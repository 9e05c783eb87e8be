//! Parses arguments, calls `cli`, turns what came of it into an exit code.

use std::process::ExitCode;

use clap::Parser;
use moltrun::cli::{Cli, Exit, out};

/// A run's memory is taken on one thread and given back on another, over which the C library's allocator makes threads wait
/// for each other (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            out::note(format_args!("error: the async runtime does not start: {error}"));
            return ExitCode::from(Exit::Failed as u8);
        }
    };
    let exit = match runtime.block_on(cli.run()) {
        Ok(exit) => exit,
        Err(failed) => {
            out::note(format_args!("error: {}", failed.message.trim_end()));
            failed.exit
        }
    };
    // Steps that were cut off may still block; the journal has what is needed.
    runtime.shutdown_background();
    ExitCode::from(out::ended(exit) as u8)
}
