//! `call`: parks the run while a run of another workflow does its work.

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::{field, permanent, text};
use crate::base::json::{JsonMap, bounded, kind};
use crate::base::{Effect, Json, limits};
use crate::engine::ports::{Outcome, Step, StepCall, StepError, Wait};
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;

/// As `uses:` says it.
pub const NAME: &str = "call";

pub struct Call(StepSpec);

impl Default for Call {
    fn default() -> Self {
        Self(spec())
    }
}

/// For the catalog. Output: the called workflow's `output`.
pub fn spec() -> StepSpec {
    let fields = vec![
        field("workflow", FieldKind::Workflow, true, "the name of a workflow of the folder"),
        field("inputs", FieldKind::Any, false, "a mapping of what it takes as inputs"),
    ];
    super::spec(NAME, "runs another workflow and gives back its `output`", Effect::Pure, fields)
}

impl Step for Call {
    fn spec(&self) -> &StepSpec {
        &self.0
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        ready(called(call).map(Outcome::Waits)).boxed()
    }
}

fn called(mut call: StepCall) -> Result<Wait, StepError> {
    let workflow =
        text(&call.input, "workflow").ok_or_else(|| permanent("call.invalid", "with.workflow names no workflow"))?;
    let inputs = match call.input.get_mut("inputs").map(Json::take) {
        None | Some(Json::Null) => Json::Object(JsonMap::new()),
        Some(inputs @ Json::Object(_)) => inputs,
        Some(other) => {
            let message = format!("with.inputs: a mapping is needed, this is {}", kind(&other));
            return Err(permanent("call.bad_inputs", message));
        }
    };
    let inputs = bounded("with.inputs", inputs, limits::STEP_OUTPUT);
    let inputs = inputs.map_err(|error| permanent("call.bad_inputs", error.to_string()))?;
    Ok(Wait::Call { workflow, inputs })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::steps::testing::call;

    #[tokio::test]
    async fn inputs_are_a_mapping_or_none() {
        for (input, inputs) in [
            (json!({"workflow": "w"}), json!({})),
            (json!({"workflow": "w", "inputs": null}), json!({})),
            (json!({"workflow": "w", "inputs": {"a": 1}}), json!({"a": 1})),
        ] {
            let called = Wait::Call { workflow: "w".to_string(), inputs };
            assert_eq!(Call::default().run(call(input)).await, Ok(Outcome::Waits(called)));
        }
        for input in [json!({"workflow": "w", "inputs": [1]}), json!({"workflow": ""})] {
            assert!(matches!(Call::default().run(call(input)).await, Err(StepError::Permanent(_))));
        }
    }
}
