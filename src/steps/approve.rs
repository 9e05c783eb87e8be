//! `approve`: parks the run until a person decides.

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use serde_json::json;

use super::{due, field, permanent, text};
use crate::base::json::bounded;
use crate::base::{Effect, Json, limits};
use crate::engine::ports::{Outcome, Step, StepCall, StepError, Wait};
use crate::lang::StepSpec;
use crate::lang::catalog::{FieldKind, Ports};

pub struct Approve(StepSpec);

impl Default for Approve {
    fn default() -> Self {
        Self(spec())
    }
}

/// For the catalog. Output: `{by, comment}`; null on `timeout`.
pub fn spec() -> StepSpec {
    let fields = vec![
        field("title", FieldKind::Text, true, "what is to be decided, in a line"),
        field("details", FieldKind::Any, false, "what the person needs to know: a text, or any values"),
        field("timeout", FieldKind::Pause, false, "how long to wait, such as `2d`; default: for ever"),
    ];
    let summary = "parks the run until a person approves (`ok`), rejects (`rejected`), or the time is over (`timeout`)";
    let mut spec = super::spec("approve", summary, Effect::Pure, fields);
    spec.ports = Ports::Fixed(["ok", "rejected", "timeout"].map(String::from).to_vec());
    super::giving(spec, json!({"by": {}, "comment": {}}))
}

impl Step for Approve {
    fn spec(&self) -> &StepSpec {
        &self.0
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        ready(asked(&call).map(Outcome::Waits)).boxed()
    }
}

fn asked(call: &StepCall) -> Result<Wait, StepError> {
    let title = text(&call.input, "title").filter(|title| !title.trim().is_empty());
    let title = title.ok_or_else(|| permanent("approve.invalid", "with.title is empty"))?;
    let too_large = |error: crate::base::json::TooLarge| permanent("approve.too_large", error.to_string());
    if title.len() > limits::APPROVAL_TITLE {
        let message = format!("with.title is longer than the {} bytes allowed; use details", limits::APPROVAL_TITLE);
        return Err(permanent("approve.too_large", message));
    }
    let details = call.input.get("details").cloned().unwrap_or(Json::Null);
    let details = bounded("with.details", details, limits::APPROVAL_DETAILS).map_err(too_large)?;
    Ok(Wait::Approval { title, details, due: due(call, "timeout", "approve.bad_time")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::call;

    #[tokio::test]
    async fn a_person_is_asked_a_short_question() {
        let input = json!({"title": "Send it?", "details": {"rows": 3}, "timeout": "1s"});
        let asked = Wait::Approval { title: "Send it?".to_string(), details: json!({"rows": 3}), due: Some(1_000) };
        assert_eq!(Approve::default().run(call(input)).await, Ok(Outcome::Waits(asked)));
        for (input, code) in [
            (json!({"title": "  "}), "approve.invalid"),
            (json!({"title": "x".repeat(limits::APPROVAL_TITLE + 1)}), "approve.too_large"),
            (json!({"title": "x", "details": "x".repeat(limits::APPROVAL_DETAILS)}), "approve.too_large"),
            (json!({"title": "x", "timeout": 5}), "approve.bad_time"),
        ] {
            let Err(StepError::Permanent(failure)) = Approve::default().run(call(input)).await else {
                panic!("not permanent")
            };
            assert_eq!(failure.code, code);
        }
    }
}
