//! `filter`: lets the run go on when a condition holds.

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::{field, spec};
use crate::base::{Effect, Json};
use crate::engine::ports::{OK, Outcome, Port, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::{FieldKind, Ports};

pub struct Filter(StepSpec);

impl Default for Filter {
    fn default() -> Self {
        let when = field("when", FieldKind::Condition, true, "what must hold for the run to go on");
        let mut spec =
            spec("filter", "goes on by `ok` when the condition holds, else by `rejected`", Effect::Pure, vec![when]);
        spec.ports = Ports::Fixed(vec!["ok".to_string(), "rejected".to_string()]);
        Self(spec)
    }
}

impl Step for Filter {
    fn spec(&self) -> &StepSpec {
        &self.0
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        let port = if call.input["when"] == Json::Bool(true) { OK } else { Port::Borrowed("rejected") };
        ready(Ok(Outcome::Done { port, output: Json::Null })).boxed()
    }
}
