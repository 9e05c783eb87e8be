//! The step `script`: JavaScript of a workflow, in an engine that is itself a guest (`plugins/script`).
//!
//! Each attempt gets a fresh instance of the snapshot engine under the bounds of every plugin call, and less: it imports
//! nothing but its log. What the code may see was put together by the checker (`plan`); what it returns is JSON.

mod bindings;
mod engine;
mod mistake;
mod step;
#[cfg(test)]
mod tests;

pub use engine::ScriptEngine;
pub use step::ScriptStep;
