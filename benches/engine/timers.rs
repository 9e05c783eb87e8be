//! Many waits that are due within a minute: how late they fire, and what they cost until then.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::Sizes;
use super::book::{Book, quantile};
use super::daemon::{Folder, Server};
use super::far::Far;
use super::load::{self, Load};
use super::usage::Usage;

const DUE: &str = "
name: due
triggers:
  - message: {}
steps:
  - { id: pause, uses: wait, with: { until: \"{{ event.data.due }}\" } }
";

/// The waits are due evenly over this time, in milliseconds.
const SPREAD_MS: u64 = 60_000;

/// How long the daemon is watched while nothing is due.
const IDLE: Duration = Duration::from_secs(5);

/// Runs whose journal is read.
const SAMPLE: usize = 1_000;

pub async fn run(far: &Far, sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    for binary in &sizes.binaries {
        let folder = Folder::new(far, &[("due", DUE)])?;
        let server = Server::moltrun(binary, &folder)?;
        // Time for all to be accepted at a thousand a second, and for the idle watch.
        let lead_ms = sizes.waits as u64 + 2 * IDLE.as_millis() as u64;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        let (first_due, waits) = (now + lead_ms, sizes.waits);
        let book = Arc::new(Book::new(0, waits));
        let load = Load { clients: sizes.clients, rate: None, window: None };
        let body = move |number: usize| {
            let due = first_due + number as u64 * SPREAD_MS / waits as u64;
            load::question(number).replacen("\"data\":{", &format!("\"data\":{{\"due\":{due},"), 1)
        };
        load::post(server.address, load, &book, body).await?;
        server.settled().await?;
        let before = Usage::of(server.pid());
        tokio::time::sleep(IDLE).await;
        let idle = Usage::of(server.pid()) - before;
        let before = Usage::of(server.pid());
        while server.any("waiting").await? || server.any("running").await? {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let fired = Usage::of(server.pid()) - before;
        let mut late = lateness(&server).await?;
        late.sort_by(f64::total_cmp);
        println!("timers of {}: {waits} waits due within {} s", binary.display(), SPREAD_MS / 1000);
        println!("  CPU while none is due: {:.2} % of a core", idle.cpu() / IDLE.as_secs_f64() * 100.0);
        println!(
            "  lateness of {} of them, ms: p50 {:.0}, p99 {:.0}, max {:.0}; CPU {:.0} µs each",
            late.len(),
            quantile(&late, 0.5),
            quantile(&late, 0.99),
            quantile(&late, 1.0),
            fired.cpu() * 1e6 / waits as f64,
        );
    }
    Ok(())
}

/// From the instant a wait was due to the event that ended it, in milliseconds, of runs from the whole minute.
async fn lateness(server: &Server) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/api/v1/runs?limit=500{cursor}")).await?;
        let runs = page["runs"].as_array().cloned().unwrap_or_default();
        ids.extend(runs.iter().filter_map(|run| run["id"].as_str().map(str::to_string)));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut late = Vec::new();
    for id in ids.iter().step_by((ids.len() / SAMPLE).max(1)) {
        let journal = server.get(&format!("/api/v1/runs/{id}/journal")).await?;
        let events = journal["events"].as_array().cloned().unwrap_or_default();
        let due = events.iter().find_map(|event| event["due"].as_f64());
        let ended = events.iter().rev().find(|event| event["e"] == "run_ended").map(|event| event["at"].clone());
        if let (Some(due), Some(at)) = (due, ended.as_ref().and_then(Value::as_f64)) {
            late.push((at - due).max(0.0));
        }
    }
    Ok(late)
}
