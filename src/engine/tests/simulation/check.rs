//! What must hold of a run, wherever it died.

use crate::base::RunId;
use crate::base::{Effect, Json};
use crate::engine::event::{Event, SkipReason, Waiting};
use crate::engine::ports::RunRow;
use crate::engine::state::{Phase, RunState, StepState};
use crate::engine::tests::far::Far;
use crate::lang::workflow::{OnItemError, OnUnknown};
use crate::plan::{Plan, PlanStep};

/// The code of an outcome that a crash made unknown.
const INTERRUPTED: &str = "outcome.unknown";

/// A run that has ended: its journal, its row, and what was really done.
pub fn ended(plan: &Plan, far: &Far, row: &RunRow, journal: &[Event]) {
    let state = stands(plan, row, journal);
    assert!(state.ended.is_some(), "the run was lost: {:?}", state.steps);
    for (step, planned) in plan.steps.iter().enumerate() {
        assert!(state.steps[step].is_settled());
        if planned.effect == Effect::AtMostOnce {
            effects(planned, step as u32, far, journal);
        }
    }
}

/// The row says what the journal says, and every prefix of the journal is a journal.
pub fn stands(plan: &Plan, row: &RunRow, journal: &[Event]) -> RunState {
    for length in 1..journal.len() {
        fold(plan, row.id, &journal[..length]);
    }
    let state = fold(plan, row.id, journal);
    assert_eq!(row.version, state.version);
    assert_eq!(row.status.is_final(), state.status().is_final());
    assert_eq!(row.finished_at.is_some(), row.status.is_final());
    if row.wake_at.is_some() {
        assert_eq!((row.status, row.wake_at), (state.status(), state.wake_at()));
    }
    state
}

pub fn fold(plan: &Plan, run: RunId, journal: &[Event]) -> RunState {
    RunState::fold(run, plan.steps.len(), journal).unwrap()
}

/// An at-most-once step: no effect twice unless it was asked for, none that was not said, and what is unknown is treated
/// as the step says.
fn effects(planned: &PlanStep, number: u32, far: &Far, journal: &[Event]) {
    let mut items: Vec<_> =
        journal.iter().filter_map(|event| place(event).filter(|(step, _)| *step == number)).collect();
    items.dedup();
    for (_, item) in items {
        let done = far.done(&(planned.id.to_string(), item));
        if planned.on_unknown != OnUnknown::Resend {
            assert!(done <= 1, "{}[{item:?}] was done {done} times", planned.id);
        }
        let mut starts = 0;
        for event in journal.iter().filter(|event| place(event) == Some((number, item))) {
            match event {
                Event::StepStarted { .. } => starts += 1,
                Event::StepHeld { .. } => match planned.on_unknown {
                    OnUnknown::Hold => {}
                    OnUnknown::Resend => assert!(starts >= 3, "held after {starts} attempts"),
                    OnUnknown::Skip => panic!("{} is held, not skipped", planned.id),
                },
                Event::StepSkipped { reason: SkipReason::Unknown, .. } => {
                    assert_eq!(planned.on_unknown, OnUnknown::Skip)
                }
                Event::StepWaiting { why: Waiting::Retry { failure }, .. } if failure.code == INTERRUPTED => {
                    assert_eq!(planned.on_unknown, OnUnknown::Resend);
                }
                Event::StepSucceeded { .. } if planned.for_each.is_none() || item.is_some() => {
                    assert!(done >= 1, "{}[{item:?}] succeeded and was not done", planned.id);
                }
                _ => {}
            }
        }
        assert!(starts > 0 || done == 0, "{}[{item:?}] was done and never said", planned.id);
    }
}

fn place(event: &Event) -> Option<(u32, Option<u32>)> {
    match event {
        Event::StepStarted { step, item, .. }
        | Event::StepSucceeded { step, item, .. }
        | Event::StepFailed { step, item, .. }
        | Event::StepSkipped { step, item, .. }
        | Event::StepWaiting { step, item, .. }
        | Event::StepHeld { step, item, .. } => Some((*step, *item)),
        Event::RunCreated { .. } | Event::ItemsStarted { .. } | Event::RunEnded { .. } => None,
    }
}

/// A crash caught an at-most-once step between its intention and its outcome, so that the run may go another way.
pub fn was_interrupted(journal: &[Event]) -> bool {
    journal.iter().any(|event| match event {
        Event::StepHeld { failure, .. } | Event::StepWaiting { why: Waiting::Retry { failure }, .. } => {
            failure.code == INTERRUPTED
        }
        // It does not say whether it was the crash or the far side.
        Event::StepSkipped { reason: SkipReason::Unknown, .. } => true,
        _ => false,
    })
}

/// The items that are begun before a failure stops the rest depend on the order in which they end.
pub fn stops_items(plan: &Plan) -> bool {
    plan.steps.iter().filter_map(|step| step.for_each.as_ref()).any(|each| each.on_item_error == OnItemError::Stop)
}

/// How a run ended, without what may differ by the order in which items ended.
pub fn summary(plan: &Plan, state: &RunState) -> Vec<String> {
    let counts = |output: &Json| {
        ["total", "succeeded", "failed", "skipped", "unknown", "collected"].map(|key| output[key].to_string())
    };
    let steps = plan.steps.iter().zip(&state.steps).map(|(planned, state)| match (state, &planned.for_each) {
        (StepState::Succeeded { output, .. }, Some(each)) if each.on_item_error == OnItemError::Continue => {
            format!("{} {}", planned.id, counts(output).join(" "))
        }
        (StepState::Succeeded { port, output }, None) => format!("{} {port} {output}", planned.id),
        (StepState::Succeeded { port, .. }, Some(_)) => format!("{} {port}", planned.id),
        (StepState::Failed { failure }, _) => format!("{} failed {}", planned.id, failure.code),
        (StepState::Skipped { reason }, _) => format!("{} skipped {reason:?}", planned.id),
        (other, _) => format!("{} {other:?}", planned.id),
    });
    steps.chain([state.status().to_string()]).collect()
}

/// What is held, with the truth about it: was it done?
pub fn held(plan: &Plan, far: &Far, state: &RunState) -> Vec<(u32, Option<u32>, bool)> {
    let held = state.slots().filter(|(_, _, slot)| matches!(slot.phase, Phase::Held { .. }));
    held.map(|(step, item, _)| (step, item, far.done(&(plan.steps[step as usize].id.to_string(), item)) > 0)).collect()
}
