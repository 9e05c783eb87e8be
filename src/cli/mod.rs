//! The command line: arguments, one file a command, exit codes. stdout is data, stderr is diagnostics.

mod asks;
mod bar;
mod client;
mod counts;
mod demo;
mod doctor;
mod exit;
mod foreground;
mod graph;
mod logging;
pub mod out;
mod plan;
mod plugin;
mod progress;
mod run;
mod runs;
mod runs_shown;
mod sandbox;
mod schedules;
mod senders;
mod serve;
mod setup;
mod signals;
mod told;
mod validate;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::exit::{Exit, Failed};

/// Durable, declarative workflows for the MoltFlow WhatsApp API.
#[derive(Debug, Parser)]
#[command(name = "moltrun", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Globals {
    /// Configuration file [default: moltrun.yaml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Form of the log on stderr
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: LogFormat,
    /// Only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// More on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it: sandbox, engine and example workflows in this process, with simulated customers
    Demo(demo::DemoArgs),
    /// Check workflow files: all mistakes of all files
    Validate(validate::ValidateArgs),
    /// What a broadcast would do: recipients, exclusions, samples, the end; sends nothing
    Plan(plan::PlanArgs),
    /// Plugins: write one, build it, look into it, call it
    Plugin(plugin::PluginArgs),
    /// Run one workflow once, in the foreground
    Run(run::RunArgs),
    /// The daemon: triggers, engine, API
    Serve,
    /// A local MoltFlow and a local model, alone
    Sandbox(sandbox::SandboxArgs),
    /// Draw a workflow's graph as text
    Graph(graph::GraphArgs),
    /// Look at the daemon's runs, and say what is to become of them
    Runs(runs::RunsArgs),
    /// What would keep this configuration from working: files, database, MoltFlow, webhook, models
    Doctor(doctor::DoctorArgs),
    /// When the daemon's schedules fire next, and what they missed
    Schedules(schedules::SchedulesArgs),
    /// What each WhatsApp session may send today, what waits and why, and who opted out
    Senders(senders::SendersArgs),
}

impl Cli {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit, Failed> {
        let Self { globals, command } = self;
        logging::start(&globals, &command);
        match command {
            Command::Demo(args) => demo::run(args).await,
            Command::Validate(args) => validate::run(&globals, args).await,
            Command::Plan(args) => plan::run(&globals, args).await,
            Command::Plugin(args) => plugin::run(&globals, args).await,
            Command::Run(args) => run::run(&globals, args).await,
            Command::Serve => serve::run(&globals).await,
            Command::Sandbox(args) => sandbox::run(args).await,
            Command::Graph(args) => graph::run(&globals, args).await,
            Command::Runs(args) => runs::run(&globals, args).await,
            Command::Doctor(args) => doctor::run(&globals, args).await,
            Command::Schedules(args) => schedules::run(&globals, args).await,
            Command::Senders(args) => senders::run(&globals, args).await,
        }
    }
}
