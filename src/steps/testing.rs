//! For tests: the call of a step outside any run.

use std::sync::Arc;

use crate::base::{Json, RunId};
use crate::engine::ports::StepCall;
use crate::lang::Workflow;

/// The first attempt of a step with `input` as its rendered `with:`.
pub(crate) fn call(input: Json) -> StepCall {
    StepCall {
        run: RunId::new(0, 0),
        workflow: Arc::new(Workflow::without_steps("w")),
        step: "s".into(),
        item: None,
        attempt: 1,
        now: 0,
        timeout_ms: 10_000,
        input,
    }
}
