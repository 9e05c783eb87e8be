//! One run at work: decide, commit, act, until it ends or waits.
//!
//! Pure steps ride along with the next commit; the result of any other step is committed before the run waits again; and
//! nothing that must not be repeated is begun before its intention is durable (invariant 4).

use std::collections::VecDeque;
use std::sync::Arc;

use futures::{FutureExt, poll};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::Shared;
use super::execute::{ItemValues, Tools, prepare};
use crate::base::json::text_len;
use crate::base::{Effect, Millis, limits};
use crate::engine::decide::{Command, Decision, Input, Refused, decide};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Commit, StoreError};
use crate::engine::state::RunState;
use crate::plan::Plan;

/// An input from outside, with somebody waiting for the answer.
pub struct Mail {
    pub input: Input,
    pub answer: oneshot::Sender<Result<(), Refused>>,
}

/// How a driver left its run.
pub enum Left {
    Ended,
    /// Until its timer, or a person.
    Parked(Option<Millis>),
    /// The daemon is stopping; the journal has what is needed to go on.
    Stopped,
    /// The store refused: another daemon has the run, or the database is broken.
    Lost(StoreError),
    /// The journal and the plan disagree: a bug, or a changed plugin.
    Stuck(Refused),
}

pub struct Driver {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    pub state: RunState,
    pub mail: mpsc::UnboundedReceiver<Mail>,
    stopping: watch::Receiver<bool>,
    work: Work,
}

#[derive(Default)]
struct Work {
    /// Decided but not committed.
    pending: Vec<Event>,
    /// `pending` has more than pure steps' results.
    valuable: bool,
    /// At-most-once attempts that wait for their intention's commit.
    unsaid: Vec<Command>,
    attempts: JoinSet<Input>,
    /// Outputs in `pending`, as JSON text.
    pending_bytes: usize,
    /// People who wait for `pending` to be durable.
    answers: Vec<oneshot::Sender<Result<(), Refused>>>,
    /// A decision was cut short because the daemon is stopping; the rest is decided again after the next start.
    cut: bool,
    items: ItemValues,
    inputs: VecDeque<Input>,
}

impl Driver {
    pub fn new(
        shared: Arc<Shared>,
        plan: Arc<Plan>,
        state: RunState,
        mail: mpsc::UnboundedReceiver<Mail>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { shared, plan, state, mail, stopping, work: Work::default() }
    }

    /// Works until the run ends, waits, or the daemon stops.
    pub async fn drive(&mut self, first: Input) -> Left {
        // Inputs go before mail: a `Resume` after it would take what the mail began for work that a crash cut off.
        self.work.inputs.push_back(first);
        loop {
            if let Err(refused) = self.decide_all().await {
                // Attempts at work are not cut off: their outcome would be unknown for nothing.
                while self.work.attempts.join_next().await.is_some() {}
                return Left::Stuck(refused);
            }
            // What was decided before the stop is still said and done.
            if *self.stopping.borrow() && self.work.unsaid.is_empty() {
                return self.stop().await;
            }
            let idle = self.work.attempts.is_empty() && self.work.unsaid.is_empty();
            if (self.work.valuable || idle || !self.work.unsaid.is_empty() || self.is_full())
                && let Err(error) = self.commit().await
            {
                return Left::Lost(error);
            }
            for command in std::mem::take(&mut self.work.unsaid) {
                self.launch(command).await;
            }
            if self.state.ended.is_some() {
                return Left::Ended;
            }
            if self.work.attempts.is_empty() && self.work.inputs.is_empty() {
                return Left::Parked(self.state.wake_at());
            }
            self.wait().await;
        }
    }

    /// Takes inputs until none is known, or as many as one commit holds: results that are there already share it.
    async fn decide_all(&mut self) -> Result<(), Refused> {
        while !self.is_full() {
            // Mail last: what a person says is about the state after everything that has happened.
            if let Some(input) = self.work.inputs.pop_front() {
                self.decide(input).await?;
            } else if let Some(joined) = self.work.attempts.try_join_next() {
                self.joined(joined);
            } else if let Ok(mail) = self.mail.try_recv() {
                self.read(mail).await;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// A person's word: refused at once, or answered when it is durable.
    async fn read(&mut self, mail: Mail) {
        match self.decide(mail.input).await {
            // What a stop has cut short is not confirmed: without an answer the asker learns that the daemon is stopping.
            Ok(()) if self.work.cut => {}
            Ok(()) => self.work.answers.push(mail.answer),
            // Whoever asked may have gone.
            Err(refused) => drop(mail.answer.send(Err(refused))),
        }
    }

    fn is_full(&self) -> bool {
        self.work.pending.len() >= limits::COMMIT_EVENTS || self.work.pending_bytes >= limits::COMMIT_BYTES
    }

    async fn decide(&mut self, input: Input) -> Result<(), Refused> {
        self.work.valuable |= match &input {
            Input::Ended { step, .. } => self.plan.steps[*step as usize].effect != Effect::Pure,
            Input::Begin => false,
            Input::Resume | Input::Wake | Input::Resolve { .. } => true,
        };
        let decision = self.decision(input)?;
        self.work.pending_bytes += decision.events.iter().map(output_bytes).sum::<usize>();
        self.work.pending.extend(decision.events);
        for command in decision.commands {
            let Command::Execute { step, item, .. } = command;
            if self.is_said_first(step, item) {
                self.work.unsaid.push(command);
            } else {
                self.launch(command).await;
            }
        }
        Ok(())
    }

    /// What follows from `input`. While the daemon is stopping nothing new is begun: an intention that is not going to be
    /// acted on must not be journaled, since it would be an unknown outcome for nothing. The decision is cut before it; every
    /// prefix of a journal is a journal, so the rest is decided again after the next start.
    fn decision(&mut self, input: Input) -> Result<Decision, Refused> {
        let now = self.shared.clock.now();
        if !*self.stopping.borrow() {
            return decide(&self.plan, &mut self.state, input, now);
        }
        let before = self.state.clone();
        let mut decision = decide(&self.plan, &mut self.state, input, now)?;
        decision.commands.clear();
        let intention = decision.events.iter().position(|event| match event {
            Event::StepStarted { step, item, .. } => self.is_said_first(*step, *item),
            _ => false,
        });
        if let Some(intention) = intention {
            decision.events.truncate(intention);
            self.state = before;
            for event in &decision.events {
                self.state.apply(event)?;
            }
            self.work.cut = true;
        }
        Ok(decision)
    }

    /// Whether beginning it must be durable before it acts.
    fn is_said_first(&self, step: u32, item: Option<u32>) -> bool {
        let planned = &self.plan.steps[step as usize];
        planned.effect == Effect::AtMostOnce && (planned.for_each.is_none() || item.is_some())
    }

    /// Begins an attempt: what is settled at once is an input at once, the rest runs on a task of its own.
    async fn launch(&mut self, command: Command) {
        let tools = Tools { steps: &self.shared.steps, clock: &self.shared.clock };
        let attempt = prepare(&self.plan, &self.state, &mut self.work.items, command, &tools);
        let mut attempt = attempt.run().boxed();
        match poll!(&mut attempt) {
            std::task::Poll::Ready(input) => self.work.inputs.push_back(input),
            std::task::Poll::Pending => {
                self.work.attempts.spawn(attempt);
            }
        }
    }

    fn joined(&mut self, joined: Result<Input, tokio::task::JoinError>) {
        match joined {
            Ok(input) => self.work.inputs.push_back(input),
            // Steps' panics are caught inside; what is left is the runtime shutting down.
            Err(error) => tracing::error!(run = %self.state.id, %error, "an attempt was lost"),
        }
    }

    async fn wait(&mut self) {
        if !self.work.inputs.is_empty() {
            return;
        }
        // A run that is parked is woken by its timer; one that is at work wakes itself.
        let clock = self.shared.clock.clone();
        let wake_at = self.state.wake_at();
        let due = async {
            match wake_at {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => self.work.inputs.push_back(Input::Wake),
            Some(joined) = self.work.attempts.join_next() => self.joined(joined),
            Some(mail) = self.mail.recv() => self.read(mail).await,
            _ = self.stopping.changed() => {}
        }
    }

    /// Makes all that was decided durable, however long the store takes to be available.
    async fn commit(&mut self) -> Result<(), StoreError> {
        if !self.work.pending.is_empty() {
            let at_work =
                !self.work.attempts.is_empty() || !self.work.unsaid.is_empty() || !self.work.inputs.is_empty();
            // A cut decision goes on at the next start, not at a timer.
            let status = if self.work.cut { RunStatus::Running } else { self.state.status() };
            let commit = Commit {
                run: self.state.id,
                expected: self.state.version - self.work.pending.len() as u64,
                events: std::mem::take(&mut self.work.pending),
                status,
                wake_at: if at_work || self.work.cut { None } else { self.state.wake_at() },
                finished_at: status.is_final().then_some(self.state.latest_at),
            };
            self.work.pending_bytes = 0;
            self.shared.commit(&self.plan, &self.state, commit).await?;
        }
        self.work.valuable = false;
        for answer in self.work.answers.drain(..) {
            // Whoever asked may have gone; what was decided stands.
            let _ = answer.send(Ok(()));
        }
        Ok(())
    }

    /// Lets what runs end, journals it, and begins nothing more.
    async fn stop(&mut self) -> Left {
        loop {
            if let Err(refused) = self.decide_all().await {
                return Left::Stuck(refused);
            }
            if let Err(error) = self.commit().await {
                return Left::Lost(error);
            }
            if !self.work.inputs.is_empty() {
                continue;
            }
            match self.work.attempts.join_next().await {
                Some(joined) => self.joined(joined),
                None if self.state.ended.is_some() => return Left::Ended,
                None => return Left::Stopped,
            }
        }
    }
}

fn output_bytes(event: &Event) -> usize {
    match event {
        Event::StepSucceeded { output, .. } => text_len(output),
        _ => 0,
    }
}
