//! `moltflow.send`: one text message, at most once.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::json;

use super::field;
use super::message::{Message, message};
use crate::base::Effect;
use crate::engine::ports::{Failure, Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;
use crate::moltflow::MoltFlow;
use crate::senders::Senders;

/// The step. Output: `{message_id, timestamp}`, the timestamp in seconds since 1970 or null.
pub struct MoltflowSend {
    spec: StepSpec,
    moltflow: Arc<MoltFlow>,
    senders: Arc<Senders>,
}

impl MoltflowSend {
    pub fn new(moltflow: Arc<MoltFlow>, senders: Arc<Senders>) -> Self {
        Self { spec: spec(), moltflow, senders }
    }

    async fn send(&self, call: StepCall) -> Result<Outcome, StepError> {
        let Message { session, to, text } = message(&call.input, self.moltflow.region())?;
        // The credential's pause first: a send that cannot go out anyway must not use up the session's pace.
        self.moltflow.paused()?;
        self.senders.acquire(&session).map_err(|after_ms| StepError::Later {
            failure: Failure::new("sender.paced", format!("session `{session}` sends at its pace; its turn comes")),
            after_ms,
        })?;
        let sent = self.moltflow.send_message(&session, &to, &text).await?;
        Ok(Outcome::ok(json!({ "message_id": sent.message_id, "timestamp": sent.timestamp })))
    }
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
    super::spec("moltflow.send", "Sends a WhatsApp text message", Effect::AtMostOnce, fields)
}
