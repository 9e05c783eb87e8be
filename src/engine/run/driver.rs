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
use super::claims::Claims;
use super::execute::{Done, Tools, is_changed, prepare};
use super::mail::{Answer, Mail};
use super::values::{ItemValues, ValueError};
use super::{calls, collect, deliver, follow, snapshot};
use crate::base::json::text_len;
use crate::base::{Effect, Millis, limits};
use crate::engine::decide::{Command, Decision, Input, Refused, decide};
use crate::engine::event::{Event, Place, RunStatus};
use crate::engine::frame::Phase;
use crate::engine::ports::{Commit, Failure, Held, Listen, StoreError, Write};
use crate::engine::state::RunState;
use crate::engine::waiting::Waiting;
use crate::plan::Plan;

/// How a driver left its run.
pub enum Left {
    Ended,
    /// Until its timer, an event, or a person.
    Parked(Option<Millis>),
    /// The daemon is stopping; the journal has what is needed to go on.
    Stopped,
    /// The store refused: another daemon has the run, or the database is broken.
    Lost(StoreError),
    /// The journal and the plan disagree: a bug, or a changed plugin.
    Stuck(Refused),
}

/// What the store has of a run beside its journal.
pub struct Stored {
    pub row: (RunStatus, Option<Millis>),
    /// When the next snapshot is worth its writing, in events.
    pub snapshot_at: u64,
}

impl Stored {
    /// Of a run that was just created.
    pub fn fresh() -> Self {
        Self { row: (RunStatus::Queued, None), snapshot_at: snapshot::next(0, 0) }
    }
}

pub struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) plan: Arc<Plan>,
    pub state: RunState,
    pub mail: mpsc::UnboundedReceiver<Mail>,
    stopping: watch::Receiver<bool>,
    /// What the store says the run listens for.
    listens: Vec<Listen>,
    /// A step may have begun to listen since.
    listened: bool,
    /// What the run's row says.
    row: (RunStatus, Option<Millis>),
    /// When the next snapshot is worth its writing, in events.
    snapshot_at: u64,
    pub(super) work: Work,
}

#[derive(Default)]
pub(super) struct Work {
    /// Decided but not committed.
    pending: Vec<Event>,
    /// `pending` has more than pure steps' results.
    valuable: bool,
    /// Attempts that wait for their intention's commit.
    unsaid: Vec<Command>,
    /// What is done once all that was decided is durable.
    after: Vec<Command>,
    attempts: JoinSet<Done>,
    /// Outputs in `pending`, as JSON text, and lines.
    pending_bytes: usize,
    /// Values that are committed with `pending`, and the keys that others must not have until then.
    pub(super) writes: Vec<Write>,
    pub(super) held: Vec<Held>,
    pub(super) claims: Claims,
    /// Mail that was there before the run was taken up.
    letters: VecDeque<Mail>,
    /// People who wait for `pending` to be durable.
    answers: Vec<Answer>,
    /// A decision was cut short because the daemon is stopping; the rest is decided again after the next start.
    cut: bool,
    /// Something that was decided is not done because the daemon is stopping.
    undone: bool,
    /// The store refused something that was done outside of a commit.
    lost: Option<StoreError>,
    /// What is to be done at the end is being done.
    finishing: bool,
    /// The end is among `pending`, and these begin before it is durable. Nothing is decided in between.
    followers: Vec<Arc<Plan>>,
    pub(super) values: ItemValues,
    pub(super) inputs: VecDeque<Done>,
}

impl Driver {
    pub fn new(
        shared: Arc<Shared>,
        plan: Arc<Plan>,
        state: RunState,
        mail: mpsc::UnboundedReceiver<Mail>,
        stored: Stored,
    ) -> Self {
        // With the end of a run the journal forgets what it listened for.
        let listens = if state.ended.is_some() { Vec::new() } else { state.listens() };
        let stopping = shared.stopping.subscribe();
        let Stored { row, snapshot_at } = stored;
        let listened = !listens.is_empty();
        Self { shared, plan, state, mail, stopping, listens, listened, row, snapshot_at, work: Work::default() }
    }

    /// A loaded run that is to stop: nothing of it is at work, and nothing is to begin before it hears so.
    pub async fn stop_first(&mut self, first: Option<Input>) -> Option<Input> {
        while let Ok(mail) = self.mail.try_recv() {
            if mail.is_stop() { self.read(mail).await } else { self.work.letters.push_back(mail) }
        }
        first
    }

    /// Works until the run ends, waits, or the daemon stops.
    pub async fn drive(&mut self, first: Option<Input>) -> Left {
        // Inputs go before mail: a `Resume` after it would take what the mail began for work that a crash cut off.
        self.work.inputs.extend(first.map(Done::from));
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
            if let Some(error) = self.work.lost.take() {
                return Left::Lost(error);
            }
            self.claim().await;
            let idle = self.work.attempts.is_empty() && self.work.unsaid.is_empty();
            let due = self.work.valuable || !self.work.writes.is_empty() || !self.work.after.is_empty();
            let began = self.shared.clock.now();
            if (due || idle || !self.work.unsaid.is_empty() || self.is_full())
                && let Err(error) = self.commit().await
            {
                return Left::Lost(error);
            }
            // A process that was frozen in between may have lost the database, and with it the right to act on what it said.
            if !self.work.unsaid.is_empty()
                && self.shared.clock.now() - began > FROZEN_MS
                && let Err(error @ StoreError::Conflict(_)) = self.shared.store.renew(self.shared.clock.now()).await
            {
                return Left::Lost(error);
            }
            for command in std::mem::take(&mut self.work.unsaid) {
                self.launch(command).await;
            }
            for command in std::mem::take(&mut self.work.after) {
                self.follow(command);
            }
            if !self.work.inputs.is_empty() || !self.work.letters.is_empty() {
                continue;
            }
            if self.state.ended.is_some() {
                return Left::Ended;
            }
            if self.work.attempts.is_empty() {
                return match self.park().await {
                    Ok(()) => Left::Parked(self.row.1),
                    Err(error) => Left::Lost(error),
                };
            }
            self.wait().await;
        }
    }

    /// Takes inputs until none is known, or as many as one commit holds: results that are there already share it.
    async fn decide_all(&mut self) -> Result<(), Refused> {
        while !self.is_full() && self.work.followers.is_empty() {
            // Mail last: what a person says is about the state after everything that has happened.
            if let Some(done) = self.work.inputs.pop_front() {
                self.decide(done).await?;
            } else if let Some(joined) = self.work.attempts.try_join_next() {
                let done = self.joined(joined);
                self.work.inputs.extend(done);
            } else if let Some(mail) = self.work.letters.pop_front().or_else(|| self.mail.try_recv().ok()) {
                self.read(mail).await;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// A word from outside: refused at once, or answered when it is durable.
    async fn read(&mut self, mail: Mail) {
        let (input, answer) = match mail {
            Mail::Input { input, answer } => (input, answer),
            Mail::Event { event, key, payload, answer } => {
                let accepting =
                    deliver::accepting(&self.plan, &self.state, &mut self.work.values, &self.shared, &event, &payload);
                match accepting.await {
                    Ok(Some(place)) => (Input::Deliver { place, key, event: payload }, answer),
                    Ok(None) => return drop(answer.send(Err(Refused::NotListening(Place::default())))),
                    // Without an answer it is delivered again.
                    Err(error) => {
                        return tracing::warn!(run = %self.state.id, %error, "an event could not be looked at yet");
                    }
                }
            }
            Mail::Go => {
                self.shared.heard(self.state.id);
                (if self.state.version == 1 { Input::Begin } else { Input::Wake }, oneshot::channel().0)
            }
        };
        match self.decide(Done::from(input)).await {
            // What a stop has cut short is not confirmed: without an answer the asker learns that the daemon is stopping.
            Ok(()) if self.work.cut => {}
            Ok(()) => self.work.answers.push(answer),
            // Whoever asked may have gone.
            Err(refused) => drop(answer.send(Err(refused))),
        }
    }

    fn is_full(&self) -> bool {
        self.work.pending.len() >= limits::COMMIT_EVENTS || self.work.pending_bytes >= limits::COMMIT_BYTES
    }

    async fn decide(&mut self, done: Done) -> Result<(), Refused> {
        let Done { input, writes, held, lost: _ } = done;
        self.work.valuable |= match &input {
            Input::Ended { place, .. } => self.plan.steps[place.step as usize].effect != Effect::Pure,
            Input::Begin | Input::Collected { .. } => false,
            _ => true,
        };
        if matches!(input, Input::Finished { .. }) {
            self.work.finishing = false;
        }
        let decision = self.decision(input)?;
        // With the step's success or not at all.
        if decision.events.iter().any(|event| matches!(event, Event::StepSucceeded { .. })) {
            self.work.writes.extend(writes);
            self.work.held.extend(held);
        }
        for event in &decision.events {
            self.work.pending_bytes += bytes(event);
            self.listened |= match event {
                Event::StepWaiting { why, .. } => matches!(why, Waiting::Event { .. } | Waiting::Approval { .. }),
                Event::StepHeld { .. } | Event::RunRetried { .. } => true,
                _ => false,
            };
            self.settle_claim(event).await;
            if let Event::RunEnded { status, .. } = event {
                self.let_go();
                self.work.followers = follow::followers(&self.shared, &self.plan, *status);
            }
            if let Event::StepSucceeded { step, items, .. } | Event::StepFailed { step, items, .. } = event
                && self.plan.steps[*step as usize].for_each.is_some()
            {
                self.work.values.forget(&Place { step: *step, items: items.clone() });
            }
        }
        self.work.pending.extend(decision.events);
        for command in decision.commands {
            match command {
                Command::Execute { ref place, .. } if self.is_said_first(place.step) => self.work.unsaid.push(command),
                Command::Execute { .. } | Command::Collect { .. } => self.launch(command).await,
                Command::Call { .. } | Command::CancelCalled { .. } | Command::Finish { .. } => {
                    self.work.after.push(command);
                }
            }
        }
        Ok(())
    }

    /// After the end: what was at work is at work no more. If a person has the run go on, it begins anew.
    fn let_go(&mut self) {
        let work = &mut self.work;
        work.attempts = JoinSet::new();
        work.inputs.clear();
        work.unsaid.clear();
        work.claims.clear();
        // Called runs are told to end all the same.
        work.after.retain(|command| matches!(command, Command::CancelCalled { .. }));
        work.finishing = false;
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
        self.work.undone |= !decision.commands.is_empty();
        decision.commands.clear();
        let intention = decision.events.iter().position(|event| match event {
            Event::StepStarted { step, .. } => self.is_said_first(*step),
            _ => false,
        });
        if let Some(intention) = intention {
            decision.events.truncate(intention);
            self.state = before;
            for event in &decision.events {
                self.state.apply(&self.plan, event)?;
            }
            self.work.cut = true;
        }
        Ok(decision)
    }

    /// Whether beginning it must be durable before it acts.
    fn is_said_first(&self, step: u32) -> bool {
        let planned = &self.plan.steps[step as usize];
        planned.effect == Effect::AtMostOnce || planned.once.is_some()
    }

    /// Claims the `once` keys of the attempts about to be said; those that have no claim are not begun.
    async fn claim(&mut self) {
        for command in std::mem::take(&mut self.work.unsaid) {
            match &command {
                Command::Execute { place, .. } if self.plan.steps[place.step as usize].once.is_some() => {
                    if self.take_claim(&place.clone()).await {
                        self.work.unsaid.push(command);
                    }
                }
                _ => self.work.unsaid.push(command),
            }
        }
    }

    /// Begins an attempt: what is settled at once is an input at once, the rest runs on a task of its own.
    async fn launch(&mut self, command: Command) {
        let (place, attempt, started_at) = match command {
            Command::Execute { place, attempt, started_at } => (place, attempt, started_at),
            Command::Collect { place, item } => {
                return self.collect(place, item).await;
            }
            Command::Call { .. } | Command::CancelCalled { .. } | Command::Finish { .. } => {
                return self.follow(command);
            }
        };
        let shared = &self.shared;
        let steps = shared.steps.now();
        let (number, here) = (place.step as usize, place.clone());
        let today = match is_changed(&self.plan.steps[number], &steps) {
            true => shared.plans.get(&self.plan.digest).await.ok(),
            false => None,
        };
        let today = today.filter(|today| !is_changed(&today.steps[number], &steps));
        let fits = today.is_some();
        let tools = Tools { steps: &steps, clock: &shared.clock, store: &shared.store, keys: &shared.keys, fits };
        let prepared = prepare(&self.plan, &self.state, &mut self.work.values, place, attempt, started_at, &tools);
        let mut attempt = prepared.await.run().boxed();
        // This attempt is put off, since it may be one whose intention had to be durable: the next one goes by the new plan.
        if let Some(today) = today.filter(|today| self.may_follow(today, &here)) {
            self.plan = today;
        }
        match poll!(&mut attempt) {
            std::task::Poll::Ready(done) => self.work.inputs.push_back(done),
            std::task::Poll::Pending => {
                self.work.attempts.spawn(attempt);
            }
        }
    }

    /// Whether the run, put off at `here`, may go on with `today` while it is at work: not while an attempt is at work whose
    /// outcome would be judged by another effect than it began with. A run that is taken up anew has none.
    fn may_follow(&self, today: &Plan, here: &Place) -> bool {
        let mut may = true;
        self.state.visit(&mut |step, items, slot| {
            let is_here = (step, items) == (here.step, &*here.items);
            let effect = |plan: &Plan| plan.steps.get(step as usize).map(|step| step.effect);
            may &= is_here || slot.phase != Phase::Running || effect(&self.plan) == effect(today);
        });
        may
    }

    /// What an item leaves, however long the store is unavailable: its steps are done and must not fail for that.
    async fn collect(&mut self, place: Place, item: u32) {
        loop {
            let (plan, state, values) = (&self.plan, &self.state, &mut self.work.values);
            let result = match collect::collect(plan, state, values, &place, item, &self.shared).await {
                Ok(value) => Ok(value),
                Err(ValueError::Failure(failure)) => Err(failure),
                Err(ValueError::Store(error @ StoreError::Unavailable(_))) => {
                    match calls::again(&self.shared, self.state.id, error).await {
                        Ok(()) => continue,
                        // It is asked for again after the next start.
                        Err(_) => {
                            self.work.undone = true;
                            return;
                        }
                    }
                }
                Err(ValueError::Store(error)) => Err(Failure::new("store.unavailable", error.to_string())),
            };
            let collected = Input::Collected { place, item, result };
            return self.work.inputs.push_back(collected.into());
        }
    }

    /// What is done once the decision is durable.
    fn follow(&mut self, command: Command) {
        match command {
            // A run that ends calls nothing more.
            Command::Call { .. } if self.state.ending.is_some() || self.state.ended.is_some() => {}
            Command::Call { place } => {
                let call = calls::call(self.shared.clone(), &self.plan, &self.state, &place);
                self.work.attempts.spawn(call);
            }
            Command::CancelCalled { child } => calls::cancel(&self.shared, child),
            Command::Finish { status } if !self.work.finishing => {
                self.work.finishing = true;
                let finish = calls::finish(self.shared.clone(), &self.plan, &self.state, status);
                self.work.attempts.spawn(finish);
            }
            Command::Finish { .. } | Command::Execute { .. } | Command::Collect { .. } => {}
        }
    }

    fn joined(&mut self, joined: Result<Done, tokio::task::JoinError>) -> Option<Done> {
        match joined {
            Ok(Done { lost: Some(error), .. }) => {
                self.work.undone = true;
                self.work.lost = Some(error);
                None
            }
            Ok(done) => Some(done),
            // Steps' panics are caught inside; what is left is the runtime shutting down.
            Err(error) => {
                tracing::error!(run = %self.state.id, %error, "an attempt was lost");
                None
            }
        }
    }

    async fn wait(&mut self) {
        // A run that is parked is woken by its timer; one that is at work wakes itself.
        let clock = self.shared.clock.clone();
        let wake_at = self.state.wake_at(&self.plan);
        let due = async {
            match wake_at {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // In an order: a simulation that is played again goes the same way.
            biased;
            _ = self.stopping.changed() => {}
            Some(joined) = self.work.attempts.join_next() => {
                let done = self.joined(joined);
                self.work.inputs.extend(done);
            }
            Some(mail) = self.mail.recv() => self.read(mail).await,
            () = due => self.work.inputs.push_back(Input::Wake.into()),
        }
    }

    /// Makes all that was decided durable, however long the store takes to be available.
    async fn commit(&mut self) -> Result<(), StoreError> {
        if !self.work.followers.is_empty() {
            self.begin_followers().await?;
        }
        if !self.work.pending.is_empty() || !self.work.writes.is_empty() {
            let commit = self.next_commit();
            self.work.pending_bytes = 0;
            if let Some(listens) = &commit.listens {
                self.shared.listening(listens);
            }
            self.shared.commit(&self.plan, &self.state, commit).await?;
        }
        self.work.held.clear();
        self.work.valuable = false;
        for answer in self.work.answers.drain(..) {
            // Whoever asked may have gone; what was decided stands.
            let _ = answer.send(Ok(()));
        }
        Ok(())
    }

    /// Begins the runs that follow this one's end, before that end is durable: so it is done again if a crash comes first, and
    /// their keys make it once. What the end rests on must be durable before, or the run might end otherwise the second time.
    async fn begin_followers(&mut self) -> Result<(), StoreError> {
        let followers = std::mem::take(&mut self.work.followers);
        let before = self.work.pending.len().saturating_sub(1);
        if before > 0 || !self.work.writes.is_empty() {
            let commit = Commit {
                run: self.state.id,
                expected: self.state.version - self.work.pending.len() as u64,
                events: self.work.pending.drain(..before).collect(),
                status: RunStatus::Running,
                wake_at: None,
                finished_at: None,
                expires_at: None,
                writes: std::mem::take(&mut self.work.writes),
                listens: None,
                snapshot: None,
            };
            self.shared.commit(&self.plan, &self.state, commit).await?;
        }
        follow::begin(&self.shared, &self.plan, &self.state, followers).await
    }

    /// Has the run's row say what it waits for: the latest commit was made while something was still to be done, such as to
    /// start a called run, so that a crash would not have left it waiting for nobody.
    async fn park(&mut self) -> Result<(), StoreError> {
        let row = (self.state.status(), self.state.wake_at(&self.plan));
        if row == self.row {
            return Ok(());
        }
        self.row = row;
        let commit = Commit {
            run: self.state.id,
            expected: self.state.version,
            events: Vec::new(),
            status: row.0,
            wake_at: row.1,
            finished_at: None,
            expires_at: None,
            writes: Vec::new(),
            listens: None,
            snapshot: None,
        };
        self.shared.commit(&self.plan, &self.state, commit).await
    }

    fn next_commit(&mut self) -> Commit {
        let work = &mut self.work;
        let at_work = !work.attempts.is_empty()
            || !work.unsaid.is_empty()
            || !work.after.is_empty()
            || !work.inputs.is_empty()
            || work.cut
            || work.undone;
        let ended = self.state.ended.is_some();
        // What has something left to do goes on at the next start, not at a timer.
        let status = if at_work && !ended { RunStatus::Running } else { self.state.status() };
        let events = std::mem::take(&mut work.pending);
        let latest = self.state.latest_at;
        let listens = if self.listens.is_empty() && !self.listened {
            None
        } else {
            let listens = if ended { Vec::new() } else { self.state.listens() };
            self.listened = !listens.is_empty();
            (listens != self.listens).then(|| {
                self.listens.clone_from(&listens);
                listens
            })
        };
        let snapshot = if self.state.version >= self.snapshot_at && !ended {
            let snapshot = snapshot::take(&self.state);
            self.snapshot_at = snapshot::next(self.state.version, snapshot.as_ref().map_or(0, text_len));
            snapshot
        } else {
            None
        };
        let wake_at = match self.state.parent {
            // Until its caller has taken the result.
            Some(_) if ended => Some(latest),
            _ if at_work || ended => None,
            _ => self.state.wake_at(&self.plan),
        };
        self.row = (status, wake_at);
        Commit {
            run: self.state.id,
            expected: self.state.version - events.len() as u64,
            events,
            status,
            wake_at,
            finished_at: ended.then_some(latest),
            expires_at: ended.then(|| self.shared.expires_at(&self.plan, latest)).flatten(),
            writes: std::mem::take(&mut work.writes),
            listens,
            snapshot,
        }
    }

    /// Lets what runs end, journals it, and begins nothing more.
    async fn stop(&mut self) -> Left {
        loop {
            if let Err(refused) = self.decide_all().await {
                return Left::Stuck(refused);
            }
            self.work.undone |= !self.work.after.is_empty();
            self.work.after.clear();
            if let Err(error) = self.commit().await {
                return Left::Lost(error);
            }
            if !self.work.inputs.is_empty() {
                continue;
            }
            match self.work.attempts.join_next().await {
                Some(joined) => {
                    let done = self.joined(joined);
                    self.work.inputs.extend(done);
                }
                None if self.state.ended.is_some() => return Left::Ended,
                None => return Left::Stopped,
            }
        }
    }
}

/// A commit that took longer than this, in milliseconds, may have been a freeze of the whole process: less than another
/// process waits for the lease of this one to end.
const FROZEN_MS: Millis = 5_000;

/// What steps gave to an event: the rest of it is small.
fn bytes(event: &Event) -> usize {
    match event {
        Event::StepSucceeded { output, .. } => text_len(output),
        Event::StepLogged { lines, .. } => lines.iter().map(|line| line.text.len()).sum(),
        _ => 0,
    }
}
