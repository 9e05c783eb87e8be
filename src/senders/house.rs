//! All senders of the process: what the send step asks, what webhooks tell, what people look at.
//!
//! Made before the store is open, since the steps need it; [`Senders::start`] reads back what earlier processes left. Before
//! that a session with a policy sends nothing. Sessions without one cost nothing but the memory of a status that the API
//! has complained about.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::future::{BoxFuture, Either, select};

use super::calendar::Calendar;
use super::desk::{Ask, Desk, Verdict};
use super::health::{Health, WORKING};
use super::opted_out::{self, OptedOut};
use super::policy::Policy;
use super::reply;
use super::standing::Why;
use super::view::{SenderView, view};
use super::words::Said;
use super::{forecast, notice};
use crate::base::time::rfc3339;
use crate::base::{Json, Millis, RunId, duration, limits};
use crate::engine::ports::{Clock, Failure, StepError, Store, StoreError};
use crate::engine::run::Submission;
use crate::lang::Catalog;
use crate::moltflow::{ApiError, Event, MoltFlow, Refusal};
use crate::plan::Plan;

/// Who knows the status of a session.
pub trait Sessions: Send + Sync + 'static {
    fn status<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Result<String, ApiError>>;
}

impl Sessions for MoltFlow {
    fn status<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Result<String, ApiError>> {
        Box::pin(async move { Ok(self.get_session(session).await?.status) })
    }
}

/// The policies of all sessions, at work.
pub struct Senders {
    desks: BTreeMap<String, Arc<Desk>>,
    /// Sessions without a policy that the API has called not working.
    loose: Mutex<HashMap<String, Health>>,
    sessions: Option<Arc<dyn Sessions>>,
    clock: Arc<dyn Clock>,
    started: OnceLock<Started>,
}

struct Started {
    store: Arc<dyn Store>,
    notice: Option<Arc<Plan>>,
}

/// The permission for one send, durable.
#[derive(Debug)]
pub struct Permit {
    at: Millis,
}

/// Pause of a send that comes before the senders are ready, or whose permission could not be written down, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// How long the API may take to say a status, in milliseconds.
const STATUS_MS: u64 = 3_000;

/// A turn that is so much later than it would have to be is worth looking who of those before it has given up, in
/// milliseconds; and how often that is done.
const SWEEP_MS: Millis = 15 * 60_000;
const SWEEP_EVERY_MS: Millis = 60_000;

impl Senders {
    /// Without `sessions` a status is known from events alone.
    pub fn new(policies: BTreeMap<String, Policy>, sessions: Option<Arc<dyn Sessions>>, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let desks = policies.into_iter().map(|(session, policy)| {
            let seed = u64::try_from(clock.random() >> 64).unwrap_or_default();
            let desk = Desk::new(Arc::from(session.as_str()), policy, seed, now);
            (session, Arc::new(desk))
        });
        Self { desks: desks.collect(), loose: Mutex::default(), sessions, clock, started: OnceLock::new() }
    }

    /// Reads back what earlier processes left; from now on permissions are given. A second start changes nothing.
    pub async fn start(&self, store: Arc<dyn Store>, catalog: &Catalog) -> Result<(), StoreError> {
        let now = self.clock.now();
        for desk in self.desks.values() {
            desk.restore(&*store, now).await?;
        }
        let answers = |desk: &Arc<Desk>| {
            let opt_out = desk.policy.opt_out.as_ref();
            opt_out.is_some_and(|opt_out| opt_out.reply.is_some() || opt_out.start_reply.is_some())
        };
        let notice = match self.desks.values().any(answers).then(|| notice::plan(catalog)) {
            Some(Ok(plan)) => Some(plan),
            Some(Err(error)) => {
                tracing::error!(%error, "who opts out will not be answered");
                None
            }
            None => None,
        };
        // Whoever starts it twice has one store.
        let _ = self.started.set(Started { store, notice });
        Ok(())
    }

    fn store(&self) -> Option<&Arc<dyn Store>> {
        self.started.get().map(|started| &started.store)
    }

    /// The sessions with a policy.
    pub fn sessions(&self) -> impl Iterator<Item = (&str, &Policy)> {
        self.desks.iter().map(|(session, desk)| (session.as_str(), &desk.policy))
    }

    fn desk(&self, session: &str) -> Option<&Arc<Desk>> {
        self.desks.get(session)
    }

    /// Did the person of `chat` opt out of messages from `session`?
    pub async fn opted_out(&self, session: &str, chat: &str) -> Result<Option<OptedOut>, StoreError> {
        match (self.desk(session), self.store()) {
            (Some(desk), Some(store)) => opted_out::of(desk, &**store, chat, self.clock.now()).await,
            _ => Ok(None),
        }
    }

    /// The permission for one send, durable before this returns. The error is a [`StepError::Later`] that says why it waits
    /// and when its turn is; only an asked API can fail otherwise.
    pub async fn acquire(&self, ask: &Ask) -> Result<Permit, StepError> {
        let Some(desk) = self.desk(&ask.session) else { return self.acquire_loose(ask).await };
        let Some(store) = self.store() else {
            return Err(later(Why::Paced.code(), "the senders are not ready yet".to_string(), RETRY_MS));
        };
        self.look(desk, store, &ask.session).await?;
        let now = self.clock.now();
        let down = {
            let health = &desk.state().health;
            health.is_down().then(|| health.pause_ms(now, self.clock.random()))
        };
        let (verdict, version) = match down {
            Some(pause_ms) => desk.hold(ask, pause_ms, now),
            None => match desk.ask(ask, now) {
                (Verdict::Wait { turn, .. }, _) if self.sweep_is_due(desk, ask.reply, turn, now) => {
                    // It asks as if for the first time.
                    desk.state().turns.leave(&ask.key);
                    self.sweep(desk, store, now).await;
                    desk.ask(ask, now)
                }
                told => told,
            },
        };
        let saved = desk.save(&**store, version).await;
        match (verdict, saved) {
            (Verdict::Go, Ok(())) => Ok(Permit { at: now }),
            // What is not written down does not count; the send comes again, and the permission is spent.
            (Verdict::Go, Err(error)) => Err(later("store.unavailable", error.to_string(), RETRY_MS)),
            (Verdict::Wait { turn, again, why }, saved) => {
                if let Err(error) = saved {
                    tracing::warn!(session = %ask.session, %error, "that a send waits could not be written down");
                }
                let after_ms = again.saturating_sub(now).max(1).unsigned_abs();
                Err(later(why.code(), self.reason(desk, why, turn), after_ms))
            }
        }
    }

    fn reason(&self, desk: &Desk, why: Why, turn: Millis) -> String {
        let (session, until) = (&desk.session, rfc3339(turn));
        match why {
            Why::Paced => format!("session `{session}` sends at its pace; its turn is at {until}"),
            Why::DailyCap => format!("session `{session}` has spent its daily cap; its turn is at {until}"),
            Why::WarmUp => format!("session `{session}` is warming up and has spent its day; its turn is at {until}"),
            Why::QuietHours => format!("session `{session}` has quiet hours; its turn is at {until}"),
            Why::SessionNotWorking => {
                let state = desk.state();
                let status = state.health.status().unwrap_or("not known").to_string();
                let since = state.health.since().map(rfc3339).unwrap_or_default();
                format!("session `{session}` is {status} since {since}; it sends again when it is working")
            }
        }
    }

    /// Asks the API for the status of a session that is not known, or down, if it is time to.
    async fn look(&self, desk: &Arc<Desk>, store: &Arc<dyn Store>, session: &str) -> Result<(), StepError> {
        let Some(sessions) = &self.sessions else { return Ok(()) };
        if !desk.state().health.ask(self.clock.now()) {
            return Ok(());
        }
        match self.asked_soon(&**sessions, session).await {
            Some(Ok(status)) => self.note(desk, store, &status).await,
            // The send would meet the same pause.
            Some(Err(error @ ApiError::Later { .. })) => return Err(error.into()),
            Some(Err(error)) if error.refusal() == Some(Refusal::SessionNotFound) => {
                // It does not come back: its sends are to be refused, which says so.
                desk.state().health = Health::default();
            }
            Some(Err(error)) => tracing::debug!(session, %error, "the status of a session is not known"),
            None => tracing::debug!(session, "the status of a session is not told in time"),
        }
        Ok(())
    }

    /// The status, if the API says it soon: a send that asks has its own time to keep.
    async fn asked_soon(&self, sessions: &dyn Sessions, session: &str) -> Option<Result<String, ApiError>> {
        match select(sessions.status(session), self.clock.pause(STATUS_MS)).await {
            Either::Left((status, _)) => Some(status),
            Either::Right(_) => None,
        }
    }

    async fn note(&self, desk: &Arc<Desk>, store: &Arc<dyn Store>, status: &str) {
        let version = {
            let mut state = desk.state();
            if !state.health.saw(status, self.clock.now()) {
                return;
            }
            state.changed()
        };
        if status == WORKING {
            tracing::info!(session = %desk.session, "the session is working");
        } else {
            tracing::warn!(session = %desk.session, status, "the session is not working; its sends wait");
        }
        if let Err(error) = desk.save(&**store, version).await {
            // It is asked about again after a restart.
            tracing::warn!(session = %desk.session, %error, "the status of a session could not be written down");
        }
    }

    /// A status that MoltFlow reported by itself.
    pub async fn status(&self, session: &str, status: &str) {
        match (self.desk(session), self.store()) {
            (Some(desk), Some(store)) => self.note(desk, store, status).await,
            (Some(desk), None) => drop(desk.state().health.saw(status, self.clock.now())),
            (None, _) => {
                let mut loose = self.loose.lock().unwrap_or_else(PoisonError::into_inner);
                if status == WORKING {
                    loose.remove(session);
                } else if loose.len() < limits::SENDER_SESSIONS || loose.contains_key(session) {
                    loose.entry(session.to_string()).or_default().saw(status, self.clock.now());
                }
            }
        }
    }

    /// A session without a policy waits only for what MoltFlow said of it.
    async fn acquire_loose(&self, ask: &Ask) -> Result<Permit, StepError> {
        let now = self.clock.now();
        let known = |session: &str| {
            let mut loose = self.loose.lock().unwrap_or_else(PoisonError::into_inner);
            loose.get_mut(session).map(|health| health.ask(now))
        };
        let Some(asks) = known(&ask.session) else { return Ok(Permit { at: now }) };
        if let Some(sessions) = self.sessions.as_ref().filter(|_| asks) {
            match self.asked_soon(&**sessions, &ask.session).await {
                Some(Ok(status)) => self.status(&ask.session, &status).await,
                Some(Err(error @ ApiError::Later { .. })) => return Err(error.into()),
                Some(Err(error)) if error.refusal() == Some(Refusal::SessionNotFound) => {
                    self.status(&ask.session, WORKING).await;
                }
                Some(Err(error)) => {
                    tracing::debug!(session = %ask.session, %error, "the status of a session is not known");
                }
                None => tracing::debug!(session = %ask.session, "the status of a session is not told in time"),
            }
        }
        let now = self.clock.now();
        let loose = self.loose.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(health) = loose.get(&*ask.session) else { return Ok(Permit { at: now }) };
        Err(not_working(&ask.session, health.status(), health.pause_ms(now, self.clock.random())))
    }

    /// A permission that was not used: the day's count has room for another send.
    pub fn give_back(&self, ask: &Ask, permit: &Permit) {
        if let Some(desk) = self.desk(&ask.session) {
            desk.state().standing.refund(&mut Calendar::new(&desk.policy), permit.at);
        }
    }

    /// What becomes of a send that had its permission and failed. If the API refused it because the session is not working,
    /// or its status says so, it waits for that; if it surely was not sent, the day's count has room for another one.
    pub async fn failed(&self, ask: &Ask, permit: Permit, error: ApiError) -> StepError {
        let desk = self.desk(&ask.session);
        let surely = matches!(error, ApiError::Refused { .. } | ApiError::Later { .. } | ApiError::NotSent { .. });
        if surely {
            self.give_back(ask, &permit);
        }
        let status = match (error.refusal(), &error) {
            (Some(Refusal::SessionNotWorking), _) => Some(self.asked(&ask.session).await),
            // The guide names no code for it, so a deployment may have one of its own: then the status decides.
            (Some(Refusal::Other), ApiError::Refused { status: 400 | 403 | 409 | 422 | 423, .. }) => {
                Some(self.asked(&ask.session).await).filter(Option::is_some)
            }
            _ => None,
        };
        // A session that works by now is asked again soon.
        let down = status
            .filter(|status| status.as_deref() != Some(WORKING) || error.refusal() == Some(Refusal::SessionNotWorking));
        let Some(status) = down else { return error.into() };
        let status = status.filter(|status| status != WORKING).unwrap_or_else(|| "not working".to_string());
        self.status(&ask.session, &status).await;
        let now = self.clock.now();
        match (desk, self.store()) {
            (Some(desk), Some(store)) => {
                let pause_ms = desk.state().health.pause_ms(now, self.clock.random());
                let (_, version) = desk.hold(ask, pause_ms, now);
                if let Err(error) = desk.save(&**store, version).await {
                    tracing::warn!(session = %ask.session, %error, "that a send waits could not be written down");
                }
                not_working(&ask.session, Some(&status), pause_ms)
            }
            _ => {
                let loose = self.loose.lock().unwrap_or_else(PoisonError::into_inner);
                let health = loose.get(&*ask.session).cloned().unwrap_or_default();
                not_working(&ask.session, Some(&status), health.pause_ms(now, self.clock.random()))
            }
        }
    }

    async fn asked(&self, session: &str) -> Option<String> {
        self.asked_soon(&**self.sessions.as_ref()?, session).await?.ok()
    }

    /// Takes notice of an event that MoltFlow delivered: the status of a session, and the words by which people opt out and in
    /// again. Durable when this returns. The runs that answer them are to be submitted with those of the event.
    pub async fn heard(&self, event: &Event, payload: &Arc<Json>) -> Result<Vec<Submission>, StoreError> {
        if event.event == "session_status" {
            if let Some(status) = event.data["status"].as_str() {
                self.status(&event.session, status).await;
            }
            return Ok(Vec::new());
        }
        let (Some(desk), Some(started)) = (self.desk(&event.session), self.started.get()) else {
            return Ok(Vec::new());
        };
        let words = desk.policy.opt_out.as_ref().filter(|_| event.event == "message" && !event.is_from_group());
        let body = event.data["body"].as_str().unwrap_or_default();
        let Some((words, (said, word))) = words.and_then(|words| Some((words, words.said(body)?))) else {
            return Ok(Vec::new());
        };
        let Some(chat) = event.data["from"].as_str().filter(|chat| chat.len() <= limits::KEY) else {
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        let at = reply::said_at(payload).map_or(now, |at| at.min(now));
        if !opted_out::note(desk, &*started.store, chat, said, Some(word), at, now).await? {
            return Ok(Vec::new());
        }
        let text = match said {
            Said::Stop => &words.reply,
            Said::Start => &words.start_reply,
        };
        let answer = text.as_ref().zip(started.notice.as_ref());
        let answer = answer.map(|(text, plan)| notice::submission(plan, payload, &event.session, chat, text, now));
        Ok(answer.into_iter().collect())
    }

    /// Enters by hand that somebody opted out, or in again; durable when this returns. None if `session` has no policy.
    pub async fn enter(&self, session: &str, chat: &str, said: Said) -> Result<Option<()>, StoreError> {
        let (Some(desk), Some(store)) = (self.desk(session), self.store()) else { return Ok(None) };
        let now = self.clock.now();
        opted_out::note(desk, &**store, chat, said, None, now, now).await.map(|_| Some(()))
    }

    /// Those who opted out of one session; None if it has no policy.
    pub async fn opted_out_page(
        &self,
        session: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<(Vec<OptedOut>, Option<String>)>, StoreError> {
        let (Some(desk), Some(store)) = (self.desk(session), self.store()) else { return Ok(None) };
        opted_out::page(desk, &**store, after, limit, self.clock.now()).await.map(Some)
    }

    /// When the last of `count` more broadcast sends of `session` goes out, behind those that wait; None if it has no policy.
    pub fn forecast(&self, session: &str, count: u64) -> Option<Millis> {
        let desk = self.desk(session)?;
        let (standing, from) = {
            let state = desk.state();
            let (standing, from) = state.behind(self.clock.now());
            (standing.clone(), from)
        };
        Some(forecast(&desk.policy, &standing, from, count))
    }

    /// Every session with a policy, as it stands.
    pub async fn view(&self) -> Result<Vec<SenderView>, StoreError> {
        let now = self.clock.now();
        let mut views = Vec::with_capacity(self.desks.len());
        for desk in self.desks.values() {
            let mut opted_out = 0;
            if let Some(store) = self.store() {
                self.sweep(desk, store, now).await;
                opted_out = opted_out::page(desk, &**store, None, limits::SENDER_OPTED_OUT, now).await?.0.len();
            }
            views.push(view(desk, opted_out, now));
        }
        Ok(views)
    }

    fn sweep_is_due(&self, desk: &Desk, reply: bool, turn: Millis, now: Millis) -> bool {
        let state = desk.state();
        let alone = state.standing.earliest(&mut Calendar::new(&desk.policy), reply, now);
        turn.saturating_sub(alone) > SWEEP_MS && now.saturating_sub(state.swept_at) >= SWEEP_EVERY_MS
    }

    /// Those of runs that have ended (by a person, or a time limit) do not come back for their turns.
    async fn sweep(&self, desk: &Desk, store: &Arc<dyn Store>, now: Millis) {
        let runs = {
            let mut state = desk.state();
            state.swept_at = now;
            let runs = state.turns.runs(state.swept_to, limits::SENDER_RUNS);
            state.swept_to = runs.last().copied();
            runs
        };
        let mut ended: BTreeSet<RunId> = BTreeSet::new();
        for run in runs {
            match store.row(run).await {
                Ok(row) if !row.status.is_final() => {}
                Ok(_) | Err(StoreError::NotFound(_)) => drop(ended.insert(run)),
                // What cannot be looked up is not forgotten.
                Err(_) => return,
            }
        }
        let state = &mut *desk.state();
        for key in state.turns.forget(&desk.policy, &state.standing, &ended, now) {
            state.save(key, None);
        }
    }
}

fn later(code: &str, message: String, after_ms: u64) -> StepError {
    StepError::Later { failure: Failure::new(code, message), after_ms }
}

fn not_working(session: &str, status: Option<&str>, pause_ms: u64) -> StepError {
    let (status, pause) = (status.unwrap_or("not working"), duration::human(pause_ms));
    later(Why::SessionNotWorking.code(), format!("session `{session}` is {status}; next look in {pause}"), pause_ms)
}
