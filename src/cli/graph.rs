//! `moltrun graph`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::setup::single;
use super::{Exit, Failed, Globals, out};
use crate::config::Need;

#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Workflow file
    file: PathBuf,
    #[arg(long, value_enum, default_value = "mermaid")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Mermaid,
    Dot,
}

pub async fn run(globals: &Globals, args: GraphArgs) -> Result<Exit, Failed> {
    let (_, plan) = single(globals, args.file, Need::Shape).await?;
    let text = match args.format {
        Format::Mermaid => plan.mermaid(),
        Format::Dot => plan.dot(),
    };
    out::line(text.trim_end());
    Ok(Exit::Ok)
}
