//! `switch`: leaves by the first case that holds.

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use serde_json::json;

use super::{field, spec};
use crate::base::{Effect, Json};
use crate::engine::ports::{Outcome, Port, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::{FieldKind, Ports};

pub struct Switch(StepSpec);

impl Default for Switch {
    fn default() -> Self {
        let cases =
            field("cases", FieldKind::Conditions, true, "names and their conditions; the first that holds wins");
        let mut spec = spec("switch", "leaves by the first case that holds, or by `else`", Effect::Pure, vec![cases]);
        spec.ports = Ports::KeysOf("cases");
        Self(super::giving(spec, json!({"case": {"type": "string"}})))
    }
}

impl Step for Switch {
    fn spec(&self) -> &StepSpec {
        &self.0
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        let case = match &call.input["cases"] {
            Json::String(name) => Port::Owned(name.clone()),
            _ => Port::Borrowed("else"),
        };
        ready(Ok(Outcome::Done { output: json!({"case": case}), port: case })).boxed()
    }
}
