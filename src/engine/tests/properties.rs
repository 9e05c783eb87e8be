//! No sequence of events or inputs, however wrong, panics; and every prefix of a journal is a journal.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::catalog;
use super::script::{Play, counted, failure, written};
use crate::base::{Json, RunId};
use crate::engine::decide::{Approval, Ended, Input, Resolution, decide};
use crate::engine::event::{Event, ItemOutcome, Place, RunStatus, SkipReason};
use crate::engine::ports::{Failure, Listen, LogLevel, LogLine, OK, Port, StepError};
use crate::engine::report::Report;
use crate::engine::state::RunState;
use crate::engine::waiting::Waiting;

/// Steps of every kind of place: of the root, of an item, of an item of an item, of a single step's item.
const GRAPH: &str = "
timeout: 10s
output: {x: '{{ 1 }}'}
on_failure: alarm
steps:
  - {id: a, uses: t.route, retry: {attempts: 2}}
  - id: b
    needs: []
    for_each: {in: '[]', concurrency: 2, collect: index}
    steps:
      - {id: p, uses: t.send, on_unknown: resend}
      - id: q
        for_each: {in: '[]', as: y, concurrency: 2, on_item_error: stop}
        steps:
          - {id: u, uses: t.send}
          - {id: v, uses: t.event, needs: []}
      - {id: r, uses: t.approve, needs: [p.error, q], join: any}
  - {id: c, uses: t.send, needs: [a, b.error], join: any, on_unknown: skip}
  - {id: d, uses: t.call, needs: [a.left], for_each: {in: '[]', as: z}}";

/// Steps of the runs that are played with.
const STEPS: u32 = 10;

fn numbers() -> impl Strategy<Value = (u32, Vec<u32>)> {
    let deep = |step: u32| match step {
        0..4 => 0,
        4..8 => 1,
        _ => 2,
    };
    let fits = (0..STEPS).prop_flat_map(move |step| {
        let depth = deep(step);
        (Just(step), proptest::collection::vec(0u32..3, depth..=depth))
    });
    let wild = (prop_oneof![0..STEPS, Just(STEPS), any::<u32>()], proptest::collection::vec(any::<u32>(), 0..5));
    prop_oneof![12 => fits, 1 => wild]
}

fn place() -> impl Strategy<Value = Place> {
    numbers().prop_map(|(step, items)| Place { step, items })
}

fn waiting() -> impl Strategy<Value = Waiting> {
    let listen = Listen { event: "message".to_string(), path: String::new(), value: String::new() };
    select(vec![
        Waiting::Sleep,
        Waiting::Retry { failure: failure() },
        Waiting::Later { failure: failure() },
        Waiting::Event { on: vec![listen] },
        Waiting::Approval { title: "go?".to_string(), details: Json::Null },
        Waiting::Call { child: RunId::new(1, 1), workflow: "other".to_string(), inputs: Json::Null },
    ])
}

fn due() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![Just(None), (0i64..9_000).prop_map(Some), any::<i64>().prop_map(Some)]
}

fn output() -> impl Strategy<Value = Json> {
    select(vec![json!(null), json!(1), json!({"a": ["text", 0.5]})])
}

fn events() -> impl Strategy<Value = Event> {
    let created = any::<i64>().prop_map(|at| Event::RunCreated {
        at,
        event: Arc::default(),
        inputs: Arc::default(),
        parent: None,
    });
    let started = (any::<i64>(), numbers(), any::<u32>()).prop_map(|(at, (step, items), attempt)| Event::StepStarted {
        at,
        step,
        items,
        attempt,
    });
    let succeeded = (numbers(), output()).prop_map(|((step, items), output)| Event::StepSucceeded {
        at: 5,
        step,
        items,
        port: OK,
        output: Arc::new(output),
        rows: None,
        took_us: 0,
    });
    let failed =
        numbers().prop_map(|(step, items)| Event::StepFailed { at: 5, step, items, failure: failure(), took_us: 0 });
    let reasons = vec![
        SkipReason::NotReached,
        SkipReason::Condition,
        SkipReason::Unknown,
        SkipReason::Resolved,
        SkipReason::Repeated,
        SkipReason::Declined,
    ];
    let skipped = (numbers(), select(reasons)).prop_map(|((step, items), reason)| Event::StepSkipped {
        at: 5,
        step,
        items,
        reason,
        why: (reason == SkipReason::Declined).then(|| Failure::new("sender.opted_out", "no more")),
    });
    let waits = (numbers(), due(), waiting()).prop_map(|((step, items), due, why)| Event::StepWaiting {
        at: 5,
        step,
        items,
        due,
        why,
    });
    let held = numbers().prop_map(|(step, items)| Event::StepHeld { at: 5, step, items, failure: failure() });
    let logged = (numbers(), 0u32..3, 0usize..3).prop_map(|((step, items), attempt, count)| {
        let lines = vec![LogLine { level: LogLevel::Warn, text: "so".to_string() }; count];
        Event::StepLogged { at: 5, step, items, attempt, lines }
    });
    let taken = (numbers(), "[ab]").prop_map(|((step, items), key)| Event::EventTaken { at: 5, step, items, key });
    let total = prop_oneof![9 => 0u32..4, 1 => any::<u32>()];
    let items = (numbers(), total).prop_map(|((step, items), total)| Event::ItemsStarted { at: 5, step, items, total });
    let outcomes = vec![ItemOutcome::Succeeded, ItemOutcome::Failed, ItemOutcome::Skipped, ItemOutcome::Unknown];
    let ended =
        (prop_oneof![Just(1u32), Just(5), 0..STEPS], proptest::collection::vec(0u32..3, 0..3), select(outcomes));
    let item_ended = ended.prop_map(|(step, items, outcome)| Event::ItemEnded {
        at: 5,
        step,
        items,
        outcome,
        collected: None,
        failure: (outcome == ItemOutcome::Failed).then(failure),
    });
    let stopped =
        (numbers(), 0u32..4).prop_map(|((step, items), left)| Event::ItemsStopped { at: 5, step, items, left });
    let status = || select(RunStatus::ALL.to_vec());
    let ending = status().prop_map(|status| Event::RunEnding { at: 5, status, failure: failure() });
    let paused = prop_oneof![Just(None), Just(Some("lunch".to_string()))];
    let paused = paused.prop_map(|reason| Event::RunPaused { at: 5, reason });
    let end = status().prop_map(|status| Event::RunEnded { at: 5, status, output: None, failure: None });
    let retried =
        proptest::collection::vec(0u32..6, 0..3).prop_map(|steps| Event::RunRetried { at: 5, steps, from: None });
    prop_oneof![
        1 => created, 16 => started, 8 => succeeded, 3 => failed, 6 => skipped, 3 => waits, 3 => held, 2 => taken,
        9 => items, 6 => item_ended, 2 => stopped, 1 => ending, 2 => end, 2 => retried, 2 => paused,
        2 => Just(Event::RunResumed { at: 5 }), 4 => logged
    ]
}

fn inputs() -> impl Strategy<Value = Input> {
    let result = prop_oneof![
        6 => output().prop_map(|output| Ok(Ended::Done { port: OK, output, rows: None })),
        1 => Just(Ok(Ended::Done { port: Port::Borrowed("left"), output: Json::Null, rows: Some(9) })),
        3 => (due(), waiting()).prop_map(|(due, why)| Ok(Ended::Waits { due, why })),
        1 => select(vec![Ok(Ended::ConditionFalse), Ok(Ended::Repeated), Ok(Ended::Declined(failure()))]),
        6 => (0u32..4).prop_map(|total| Ok(Ended::Items(total))),
        1 => Just(Err(StepError::Permanent(failure()))),
        2 => Just(Err(StepError::Transient(failure()))),
        2 => Just(Err(StepError::Unknown(failure()))),
        1 => any::<u64>().prop_map(|after_ms| Err(StepError::Later { failure: failure(), after_ms })),
    ];
    let resolution = select(vec![Resolution::Sent, Resolution::NotSent, Resolution::Skip]);
    let given = || prop_oneof![3 => output().prop_map(Ok), 1 => Just(Err(failure()))];
    let item = prop_oneof![9 => 0u32..4, 1 => any::<u32>()];
    let approval = any::<bool>().prop_map(|approved| Approval { approved, by: None, comment: None });
    let ends = || select(vec![RunStatus::Failed, RunStatus::Cancelled, RunStatus::Succeeded, RunStatus::Waiting]);
    prop_oneof![
        30 => (place(), result, 0usize..3).prop_map(|(place, result, count)| {
            let lines = vec![LogLine { level: LogLevel::Debug, text: String::new() }; count];
            Input::Ended { place, result, lines, took_us: 1 }
        }),
        3 => (place(), resolution).prop_map(|(place, resolution)| Input::Resolve { place, resolution }),
        3 => (place(), approval).prop_map(|(place, approval)| Input::Approve { place, approval }),
        3 => (place(), "[abc]").prop_map(|(place, key)| Input::Deliver { place, key, event: Arc::default() }),
        3 => (place(), given()).prop_map(|(place, result)| Input::Returned { place, child: RunId::new(1, 1), result }),
        4 => (place(), item, given()).prop_map(|(place, item, result)| Input::Collected { place, item, result }),
        2 => (ends(), given()).prop_map(|(status, output)| Input::Finished { status, output: output.map(Some) }),
        1 => ends().prop_map(|status| Input::Stop { status, failure: failure() }),
        2 => prop_oneof![Just(None), (0u32..12).prop_map(Some)].prop_map(|from| Input::Retry { from }),
        2 => Just(Input::Pause { reason: None }),
        3 => Just(Input::Unpause),
        1 => Just(Input::Begin),
        2 => Just(Input::Resume),
        2 => Just(Input::Wake),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_journal_panics(first in 0u8..4, journal in proptest::collection::vec(events(), 0..60)) {
        let plan = catalog::plan(GRAPH);
        prop_assert_eq!(plan.steps.len(), STEPS as usize);
        let mut state = RunState::created(&plan, RunId::new(1, 2), 1, Arc::default(), Arc::default(), None);
        for event in &journal {
            let before = state.clone();
            if state.apply(&plan, event).is_err() {
                prop_assert_eq!(&state, &before, "an illegal event changes nothing: {:?}", event);
            }
            counted(&state.root);
            let _ = (state.status(), state.wake_at(&plan), state.listens(), Report::of(&plan, &state));
        }
        written(&state);
        let mut whole = journal;
        if first > 0 {
            whole.insert(0, Event::RunCreated { at: 1, event: Arc::default(), inputs: Arc::default(), parent: None });
        }
        let _ = RunState::fold(&plan, RunId::new(1, 2), &whole);
    }

    #[test]
    fn no_input_panics_and_every_prefix_is_a_journal(inputs in proptest::collection::vec((inputs(), 0i64..300), 0..80)) {
        let mut play = Play::begin(GRAPH);
        for (input, pause) in inputs {
            play.now += pause;
            let _ = play.input(input);
            let _ = Report::of(&play.plan, &play.state);
        }
        for length in 1..=play.journal.len() {
            let mut state = RunState::fold(&play.plan, play.state.id, &play.journal[..length]).unwrap();
            // And a run can be taken up again after each.
            let resumed = decide(&play.plan, &mut state, Input::Resume, play.now);
            prop_assert!(resumed.is_ok(), "{:?}", resumed);
            counted(&state.root);
        }
    }
}
