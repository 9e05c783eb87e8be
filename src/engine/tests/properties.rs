//! No sequence of events or inputs, however wrong, panics; and every prefix of a journal is a journal.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::script::Play;
use crate::base::{Json, RunId};
use crate::engine::decide::{Ended, Input, Resolution, decide};
use crate::engine::event::{Event, RunStatus, SkipReason, Waiting};
use crate::engine::ports::{Failure, Outcome, Port, StepError};
use crate::engine::state::RunState;

/// Steps of the runs that are played with.
const STEPS: u32 = 4;

fn step() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..STEPS, 1 => Just(STEPS), 1 => any::<u32>()]
}

fn item() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![4 => Just(None), 4 => (0u32..4).prop_map(Some), 1 => any::<u32>().prop_map(Some)]
}

fn failure() -> Failure {
    Failure::new("t.failed", "it failed")
}

fn events() -> impl Strategy<Value = Event> {
    let created = any::<i64>().prop_map(|at| Event::RunCreated { at, event: Arc::default(), inputs: Arc::default() });
    let started = (any::<i64>(), step(), item(), any::<u32>())
        .prop_map(|(at, step, item, attempt)| Event::StepStarted { at, step, item, attempt });
    let succeeded = (step(), item()).prop_map(|(step, item)| Event::StepSucceeded {
        at: 5,
        step,
        item,
        port: Port::Borrowed("ok"),
        output: Arc::new(json!(1)),
        took_us: 0,
    });
    let failed = (step(), item()).prop_map(|(step, item)| Event::StepFailed {
        at: 5,
        step,
        item,
        failure: failure(),
        took_us: 0,
    });
    let reasons = vec![
        SkipReason::NotReached,
        SkipReason::Condition,
        SkipReason::Unknown,
        SkipReason::Resolved,
        SkipReason::Stopped,
    ];
    let skipped = (step(), item(), proptest::sample::select(reasons))
        .prop_map(|(step, item, reason)| Event::StepSkipped { at: 5, step, item, reason });
    let waiting = (step(), item(), any::<i64>()).prop_map(|(step, item, due)| Event::StepWaiting {
        at: 5,
        step,
        item,
        due,
        why: Waiting::Sleep,
    });
    let held = (step(), item()).prop_map(|(step, item)| Event::StepHeld { at: 5, step, item, failure: failure() });
    let items = (step(), prop_oneof![0u32..4, any::<u32>()]).prop_map(|(step, total)| Event::ItemsStarted {
        at: 5,
        step,
        total,
    });
    let ended = proptest::sample::select(RunStatus::ALL.to_vec()).prop_map(|status| Event::RunEnded { at: 5, status });
    prop_oneof![
        1 => created, 9 => started, 6 => succeeded, 3 => failed, 6 => skipped, 3 => waiting, 3 => held, 6 => items, 1 => ended
    ]
}

fn inputs() -> impl Strategy<Value = Input> {
    let result = prop_oneof![
        4 => Just(Ok(Ended::Step(Outcome::ok(Json::Null)))),
        1 => Just(Ok(Ended::Step(Outcome::Done { port: Port::Borrowed("left"), output: Json::Null }))),
        1 => any::<i64>().prop_map(|until| Ok(Ended::Step(Outcome::SleepUntil(until)))),
        1 => Just(Ok(Ended::ConditionFalse)),
        2 => (0u32..4).prop_map(|total| Ok(Ended::Items(total))),
        1 => Just(Err(StepError::Permanent(failure()))),
        2 => Just(Err(StepError::Transient(failure()))),
        2 => Just(Err(StepError::Unknown(failure()))),
        1 => any::<u64>().prop_map(|after_ms| Err(StepError::Later { failure: failure(), after_ms })),
    ];
    let resolution = proptest::sample::select(vec![Resolution::Sent, Resolution::NotSent, Resolution::Skip]);
    prop_oneof![
        8 => (step(), item(), result).prop_map(|(step, item, result)| Input::Ended { step, item, result, took_us: 1 }),
        2 => (step(), item(), resolution).prop_map(|(step, item, resolution)| Input::Resolve { step, item, resolution }),
        1 => Just(Input::Resume),
        1 => Just(Input::Wake),
    ]
}

const GRAPH: &str = "
  - {id: a, uses: t.route, retry: {attempts: 2}}
  - {id: b, uses: t.send, needs: [], on_unknown: resend, for_each: {in: '[]', concurrency: 2}}
  - {id: c, uses: t.send, needs: [a, b.error], join: any, on_unknown: skip}
  - {id: d, uses: t.read, needs: [a.left]}";

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_journal_panics(first in 0u8..4, journal in proptest::collection::vec(events(), 0..40)) {
        let mut state = RunState::created(RunId::new(1, 2), STEPS as usize, 1, Arc::default(), Arc::default());
        for event in &journal {
            let before = state.clone();
            if state.apply(event).is_err() {
                prop_assert_eq!(&state, &before, "an illegal event changes nothing");
            }
            let settled = state.steps.iter().filter(|step| step.is_settled()).count();
            prop_assert_eq!(state.open, state.steps.len() - settled);
            let _ = (state.status(), state.wake_at());
        }
        let mut whole = journal;
        if first > 0 {
            whole.insert(0, Event::RunCreated { at: 1, event: Arc::default(), inputs: Arc::default() });
        }
        let _ = RunState::fold(RunId::new(1, 2), STEPS as usize, &whole);
    }

    #[test]
    fn no_input_panics_and_every_prefix_is_a_journal(inputs in proptest::collection::vec((inputs(), 0i64..2_000), 0..40)) {
        let mut play = Play::begin(GRAPH);
        for (input, pause) in inputs {
            play.now += pause;
            let _ = play.input(input);
        }
        for length in 1..=play.journal.len() {
            let mut state = RunState::fold(play.state.id, play.plan.steps.len(), &play.journal[..length]).unwrap();
            // And a run can be taken up again after each.
            let resumed = decide(&play.plan, &mut state, Input::Resume, play.now);
            prop_assert!(resumed.is_ok(), "{:?}", resumed);
        }
    }
}
