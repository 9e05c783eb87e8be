//! `moltrun schedules`

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::{Exit, Failed, Globals, out};
use crate::base::Json;
use crate::base::time::rfc3339;

#[derive(Debug, Args)]
pub struct SchedulesArgs {
    /// Only those of this workflow
    #[arg(long)]
    workflow: Option<String>,
    #[arg(long)]
    json: bool,
}

pub async fn run(globals: &Globals, args: SchedulesArgs) -> Result<Exit, Failed> {
    let client = Client::new(globals)?;
    let mut filter = String::new();
    if let Some(workflow) = args.workflow {
        // Names need no escaping; anything else is no name of a workflow.
        if !crate::lang::is_workflow_name(&workflow) {
            return Err(Failed::invalid(format!("`{workflow}` is no workflow name")));
        }
        filter = format!("workflow={workflow}&");
    }
    let mut schedules = Vec::new();
    let mut cursor = String::new();
    loop {
        let mut page = client.get(&format!("/api/v1/schedules?{filter}{cursor}")).await?;
        if let Some(Json::Array(some)) = page.get_mut("schedules").map(Json::take) {
            schedules.extend(some);
        }
        match page["next_cursor"].as_str() {
            Some(last) => cursor = format!("cursor={last}"),
            None => break,
        }
    }
    if args.json {
        out::line(format_args!("{:#}", json!({"schedules": schedules})));
    } else {
        print(&schedules);
    }
    Ok(Exit::Ok)
}

fn print(schedules: &[Json]) {
    let row = |workflow: &str, cron: &str, zone: &str, next: &str, last: &str, rest: [&str; 3]| {
        let [started, made_up, skipped] = rest;
        let line = format!(
            "{workflow:<24}  {cron:<18}  {zone:<16}  {next:<20}  {last:<20}  {started:>7}  {made_up:>7}  {skipped:>7}"
        );
        out::line(out::shown(line.trim_end()));
    };
    row("WORKFLOW", "CRON", "TIMEZONE", "NEXT", "LAST", ["STARTED", "MADE UP", "SKIPPED"]);
    for schedule in schedules {
        let text = |key: &str| schedule[key].as_str().unwrap_or("–").to_string();
        let time = |key: &str| schedule[key].as_i64().map_or_else(|| "–".to_string(), rfc3339);
        let count = |key: &str| schedule[key].as_u64().unwrap_or_default().to_string();
        let counts = ["started", "made_up", "skipped"].map(count);
        let counts = [counts[0].as_str(), &counts[1], &counts[2]];
        row(&text("workflow"), &text("cron"), &text("timezone"), &time("next_at"), &time("last_at"), counts);
    }
}
