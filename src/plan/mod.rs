//! [`Workflow`] → petgraph DAG with everything compiled; content digest; Mermaid and DOT.
//!
//! [`check`] reads a file and reports every mistake in it at once: `lang` finds those of form, `analyse` those of
//! meaning (steps, graph, references, templates). A [`Plan`] exists only when there is none, and is made by the same
//! analysis from a stored workflow, so that what was checked is what runs.

mod analyse;
mod check;
mod digest;
mod fields;
mod folder;
mod graph;
mod reach;
mod references;
mod render;
mod with;

use std::sync::Arc;

use crate::base::{Effect, Json};
use crate::expr::Expr;
use crate::lang::workflow::{Join, OnItemError, OnUnknown, Retry, Trigger};
use crate::lang::{Diagnostic, Workflow};

pub use check::check;
pub use digest::RestoreError;
pub use folder::Folder;
pub use with::With;

/// A workflow that can run: checked, compiled, and named by the digest of its content.
#[derive(Clone, Debug)]
pub struct Plan {
    /// SHA-256 of the stored form, hex.
    pub digest: Arc<str>,
    pub name: Arc<str>,
    pub workflow: Arc<Workflow>,
    pub vars: Arc<Json>,
    /// The inputs that have a default: those of a run that nobody gives any.
    pub default_inputs: Arc<Json>,
    pub triggers: Vec<PlanTrigger>,
    /// In the order they are written; a step's number is its place here.
    pub steps: Vec<PlanStep>,
    /// Step numbers such that every step comes after those it needs.
    pub order: Vec<usize>,
}

#[derive(Clone, Debug)]
pub struct PlanTrigger {
    pub trigger: Trigger,
    pub when: Option<Expr>,
}

/// One step, compiled.
#[derive(Clone, Debug)]
pub struct PlanStep {
    pub id: Arc<str>,
    pub uses: Arc<str>,
    pub effect: Effect,
    pub needs: Vec<Edge>,
    /// Steps that need this one.
    pub dependents: Vec<usize>,
    pub join: Join,
    /// Some step needs this one's `error` port, so that its failure does not fail the run.
    pub handles_error: bool,
    /// Evaluated once for the step, before its `for_each`.
    pub condition: Option<Expr>,
    pub with: With,
    pub for_each: Option<PlanForEach>,
    pub retry: Retry,
    pub timeout_ms: u64,
    pub on_unknown: OnUnknown,
    /// Steps whose outputs or errors its expressions read.
    pub reads: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: usize,
    pub port: String,
}

#[derive(Clone, Debug)]
pub struct PlanForEach {
    pub items: Expr,
    pub name: Arc<str>,
    pub concurrency: u32,
    pub on_item_error: OnItemError,
    pub collect: Option<Expr>,
}

/// A checked file.
pub struct Checked {
    /// None when there are errors.
    pub plan: Option<Arc<Plan>>,
    pub diagnostics: Vec<Diagnostic>,
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
