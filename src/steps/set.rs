//! `set`: names values, so that later steps can use them.

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::spec;
use crate::base::Effect;
use crate::engine::ports::{Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::Fields;

pub struct Set(StepSpec);

impl Default for Set {
    fn default() -> Self {
        let mut spec = spec("set", "its output is what stands under `with`", Effect::Pure, Vec::new());
        spec.fields = Fields::Any;
        Self(spec)
    }
}

impl Step for Set {
    fn spec(&self) -> &StepSpec {
        &self.0
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        ready(Ok(Outcome::ok(call.input))).boxed()
    }
}
