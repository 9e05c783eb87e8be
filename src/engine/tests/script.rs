//! Tables over `decide` in a small language: what happens to a run, word by word, and a picture of where it stands.
//!
//! | word | what happens |
//! |---|---|
//! | `a` `a.left` `a[2]` `a[2.0]` | the attempt of step `a` (of item 2; of item 0 in item 2) is done on `ok`, on `left` |
//! | `a!` `a~` `a?` `a^900` | it fails: permanently, transiently, with an unknown outcome, later (in 900 ms) |
//! | `a/` `a*` `a-` `a=3` | `if` is false; its `once` key had its success; it declines; `in:` has 3 items |
//! | `a@500` `a&` `a&500` `a%` `a%500` `a>` | it sleeps 500 ms; waits for an event, an approval (500 ms at most); calls a run |
//! | `a:sent` `a:not` `a:skip` `a:yes` `a:no` | a person resolves it, decides |
//! | `a:key=7` `a:back` `a:back!` | event 7 is delivered to it; the run that it called ends, fails |
//! | `a[2]#` `a[2]#!` | `collect` of item 2 of `a` gives its number, fails |
//! | `+100` `crash` `wake` | 100 ms pass and the timer fires; the run is loaded again; a timer fires for nothing |
//! | `cancel` `retry` `retry:a` `pause` `unpause` | a person says so |
//! | `finish` `finish!` | `output` is evaluated (or `on_failure` begun), fails |
//! | `x…` | the word after it is refused and changes nothing |

use std::sync::Arc;

use serde_json::json;

use super::catalog::plan;
use crate::base::{Json, Millis, RunId};
use crate::engine::decide::{Approval, Command, Ended, Input, Refused, Resolution, decide};
use crate::engine::event::{Event, Place, RunStatus};
use crate::engine::frame::{Frame, Phase, Slot, StepState};
use crate::engine::items::Items;
use crate::engine::ports::{Failure, Listen, OK, Port, StepError};
use crate::engine::state::RunState;
use crate::engine::waiting::Waiting;
use crate::plan::Plan;

/// One run, played word by word.
pub struct Play {
    pub plan: Arc<Plan>,
    pub state: RunState,
    pub journal: Vec<Event>,
    pub now: Millis,
    /// Of the latest decision.
    pub commands: Vec<Command>,
}

pub fn failure() -> Failure {
    Failure::new("t.failed", "it failed")
}

impl Play {
    /// A run of these `steps:`, begun.
    pub fn begin(steps: &str) -> Self {
        let mut play = Self::queued(steps);
        play.input(Input::Begin).unwrap();
        play
    }

    /// A run of these `steps:`, not begun.
    pub fn queued(steps: &str) -> Self {
        let plan = plan(steps);
        let (event, inputs) = (Arc::new(Json::Null), Arc::new(Json::Null));
        let state = RunState::created(&plan, RunId::new(1_000, 7), 1_000, event.clone(), inputs.clone(), None);
        let journal = vec![Event::RunCreated { at: 1_000, event, inputs, parent: None }];
        Self { plan, state, journal, now: 1_000, commands: Vec::new() }
    }

    /// One decision, and what must hold after any.
    pub fn input(&mut self, input: Input) -> Result<(), Refused> {
        let before = self.state.clone();
        let decided = decide(&self.plan, &mut self.state, input, self.now);
        match &decided {
            Ok(decision) => {
                self.journal.extend(decision.events.iter().cloned());
                self.commands.clone_from(&decision.commands);
            }
            Err(_) => assert_eq!(self.state, before, "what is refused changes nothing"),
        }
        // A long journal is looked at now and then.
        if self.journal.len() < 300 || self.journal.len().is_multiple_of(53) {
            whole(&self.plan, &self.state, &self.journal);
        }
        decided.map(|_| ())
    }

    pub fn play(&mut self, script: &str) -> &mut Self {
        for word in script.split_whitespace() {
            let (word, refused) = match word.strip_prefix('x') {
                Some(rest) => (rest, true),
                None => (word, false),
            };
            let input = self.read(word);
            let decided = self.input(input);
            assert_eq!(decided.is_err(), refused, "{word}: {decided:?}, at {}", self.picture());
        }
        self
    }

    /// The step with this id as deep as there are items.
    pub fn place(&self, id: &str, items: &[u32]) -> Place {
        let deep = |step: &crate::plan::PlanStep| self.plan.blocks[step.block].chain.len() == items.len();
        let found = self.plan.steps.iter().position(|step| *step.id == *id && deep(step));
        let any = || self.plan.steps.iter().position(|step| *step.id == *id);
        let step = found.or_else(any).unwrap_or_else(|| panic!("no step {id}"));
        Place { step: step as u32, items: items.to_vec() }
    }

    /// The run that the step at `place` calls.
    pub fn child(place: &Place) -> RunId {
        let items = place.items.iter().fold(1, |sum, item| sum * 100 + u128::from(*item));
        RunId::new(2_000, u128::from(place.step) * 1_000_000 + items)
    }

    fn read(&mut self, word: &str) -> Input {
        match word {
            "crash" => return Input::Resume,
            "wake" => return Input::Wake,
            "cancel" => {
                let failure = Failure::new("run.cancelled", "stop");
                return Input::Stop { status: RunStatus::Cancelled, failure };
            }
            "retry" => return Input::Retry { from: None },
            "pause" => return Input::Pause { reason: Some("lunch".to_string()) },
            "unpause" => return Input::Unpause,
            "finish" | "finish!" => {
                let status = self.commands.iter().find_map(|command| match command {
                    Command::Finish { status } => Some(*status),
                    _ => None,
                });
                let status = status.unwrap_or(RunStatus::Succeeded);
                let output = if word == "finish" { Ok(Some(json!("out"))) } else { Err(failure()) };
                return Input::Finished { status, output };
            }
            _ => {}
        }
        if let Some(id) = word.strip_prefix("retry:") {
            return Input::Retry { from: Some(self.place(id, &[]).step) };
        }
        if let Some(ms) = word.strip_prefix('+') {
            self.now += ms.parse::<Millis>().unwrap();
            return Input::Wake;
        }
        let end = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
        let (id, mut how) = word.split_at(end);
        let mut items = Vec::new();
        if let Some((numbers, rest)) = how.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            (items, how) = (numbers.split('.').map(|number| number.parse().unwrap()).collect(), rest);
        }
        if let Some(how) = how.strip_prefix('#') {
            let item = items.pop().unwrap();
            let result = if how.is_empty() { Ok(json!(item)) } else { Err(failure()) };
            return Input::Collected { place: self.place(id, &items), item, result };
        }
        let place = self.place(id, &items);
        if let Some(word) = how.strip_prefix(':') {
            return said(place, word);
        }
        let (kind, rest) = how.split_at(how.len().min(1));
        let due = || (!rest.is_empty()).then(|| self.now + rest.parse::<Millis>().unwrap());
        let waits = |due, why| Ok(Ended::Waits { due, why });
        let result = match kind {
            "" => Ok(Ended::Done { port: OK, output: json!({"from": word}), rows: None }),
            "." => Ok(Ended::Done { port: Port::Owned(rest.to_string()), output: Json::Null, rows: None }),
            "/" => Ok(Ended::ConditionFalse),
            "*" => Ok(Ended::Repeated),
            "-" => Ok(Ended::Declined(failure())),
            "=" => Ok(Ended::Items(rest.parse().unwrap())),
            "@" => waits(due(), Waiting::Sleep),
            "&" => {
                let listen = Listen { event: "message".to_string(), path: String::new(), value: String::new() };
                waits(due(), Waiting::Event { on: vec![listen] })
            }
            "%" => waits(due(), Waiting::Approval { title: "go?".to_string(), details: Json::Null }),
            ">" => {
                let (child, workflow) = (Self::child(&place), "other".to_string());
                waits(None, Waiting::Call { child, workflow, inputs: Json::Null })
            }
            "!" => Err(StepError::Permanent(failure())),
            "~" => Err(StepError::Transient(failure())),
            "?" => Err(StepError::Unknown(failure())),
            "^" => Err(StepError::Later { failure: failure(), after_ms: rest.parse().unwrap() }),
            other => panic!("`{other}` is no word"),
        };
        Input::Ended { place, result, lines: Vec::new(), took_us: 1 }
    }

    /// Where every step stands, and the run.
    pub fn picture(&self) -> String {
        format!("{} {}", self.frame(&self.state.root), self.state.status())
    }

    fn frame(&self, frame: &Frame) -> String {
        let steps = self.plan.steps[frame.first as usize..].iter().zip(&frame.steps);
        let words: Vec<_> = steps.map(|(planned, state)| format!("{}={}", planned.id, self.one(state))).collect();
        words.join(" ")
    }

    fn one(&self, state: &StepState) -> String {
        match state {
            StepState::Pending => "-".to_string(),
            StepState::Active(slot) => self.slot(slot),
            StepState::Items(items) => self.items(items),
            StepState::Succeeded { port, .. } => port.to_string(),
            StepState::Failed { .. } => "failed".to_string(),
            StepState::Skipped { reason, .. } => format!("skipped:{}", json!(reason).as_str().unwrap()),
        }
    }

    /// `next/total[item:its block]`; before `|` the items that a retry does again.
    fn items(&self, items: &Items) -> String {
        let redo: std::collections::BTreeSet<_> = items.redo.iter().chain(items.again.keys()).collect();
        let redo: Vec<_> = redo.into_iter().map(u32::to_string).collect();
        let redo = if redo.is_empty() { String::new() } else { format!("{}|", redo.join(",")) };
        let one = |(item, frame): (&u32, &Frame)| match &frame.steps[..] {
            [StepState::Active(slot)] => format!("{item}:{}", self.slot(slot)),
            [single] => format!("{item}:{}", self.one(single)),
            _ => format!("{item}:({})", self.frame(frame)),
        };
        let active: Vec<_> = items.active.iter().map(one).collect();
        format!("{redo}{}/{}[{}]", items.next, items.total, active.join(","))
    }

    fn slot(&self, slot: &Slot) -> String {
        match &slot.phase {
            Phase::Running => format!("run{}", slot.attempt),
            Phase::Waiting { due: Some(due), .. } => format!("wait{}+{}", slot.attempt, due - self.now),
            Phase::Waiting { due: None, why: Waiting::Call { .. } } => "call".to_string(),
            Phase::Waiting { due: None, why: Waiting::Approval { .. } } => "asks".to_string(),
            Phase::Waiting { due: None, .. } => "listens".to_string(),
            Phase::Held { .. } => format!("held{}", slot.attempt),
        }
    }

    /// What the step of the workflow's own block handed on.
    pub fn output(&self, id: &str) -> Json {
        match &self.state.root.steps[self.place(id, &[]).step as usize] {
            StepState::Succeeded { output, .. } => Json::clone(output),
            other => panic!("{id} is {other:?}"),
        }
    }

    /// The code of the failure of a step of the workflow's own block.
    pub fn code(&self, id: &str) -> String {
        match &self.state.root.steps[self.place(id, &[]).step as usize] {
            StepState::Failed { failure, .. } => failure.code.clone(),
            other => panic!("{id} is {other:?}"),
        }
    }

    /// How often a step was begun, in all items and lives.
    pub fn starts(&self, id: &str) -> usize {
        let starts = self.journal.iter().filter(
            |event| matches!(event, Event::StepStarted { step, .. } if *self.plan.steps[*step as usize].id == *id),
        );
        starts.count()
    }
}

fn said(place: Place, word: &str) -> Input {
    if let Some(key) = word.strip_prefix("key=") {
        return Input::Deliver { place, key: key.to_string(), event: Arc::new(json!({"key": key})) };
    }
    let resolution = match word {
        "yes" | "no" => {
            let approval = Approval { approved: word == "yes", by: Some("ana".to_string()), comment: None };
            return Input::Approve { place, approval };
        }
        "back" | "back!" => {
            let result = if word == "back" { Ok(json!("given back")) } else { Err(failure()) };
            return Input::Returned { child: Play::child(&place), place, result };
        }
        "sent" => Resolution::Sent,
        "not" => Resolution::NotSent,
        "skip" => Resolution::Skip,
        other => panic!("`{other}` is no word"),
    };
    Input::Resolve { place, resolution }
}

/// What holds of any state: it is the fold of its journal, survives being written down, and counts right.
pub fn whole(plan: &Plan, state: &RunState, journal: &[Event]) {
    assert_eq!(RunState::fold(plan, state.id, journal).as_ref(), Ok(state), "a run is the fold of its journal");
    let text = serde_json::to_string(journal).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Event>>(&text).unwrap(), journal);
    written(state);
    counted(&state.root);
    assert_eq!(state.ended.is_some(), state.status().is_final());
    let ends = journal.iter().filter(|event| matches!(event, Event::RunEnded { .. })).count();
    let again = journal.iter().filter(|event| matches!(event, Event::RunRetried { .. })).count();
    assert_eq!(ends - again, usize::from(state.ended.is_some()));
}

/// A snapshot is the state.
pub fn written(state: &RunState) {
    let snapshot = serde_json::to_value(state).unwrap();
    assert_eq!(&serde_json::from_value::<RunState>(snapshot.clone()).unwrap(), state);
    assert_eq!(&serde_json::from_str::<RunState>(&snapshot.to_string()).unwrap(), state);
}

/// The counts of a block and of those within.
pub fn counted(frame: &Frame) {
    let settled = frame.steps.iter().filter(|step| step.is_settled()).count();
    assert_eq!(frame.open, frame.steps.len() - settled);
    for step in &frame.steps {
        let StepState::Items(items) = step else { continue };
        let why = items.reasons().total();
        assert_eq!(why as usize, items.failed.len() + (items.skipped + items.unknown) as usize, "{items:?}");
        let ended = (items.succeeded + items.skipped + items.unknown) as usize + items.failed.len();
        assert_eq!(ended + items.redo.len() + items.again.len() + items.active.len(), items.next as usize, "{items:?}");
        assert!(items.stopped <= items.skipped && items.next <= items.total);
        items.active.values().for_each(counted);
    }
}

/// Plays every row (`steps:`, script, picture) of a table.
pub fn table(rows: &[(&str, &str, &str)]) {
    for (steps, script, picture) in rows {
        let mut play = Play::begin(steps);
        play.play(script);
        assert_eq!(play.picture(), *picture, "{script} on\n{steps}");
        assert_ne!(play.state.status(), RunStatus::Queued);
    }
}
