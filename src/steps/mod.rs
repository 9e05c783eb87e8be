//! The built-in steps, one file each, and the registry that knows them all.

pub mod ai_prompt;
pub mod approve;
pub mod call;
pub mod credentials;
pub mod data_read;
pub mod dry;
pub mod fail;
pub mod filter;
pub mod http;
pub mod message;
pub mod moltflow_calls;
pub mod moltflow_request;
pub mod moltflow_send;
pub mod moltflow_wait_session;
pub mod set;
pub mod state;
pub mod switch;
#[cfg(test)]
pub(crate) mod testing;
pub mod unconfigured;
pub mod wait;
pub mod wait_for;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use crate::base::{Effect, Json, Millis, duration, limits};
use crate::engine::ports::{Failure, Step, StepCall, StepError};
use crate::engine::run::StepSet;
use crate::lang::Catalog;
use crate::lang::catalog::{Field, FieldKind, Fields, Ports, StepSpec};

/// Every step that workflows may use: what the checker knows of it, and what runs it.
#[derive(Clone, Default)]
pub struct Registry {
    pub catalog: Catalog,
    pub steps: HashMap<Arc<str>, Arc<dyn Step>>,
}

impl Registry {
    /// Adds a step. The last one of a name counts.
    pub fn add(&mut self, step: Arc<dyn Step>) {
        let spec = step.spec().clone();
        self.steps.insert(Arc::from(spec.name.as_str()), step);
        self.catalog.insert(spec);
    }

    /// Adds a step that runs where it is used already, and that no workflow may begin to use.
    pub fn add_unseen(&mut self, step: Arc<dyn Step>) {
        self.steps.insert(Arc::from(step.spec().name.as_str()), step);
    }

    /// As the engine takes it.
    pub fn into_set(self) -> StepSet {
        StepSet { catalog: Arc::new(self.catalog), steps: self.steps }
    }
}

/// The form of a built-in step; files change what differs.
fn spec(name: &str, summary: &str, effect: Effect, fields: Vec<Field>) -> StepSpec {
    StepSpec {
        name: name.to_string(),
        summary: summary.to_string(),
        effect,
        ports: Ports::Fixed(vec!["ok".to_string()]),
        fields: Fields::Known(fields),
        output: None,
        timeout_ms: limits::STEP_TIMEOUT_MS,
    }
}

/// The same with an output that is a mapping of these properties (JSON Schemas) and no others.
fn giving(spec: StepSpec, properties: Json) -> StepSpec {
    let output = json!({"type": "object", "additionalProperties": false, "properties": properties});
    StepSpec { output: Some(output), ..spec }
}

fn field(name: &'static str, kind: FieldKind, required: bool, summary: &'static str) -> Field {
    Field { name, kind, required, summary }
}

/// A text field that is there and not empty; a number is its digits.
fn text(input: &Json, name: &str) -> Option<String> {
    match input.get(name)? {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// When a pause that the field `name` may name is over, counted from the step's beginning; None without one.
fn due(call: &StepCall, name: &str, code: &str) -> Result<Option<Millis>, StepError> {
    Ok(pause_ms(&call.input, name, code)?.map(|ms| call.now.saturating_add_unsigned(ms)))
}

/// The duration that the field `name` may hold, in milliseconds; a failure by the name of `code` if it is none.
fn pause_ms(input: &Json, name: &str, code: &str) -> Result<Option<u64>, StepError> {
    match input.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => {
            let ms = duration::parse_ms(text);
            ms.map(Some).map_err(|error| permanent(code, format!("with.{name}: {error}")))
        }
        Some(other) => Err(permanent(code, format!("with.{name} must be a duration such as 30s, not {other}"))),
    }
}

fn permanent(code: &str, message: impl Into<String>) -> StepError {
    StepError::Permanent(Failure::new(code, message))
}
