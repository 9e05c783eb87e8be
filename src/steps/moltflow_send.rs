//! `moltflow.send`: one text message, at most once.

use std::pin::pin;
use std::sync::Arc;

use futures::future::{BoxFuture, Either, select};
use serde_json::json;

use super::field;
use super::message::{Message, message};
use crate::base::time::rfc3339;
use crate::base::{Effect, Millis};
use crate::engine::ports::{Clock, Failure, Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;
use crate::moltflow::MoltFlow;
use crate::senders::{Ask, NOTICE, OptedOut, Permit, Senders, is_reply};

/// The step. Output: `{message_id, timestamp}`, the timestamp in seconds since 1970 or null.
pub struct MoltflowSend {
    spec: StepSpec,
    moltflow: Arc<MoltFlow>,
    senders: Arc<Senders>,
    clock: Arc<dyn Clock>,
}

impl MoltflowSend {
    pub fn new(moltflow: Arc<MoltFlow>, senders: Arc<Senders>, clock: Arc<dyn Clock>) -> Self {
        Self { spec: spec(), moltflow, senders, clock }
    }

    async fn send(&self, call: StepCall) -> Result<Outcome, StepError> {
        let Message { session, to, text } = message(&call.input, self.moltflow.region())?;
        let ask = ask(&call, &session, to.as_str(), self.clock.now());
        let exempt = is_notice(&call);
        // What is not sent in time is unknown, unless it was never begun: so the rest has half of the time and no more.
        let soon = self.clock.pause(call.timeout_ms / 2);
        let permit = match select(pin!(self.allowed(&ask, exempt)), soon).await {
            Either::Left((allowed, _)) => match allowed? {
                Allowed::Go(permit) => permit,
                Allowed::Never(why) => return Ok(Outcome::Skipped(why)),
            },
            Either::Right(_) => {
                let failure =
                    Failure::new("sender.not_ready", "what comes before the send took too long; it was not begun");
                return Err(StepError::Later { failure, after_ms: NOT_READY_MS });
            }
        };
        let sent = match self.moltflow.send_message(&session, &to, &text).await {
            Ok(sent) => sent,
            Err(error) => return Err(self.senders.failed(&ask, permit, error).await),
        };
        Ok(Outcome::ok(json!({ "message_id": sent.message_id, "timestamp": sent.timestamp })))
    }

    /// The permission for one send; whoever opted out gets none, also if they do so meanwhile.
    async fn allowed(&self, ask: &Ask, exempt: bool) -> Result<Allowed, StepError> {
        if let Some(why) = self.opted_out(ask, exempt).await? {
            return Ok(Allowed::Never(why));
        }
        // The credential first: a send that cannot go out anyway must not use up the session's pace.
        self.moltflow.ready().await?;
        let permit = self.senders.acquire(ask).await?;
        if let Some(why) = self.opted_out(ask, exempt).await? {
            self.senders.give_back(ask, &permit);
            return Ok(Allowed::Never(why));
        }
        Ok(Allowed::Go(permit))
    }

    async fn opted_out(&self, ask: &Ask, exempt: bool) -> Result<Option<Failure>, StepError> {
        if exempt {
            return Ok(None);
        }
        let out = self.senders.opted_out(&ask.session, &ask.to).await?;
        Ok(out.map(|out| opted_out(&ask.session, &out)))
    }
}

/// May it be sent?
enum Allowed {
    Go(Permit),
    Never(Failure),
}

/// Pause after a send was not begun, in milliseconds.
const NOT_READY_MS: u64 = 5_000;

/// What the house itself says to somebody who has just opted out.
fn is_notice(call: &StepCall) -> bool {
    call.workflow.name == NOTICE
}

fn ask(call: &StepCall, session: &str, to: &str, now: Millis) -> Ask {
    Ask {
        session: session.into(),
        to: to.into(),
        run: call.run,
        workflow: call.workflow.name.as_str().into(),
        step: call.step.clone(),
        key: call.idempotency_key().into(),
        reply: is_notice(call) || is_reply(&call.heard, session, to, now),
    }
}

/// Why somebody who opted out gets nothing.
pub(super) fn opted_out(session: &str, out: &OptedOut) -> Failure {
    let how = match &out.word {
        Some(word) => format!("by the word `{word}`"),
        None => "by hand".to_string(),
    };
    let OptedOut { chat, at, .. } = out;
    let message = format!("{chat} opted out of messages from `{session}`, {how}, at {}", rfc3339(*at));
    Failure::new("sender.opted_out", message)
}

impl Step for MoltflowSend {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        Box::pin(self.send(call))
    }
}

/// For the catalog, where no client is at hand.
pub fn spec() -> StepSpec {
    let text = |name, summary| field(name, FieldKind::Text, true, summary);
    let fields = vec![
        text("session", "The session that sends"),
        field(
            "to",
            FieldKind::Recipient,
            true,
            "A chat id (15551234567@c.us, 120363012345678901@g.us) or a phone number",
        ),
        field("region", FieldKind::Region, false, "The country of a number without its code, such as US"),
        text("text", "The message"),
    ];
    let spec = super::spec("moltflow.send", "Sends a WhatsApp text message", Effect::AtMostOnce, fields);
    super::giving(spec, json!({"message_id": {}, "timestamp": {}}))
}
