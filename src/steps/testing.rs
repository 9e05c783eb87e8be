//! For tests: the call of a step outside any run.

use std::sync::Arc;

use crate::base::{Json, RunId};
use crate::engine::clock::SystemClock;
use crate::engine::ports::{Keys, Outcome, StepCall, StepLog};
use crate::lang::Workflow;
use crate::store::memory::MemoryStore;

/// The first attempt of a step with `input` as its rendered `with:`.
pub(crate) fn call(input: Json) -> StepCall {
    StepCall {
        run: RunId::new(0, 0),
        workflow: Arc::new(Workflow::without_steps("w")),
        step: "s".into(),
        items: Vec::new(),
        attempt: 1,
        now: 0,
        began: 0,
        timeout_ms: 10_000,
        input,
        heard: Vec::new(),
        keys: Keys::new(Arc::new(MemoryStore::default()), Arc::new(SystemClock)),
        log: StepLog::default(),
    }
}

/// By what is shown of them: rows and held keys have no other equality.
impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}
