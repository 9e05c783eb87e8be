//! Text to checked [`Workflow`]: YAML with positions, strict keys, every mistake of a file at once.
//!
//! The way of a file: [`yaml::parse`] gives a [`Node`] tree in which every key and value knows its bytes;
//! [`reader::Fields`] reads mappings strictly; [`parse()`] builds the [`Workflow`], which holds no positions, beside the
//! [`Spans`] that do. The graph, the references and the templates are `plan`'s business. `moltrun.yaml` goes the first
//! two steps of the same way.

pub mod catalog;
mod code;
pub mod cron;
pub mod diagnostic;
pub mod file;
mod name;
mod parse;
pub mod reader;
pub mod render;
mod scalar;
pub mod schema;
mod source;
mod spans;
mod steps;
mod triggers;
pub mod workflow;
pub mod yaml;
#[cfg(test)]
mod yaml_tests;

pub use catalog::{Catalog, StepSpec};
pub use code::CodePlace;
pub use diagnostic::{Diagnostic, Diagnostics, Severity, Source, Span};
pub use name::{is_identifier, is_workflow_name};
pub use parse::{Parsed, parse};
pub use spans::Spans;
pub use workflow::Workflow;
pub use yaml::Node;
