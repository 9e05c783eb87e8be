//! What is on this machine: workflows, the daemon.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::setup::has_errors;
use super::check::Check;
use super::listed;
use crate::app::unconfigured;
use crate::config::Config;
use crate::engine::ports::Clock;
use crate::net::{Method, Net, Policy, Request};
use crate::plan::Folder;

/// Time for the daemon's answer, in milliseconds: it is near.
const TIMEOUT_MS: u64 = 3_000;

pub fn workflows(config: &Config, folder: &Folder) -> Vec<Check> {
    let place = config.workflows.display();
    if !config.workflows.exists() {
        return vec![Check::problem(
            "workflows",
            format!("{place} does not exist"),
            "create the folder, or set `workflows`",
        )];
    }
    let mut checks = Vec::new();
    if !folder.diagnostics.is_empty() {
        let help = "`moltrun validate` shows each in its place; the other workflows are served all the same";
        let found = listed(&folder.diagnostics);
        checks.push(match has_errors(&folder.diagnostics) {
            true => Check::problem("workflows", found, help),
            false => Check::warning("workflows", found, help),
        });
    }
    if let Some(missing) = unconfigured(&folder.plans, config) {
        checks.push(Check::problem("workflows", missing, "add the section to moltrun.yaml: `serve` refuses to start"));
    }
    if checks.is_empty() {
        let (all, on) = (folder.plans.len(), folder.plans.iter().filter(|plan| plan.workflow.enabled).count());
        checks.push(match all {
            0 => Check::warning("workflows", format!("{place} holds none"), "write one"),
            _ => Check::ok("workflows", format!("{all} in {place}, {on} of them enabled")),
        });
    }
    checks
}

/// Whether one runs, and whether others may misuse it.
pub async fn daemon(config: &Config, clock: &Arc<dyn Clock>) -> Vec<Check> {
    let listen = config.server.listen;
    if listen.port() == 0 {
        return vec![Check::skipped("daemon", "it listens on a free port, which nobody knows beforehand")];
    }
    // Who listens on every address is asked on this machine's own.
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
    };
    let base = format!("http://{}", std::net::SocketAddr::new(ip, listen.port()));
    let mut policy = Policy::default();
    if let Err(error) = policy.trust(&base) {
        return vec![Check::skipped("daemon", error.to_string())];
    }
    let request = Request::new(Method::GET, format!("{base}/readyz")).timeout_ms(TIMEOUT_MS);
    vec![match Net::new(policy, clock.clone()).send(request).await {
        Ok(answer) if answer.is_success() => Check::ok("daemon", format!("runs and is ready at {base}")),
        Ok(answer) => {
            let body = answer.json().unwrap_or_default();
            let why = body["detail"].as_str().unwrap_or("something else listens there").to_string();
            let detail = format!("{base} answers {}: {why}", answer.status);
            Check::warning("daemon", detail, "look at its log, or set another `server.listen`")
        }
        Err(_) => Check::skipped("daemon", format!("none runs at {base}")),
    }]
}
