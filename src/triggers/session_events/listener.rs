//! The stream of one session, over all its lives.

use std::sync::Arc;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::replay::{Replay, name};
use super::{Ears, Told};
use crate::base::time::rfc3339;
use crate::base::{Json, limits};
use crate::engine::backoff::pause_ms;
use crate::engine::ports::{Dedupe, Space, StoreError, Write};
use crate::engine::run::{Submission, SubmitError};
use crate::lang::workflow::{Retry, Trigger};
use crate::moltflow::ApiError;
use crate::triggers::delivered::holds;

/// A stream that was open so long, in milliseconds, was no failure: the pause after it is the first one again. Longer than a
/// far side takes that tells the status and hangs up.
const LASTING_MS: i64 = 10_000;

/// How long a stream may be silent, in milliseconds, while what it told may be a repetition.
const SILENCE_MS: u64 = 1_000;

/// Pause before something that the store or the engine could not take is tried again, in milliseconds.
const AGAIN_MS: u64 = 1_000;

pub(super) struct Listener {
    ears: Ears,
    session: String,
    last: Last,
}

/// What was told last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Last {
    /// Changes so far.
    count: u64,
    status: Option<String>,
    /// The digest of the code: the code itself lets people in.
    qr: Option<String>,
    /// Everything that the stream before told, if it was short.
    heard: Vec<String>,
}

/// The daemon stops, or another one has the database.
struct Over;

impl Listener {
    pub fn new(ears: Ears, session: String) -> Self {
        Self { ears, session, last: Last::default() }
    }

    /// Listens until it is dropped, or nothing can be begun any more.
    pub async fn listen(mut self) {
        if let Ok(Some(last)) = self.stored().await {
            self.last = last;
        }
        let mut failures = 0;
        let mut complaint = String::new();
        loop {
            let opened_at = self.ears.clock.now();
            let error = match self.hear_all().await {
                Ok(error) => error,
                Err(Over) => return,
            };
            let lasted = self.ears.clock.now() - opened_at >= LASTING_MS;
            if lasted {
                self.last.heard.clear();
                complaint.clear();
            }
            failures = if lasted { 1 } else { failures + 1 };
            let pause_ms = self.pause_ms(failures, error.as_ref());
            let why = error.map_or_else(|| "the far side ended the stream".to_string(), |error| error.to_string());
            // A far side that is down for a night is told of once; a quiet stream ends now and then.
            if lasted || why == complaint {
                tracing::debug!(session = %self.session, %why, pause_ms, "the session's events are not heard");
            } else {
                tracing::warn!(session = %self.session, %why, pause_ms, "the session's events are not heard; the stream is opened again");
                complaint = why;
            }
            self.ears.clock.pause(pause_ms).await;
        }
    }

    /// One stream to its end; None: it ended without an error.
    async fn hear_all(&mut self) -> Result<Option<ApiError>, Over> {
        let mut events = match self.ears.source.open(self.session.clone()).await {
            Ok(events) => events,
            Err(error) => return Ok(Some(error)),
        };
        tracing::info!(session = %self.session, "listening to the session's events");
        let mut replay = Replay::new(std::mem::take(&mut self.last.heard));
        let error = loop {
            let silence = async {
                match replay.holds() {
                    true => self.ears.clock.pause(SILENCE_MS).await,
                    false => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                biased;
                next = events.next() => next,
                () = silence => {
                    self.hear(replay.release()).await?;
                    continue;
                }
            };
            match next {
                Some(Ok(told)) => self.hear(replay.take(told)).await?,
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        self.hear(replay.release()).await?;
        self.last.heard = replay.heard();
        self.remember(&self.last).await?;
        Ok(error)
    }

    fn pause_ms(&self, failures: u32, error: Option<&ApiError>) -> u64 {
        let pauses = Retry {
            attempts: u32::MAX,
            initial_ms: limits::STREAM_PAUSE_MS,
            factor: 2.0,
            max_ms: limits::STREAM_PAUSE_MAX_MS,
            jitter: true,
        };
        let pause = pause_ms(&pauses, failures, self.ears.clock.random() as u64);
        match error {
            Some(ApiError::Later { after_ms, .. }) => pause.max((*after_ms).min(limits::RETRY_AFTER_MS)),
            _ => pause,
        }
    }

    async fn hear(&mut self, news: Vec<Told>) -> Result<(), Over> {
        for told in news {
            self.hear_one(told).await?;
        }
        Ok(())
    }

    /// Begins what wants a change, and then remembers it.
    async fn hear_one(&mut self, told: Told) -> Result<(), Over> {
        let mut next = self.last.clone();
        let name = name(&told);
        // The change itself is in the key too: one that a crash made forgotten may be followed by another.
        let key = format!("{}:{}:{name}", self.session, next.count + 1);
        let (event, data) = match told {
            Told::Status(status) => {
                self.ears.senders.status(&self.session, &status).await;
                next.status = Some(status.clone());
                ("session_status", json!({"status": status}))
            }
            Told::Qr(qr) => {
                next.qr = Some(name);
                ("session_qr", json!({"qr": qr}))
            }
        };
        if next == self.last {
            return Ok(());
        }
        next.count += 1;
        let now = self.ears.clock.now();
        let payload = Arc::new(json!({
            "event": event,
            "session": self.session,
            "timestamp": rfc3339(now),
            "data": data,
        }));
        self.submit(&payload, &key).await?;
        self.deliver(event, &format!("session_events:{key}"), &payload).await?;
        self.remember(&next).await?;
        self.last = next;
        Ok(())
    }

    async fn submit(&self, payload: &Arc<Json>, key: &str) -> Result<(), Over> {
        loop {
            match self.ears.engine.submit(self.submissions(payload, key)).await {
                Ok(_) => return Ok(()),
                Err(SubmitError::Stopping) => return Err(Over),
                Err(SubmitError::Store(error)) => self.again(error).await?,
                Err(error @ SubmitError::Busy(_)) => self.again(StoreError::Unavailable(error.to_string())).await?,
            }
        }
    }

    /// Of those that are served at this moment.
    fn submissions(&self, payload: &Arc<Json>, key: &str) -> Vec<Submission> {
        let now = self.ears.clock.now();
        let served = self.ears.live.now();
        let wanting = served.listening("session_events", &self.session).filter(|plan| {
            plan.triggers.iter().any(|trigger| {
                matches!(&trigger.trigger, Trigger::SessionEvents { session, .. } if *session == self.session)
                    && holds(plan, trigger, payload, now)
            })
        });
        wanting
            .map(|plan| Submission {
                plan: plan.clone(),
                trigger: "session_events",
                event: payload.clone(),
                inputs: plan.default_inputs.clone(),
                dedupe: Some(Dedupe {
                    key: format!("session_events:{}:{key}", plan.name),
                    expires_at: Some(now + limits::DEDUPE_TTL_MS),
                }),
                lane: None,
            })
            .collect()
    }

    async fn deliver(&self, event: &str, key: &str, payload: &Arc<Json>) -> Result<(), Over> {
        while let Err(error) = self.ears.engine.deliver(event, key, payload).await {
            self.again(error).await?;
        }
        Ok(())
    }

    async fn remember(&self, last: &Last) -> Result<(), Over> {
        loop {
            let write = Write {
                space: Space::Stream,
                key: self.session.clone(),
                // Texts and a number: it has a JSON form.
                value: serde_json::to_value(last).ok(),
                expires_at: None,
            };
            match self.ears.store.put(vec![write]).await {
                Ok(()) => return Ok(()),
                Err(error) => self.again(error).await?,
            }
        }
    }

    /// What an earlier life remembered; what cannot be read is as if nothing was told before.
    async fn stored(&self) -> Result<Option<Last>, Over> {
        loop {
            match self.ears.store.value(Space::Stream, &self.session, self.ears.clock.now()).await {
                Ok(value) => return Ok(value.and_then(|value| serde_json::from_value(value).ok())),
                Err(error) => self.again(error).await?,
            }
        }
    }

    /// Waits before another try, if one is worth it.
    async fn again(&self, error: StoreError) -> Result<(), Over> {
        if !matches!(error, StoreError::Unavailable(_)) || *self.ears.engine.stopping().borrow() {
            tracing::warn!(session = %self.session, %error, "the session's events are no longer taken");
            return Err(Over);
        }
        tracing::debug!(session = %self.session, %error, retry_in_ms = AGAIN_MS, "an event cannot be taken yet");
        self.ears.clock.pause(AGAIN_MS).await;
        Ok(())
    }
}
