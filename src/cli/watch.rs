//! `moltrun runs watch ID`: follows a run of the daemon until it has ended or needs a person.

use super::bar::Bar;
use super::client::Client;
use super::counts::Counts;
use super::progress::reasons;
use super::signals::Signals;
use super::told::News;
use super::{Exit, Failed, Globals, asks, out};
use crate::app::system_clock;
use crate::base::{Json, RunId};
use crate::engine::event::RunStatus;

/// Pause between two looks, in milliseconds. It grows by half up to the longest while nothing changes: a run may wait for
/// days.
const LOOK_MS: u64 = 200;
const LOOK_MAX_MS: u64 = 5_000;

pub async fn watch(globals: &Globals, client: &Client, id: RunId) -> Result<Exit, Failed> {
    let mut signals = Signals::watch()?;
    tokio::select! {
        exit = follow(globals, client, id) => exit,
        // The run goes on without anybody who watches.
        () = signals.received() => Ok(Exit::Interrupted),
    }
}

async fn follow(globals: &Globals, client: &Client, id: RunId) -> Result<Exit, Failed> {
    let (clock, mut bar) = (system_clock(), Bar::new(globals));
    let (mut pause_ms, mut last, mut said) = (LOOK_MS, String::new(), String::new());
    let mut news = News::default();
    loop {
        let run = client.get(&format!("/api/v1/runs/{id}")).await?;
        let status = run["status"].as_str().and_then(RunStatus::parse);
        let counts = Counts::of_report(&run);
        let now = told(&run, counts.as_ref());
        // On a terminal the counts are the bar's.
        let line = if bar.is_on() { told(&run, None) } else { now.clone() };
        if line != said && !globals.quiet {
            out::note(&line);
        }
        said = line;
        let told = news.of(&run, bar.is_on());
        if !globals.quiet {
            told.iter().for_each(out::note);
        }
        bar.show(counts.as_ref());
        let exit = match status {
            Some(RunStatus::Succeeded) => Some(Exit::Ok),
            Some(RunStatus::Failed | RunStatus::Cancelled) => Some(Exit::Failed),
            Some(RunStatus::Attention) => Some(Exit::Attention),
            // An approval, or a held step beside one that waits.
            Some(RunStatus::Waiting) if !asks::of_run(&id.to_string(), &run).is_empty() => Some(Exit::Attention),
            _ => None,
        };
        if let Some(exit) = exit {
            drop(bar);
            ended(&id.to_string(), &run);
            return Ok(exit);
        }
        pause_ms = if now != last || !told.is_empty() { LOOK_MS } else { (pause_ms * 3 / 2).min(LOOK_MAX_MS) };
        last = now;
        clock.pause(pause_ms).await;
    }
}

/// The run in one line.
fn told(run: &Json, counts: Option<&Counts>) -> String {
    let status = run["status"].as_str().unwrap_or("–");
    let why = run["paused"]["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let counts = counts.map(|counts| format!("  {counts}")).unwrap_or_default();
    out::shown(&format!("{} {status}{why}{counts}", run["workflow"].as_str().unwrap_or("–"))).into_owned()
}

/// What became of it: the summary of each `for_each`, and what people are asked.
fn ended(id: &str, run: &Json) {
    for (step, shown) in run["steps"].as_object().into_iter().flatten() {
        let counts = if shown["items"].is_object() { &shown["items"] } else { &shown["output"] };
        // Any step may have an output with such a name; only a `for_each` has its counts.
        if counts["total"].is_u64() && counts["failures"].is_array() {
            let why = reasons(counts).map(|reasons| format!(" ({reasons})")).unwrap_or_default();
            let sent = format!("{step}: {} of {} succeeded{why}", counts["succeeded"], counts["total"]);
            out::line(out::shown(&sent));
        }
    }
    out::line(told(run, None));
    asks::of_run(id, run).iter().for_each(out::note);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_how_it_stands_and_why() {
        let run = json!({"workflow": "weekly", "status": "paused", "paused": {"since": 1, "reason": "lunch\nbreak"}});
        assert_eq!(told(&run, None), "weekly paused (lunch\\nbreak)");
        let counts = Counts { step: "send".to_string(), total: 9, succeeded: 4, ..Counts::default() };
        assert_eq!(told(&json!({"workflow": "w", "status": "running"}), Some(&counts)), "w running  send 4/9");
    }
}
