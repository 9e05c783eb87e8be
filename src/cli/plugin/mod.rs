//! `moltrun plugin`: plugins from the first file to the plugins folder.

mod asks;
mod build;
mod call;
mod detect;
mod inspect;
mod lang;
mod new;
mod schema;
mod target;
mod templates;
mod tools;

use clap::{Args, Subcommand};

use super::{Exit, Failed, Globals};

#[derive(Debug, Args)]
pub struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Write a project: one step, one test, a README
    New(new::NewArgs),
    /// Build a project with its language's own tools, and check the component
    Build(build::BuildArgs),
    /// What a component offers, what it asks for, and what it is granted
    Inspect(inspect::InspectArgs),
    /// Make one call of a step, as the engine would
    Call(call::CallArgs),
}

pub async fn run(globals: &Globals, args: PluginArgs) -> Result<Exit, Failed> {
    match args.command {
        PluginCommand::New(args) => new::run(args),
        PluginCommand::Build(args) => build::run(globals, args).await,
        PluginCommand::Inspect(args) => inspect::run(globals, args).await,
        PluginCommand::Call(args) => call::run(globals, args).await,
    }
}
