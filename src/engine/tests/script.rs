//! Tables over `decide` in a small language: what happens to a run, word by word, and a picture of where it stands.
//!
//! | word | what happens |
//! |---|---|
//! | `a` `a.left` `a[2]` | the attempt of step `a` (its item 2) is done on `ok`, on `left` |
//! | `a!` `a~` `a?` `a^900` | it fails: permanently, transiently, with an unknown outcome, later (in 900 ms) |
//! | `a/` `a=3` `a@500` | `if` is false; `in:` has 3 items; it sleeps 500 ms |
//! | `a:sent` `a:not` `a:skip` | a person resolves it |
//! | `+100` `crash` `wake` | 100 ms pass and the timer fires; the run is loaded again; a timer fires for nothing |
//! | `x…` | the word after it is refused and changes nothing |

use std::sync::Arc;

use serde_json::json;

use super::catalog::plan;
use crate::base::{Json, Millis, RunId};
use crate::engine::decide::{Command, Ended, Input, Refused, Resolution, decide};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Failure, OK, Outcome, Port, StepError};
use crate::engine::state::{Phase, RunState, Slot, StepState};
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

impl Play {
    /// A run of these `steps:`, begun.
    pub fn begin(steps: &str) -> Self {
        let plan = plan(steps);
        let (event, inputs) = (Arc::new(Json::Null), Arc::new(Json::Null));
        let state = RunState::created(RunId::new(1_000, 7), plan.steps.len(), 1_000, event.clone(), inputs.clone());
        let journal = vec![Event::RunCreated { at: 1_000, event, inputs }];
        let mut play = Self { plan, state, journal, now: 1_000, commands: Vec::new() };
        play.input(Input::Begin).unwrap();
        play
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
        let folded = RunState::fold(self.state.id, self.plan.steps.len(), &self.journal);
        assert_eq!(folded.as_ref(), Ok(&self.state), "a run is the fold of its journal");
        let text = serde_json::to_string(&self.journal).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Event>>(&text).unwrap(), self.journal);
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

    fn read(&mut self, word: &str) -> Input {
        match word {
            "crash" => return Input::Resume,
            "wake" => return Input::Wake,
            _ => {}
        }
        if let Some(ms) = word.strip_prefix('+') {
            self.now += ms.parse::<Millis>().unwrap();
            return Input::Wake;
        }
        let end = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
        let (id, mut how) = word.split_at(end);
        let step = self.plan.steps.iter().position(|step| &*step.id == id).unwrap() as u32;
        let mut item = None;
        if let Some((number, rest)) = how.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            (item, how) = (Some(number.parse().unwrap()), rest);
        }
        if let Some(word) = how.strip_prefix(':') {
            let resolution = match word {
                "sent" => Resolution::Sent,
                "not" => Resolution::NotSent,
                _ => Resolution::Skip,
            };
            return Input::Resolve { step, item, resolution };
        }
        let (kind, rest) = how.split_at(how.len().min(1));
        let failure = || Failure::new("t.failed", "it failed");
        let result = match kind {
            "" => Ok(Ended::Step(Outcome::Done { port: OK, output: json!({"from": word}) })),
            "." => Ok(Ended::Step(Outcome::Done { port: Port::Owned(rest.to_string()), output: Json::Null })),
            "/" => Ok(Ended::ConditionFalse),
            "=" => Ok(Ended::Items(rest.parse().unwrap())),
            "@" => Ok(Ended::Step(Outcome::SleepUntil(self.now + rest.parse::<Millis>().unwrap()))),
            "!" => Err(StepError::Permanent(failure())),
            "~" => Err(StepError::Transient(failure())),
            "?" => Err(StepError::Unknown(failure())),
            "^" => Err(StepError::Later { failure: failure(), after_ms: rest.parse().unwrap() }),
            other => panic!("`{other}` is no word"),
        };
        Input::Ended { step, item, result, took_us: 1 }
    }

    /// Where every step stands, and the run.
    pub fn picture(&self) -> String {
        let steps = self.plan.steps.iter().zip(&self.state.steps);
        let mut words: Vec<_> = steps.map(|(planned, state)| format!("{}={}", planned.id, self.one(state))).collect();
        words.push(self.state.status().to_string());
        words.join(" ")
    }

    fn one(&self, state: &StepState) -> String {
        match state {
            StepState::Pending => "-".to_string(),
            StepState::Active(slot) => self.slot(slot),
            StepState::Items(items) => {
                let active: Vec<_> =
                    items.active.iter().map(|(item, slot)| format!("{item}:{}", self.slot(slot))).collect();
                format!("{}/{}[{}]", items.next, items.total, active.join(","))
            }
            StepState::Succeeded { port, .. } => port.to_string(),
            StepState::Failed { .. } => "failed".to_string(),
            StepState::Skipped { reason } => format!("skipped:{}", json!(reason).as_str().unwrap()),
        }
    }

    fn slot(&self, slot: &Slot) -> String {
        match &slot.phase {
            Phase::Running => format!("run{}", slot.attempt),
            Phase::Waiting { due, .. } => format!("wait{}+{}", slot.attempt, due - self.now),
            Phase::Held { .. } => format!("held{}", slot.attempt),
        }
    }

    /// What the step handed on.
    pub fn output(&self, id: &str) -> Json {
        let step = self.plan.steps.iter().position(|step| &*step.id == id).unwrap();
        match &self.state.steps[step] {
            StepState::Succeeded { output, .. } => Json::clone(output),
            other => panic!("{id} is {other:?}"),
        }
    }
}

/// Plays every row (`steps:`, script, picture) of a table.
pub fn table(rows: &[(&str, &str, &str)]) {
    for (steps, script, picture) in rows {
        let mut play = Play::begin(steps);
        play.play(script);
        assert_eq!(play.picture(), *picture, "{script} on\n{steps}");
        assert_eq!(play.state.ended.is_some(), play.state.status().is_final());
        let ends = play.journal.iter().filter(|event| matches!(event, Event::RunEnded { .. }));
        assert_eq!(ends.count(), usize::from(play.state.ended.is_some()));
        assert_ne!(play.state.status(), RunStatus::Queued);
    }
}
