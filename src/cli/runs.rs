//! `moltrun runs list|show|log|watch|resolve|approve|pause|resume|cancel|retry`

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::client::Client;
use super::runs_shown::{print_list, print_run};
use super::watch::watch;
use super::{Exit, Failed, Globals, out, told};
use crate::base::RunId;
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
        /// queued, running, waiting, paused, attention, succeeded, failed or cancelled
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
    /// What the steps of a run told: every line, the oldest first
    Log {
        id: RunId,
        /// Of this step, and of those inside it
        #[arg(long, value_name = "STEP")]
        step: Option<String>,
        /// One JSON document a line
        #[arg(long)]
        json: bool,
    },
    /// Follow a run until it has ended or needs a person; Ctrl-C only stops watching
    Watch { id: RunId },
    /// Say what became of a step whose outcome is unknown
    Resolve {
        id: RunId,
        #[arg(long)]
        step: String,
        /// The item of a `for_each`, from 0; `4.2` for item 2 of a `for_each` within item 4 of another
        #[arg(long)]
        item: Option<Items>,
        /// It happened; it did not, do it again; go on without it
        #[arg(value_enum)]
        outcome: Outcome,
    },
    /// Decide on an `approve` step
    Approve {
        id: RunId,
        #[arg(long)]
        step: String,
        /// The item of a `for_each`, from 0; `4.2` for item 2 of a `for_each` within item 4 of another
        #[arg(long)]
        item: Option<Items>,
        /// No instead of yes
        #[arg(long)]
        reject: bool,
        /// Who decides
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Begin nothing more of a run until it is resumed; what is at work ends
    Pause {
        id: RunId,
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Have a paused run go on
    Resume { id: RunId },
    /// Begin nothing more of a run, and end it
    Cancel {
        id: RunId,
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Have an ended run go on: what failed is done again, and what comes after it
    Retry {
        id: RunId,
        /// From this step on, whatever became of it
        #[arg(long, value_name = "STEP")]
        from: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Outcome {
    Sent,
    NotSent,
    Skip,
}

/// The item of each `for_each` around a step, the outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Items(Vec<u32>);

impl FromStr for Items {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
        items.map(Self).map_err(|_| format!("`{text}` is no item; write its number, such as 4, or 4.2 within another"))
    }
}

fn items(items: Option<Items>) -> Vec<u32> {
    items.map(|Items(items)| items).unwrap_or_default()
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
        RunsCommand::Log { id, step, json } => told::all(&client, id, step.as_deref(), json).await?,
        RunsCommand::Watch { id } => return watch(globals, &client, id).await,
        RunsCommand::Resolve { id, step, item, outcome } => {
            let outcome = match outcome {
                Outcome::Sent => "sent",
                Outcome::NotSent => "not_sent",
                Outcome::Skip => "skip",
            };
            let body = json!({"step": step, "item": items(item), "outcome": outcome});
            client.post(&format!("/api/v1/runs/{id}/resolve"), &body).await?;
        }
        RunsCommand::Approve { id, step, item, reject, by, comment } => {
            let decision = if reject { "reject" } else { "approve" };
            let body = json!({"step": step, "item": items(item), "decision": decision, "by": by, "comment": comment});
            client.post(&format!("/api/v1/runs/{id}/approve"), &body).await?;
        }
        RunsCommand::Cancel { id, reason } => {
            client.post(&format!("/api/v1/runs/{id}/cancel"), &json!({"reason": reason})).await?;
        }
        RunsCommand::Pause { id, reason } => {
            client.post(&format!("/api/v1/runs/{id}/pause"), &json!({"reason": reason})).await?;
        }
        RunsCommand::Resume { id } => {
            client.post(&format!("/api/v1/runs/{id}/resume"), &json!({})).await?;
        }
        RunsCommand::Retry { id, from } => {
            client.post(&format!("/api/v1/runs/{id}/retry"), &json!({"from": from})).await?;
        }
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_numbers_with_dots_between() {
        assert_eq!("4".parse(), Ok(Items(vec![4])));
        assert_eq!("4.0.12".parse(), Ok(Items(vec![4, 0, 12])));
        for text in ["", "4.", "-1", "a", "1,2", "99999999999"] {
            assert!(text.parse::<Items>().is_err(), "{text}");
        }
    }
}
