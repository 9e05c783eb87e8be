//! `moltrun run`: one run in the foreground.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::progress::Progress;
use super::setup::single;
use super::signals::Signals;
use super::{Exit, Failed, Globals, out};
use crate::app::{self, App};
use crate::base::json::JsonMap;
use crate::base::{Json, RunId, limits};
use crate::config::Need;
use crate::engine::event::RunStatus;
use crate::engine::run::Submission;
use crate::plan::Plan;
use crate::triggers::manual;

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Workflow file
    file: PathBuf,
    /// The event as JSON, from a file or (`-`) from stdin
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// An input of the workflow; may be repeated
    #[arg(long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// Print the run as one JSON document
    #[arg(long)]
    json: bool,
    /// Keep the journal here [default: a temporary database]
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
}

/// The temporary database's name.
const DATABASE: &str = "run.db";

pub async fn run(globals: &Globals, args: RunArgs) -> Result<Exit, Failed> {
    let (setup, plan) = single(globals, args.file, Need::Everything).await?;
    if let Some(missing) = app::unconfigured(std::slice::from_ref(&plan), &setup.config) {
        return Err(Failed::invalid(missing));
    }
    let event = match &args.event {
        Some(path) => read_event(path)?,
        None => json!({"event": "manual"}),
    };
    let inputs = inputs(&plan, &args.inputs)?;
    let failed = |what: &str, error: std::io::Error| Failed::new(Exit::Failed, format!("{what}: {error}"));
    let temporary = tempfile::tempdir().map_err(|error| failed("no temporary folder", error))?;
    let temporary_is_used = args.database.is_none();
    let database = args.database.unwrap_or_else(|| temporary.path().join(DATABASE));
    let mut signals = Signals::watch()?;
    let (progress, mut committed) = Progress::new();
    // Other runs of the database are the daemon's: this process is there for one.
    let app = App::start(&setup.config, setup.steps, &database, setup.clock, vec![progress], false).await?;
    let grace_ms = setup.config.engine.grace_ms;
    let submission =
        Submission { plan, trigger: "manual", event: Arc::new(event), inputs: Arc::new(inputs), dedupe: None };
    let accepted = app.engine.submit(vec![submission]).await;
    let accepted = accepted.map_err(|error| Failed::new(Exit::Failed, error.to_string()))?;
    let Some(Some(run)) = accepted.into_iter().next() else {
        return Err(Failed::new(Exit::Failed, "the run was not accepted"));
    };
    let ended = async {
        while let Some(committed) = committed.recv().await {
            if !globals.quiet {
                committed.lines.iter().for_each(out::note);
            }
            if let Some(why) = committed.gave_up {
                return Err(Failed::new(Exit::Failed, format!("the run cannot go on: {}", out::shown(&why))));
            }
            if committed.status.is_final() || committed.status == RunStatus::Attention {
                break;
            }
        }
        finish(&app, run, args.json).await
    };
    let exit = tokio::select! {
        exit = ended => exit,
        () = signals.received() => Ok(Exit::Interrupted),
    };
    app.stop(None, grace_ms).await;
    if matches!(exit, Ok(Exit::Attention)) && temporary_is_used {
        // Only its journal knows what is held.
        let kept = temporary.keep().join(DATABASE);
        out::note(format_args!(
            "the journal is kept; `moltrun serve` on it lets you resolve the run: {}",
            kept.display()
        ));
    }
    exit
}

async fn finish(app: &App, run: RunId, as_json: bool) -> Result<Exit, Failed> {
    let seen = app.engine.report(run).await.map_err(|error| Failed::new(Exit::Failed, error.to_string()))?;
    let report = seen.report;
    if as_json {
        let document = json!({
            "run_id": run,
            "workflow": seen.row.workflow,
            "status": report.status,
            "steps": report.steps,
            "output": report.output,
            "duration_ms": report.duration_ms,
        });
        out::line(format_args!("{document:#}"));
    } else {
        out::line(format_args!("{} {} in {} ms", seen.row.workflow, report.status, report.duration_ms));
    }
    Ok(match report.status {
        RunStatus::Succeeded => Exit::Ok,
        RunStatus::Failed | RunStatus::Cancelled => Exit::Failed,
        RunStatus::Queued | RunStatus::Running | RunStatus::Waiting | RunStatus::Attention => Exit::Attention,
    })
}

fn read_event(path: &Path) -> Result<Json, Failed> {
    let shown = if path == Path::new("-") { "stdin".to_string() } else { path.display().to_string() };
    let invalid = |error: &dyn std::fmt::Display| Failed::invalid(format!("the event of {shown}: {error}"));
    let mut text = Vec::new();
    let limit = limits::WEBHOOK_BODY as u64 + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut text))
    };
    read.map_err(|error| invalid(&error))?;
    if text.len() > limits::WEBHOOK_BODY {
        return Err(invalid(&format!("larger than {} bytes", limits::WEBHOOK_BODY)));
    }
    serde_json::from_slice(&text).map_err(|error| invalid(&error))
}

fn inputs(plan: &Plan, given: &[String]) -> Result<Json, Failed> {
    let mut inputs = JsonMap::new();
    for input in given {
        let Some((name, text)) = input.split_once('=') else {
            return Err(Failed::invalid(format!("--input {input}: write it as NAME=VALUE")));
        };
        inputs.insert(name.to_string(), manual::parse(&plan.workflow, name, text));
    }
    manual::inputs(&plan.workflow, &inputs).map_err(|errors| Failed::invalid(errors.join("\n")))
}
