//! `moltflow.wait_session`: until a session has a status. It asks, and parks the run until it asks again: a run that waits
//! for somebody to scan a code takes neither a worker nor a connection meanwhile, and goes on waiting after a restart.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::{BoxFuture, Either, select};
use serde_json::json;

use super::moltflow_calls::word;
use super::{field, pause_ms, permanent, text};
use crate::base::{Effect, duration, limits};
use crate::engine::ports::{Clock, Failure, Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;
use crate::moltflow::{ApiError, MoltFlow, SessionEvent};

pub struct MoltflowWaitSession {
    spec: StepSpec,
    moltflow: Arc<MoltFlow>,
    clock: Arc<dyn Clock>,
}

/// What a session can be waited for to be.
const STATUSES: &[&str] = &["working", "qr_code", "starting", "failed"];

/// How long it waits when the step does not say, in milliseconds: long enough to find the phone and scan a code.
const TIMEOUT_MS: u64 = 10 * 60 * 1_000;

/// The pauses between two questions, in milliseconds: an eighth of the time it has waited, so that a session that is quick is
/// noticed at once and one that takes a day is not asked for a thousand times.
const FIRST_PAUSE_MS: u64 = 1_000;
const LAST_PAUSE_MS: u64 = 30_000;

const QR_CODE: &str = "qr_code";

/// How long the code may take to be told, in milliseconds: it comes with the head of the events.
const CODE_MS: u64 = 10_000;

impl MoltflowWaitSession {
    pub fn new(moltflow: Arc<MoltFlow>, clock: Arc<dyn Clock>) -> Self {
        Self { spec: spec(), moltflow, clock }
    }

    async fn look(&self, call: &StepCall) -> Result<Outcome, StepError> {
        let name = word(&call.input, "name")?;
        let wanted = text(&call.input, "status").unwrap_or_else(|| STATUSES[0].to_string());
        let timeout_ms = pause_ms(&call.input, "timeout", "wait_session.bad_time")?.unwrap_or(TIMEOUT_MS);
        let waited_ms = u64::try_from(call.now - call.began).unwrap_or(0);
        let is = match self.moltflow.get_session(&name).await {
            Ok(session) if session.status == wanted && wanted == QR_CODE => match self.code(&name).await {
                Some(qr) => {
                    let mut output = json!(session);
                    output["qr"] = json!(qr);
                    return Ok(Outcome::ok(output));
                }
                None => "has a code that was not told".to_string(),
            },
            Ok(session) if session.status == wanted => return Ok(Outcome::ok(json!(session))),
            // Scanned before anybody looked, or long ago: there is no code any more.
            Ok(session) if session.status == "working" && wanted == QR_CODE => return Ok(Outcome::ok(json!(session))),
            Ok(session) if session.status == "failed" => {
                return Err(permanent(
                    "wait_session.failed",
                    format!("session `{name}` failed before it was {wanted}"),
                ));
            }
            Ok(session) => format!("is {}", session.status),
            // What may pass is waited for like the status itself.
            Err(error @ (ApiError::Failed { .. } | ApiError::NotSent { permanent: false, .. })) => {
                format!("cannot be asked about: {error}")
            }
            Err(error) => return Err(error.into()),
        };
        let human = duration::human(waited_ms);
        let left_ms = timeout_ms.saturating_sub(waited_ms);
        if left_ms == 0 {
            let message = format!("session `{name}` was not {wanted} within {}: it {is}", duration::human(timeout_ms));
            return Err(permanent("wait_session.timeout", message));
        }
        Err(StepError::Later {
            failure: Failure::new("wait_session.waiting", format!("session `{name}` {is}; waiting since {human}")),
            after_ms: pause(waited_ms, timeout_ms).min(left_ms),
        })
    }

    /// The code that the session shows now: its events begin with where it stands. None where that takes too long.
    async fn code(&self, name: &str) -> Option<String> {
        let told = pin!(async {
            let mut events = self.moltflow.session_events(name).await.ok()?;
            while let Some(Ok(event)) = events.next().await {
                if let SessionEvent::Qr(qr) = event {
                    return Some(qr);
                }
            }
            None
        });
        match select(told, self.clock.pause(CODE_MS)).await {
            Either::Left((qr, _)) => qr,
            Either::Right(_) => None,
        }
    }
}

/// The pause after having waited for so long.
fn pause(waited_ms: u64, timeout_ms: u64) -> u64 {
    // A step may be put off so often and no more; a longer wait asks less often.
    let least = timeout_ms / u64::from(limits::LATER_IN_A_ROW - limits::LATER_IN_A_ROW / 4);
    (waited_ms / 8).clamp(FIRST_PAUSE_MS, LAST_PAUSE_MS).max(least)
}

impl Step for MoltflowWaitSession {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        Box::pin(async move { self.look(&call).await })
    }
}

/// For the catalog. Output: the session as the API answers; for `qr_code` with the code to be scanned, `qr`, a `data:` URL.
pub fn spec() -> StepSpec {
    let fields = vec![
        field("name", FieldKind::Text, true, "the session's name"),
        field("status", FieldKind::OneOf(STATUSES), false, "what it is to be; default: `working`"),
        field("timeout", FieldKind::Pause, false, "how long to wait, such as `30m`; default: `10m`"),
    ];
    super::spec("moltflow.wait_session", "parks the run until a session has a status", Effect::Idempotent, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_is_put_off_more_often_than_a_step_may_be() {
        for timeout_ms in [1_000, 60_000, TIMEOUT_MS, 6 * 3_600_000, 24 * 3_600_000, 30 * 86_400_000] {
            let (mut waited_ms, mut times) = (0, 0);
            while waited_ms < timeout_ms {
                waited_ms += pause(waited_ms, timeout_ms).min(timeout_ms - waited_ms);
                times += 1;
            }
            assert!(times < limits::LATER_IN_A_ROW, "{timeout_ms}: {times}");
        }
        assert_eq!(pause(0, TIMEOUT_MS), FIRST_PAUSE_MS);
        assert_eq!(pause(80_000, TIMEOUT_MS), 10_000);
    }
}
