//! The built-in steps, one file each, and the registry that knows them all.

pub mod ai_prompt;
pub mod data_read;
pub mod filter;
pub mod moltflow_send;
pub mod set;
pub mod switch;
#[cfg(test)]
pub(crate) mod testing;
pub mod unconfigured;
pub mod wait;

use std::sync::Arc;

use crate::base::{Effect, Json, limits};
use crate::engine::ports::Step;
use crate::engine::run::Steps;
use crate::lang::Catalog;
use crate::lang::catalog::{Field, FieldKind, Fields, Ports, StepSpec};

/// Every step that workflows may use: what the checker knows of it, and what runs it.
#[derive(Default)]
pub struct Registry {
    pub catalog: Catalog,
    pub steps: Steps,
}

impl Registry {
    /// Adds a step. The last one of a name counts.
    pub fn add(&mut self, step: Arc<dyn Step>) {
        let spec = step.spec().clone();
        self.steps.insert(Arc::from(spec.name.as_str()), step);
        self.catalog.insert(spec);
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
        timeout_ms: limits::STEP_TIMEOUT_MS,
    }
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
