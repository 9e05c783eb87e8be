//! What most commands begin with: the configuration, the steps, the workflow files.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Exit, Failed, Globals};
use crate::app::{self, Steps};
use crate::config::{Config, Environment, Need};
use crate::engine::ports::Clock;
use crate::lang::{Diagnostic, Severity, Source, render};
use crate::plan::Folder;

/// The configuration; its mistakes are drawn on stderr.
pub fn config(globals: &Globals, need: Need) -> Result<Config, Failed> {
    let loaded = Config::load(globals.config.as_deref(), need, &Environment::of_process());
    loaded.map_err(|invalid| {
        Failed::invalid(render::human(&invalid.diagnostics, std::slice::from_ref(&invalid.source), stderr_colour()))
    })
}

/// Configuration, steps and the checked files of `paths` (none: the workflows folder).
pub struct Setup {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub steps: Steps,
    pub folder: Folder,
}

pub async fn setup(globals: &Globals, paths: &[PathBuf], need: Need) -> Result<Setup, Failed> {
    let config = config(globals, need)?;
    let clock = app::system_clock();
    let steps = app::steps(&config, &clock).await?;
    let workflows = [config.workflows.clone()];
    let paths = if paths.is_empty() { &workflows[..] } else { paths };
    if let Some(missing) = paths.iter().find(|path| !path.exists()) {
        return Err(Failed::invalid(format!("{} does not exist", missing.display())));
    }
    let folder = Folder::check(paths, &steps.registry.catalog, &config.vars);
    Ok(Setup { config, clock, steps, folder })
}

/// Findings, drawn for a person on stderr.
pub fn drawn(diagnostics: &[Diagnostic], sources: &[Source]) -> String {
    render::human(diagnostics, sources, stderr_colour())
}

pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// The single workflow of `file`, or its mistakes.
pub async fn single(globals: &Globals, file: PathBuf, need: Need) -> Result<(Setup, Arc<crate::plan::Plan>), Failed> {
    if !file.is_file() {
        return Err(Failed::invalid(format!("{}: not a workflow file", file.display())));
    }
    let setup = setup(globals, &[file], need).await?;
    if has_errors(&setup.folder.diagnostics) {
        return Err(Failed::invalid(drawn(&setup.folder.diagnostics, &setup.folder.sources)));
    }
    let plan = setup.folder.plans.first().cloned();
    let plan = plan.ok_or_else(|| Failed::new(Exit::Invalid, "the file holds no workflow"))?;
    Ok((setup, plan))
}

fn stderr_colour() -> bool {
    colour(std::io::stderr().is_terminal())
}

/// Colours are for terminals whose user did not refuse them (`NO_COLOR`).
pub fn colour(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
