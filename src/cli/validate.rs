//! `moltrun validate`

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::setup::{colour, has_errors, setup};
use super::{Exit, Failed, Globals, out};
use crate::config::Need;
use crate::lang::render;

#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Files and folders [default: the workflows folder]
    paths: Vec<PathBuf>,
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Human,
    Json,
    Github,
}

pub async fn run(globals: &Globals, args: ValidateArgs) -> Result<Exit, Failed> {
    let setup = setup(globals, &args.paths, Need::Shape).await?;
    let (diagnostics, sources) = (&setup.folder.diagnostics, &setup.folder.sources);
    match args.format {
        Format::Human if diagnostics.is_empty() => out::line(format_args!("{} valid", files(sources.len()))),
        Format::Human => out::text(render::human(diagnostics, sources, colour(std::io::stdout().is_terminal()))),
        Format::Json => out::line(render::json(diagnostics).trim_end()),
        Format::Github => out::text(render::github(diagnostics)),
    }
    Ok(if has_errors(diagnostics) { Exit::Invalid } else { Exit::Ok })
}

fn files(count: usize) -> String {
    if count == 1 { "1 workflow file".to_string() } else { format!("{count} workflow files") }
}
