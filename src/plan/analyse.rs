//! What a workflow means: its steps in the catalog, its graph, its references, its templates. Every mistake is a
//! [`Problem`] with a place in the workflow; the caller turns places into positions, or into a sentence.
//!
//! Errors do not cascade: a step of an unknown type has no known ports, a step after an unknown need has no known
//! upstream, and neither is asked for them.

use std::ops::Range;

use super::fields::Input;
use super::graph::{self, Graph};
use super::layout::{Layout, Role, Slot};
use super::references::{At, Names, Place};
use super::triggers::{self, TriggerParts};
use super::{PlanOutput, parts, reach};
use crate::base::limits;
use crate::expr::{Expr, SyntaxError, Template, TreeError};
use crate::lang::catalog::ScriptReader;
use crate::lang::diagnostic::suggestion;
use crate::lang::workflow::Trigger;
use crate::lang::{Catalog, StepSpec, Workflow};

/// One mistake.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub code: &'static str,
    pub message: String,
    pub help: Option<String>,
    /// Keys and indexes from the root of the file.
    pub path: Vec<String>,
    pub part: Part,
    pub weight: Weight,
}

/// What a mistake is to whoever meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// The workflow cannot run.
    Error,
    /// It goes against what a step says of itself today. A file must not; a stored plan may be older than the step, and what
    /// its run meets is judged there.
    Contract,
    /// It may be meant so.
    Warning,
}

#[derive(Clone, Debug)]
pub(super) enum Part {
    Key,
    Value,
    /// Some bytes of the text at the path.
    Word(Range<usize>),
}

/// Mistakes, as they are found.
#[derive(Debug)]
pub(super) struct Problems {
    pub found: Vec<Problem>,
    /// Takes what comes after [`limits::DIAGNOSTICS`]; nobody sees it.
    beyond: Problem,
}

impl Problems {
    fn new() -> Self {
        let beyond = Problem {
            code: "",
            message: String::new(),
            help: None,
            path: Vec::new(),
            part: Part::Value,
            weight: Weight::Error,
        };
        Self { found: Vec::new(), beyond }
    }

    pub fn add(&mut self, code: &'static str, path: &[&str], part: Part, message: impl Into<String>) -> &mut Problem {
        if self.found.len() >= limits::DIAGNOSTICS {
            return &mut self.beyond;
        }
        let path = path.iter().map(|part| part.to_string()).collect();
        self.found.push(Problem { code, message: message.into(), help: None, path, part, weight: Weight::Error });
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    pub fn syntax(&mut self, code: &'static str, path: &[&str], error: SyntaxError) {
        self.add(code, path, Part::Word(error.span), error.message).help = error.help;
    }
}

/// One step's compiled parts.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub condition: Option<Expr>,
    pub items: Option<Expr>,
    /// The step whose output `items` is.
    pub source: Option<usize>,
    pub collect: Option<Expr>,
    pub input: Input,
    pub once: Option<Template>,
    pub reads: Vec<usize>,
}

/// What the analysis found.
pub(super) struct Analysis<'c, 'w> {
    pub problems: Problems,
    pub layout: Layout<'w>,
    /// Of each step; None for containers, and where the catalog has none.
    pub specs: Vec<Option<&'c StepSpec>>,
    pub graph: Graph,
    pub triggers: Vec<TriggerParts>,
    /// The key of `concurrency`.
    pub key: Option<Template>,
    pub parts: Vec<Parts>,
    pub output: Option<PlanOutput>,
}

/// Without `scripts` the code of scripts is taken for JavaScript: the names in it are checked all the same.
pub(super) fn analyse<'c, 'w>(
    workflow: &'w Workflow,
    catalog: &'c Catalog,
    scripts: Option<&ScriptReader>,
) -> Analysis<'c, 'w> {
    let mut problems = Problems::new();
    let layout = Layout::of(workflow);
    ids(&layout, &mut problems);
    inputs(workflow, &mut problems);
    let specs: Vec<_> = layout.slots.iter().map(|slot| spec(slot, catalog, &mut problems)).collect();
    let graph = graph::build(&layout, &specs, &mut problems);
    reach::check(&layout, &graph, &mut problems);
    let names = Names { workflow, layout: &layout, graph: &graph, specs: &specs, region: catalog.region, scripts };
    let triggers = workflow
        .triggers
        .iter()
        .enumerate()
        .map(|(index, trigger)| triggers::of(index, trigger, &names, &mut problems))
        .collect();
    let key = workflow.concurrency.as_ref().and_then(|concurrency| {
        template(&concurrency.key, &["concurrency", "key"], Place::new(At::Start), &names, &mut problems)
    });
    let parts = (0..layout.slots.len()).map(|index| parts::of(index, specs[index], &names, &mut problems)).collect();
    let output = workflow.output.as_ref().map(|output| parts::output(output, &names, &mut problems));
    Analysis { problems, specs, graph, triggers, key, parts, output, layout }
}

/// Each id once, over all blocks.
fn ids(layout: &Layout<'_>, problems: &mut Problems) {
    for (number, slot) in layout.slots.iter().enumerate() {
        let id = slot.step.id.as_str();
        if slot.role != Role::Repeated && layout.ids.get(id).is_some_and(|first| *first != number) {
            let message = format!("the id `{id}` is taken by another step");
            problems.add("duplicate-id", &slot.at(&["id"]), Part::Value, message);
        }
    }
}

/// A run that a message or the clock starts is given no inputs.
fn inputs(workflow: &Workflow, problems: &mut Problems) {
    let Some(trigger) = workflow.triggers.iter().find(|trigger| !matches!(trigger, Trigger::Manual)) else { return };
    for input in workflow.inputs.iter().filter(|input| input.default.is_none()) {
        let message =
            format!("the input `{}` has no default, and a `{}` trigger gives no inputs", input.name, trigger.kind());
        let help =
            format!("give it a `default`, or start the workflow by `manual` alone instead of `{}`", trigger.kind());
        problems.add("input-without-default", &["inputs", &input.name], Part::Key, message).help = Some(help);
    }
}

fn spec<'c>(slot: &Slot<'_>, catalog: &'c Catalog, problems: &mut Problems) -> Option<&'c StepSpec> {
    if matches!(slot.role, Role::Container(_)) {
        return None;
    }
    let uses = &slot.step.uses;
    let spec = catalog.get(uses);
    if spec.is_none() && !uses.is_empty() {
        let path = slot.at(&["uses"]);
        let shown = crate::lang::reader::shown(uses);
        if let Some(reason) = catalog.broken(uses) {
            let message = format!("the plugin of `{shown}` could not be loaded: {reason}");
            problems.add("broken-plugin", &path, Part::Value, message);
        } else {
            let names: Vec<&str> = catalog.names().collect();
            problems.add("unknown-step-type", &path, Part::Value, format!("there is no step `{shown}`")).help =
                suggestion(uses, "steps", names);
        }
    }
    spec
}

/// Compiles an expression and checks its names.
pub(super) fn expression(
    source: &str,
    path: &[&str],
    place: Place<'_>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Option<Expr> {
    match Expr::compile(source) {
        Ok(expr) => {
            expr.references().iter().for_each(|reference| names.check(reference, path, place, problems));
            Some(expr)
        }
        Err(error) => {
            if Template::is_one(source) {
                let message = "this is an expression, not text with expressions in it".to_string();
                let help = Some("write it without `{{ }}`".to_string());
                problems.syntax("bad-expression", path, SyntaxError { message, help, span: 0..source.len() });
            } else {
                problems.syntax("bad-expression", path, error);
            }
            None
        }
    }
}

/// Compiles a text and checks its names.
pub(super) fn template(
    source: &str,
    path: &[&str],
    place: Place<'_>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Option<Template> {
    match Template::compile(source) {
        Ok(template) => {
            template.references().iter().for_each(|reference| names.check(reference, path, place, problems));
            Some(template)
        }
        Err(error) => {
            problems.syntax("bad-template", path, error);
            None
        }
    }
}

/// Templates of a tree that do not parse.
pub(super) fn tree_errors(errors: Vec<TreeError>, path: &[&str], problems: &mut Problems) {
    for TreeError { path: below, error } in errors {
        let path: Vec<&str> = path.iter().copied().chain(below.iter().map(String::as_str)).collect();
        problems.syntax("bad-template", &path, error);
    }
}
