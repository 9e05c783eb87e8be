//! `fail`: ends as a failure of the workflow's own, with a code and a message.

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::{field, text};
use crate::base::Effect;
use crate::engine::ports::{Failure, Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::{FieldKind, Ports};

/// The code of a failure that names none.
const CODE: &str = "failed";

/// Characters of a code, cut beyond it: a word that programs compare, not a text.
const CODE_CHARS: usize = 100;

pub struct Fail(StepSpec);

impl Default for Fail {
    fn default() -> Self {
        Self(spec())
    }
}

/// For the catalog. It has no port of its own: what comes after needs its `error`.
pub fn spec() -> StepSpec {
    let fields = vec![
        field("message", FieldKind::Text, true, "what went wrong, for people"),
        field("code", FieldKind::Text, false, "what went wrong, for programs; default: `failed`"),
    ];
    let mut spec =
        super::spec("fail", "fails, so that the run fails unless its `error` is needed", Effect::Pure, fields);
    spec.ports = Ports::Fixed(Vec::new());
    spec
}

impl Step for Fail {
    fn spec(&self) -> &StepSpec {
        &self.0
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        let code: String = text(&call.input, "code").unwrap_or(CODE.to_string()).chars().take(CODE_CHARS).collect();
        let message = text(&call.input, "message").unwrap_or_default();
        ready(Err(StepError::Permanent(Failure::new(code, message)))).boxed()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::steps::testing::call;

    #[tokio::test]
    async fn its_failure_is_what_it_says() {
        for (input, code, message) in [
            (json!({"message": "no stock", "code": "shop.empty"}), "shop.empty", "no stock"),
            (json!({"message": 5, "code": ""}), "failed", "5"),
            (json!({"message": ""}), "failed", ""),
        ] {
            let ended = Fail::default().run(call(input)).await;
            assert_eq!(ended, Err(StepError::Permanent(Failure::new(code, message))));
        }
    }
}
