//! `moltrun runs list|show|resolve`

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::client::Client;
use super::{Exit, Failed, Globals, out};
use crate::base::{Json, Millis, RunId};
use crate::engine::event::RunStatus;

#[derive(Debug, Args)]
pub struct RunsArgs {
    #[command(subcommand)]
    command: RunsCommand,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    /// Newest first
    List {
        #[arg(long)]
        workflow: Option<String>,
        /// queued, running, waiting, attention, succeeded, failed or cancelled
        #[arg(long, value_parser = status)]
        status: Option<RunStatus>,
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Where the last page ended
        #[arg(long)]
        cursor: Option<RunId>,
        #[arg(long)]
        json: bool,
    },
    /// One run: its event and what each step did
    Show {
        id: RunId,
        #[arg(long)]
        json: bool,
    },
    /// Say what became of a step whose outcome is unknown
    Resolve {
        id: RunId,
        #[arg(long)]
        step: String,
        /// The item of a `for_each`, from 0
        #[arg(long)]
        item: Option<u32>,
        /// It happened; it did not, do it again; go on without it
        #[arg(value_enum)]
        outcome: Outcome,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Outcome {
    Sent,
    NotSent,
    Skip,
}

fn status(text: &str) -> Result<RunStatus, String> {
    let known = || RunStatus::ALL.map(RunStatus::as_str).join(", ");
    RunStatus::parse(text).ok_or_else(|| format!("`{text}` is none of {}", known()))
}

pub async fn run(globals: &Globals, args: RunsArgs) -> Result<Exit, Failed> {
    let client = Client::new(globals)?;
    match args.command {
        RunsCommand::List { workflow, status, limit, cursor, json } => {
            let mut path = format!("/api/v1/runs?limit={limit}");
            if let Some(status) = status {
                path.push_str(&format!("&status={status}"));
            }
            if let Some(cursor) = cursor {
                path.push_str(&format!("&cursor={cursor}"));
            }
            if let Some(workflow) = workflow {
                // Names need no escaping; anything else is no name of a workflow.
                if !crate::lang::is_workflow_name(&workflow) {
                    return Err(Failed::invalid(format!("`{workflow}` is no workflow name")));
                }
                path.push_str(&format!("&workflow={workflow}"));
            }
            let page = client.get(&path).await?;
            if json { out::line(format_args!("{page:#}")) } else { print_list(&page) }
        }
        RunsCommand::Show { id, json } => {
            let run = client.get(&format!("/api/v1/runs/{id}")).await?;
            if json { out::line(format_args!("{run:#}")) } else { print_run(&run) }
        }
        RunsCommand::Resolve { id, step, item, outcome } => {
            let outcome = match outcome {
                Outcome::Sent => "sent",
                Outcome::NotSent => "not_sent",
                Outcome::Skip => "skip",
            };
            let body = json!({"step": step, "item": item, "outcome": outcome});
            client.post(&format!("/api/v1/runs/{id}/resolve"), &body).await?;
        }
    }
    Ok(Exit::Ok)
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or("–")
}

/// Always as wide, so that columns stay columns; out of jiff's range (no clock gives that) the bare number.
fn time(value: &Json) -> String {
    let shown = |at: Millis| {
        jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |timestamp| format!("{timestamp:.3}"))
    };
    value.as_i64().map_or_else(|| "–".to_string(), shown)
}

/// A line that may hold what customers, models and plugins wrote.
fn line(line: std::fmt::Arguments<'_>) {
    out::line(out::shown(&line.to_string()));
}

fn print_list(page: &Json) {
    line(format_args!("{:<26}  {:<10}  {:<24}  {:<8}  CREATED", "RUN", "STATUS", "WORKFLOW", "TRIGGER"));
    for run in page["runs"].as_array().into_iter().flatten() {
        let (id, status) = (text(&run["id"]), text(&run["status"]));
        let (workflow, trigger) = (text(&run["workflow"]), text(&run["trigger"]));
        line(format_args!("{id:<26}  {status:<10}  {workflow:<24}  {trigger:<8}  {}", time(&run["created_at"])));
    }
    if let Some(cursor) = page["next_cursor"].as_str() {
        line(format_args!("more: --cursor {cursor}"));
    }
}

fn print_run(run: &Json) {
    line(format_args!("{} {} {}", text(&run["id"]), text(&run["workflow"]), text(&run["status"])));
    let (created, trigger) = (time(&run["created_at"]), text(&run["trigger"]));
    line(format_args!("created {created} by {trigger}, took {} ms", run["duration_ms"]));
    line(format_args!("event {}", run["event"]));
    for (id, step) in run["steps"].as_object().into_iter().flatten() {
        let port = step["port"].as_str().map(|port| format!(" → {port}")).unwrap_or_default();
        line(format_args!("  {id:<16} {}{port}", text(&step["status"])));
        if let Some(message) = step["error"]["message"].as_str() {
            line(format_args!("    {}: {message}", text(&step["error"]["code"])));
        }
        let held = step["items"]["held"].as_array().into_iter().flatten();
        let held: Vec<_> = held.map(|item| format!("--item {item}")).collect();
        if !held.is_empty() {
            line(format_args!("    held: {}", held.join(", ")));
        }
        if !step["output"].is_null() {
            line(format_args!("    {}", step["output"]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_wide_as_each_other() {
        for (at, shown) in [
            (json!(0), "1970-01-01T00:00:00.000Z"),
            (json!(1_769_356_800_120_i64), "2026-01-25T16:00:00.120Z"),
            (json!(i64::MAX), "9223372036854775807"),
            (json!(null), "–"),
        ] {
            assert_eq!(time(&at), shown);
        }
    }
}
