//! `moltrun plan FILE`: what a broadcast would do. Nothing is sent and nothing is written.

mod broadcast;
mod shown;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use self::broadcast::Broadcast;
use super::foreground::Foreground;
use super::progress::Progress;
use super::run::{callable, inputs, read_event};
use super::setup::single;
use super::signals::Signals;
use super::{Exit, Failed, Globals, out};
use crate::app::dry::DryRun;
use crate::base::Json;
use crate::base::time::rfc3339;
use crate::config::Need;
use crate::engine::event::RunStatus;
use crate::engine::fixed::FixedWorkflows;
use crate::engine::run::Submission;
use crate::lang::workflow::Trigger;
use crate::plan::Plan;

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Workflow file
    file: PathBuf,
    /// The event as JSON, from a file or (`-`) from stdin [default: that of its schedule, due now; else a manual one]
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// An input of the workflow; may be repeated
    #[arg(long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// Rendered messages that are shown
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(..=100))]
    samples: u16,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(globals: &Globals, args: PlanArgs) -> Result<Exit, Failed> {
    let (setup, plan) = single(globals, args.file.clone(), Need::Shape).await?;
    let plans = callable(&setup, &plan, &args.file)?;
    let workflows = Arc::new(FixedWorkflows::from_iter(plans));
    let now = setup.clock.now();
    let event = match &args.event {
        Some(path) => read_event(path)?,
        None => event_of(&plan, now),
    };
    let inputs = inputs(&plan, &args.inputs)?;
    let mut signals = Signals::watch()?;
    let (progress, mut committed) = Progress::new();
    let (config, clock) = (setup.config, setup.clock);
    let samples = usize::from(args.samples);
    let dry = DryRun::start(&config, setup.steps, clock, workflows.clone(), vec![progress], samples).await?;
    let submission = Submission {
        plan: plan.clone(),
        trigger: "manual",
        event: Arc::new(event),
        inputs: Arc::new(inputs),
        dedupe: None,
        lane: None,
    };
    let failed = |error: String| Failed::new(Exit::Failed, error);
    let accepted = dry.engine.submit(vec![submission]).await.map_err(|error| failed(error.to_string()))?;
    let Some(Some(run)) = accepted.into_iter().next() else {
        return Err(failed("the run was not accepted".to_string()));
    };
    let mut all = Foreground::new(run, &*workflows);
    let ended = async {
        while let Some(committed) = committed.recv().await {
            if let Some(why) = committed.gave_up {
                return Err(failed(format!("the run cannot go on: {}", out::shown(&why))));
            }
            all.saw(&committed);
            if all.is_over() {
                break;
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = ended => ended?,
        () = signals.received() => return Ok(Exit::Interrupted),
    }
    let report = dry.engine.report(run).await.map_err(|error| failed(error.to_string()))?.report;
    let broadcast = Broadcast::of(&plan, &report, &dry);
    if args.json {
        out::line(format_args!("{:#}", json!(broadcast)))
    } else {
        shown::print(&broadcast)
    }
    Ok(if report.status == RunStatus::Succeeded { Exit::Ok } else { Exit::Failed })
}

/// What its schedule would give it now.
fn event_of(plan: &Plan, now: i64) -> Json {
    let is_scheduled = plan.triggers.iter().any(|trigger| matches!(trigger.trigger, Trigger::Schedule { .. }));
    if is_scheduled {
        return json!({"event": "schedule", "scheduled_at": rfc3339(now), "missed": 0});
    }
    json!({"event": "manual"})
}
