//! What a run did, line by line, for `run` and `demo`.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::out;
use crate::base::RunId;
use crate::engine::event::{Event, RunStatus, SkipReason, Waiting};
use crate::engine::run::Observer;
use crate::engine::state::RunState;
use crate::plan::Plan;

/// What was committed of a run.
#[derive(Clone, Debug)]
pub struct Committed {
    pub run: RunId,
    pub workflow: Arc<str>,
    pub status: RunStatus,
    /// A line for each event worth one.
    pub lines: Vec<String>,
    /// Why the run cannot go on in this process.
    pub gave_up: Option<String>,
}

/// Sends what is committed to whoever shows it.
pub struct Progress(mpsc::UnboundedSender<Committed>);

impl Progress {
    pub fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Committed>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Arc::new(Self(sender)), receiver)
    }
}

impl Observer for Progress {
    fn committed(&self, plan: &Plan, state: &RunState, events: &[Event]) {
        let lines = events.iter().filter_map(|event| line(plan, event)).collect();
        let (workflow, status) = (plan.name.clone(), state.status());
        let committed = Committed { run: state.id, workflow, status, lines, gave_up: None };
        // Nobody shows it any more: the command is ending.
        let _ = self.0.send(committed);
    }

    fn gave_up(&self, run: RunId, why: &str) {
        let (workflow, status) = (Arc::from(""), RunStatus::Running);
        let _ = self.0.send(Committed { run, workflow, status, lines: Vec::new(), gave_up: Some(why.to_string()) });
    }
}

/// A step's end in one line; None for what is not worth one.
fn line(plan: &Plan, event: &Event) -> Option<String> {
    let name = |step: u32, item: Option<u32>| {
        let id = &plan.steps[step as usize].id;
        item.map_or_else(|| id.to_string(), |item| format!("{id}[{item}]"))
    };
    match event {
        Event::StepSucceeded { step, item: None, port, output, .. }
            if plan.steps[*step as usize].for_each.is_some() =>
        {
            let counts =
                ["succeeded", "failed", "skipped", "unknown"].map(|key| (key, output[key].as_u64().unwrap_or(0)));
            let counts = counts.iter().filter(|(_, count)| *count > 0).map(|(key, count)| format!("{count} {key}"));
            let counts = counts.collect::<Vec<_>>().join(", ");
            Some(row("✓", &name(*step, None), port, &format!("{} items: {counts}", output["total"])))
        }
        Event::StepSucceeded { step, item, port, took_us, .. } => {
            Some(row("✓", &name(*step, *item), port, &took(*took_us)))
        }
        Event::StepFailed { step, item, failure, took_us, .. } => Some(row(
            "✗",
            &name(*step, *item),
            "error",
            &format!("{}  {}: {}", took(*took_us), failure.code, failure.message),
        )),
        Event::StepSkipped { reason: SkipReason::NotReached, .. } => None,
        Event::StepSkipped { step, item, reason, .. } => {
            let why = match reason {
                SkipReason::NotReached | SkipReason::Condition => "`if` is false",
                SkipReason::Unknown => "outcome unknown, let go",
                SkipReason::Resolved => "let go by a person",
                SkipReason::Stopped => "stopped after a failure",
            };
            Some(row("–", &name(*step, *item), "skipped", why))
        }
        Event::StepWaiting { at, step, item, due, why } => {
            let pause = crate::base::duration::human((due - at).max(0) as u64);
            let why = match why {
                Waiting::Retry { failure } | Waiting::Later { failure } => {
                    format!("{pause}  {}: {}", failure.code, failure.message)
                }
                Waiting::Sleep => pause,
            };
            Some(row("…", &name(*step, *item), "waits", &why))
        }
        Event::StepHeld { step, item, failure, .. } => {
            Some(row("?", &name(*step, *item), "held", &format!("{}: {}", failure.code, failure.message)))
        }
        Event::RunCreated { .. } | Event::StepStarted { .. } | Event::ItemsStarted { .. } | Event::RunEnded { .. } => {
            None
        }
    }
}

fn row(mark: &str, step: &str, port: &str, rest: &str) -> String {
    // Failures quote the far side.
    format!("{mark} {step:<14} → {port:<9} {}", out::shown(rest))
}

/// `12 µs`, `3.4 ms`, `1.25 s`.
fn took(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}
