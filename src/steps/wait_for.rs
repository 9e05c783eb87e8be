//! `wait_for`: parks the run until an event arrives.

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::{due, field, text};
use crate::base::Effect;
use crate::engine::ports::{Outcome, Step, StepCall, StepError, Wait};
use crate::lang::StepSpec;
use crate::lang::catalog::{FieldKind, Ports};

/// The event that is waited for when a step names none.
pub const EVENT: &str = "message";

pub struct WaitFor(StepSpec);

impl Default for WaitFor {
    fn default() -> Self {
        Self(spec())
    }
}

/// For the catalog. Output: the event; null on `timeout`.
pub fn spec() -> StepSpec {
    let fields = vec![
        field("event", FieldKind::Text, false, "the kind of event; default: `message`"),
        field(
            "when",
            FieldKind::Incoming,
            false,
            "an expression over `incoming`, the event; default: any event will do",
        ),
        field("timeout", FieldKind::Pause, false, "how long to wait, such as `6h`; default: for ever"),
    ];
    let summary = "parks the run until an event arrives (`ok`) or the time is over (`timeout`)";
    let mut spec = super::spec("wait_for", summary, Effect::Pure, fields);
    spec.ports = Ports::Fixed(["ok", "timeout"].map(String::from).to_vec());
    spec
}

impl Step for WaitFor {
    fn spec(&self) -> &StepSpec {
        &self.0
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        let event = text(&call.input, "event").unwrap_or_else(|| EVENT.to_string());
        let due = due(&call, "timeout", "wait_for.bad_time");
        ready(due.map(|due| Outcome::Waits(Wait::Event { event, due }))).boxed()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::steps::testing::call;

    #[tokio::test]
    async fn what_it_waits_for_and_until_when() {
        for (input, event, due) in [
            (json!({}), "message", None),
            (json!({"event": "group_join", "timeout": "90s"}), "group_join", Some(90_000)),
            (json!({"event": "", "timeout": null}), "message", None),
        ] {
            let ended = WaitFor::default().run(call(input)).await;
            assert_eq!(ended, Ok(Outcome::Waits(Wait::Event { event: event.to_string(), due })));
        }
        let bad = WaitFor::default().run(call(json!({"timeout": "soon"}))).await;
        assert!(matches!(bad, Err(StepError::Permanent(failure)) if failure.code == "wait_for.bad_time"));
    }
}
