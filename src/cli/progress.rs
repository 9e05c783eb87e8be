//! What a run did, line by line, for `run` and `demo`.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::counts::Counts;
use super::{out, told};
use crate::base::{Json, RunId};
use crate::engine::event::{Event, ItemOutcome, RunStatus, SkipReason};
use crate::engine::frame::Phase;
use crate::engine::ports::{LogLevel, LogLine};
use crate::engine::report::label;
use crate::engine::run::Observer;
use crate::engine::state::RunState;
use crate::engine::waiting::Waiting;
use crate::plan::Plan;

/// What was committed of a run.
#[derive(Clone, Debug)]
pub struct Committed {
    pub run: RunId,
    pub workflow: Arc<str>,
    pub status: RunStatus,
    /// A line for each event worth one.
    pub lines: Vec<Line>,
    /// Where its first `for_each` at work stands.
    pub counts: Option<Counts>,
    pub stands: Stands,
    /// Another run called it.
    pub is_called: bool,
    /// It failed, and this workflow is to run for it.
    pub follower: Option<Arc<str>>,
    /// Why the run cannot go on in this process.
    pub gave_up: Option<String>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    text: String,
    /// Of an item as it should be: a bar says as much.
    pub is_routine: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What has to happen for a run to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It goes on by itself.
    Busy,
    /// A person or an event, in every step at work but those that wait for the ends of these runs.
    Parked(Vec<RunId>),
    /// It has ended.
    Ended,
}

impl Stands {
    fn of(state: &RunState) -> Self {
        if state.ended.is_some() {
            return Self::Ended;
        }
        let (mut called, mut parked, mut busy) = (Vec::new(), false, state.ending.is_some());
        state.visit(&mut |_, _, slot| match &slot.phase {
            Phase::Held { .. } | Phase::Waiting { why: Waiting::Event { .. } | Waiting::Approval { .. }, .. } => {
                parked = true
            }
            Phase::Waiting { why: Waiting::Call { child, .. }, .. } => called.push(*child),
            _ => busy = true,
        });
        if busy || !parked && called.is_empty() { Self::Busy } else { Self::Parked(called) }
    }
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
        let lines = events.iter().flat_map(|event| lines(plan, event)).collect();
        let (workflow, status) = (plan.name.clone(), state.status());
        let follower = plan.on_failure.clone().filter(|_| state.ended == Some(RunStatus::Failed));
        let (stands, is_called) = (Stands::of(state), state.parent.is_some());
        let committed = Committed {
            run: state.id,
            workflow,
            status,
            lines,
            counts: Counts::of(plan, state),
            stands,
            is_called,
            follower,
            gave_up: None,
        };
        // Nobody shows it any more: the command is ending.
        let _ = self.0.send(committed);
    }

    fn gave_up(&self, run: RunId, why: &str) {
        let (workflow, status) = (Arc::from(""), RunStatus::Running);
        let _ = self.0.send(Committed {
            run,
            workflow,
            status,
            lines: Vec::new(),
            counts: None,
            stands: Stands::Busy,
            is_called: false,
            follower: None,
            gave_up: Some(why.to_string()),
        });
    }
}

/// An event in as many lines as it is worth.
fn lines(plan: &Plan, event: &Event) -> Vec<Line> {
    match event {
        Event::StepLogged { step, items, lines, .. } => {
            let label = label(plan, *step, items);
            let is_routine = |level| !items.is_empty() && level < LogLevel::Warn;
            let told = |line: &LogLine| Line { text: told::of_step(&label, line), is_routine: is_routine(line.level) };
            lines.iter().map(told).collect()
        }
        event => {
            let is_routine = matches!(event, Event::StepSucceeded { items, .. } if !items.is_empty());
            line(plan, event).map(|text| Line { text, is_routine }).into_iter().collect()
        }
    }
}

/// A step's end in one line; None for what is not worth one.
fn line(plan: &Plan, event: &Event) -> Option<String> {
    let name = |step: &u32, items: &[u32]| label(plan, *step, items);
    match event {
        Event::StepSucceeded { step, items, port, output, .. } if plan.steps[*step as usize].for_each.is_some() => {
            let counts =
                ["succeeded", "failed", "skipped", "unknown"].map(|key| (key, output[key].as_u64().unwrap_or(0)));
            let counts = counts.iter().filter(|(_, count)| *count > 0).map(|(key, count)| format!("{count} {key}"));
            let counts = counts.collect::<Vec<_>>().join(", ");
            let why = reasons(output).map(|reasons| format!(" ({reasons})")).unwrap_or_default();
            Some(row("✓", &name(step, items), port, &format!("{} items: {counts}{why}", output["total"])))
        }
        Event::StepSucceeded { step, items, port, took_us, .. } => {
            Some(row("✓", &name(step, items), port, &took(*took_us)))
        }
        Event::StepFailed { step, items, failure, took_us, .. } => Some(row(
            "✗",
            &name(step, items),
            "error",
            &format!("{}  {}: {}", took(*took_us), failure.code, failure.message),
        )),
        Event::StepSkipped { reason: SkipReason::NotReached, .. } => None,
        Event::StepSkipped { step, items, why: Some(why), .. } => {
            Some(row("–", &name(step, items), "skipped", &format!("{}: {}", why.code, why.message)))
        }
        Event::StepSkipped { step, items, reason, .. } => {
            let why = match reason {
                SkipReason::NotReached | SkipReason::Condition => "`if` is false",
                SkipReason::Unknown => "outcome unknown, let go",
                SkipReason::Resolved => "let go by a person",
                SkipReason::Repeated => "its `once` key had its success already",
                SkipReason::Declined => "nothing was to be done",
            };
            Some(row("–", &name(step, items), "skipped", why))
        }
        Event::StepWaiting { at, step, items, due, why } => {
            let pause = due.map(|due| crate::base::duration::human((due - at).max(0) as u64));
            let until = |what: &str| match &pause {
                Some(pause) => format!("{what}, {pause} at most"),
                None => what.to_string(),
            };
            let why = match why {
                Waiting::Retry { failure } | Waiting::Later { failure } => {
                    format!("{}  {}: {}", pause.unwrap_or_default(), failure.code, failure.message)
                }
                Waiting::Sleep => pause.unwrap_or_default(),
                Waiting::Event { on } => until(on.first().map_or("an event", |listen| &listen.event)),
                Waiting::Approval { title, .. } => until(&format!("approval: {title}")),
                Waiting::Call { workflow, child, .. } => format!("{workflow} {child}"),
            };
            Some(row("…", &name(step, items), "waits", &why))
        }
        Event::StepHeld { step, items, failure, .. } => {
            Some(row("?", &name(step, items), "held", &format!("{}: {}", failure.code, failure.message)))
        }
        Event::ItemEnded { step, items, outcome: ItemOutcome::Failed, failure: Some(failure), .. } => {
            Some(row("✗", &name(step, items), "error", &format!("{}: {}", failure.code, failure.message)))
        }
        Event::ItemsStopped { step, items, left, .. } => {
            Some(row("–", &name(step, items), "stopped", &format!("{left} items are not begun after a failure")))
        }
        Event::RunEnding { failure, .. } => {
            Some(row("!", "run", "ends", &format!("{}: {}", failure.code, failure.message)))
        }
        Event::RunPaused { reason, .. } => Some(row("‖", "run", "paused", reason.as_deref().unwrap_or_default())),
        Event::RunResumed { .. } => Some(row("▸", "run", "resumed", "")),
        Event::RunCreated { .. }
        | Event::StepStarted { .. }
        | Event::StepLogged { .. }
        | Event::EventTaken { .. }
        | Event::ItemsStarted { .. }
        | Event::ItemEnded { .. }
        | Event::RunRetried { .. }
        | Event::RunEnded { .. } => None,
    }
}

/// Why items of a `for_each` did not succeed, from its output or its progress: `3 once, 1 sender.opted_out`.
pub fn reasons(counts: &Json) -> Option<String> {
    let reasons = counts["reasons"].as_object().filter(|reasons| !reasons.is_empty())?;
    let mut reasons: Vec<_> = reasons.iter().map(|(code, count)| (count.as_u64().unwrap_or(0), code)).collect();
    // The most frequent first.
    reasons.sort_by(|(a, first), (b, second)| b.cmp(a).then_with(|| first.cmp(second)));
    let reasons: Vec<_> = reasons.into_iter().map(|(count, code)| format!("{count} {code}")).collect();
    Some(reasons.join(", "))
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
