//! What must hold of runs, wherever they died.

use std::collections::{BTreeMap, BTreeSet};

use super::life::once_key;
use super::world::World;
use crate::base::{Effect, Json};
use crate::engine::decide::{Input, decide};
use crate::engine::event::{Event, Place, SkipReason};
use crate::engine::frame::{Frame, Phase, StepState};
use crate::engine::state::RunState;
use crate::engine::tests::script;
use crate::engine::waiting::Waiting;
use crate::lang::workflow::{OnItemError, OnUnknown};
use crate::plan::Plan;

/// The code of an outcome that a crash made unknown.
const INTERRUPTED: &str = "outcome.unknown";

/// Every run has ended: its journal, its row, and what was really done.
pub fn ended(world: &World) {
    for row in world.rows() {
        let journal = world.journal(row.id);
        let (plan, state) = world.load(row.id);
        assert!(state.ended.is_some(), "the run was lost: {:?}", state.root);
        assert_eq!((row.version, row.status, row.finished_at.is_some()), (state.version, state.status(), true));
        reasons(&plan, &journal);
        effects(world, &plan, &state, &journal);
    }
}

/// Every prefix of a journal is a journal, and a run can be taken up again after each; twice is once.
pub fn prefixes(world: &World) {
    for row in world.rows() {
        let (plan, state) = world.load(row.id);
        let journal = world.journal(row.id);
        script::whole(&plan, &state, &journal);
        for length in 1..=journal.len() {
            let mut state = RunState::fold(&plan, row.id, &journal[..length]).unwrap();
            let now = state.latest_at;
            decide(&plan, &mut state, Input::Resume, now).unwrap();
            let once = state.clone();
            decide(&plan, &mut state, Input::Resume, now).unwrap();
            // Otherwise what the first one began is cut off by the second.
            if plan.steps.iter().all(|step| step.effect != Effect::AtMostOnce) {
                assert_eq!(once, state, "a second resume changes something");
            }
            script::counted(&state.root);
        }
    }
}

fn place(event: &Event) -> Option<Place> {
    match event {
        Event::StepStarted { step, items, .. }
        | Event::StepSucceeded { step, items, .. }
        | Event::StepFailed { step, items, .. }
        | Event::StepSkipped { step, items, .. }
        | Event::StepWaiting { step, items, .. }
        | Event::StepHeld { step, items, .. } => Some(Place { step: *step, items: items.clone() }),
        _ => None,
    }
}

/// No attempt begins without a reason.
fn reasons(plan: &Plan, journal: &[Event]) {
    let mut last: BTreeMap<Place, (&Event, u32)> = BTreeMap::new();
    // By retry, everything may begin anew that has not succeeded.
    let mut fresh: BTreeSet<Place> = BTreeSet::new();
    for event in journal {
        if let Event::RunRetried { .. } = event {
            fresh.extend(last.keys().cloned());
        }
        let Some(place) = place(event) else { continue };
        let before = last.get(&place).copied();
        let mut number = before.map_or(0, |(_, attempt)| attempt);
        if let Event::StepStarted { attempt, .. } = event {
            let anew = fresh.remove(&place) && *attempt == 1;
            let fits = match before {
                None => *attempt == 1,
                Some((Event::StepWaiting { why: Waiting::Retry { .. }, .. }, before)) => *attempt == before + 1,
                Some((Event::StepWaiting { why: Waiting::Later { .. }, .. }, before)) => *attempt == before,
                Some((Event::StepHeld { .. }, before)) => *attempt == before + 1,
                Some(_) => false,
            };
            let settled_well = matches!(before, Some((Event::StepSucceeded { .. }, _)));
            let id = &plan.steps[place.step as usize].id;
            assert!(fits || anew && !settled_well, "{id} at {place} starts attempt {attempt} after {before:?}");
            number = *attempt;
        } else {
            fresh.remove(&place);
        }
        last.insert(place, (event, number));
    }
}

/// At-most-once steps: no effect twice unless it was asked for, none that was not said, and what is unknown is treated as
/// the step says.
fn effects(world: &World, plan: &Plan, state: &RunState, journal: &[Event]) {
    let mut successes: BTreeMap<String, BTreeSet<Place>> = BTreeMap::new();
    let mut starts: BTreeMap<Place, u32> = BTreeMap::new();
    for event in journal {
        let Some(place) = place(event) else { continue };
        let planned = &plan.steps[place.step as usize];
        if planned.effect != Effect::AtMostOnce {
            continue;
        }
        let done = world.cues.done(state.id, &place);
        match event {
            Event::StepStarted { .. } => *starts.entry(place).or_default() += 1,
            Event::StepHeld { .. } => match planned.on_unknown {
                OnUnknown::Hold => {}
                OnUnknown::Resend => assert!(starts[&place] >= 3, "held after {} attempts", starts[&place]),
                OnUnknown::Skip => panic!("{} is held, not skipped", planned.id),
            },
            Event::StepSkipped { reason: SkipReason::Unknown, .. } => {
                assert_eq!(planned.on_unknown, OnUnknown::Skip);
            }
            Event::StepWaiting { why: Waiting::Retry { failure }, .. } if failure.code == INTERRUPTED => {
                assert_eq!(planned.on_unknown, OnUnknown::Resend);
            }
            Event::StepSucceeded { .. } => {
                assert!(done >= 1, "{} at {place} succeeded and was not done", planned.id);
                if let Some(key) = once_key(planned) {
                    successes.entry(key).or_default().insert(place);
                }
            }
            _ => {}
        }
    }
    for (key, places) in successes {
        assert!(places.len() <= 1, "the key {key} had its success at {places:?}");
    }
    for ((run, place), done) in &world.cues.ledger {
        if *run != state.id {
            continue;
        }
        let planned = &plan.steps[place.step as usize];
        assert!(starts.contains_key(place), "{} at {place} was done and never said", planned.id);
        if planned.on_unknown != OnUnknown::Resend {
            assert!(*done <= 1, "{} at {place} was done {done} times", planned.id);
        }
    }
}

/// Places that wait for a person who says what became of them.
pub fn held(state: &RunState) -> BTreeSet<Place> {
    let mut held = BTreeSet::new();
    state.visit(&mut |step, items, slot| {
        if let Phase::Held { .. } = slot.phase {
            held.insert(Place { step, items: items.to_vec() });
        }
    });
    held
}

/// No `for_each` has more items at work than it may have.
pub fn concurrency(plan: &Plan, frame: &Frame) {
    for (step, state) in (frame.first as usize..).zip(&frame.steps) {
        let StepState::Items(items) = state else { continue };
        let most = plan.steps[step].for_each.as_ref().unwrap().concurrency as usize;
        let at_work = items.active.values().filter(|frame| frame.any(&mut |_, _| true)).count();
        assert!(at_work <= most, "{at_work} items at work where {most} may be: {items:?}");
        items.active.values().for_each(|frame| concurrency(plan, frame));
    }
}

/// A crash caught an at-most-once step between its intention and its outcome, so that runs may go another way.
pub fn was_interrupted(world: &World) -> bool {
    world.rows().iter().flat_map(|row| world.journal(row.id)).any(|event| match event {
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
    let steps = plan.steps.iter().zip(&state.root.steps).map(|(planned, state)| match (state, &planned.for_each) {
        (StepState::Succeeded { output, .. }, Some(each)) if each.on_item_error == OnItemError::Continue => {
            format!("{} {}", planned.id, counts(output).join(" "))
        }
        (StepState::Succeeded { port, output, .. }, None) => format!("{} {port} {output}", planned.id),
        (StepState::Succeeded { port, .. }, Some(_)) => format!("{} {port}", planned.id),
        (StepState::Failed { failure, .. }, _) => format!("{} failed {}", planned.id, failure.code),
        (StepState::Skipped { reason, .. }, _) => format!("{} skipped {reason:?}", planned.id),
        (other, _) => format!("{} {other:?}", planned.id),
    });
    steps.chain([format!("{} {:?}", state.status(), state.output)]).collect()
}
