//! A step whose section of the configuration is missing: it can be checked against, but not run.

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use crate::engine::ports::{Failure, Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;

pub struct Unconfigured {
    spec: StepSpec,
    section: &'static str,
}

impl Unconfigured {
    pub fn new(spec: StepSpec, section: &'static str) -> Self {
        Self { spec, section }
    }
}

impl Step for Unconfigured {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, _call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        let message = format!("`{}` needs the section `{}` of moltrun.yaml", self.spec.name, self.section);
        ready(Err(StepError::Permanent(Failure::new("step.unconfigured", message)))).boxed()
    }
}
