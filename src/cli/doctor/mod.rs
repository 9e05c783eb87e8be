//! `moltrun doctor`: what would keep this configuration from working, and what to do about it.
//!
//! It changes nothing: the database is read only, a daemon that runs is not disturbed, and MoltFlow is only asked. Secrets are
//! never printed.

mod ai;
mod check;
mod database;
mod local;
mod moltflow;
mod plugins;
#[cfg(test)]
mod tests;

use clap::Args;
use serde_json::json;

use self::check::{Check, Verdict};
use super::{Exit, Failed, Globals, out};
use crate::app::{self, Steps};
use crate::config::{Config, Environment, Need};
use crate::lang::Diagnostic;
use crate::net::Net;
use crate::plan::Folder;

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[arg(long)]
    json: bool,
}

pub async fn run(globals: &Globals, args: DoctorArgs) -> Result<Exit, Failed> {
    let checks = examine(globals).await;
    if args.json {
        let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
        out::line(format_args!("{:#}", json!({"verdict": worst, "checks": checks})));
    } else {
        print(&checks);
    }
    Ok(exit(&checks))
}

/// What could not be reached is told apart from what is wrong: it may pass by itself.
fn exit(checks: &[Check]) -> Exit {
    let any = |verdict: Verdict| checks.iter().any(|check| check.verdict == verdict);
    match () {
        () if any(Verdict::Problem) => Exit::Failed,
        () if any(Verdict::Unreachable) => Exit::Unreachable,
        () => Exit::Ok,
    }
}

async fn examine(globals: &Globals) -> Vec<Check> {
    let loaded = Config::load(globals.config.as_deref(), Need::Everything, &Environment::of_process());
    let config = match loaded {
        Ok(config) => config,
        Err(invalid) => {
            let detail = listed(&invalid.diagnostics);
            return vec![Check::problem("configuration", detail, "correct it; nothing else can be checked before")];
        }
    };
    let file = globals
        .config
        .as_ref()
        .map_or_else(|| "moltrun.yaml, or the defaults".to_string(), |file| file.display().to_string());
    let mut checks = vec![Check::ok("configuration", file)];
    let clock = app::system_clock();
    let Steps { registry, moltflow, components, .. } = match app::steps(&config, &clock).await {
        Ok(steps) => steps,
        Err(error) => {
            checks.push(Check::problem("configuration", error.to_string(), "correct moltrun.yaml"));
            return checks;
        }
    };
    let net = Net::new(config.net.clone(), clock.clone());
    let folder = match config.workflows.exists() {
        true => Folder::check(std::slice::from_ref(&config.workflows), &registry.catalog, &config.vars),
        false => Folder::default(),
    };
    checks.extend(plugins::check(&components.seen(), &folder.plans));
    checks.extend(local::workflows(&config, &folder));
    checks.push(database::check(&config.database, &*clock).await);
    checks.extend(local::daemon(&config, &clock).await);
    checks.extend(moltflow::check(&config, moltflow.as_deref(), &folder.plans, &net, &*clock).await);
    checks.extend(ai::check(&config.ai, &net).await);
    checks
}

/// The first few, each in a line.
fn listed(diagnostics: &[Diagnostic]) -> String {
    const SHOWN: usize = 5;
    let mut lines: Vec<String> = diagnostics.iter().take(SHOWN).map(line).collect();
    if diagnostics.len() > SHOWN {
        lines.push(format!("and {} more", diagnostics.len() - SHOWN));
    }
    lines.join("; ")
}

fn line(found: &Diagnostic) -> String {
    let help = found.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{}:{}: {}{help}", found.file, found.line, found.message)
}

fn print(checks: &[Check]) {
    for Check { name, verdict, detail, help } in checks {
        out::line(out::shown(&format!("{:<11}  {name:<14}  {detail}", verdict.as_str())));
        if let Some(help) = help {
            out::line(out::shown(&format!("{:<27}  → {help}", "")));
        }
    }
}
