//! [`Workflow`] → petgraph DAG with everything compiled; content digest; Mermaid and DOT.
//!
//! [`check`] reads a file and reports every mistake in it at once: `lang` finds those of form, `analyse` those of
//! meaning (steps, graph, references, templates). A [`Plan`] exists only when there is none, and is made by the same
//! analysis from a stored workflow, so that what was checked is what runs.

mod analyse;
mod calls;
mod check;
mod digest;
mod fields;
mod folder;
mod graph;
mod hooks;
pub mod inputs;
mod javascript;
mod layout;
mod misfits;
mod outputs;
mod parts;
mod reach;
mod recipients;
mod references;
mod render;
mod script;
mod triggers;
mod with;

use std::sync::Arc;

use crate::base::{Effect, Json};
use crate::expr::{Expr, Template, Tree};
use crate::lang::workflow::{Join, OnItemError, OnUnknown, Overflow, Retry, Trigger};
use crate::lang::{Diagnostic, Workflow};

pub use calls::check_calls;
pub use check::check;
pub use digest::RestoreError;
pub use folder::{CheckedFile, Folder, Found, Stamp, calls_of, find};
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
    /// Those of all blocks, block by block: the root block first, then the block of each `for_each` in order of its number;
    /// in a block in the order they are written. A step's number is its place here.
    pub steps: Vec<PlanStep>,
    /// The root block is the first.
    pub blocks: Vec<Block>,
    pub concurrency: Option<PlanConcurrency>,
    pub timeout_ms: Option<u64>,
    pub on_failure: Option<Arc<str>>,
    pub retention_ms: Option<u64>,
    /// What a caller gets.
    pub output: Option<PlanOutput>,
    /// Step numbers such that every step comes after those it needs, and a block's steps after their container.
    pub order: Vec<usize>,
}

/// Steps that start and end together: those of the workflow itself, or those that a `for_each` runs once an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The number of its first step; the others follow.
    pub first: usize,
    pub len: usize,
    /// The `for_each` steps around it, the outermost first; none around the root block.
    pub chain: Vec<usize>,
}

#[derive(Clone, Debug)]
pub struct PlanConcurrency {
    pub key: Template,
    pub limit: u32,
    pub overflow: Overflow,
}

/// `output:` of a workflow.
#[derive(Clone, Debug)]
pub struct PlanOutput {
    pub tree: Tree,
    /// Steps it reads.
    pub reads: Vec<usize>,
}

/// `once:` of a step.
#[derive(Clone, Debug)]
pub struct PlanOnce {
    pub key: Template,
    pub ttl_ms: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct PlanTrigger {
    pub trigger: Trigger,
    pub when: Option<Expr>,
    /// What makes two deliveries of a webhook one.
    pub dedupe: Option<Expr>,
    /// The body of its answer.
    pub respond: Option<Tree>,
}

/// One step, compiled. A `for_each` is a step of its own, which [`StepDef::BLOCK`](crate::lang::workflow::StepDef::BLOCK)
/// is the `uses` of; what it repeats are the steps of its block, if only one with the same id.
#[derive(Clone, Debug)]
pub struct PlanStep {
    pub id: Arc<str>,
    /// The block it is in.
    pub block: usize,
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
    /// Steps whose outputs or errors its expressions read: of its own block and of those around it; for a `for_each` also
    /// those of its block that its `collect` reads.
    pub reads: Vec<usize>,
    pub once: Option<PlanOnce>,
    /// The `when` of a `wait_for`: evaluated over `incoming` when an event arrives.
    pub deferred: Option<Expr>,
    /// The workflow it calls, where that is a constant.
    pub calls: Option<Arc<str>>,
    /// What `deferred` demands of paths of the incoming event, such as (`data.from`, an expression without `incoming`).
    pub correlate: Vec<(String, Expr)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: usize,
    pub port: String,
}

#[derive(Clone, Debug)]
pub struct PlanForEach {
    pub items: Expr,
    /// `items` is just this step's output, which may be a list too long for memory.
    pub source: Option<usize>,
    /// The block that runs once an item.
    pub block: usize,
    pub name: Arc<str>,
    pub concurrency: u32,
    pub on_item_error: OnItemError,
    pub collect: Option<Expr>,
}

/// A checked file.
pub struct Checked {
    /// The workflow's, as far as the file says one; None when nothing of it could be read.
    pub name: Option<String>,
    /// None when there are errors.
    pub plan: Option<Arc<Plan>>,
    pub diagnostics: Vec<Diagnostic>,
}

#[cfg(test)]
mod block_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
