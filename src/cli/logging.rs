//! The log on stderr. `RUST_LOG` stands over the flags.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::setup::colour;
use super::{Command, Globals, LogFormat, out};

pub fn start(globals: &Globals, command: &Command) {
    let usual = match command {
        // A daemon tells what it does.
        Command::Serve | Command::Sandbox(_) => "info",
        // They say themselves what is not granted, and what a step logs.
        Command::Plugin(_) => "error",
        // A command tells only what is wrong.
        _ => "warn",
    };
    let level = match (globals.quiet, globals.verbose) {
        (true, _) => "error",
        (false, 0) => usual,
        (false, 1) => "moltrun=debug,info",
        (false, _) => "moltrun=trace,debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let colour = colour(std::io::stderr().is_terminal());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| out::Log).with_ansi(colour);
    // It would say on stderr that stderr is closed, and panic there.
    let log = log.log_internal_errors(false);
    // An error means that a test's log is there already.
    let _ = match globals.log_format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}
