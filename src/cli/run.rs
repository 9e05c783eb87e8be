//! `moltrun run`: one run in the foreground.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::bar::Bar;
use super::foreground::Foreground;
use super::progress::Progress;
use super::setup::{Setup, drawn, has_errors, single};
use super::signals::Signals;
use super::{Exit, Failed, Globals, asks, out};
use crate::app::{self, App};
use crate::base::json::JsonMap;
use crate::base::{Json, RunId, limits};
use crate::config::Need;
use crate::engine::event::RunStatus;
use crate::engine::fixed::FixedWorkflows;
use crate::engine::ports::Failure;
use crate::engine::run::{Seen, Submission};
use crate::lang::Diagnostic;
use crate::plan::{Folder, Plan, inputs};
use crate::steps::call;

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
    let (setup, plan) = single(globals, args.file.clone(), Need::Everything).await?;
    let plans = callable(&setup, &plan, &args.file)?;
    if let Some(missing) = app::unconfigured(&reached(&plan, &plans), &setup.config) {
        return Err(Failed::invalid(missing));
    }
    let workflows = Arc::new(FixedWorkflows::from_iter(plans));
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
    let (config, steps) = (&setup.config, setup.steps);
    let app = App::start(config, steps, &database, setup.clock, workflows.clone(), vec![progress], false).await?;
    if database != setup.config.database {
        app.inherit_opt_outs(&setup.config.database).await?;
    }
    let grace_ms = setup.config.engine.grace_ms;
    let submission = Submission {
        plan,
        trigger: "manual",
        event: Arc::new(event),
        inputs: Arc::new(inputs),
        dedupe: None,
        lane: None,
    };
    let accepted = app.engine.submit(vec![submission]).await;
    let accepted = accepted.map_err(|error| Failed::new(Exit::Failed, error.to_string()))?;
    let Some(Some(run)) = accepted.into_iter().next() else {
        return Err(Failed::new(Exit::Failed, "the run was not accepted"));
    };
    let mut all = Foreground::new(run, &*workflows);
    let ended = async {
        let mut bar = Bar::new(globals);
        while let Some(committed) = committed.recv().await {
            if !globals.quiet {
                let of = if committed.run == run { String::new() } else { format!("{}: ", committed.workflow) };
                let lines = committed.lines.iter().filter(|line| !(line.is_routine && bar.is_on()));
                lines.for_each(|line| out::note(format_args!("{of}{line}")));
            }
            if committed.run == run {
                bar.show(committed.counts.as_ref());
            }
            if let Some(why) = committed.gave_up {
                return Err(Failed::new(Exit::Failed, format!("the run cannot go on: {}", out::shown(&why))));
            }
            all.saw(&committed);
            if all.is_over() {
                break;
            }
        }
        drop(bar);
        for parked in all.parked() {
            let report = report(&app, parked).await?;
            asks::of_run(&parked.to_string(), &json!(report.report)).iter().for_each(out::note);
        }
        finish(&app, run, args.json).await
    };
    let exit = tokio::select! {
        exit = ended => exit,
        () = signals.received() => Ok(Exit::Interrupted),
    };
    tokio::select! {
        () = app.stop(None, grace_ms) => {}
        // Whoever asks again does not want to wait for what is at work.
        () = signals.received() => {}
    }
    if matches!(exit, Ok(Exit::Attention)) && temporary_is_used {
        // Only its journal knows what it waits for.
        let kept = temporary.keep().join(DATABASE);
        out::note(format_args!("the journal is kept; `moltrun serve` on it lets the run go on: {}", kept.display()));
    }
    exit
}

/// The workflows that a run of `plan` may start: those of the workflows folder, if its file is in there; else of the file's
/// own folder.
pub(super) fn callable(setup: &Setup, plan: &Arc<Plan>, file: &Path) -> Result<Vec<Arc<Plan>>, Failed> {
    let mut plans = vec![plan.clone()];
    if plan.on_failure.is_none() && plan.steps.iter().all(|step| *step.uses != *call::NAME) {
        return Ok(plans);
    }
    let (own, all) = (&plan.workflow.folder, &setup.config.workflows);
    let is_inside = all.canonicalize().ok().zip(own.canonicalize().ok()).is_some_and(|(all, own)| own.starts_with(all));
    let folder = if is_inside { all } else { own };
    let catalog = &setup.steps.registry.catalog;
    let folder = Folder::check(std::slice::from_ref(folder), catalog, &setup.config.vars);
    let file = file.canonicalize().ok();
    let is_own = |diagnostic: &&Diagnostic| Path::new(&*diagnostic.file).canonicalize().ok() == file;
    let own: Vec<_> = folder.diagnostics.iter().filter(is_own).cloned().collect();
    if has_errors(&own) {
        return Err(Failed::invalid(drawn(&own, &folder.sources)));
    }
    if has_errors(&folder.diagnostics) {
        // One of them may be called, or none.
        out::note(drawn(&folder.diagnostics, &folder.sources).trim_end());
    }
    plans.extend(folder.plans.into_iter().filter(|other| other.name != plan.name));
    Ok(plans)
}

/// Those of `plans` that `plan` names, and those that they name.
fn reached(plan: &Arc<Plan>, plans: &[Arc<Plan>]) -> Vec<Arc<Plan>> {
    let mut reached = vec![plan.clone()];
    let mut next = 0;
    while let Some(plan) = reached.get(next).cloned() {
        next += 1;
        for name in plan.steps.iter().filter_map(|step| step.calls.as_ref()).chain(&plan.on_failure) {
            if reached.iter().all(|plan| plan.name != *name) {
                reached.extend(plans.iter().find(|plan| plan.name == *name).cloned());
            }
        }
    }
    reached
}

async fn report(app: &App, run: RunId) -> Result<Seen, Failed> {
    app.engine.report(run).await.map_err(|error| Failed::new(Exit::Failed, error.to_string()))
}

async fn finish(app: &App, run: RunId, as_json: bool) -> Result<Exit, Failed> {
    let seen = report(app, run).await?;
    let report = seen.report;
    if as_json {
        let mut document = json!({
            "run_id": run,
            "workflow": seen.row.workflow,
            "status": report.status,
            "steps": report.steps,
            "output": report.output,
            "duration_ms": report.duration_ms,
        });
        if let Some(failure) = &report.failure {
            document["failure"] = json!(failure);
        }
        out::line(format_args!("{document:#}"));
    } else {
        out::line(format_args!("{} {} in {} ms", seen.row.workflow, report.status, report.duration_ms));
        if let Some(Failure { code, message, .. }) = &report.failure {
            out::line(out::shown(&format!("{code}: {message}")));
        }
        if !report.output.is_null() {
            out::line(&report.output);
        }
    }
    Ok(match report.status {
        RunStatus::Succeeded => Exit::Ok,
        RunStatus::Failed | RunStatus::Cancelled => Exit::Failed,
        RunStatus::Queued | RunStatus::Running | RunStatus::Waiting | RunStatus::Paused | RunStatus::Attention => {
            Exit::Attention
        }
    })
}

pub(super) fn read_event(path: &Path) -> Result<Json, Failed> {
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

pub(super) fn inputs(plan: &Plan, given: &[String]) -> Result<Json, Failed> {
    let mut inputs = JsonMap::new();
    for input in given {
        let Some((name, text)) = input.split_once('=') else {
            return Err(Failed::invalid(format!("--input {input}: write it as NAME=VALUE")));
        };
        inputs.insert(name.to_string(), inputs::parse(&plan.workflow, name, text));
    }
    inputs::inputs(&plan.workflow, &inputs).map_err(|errors| Failed::invalid(errors.join("\n")))
}
