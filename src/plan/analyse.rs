//! What a workflow means: its steps in the catalog, its graph, its references, its templates. Every mistake is a
//! [`Problem`] with a place in the workflow; the caller turns places into positions, or into a sentence.
//!
//! Errors do not cascade: a step of an unknown type has no known ports, a step after an unknown need has no known
//! upstream, and neither is asked for them.

use std::collections::HashMap;
use std::ops::Range;

use super::fields;
use super::graph::{self, Graph};
use super::reach;
use super::references::{Names, Place};
use super::with::With;
use crate::base::limits;
use crate::expr::{Expr, References, SyntaxError, TreeError};
use crate::lang::diagnostic::suggestion;
use crate::lang::workflow::{StepDef, Trigger};
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
        let beyond = Problem { code: "", message: String::new(), help: None, path: Vec::new(), part: Part::Value };
        Self { found: Vec::new(), beyond }
    }

    pub fn add(&mut self, code: &'static str, path: &[&str], part: Part, message: impl Into<String>) -> &mut Problem {
        if self.found.len() >= limits::DIAGNOSTICS {
            return &mut self.beyond;
        }
        let path = path.iter().map(|part| part.to_string()).collect();
        self.found.push(Problem { code, message: message.into(), help: None, path, part });
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
    pub collect: Option<Expr>,
    pub with: With,
    pub reads: Vec<usize>,
}

/// What the analysis found.
pub(super) struct Analysis<'c> {
    pub problems: Problems,
    /// Of each step; None where the catalog has none.
    pub specs: Vec<Option<&'c StepSpec>>,
    pub graph: Graph,
    pub triggers: Vec<Option<Expr>>,
    pub parts: Vec<Parts>,
}

pub(super) fn analyse<'c>(workflow: &Workflow, catalog: &'c Catalog) -> Analysis<'c> {
    let mut problems = Problems::new();
    let ids = ids(workflow, &mut problems);
    inputs(workflow, &mut problems);
    let specs: Vec<_> =
        workflow.steps.iter().enumerate().map(|(index, step)| spec(index, step, catalog, &mut problems)).collect();
    let graph = graph::build(workflow, &specs, &ids, &mut problems);
    reach::check(workflow, &graph, &mut problems);
    let names = Names { workflow, ids: &ids, graph: &graph };
    let triggers = workflow
        .triggers
        .iter()
        .enumerate()
        .map(|(index, trigger)| trigger_condition(index, trigger, &names, &mut problems))
        .collect();
    let parts = (0..workflow.steps.len()).map(|index| parts(index, specs[index], &names, &mut problems)).collect();
    Analysis { problems, specs, graph, triggers, parts }
}

/// The number of every id. The first of two equal ones counts.
fn ids(workflow: &Workflow, problems: &mut Problems) -> HashMap<String, usize> {
    let mut ids = HashMap::new();
    for (index, step) in workflow.steps.iter().enumerate() {
        if step.id.is_empty() {
            continue;
        }
        if ids.contains_key(&step.id) {
            let message = format!("the id `{}` is taken by an earlier step", step.id);
            problems.add("duplicate-id", &["steps", &index.to_string(), "id"], Part::Value, message);
        } else {
            ids.insert(step.id.clone(), index);
        }
    }
    ids
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

fn spec<'c>(index: usize, step: &StepDef, catalog: &'c Catalog, problems: &mut Problems) -> Option<&'c StepSpec> {
    let spec = catalog.get(&step.uses);
    if spec.is_none() && !step.uses.is_empty() {
        let number = index.to_string();
        let path = ["steps", number.as_str(), "uses"];
        let shown = crate::lang::reader::shown(&step.uses);
        if let Some(reason) = catalog.broken(&step.uses) {
            let message = format!("the plugin of `{shown}` could not be loaded: {reason}");
            problems.add("broken-plugin", &path, Part::Value, message);
        } else {
            let names: Vec<&str> = catalog.names().collect();
            problems.add("unknown-step-type", &path, Part::Value, format!("there is no step `{shown}`")).help =
                suggestion(&step.uses, "steps", names);
        }
    }
    spec
}

fn trigger_condition(index: usize, trigger: &Trigger, names: &Names<'_>, problems: &mut Problems) -> Option<Expr> {
    let Trigger::Message { when: Some(source), .. } = trigger else { return None };
    let number = index.to_string();
    let path = ["triggers", number.as_str(), "message", "when"];
    expression(source, &path, Place::Trigger, names, problems)
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
            if crate::expr::Template::is_one(source) {
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

fn parts(index: usize, spec: Option<&StepSpec>, names: &Names<'_>, problems: &mut Problems) -> Parts {
    let step = &names.workflow.steps[index];
    let number = index.to_string();
    let mut parts = Parts::default();
    let whole = Place::Step { index, item: None, output: false };
    if let Some(source) = &step.condition {
        parts.condition = expression(source, &["steps", &number, "if"], whole, names, problems);
    }
    let mut inside = whole;
    if let Some(for_each) = &step.for_each {
        let path = ["steps", number.as_str(), "for_each"];
        parts.items = expression(&for_each.items, &[&path[..], &["in"]].concat(), whole, names, problems);
        if crate::expr::is_reserved(&for_each.name) {
            let message = format!("`as: {}` hides what expressions know by that name", for_each.name);
            problems.add("shadowed-name", &[&path[..], &["as"]].concat(), Part::Value, message);
        }
        let item = Some(for_each.name.as_str());
        inside = Place::Step { index, item, output: false };
        if let Some(source) = &for_each.collect {
            let place = Place::Step { index, item, output: true };
            parts.collect = expression(source, &[&path[..], &["collect"]].concat(), place, names, problems);
        }
    }
    parts.with = fields::compile(index, spec, inside, names, problems);
    parts.reads = reads(&parts, names);
    parts
}

/// The steps a step's expressions read, each once, in order.
fn reads(parts: &Parts, names: &Names<'_>) -> Vec<usize> {
    let mut reads = Vec::new();
    let mut add = |id: &str| reads.extend(names.ids.get(id));
    let mut of = |references: &References| references.steps().for_each(&mut add);
    [&parts.condition, &parts.items, &parts.collect].into_iter().flatten().for_each(|expr| of(expr.references()));
    for (_, field) in &parts.with.fields {
        match field {
            super::with::Field::Condition(expr) => of(expr.references()),
            super::with::Field::Conditions(cases) => cases.iter().for_each(|(_, expr)| of(expr.references())),
            super::with::Field::Tree(_) => {}
        }
    }
    for (_, field) in &parts.with.fields {
        if let super::with::Field::Tree(tree) = field {
            tree.references(&mut |_, reference| {
                if matches!(reference.root.as_str(), "steps" | "errors")
                    && let Some(id) = reference.first()
                {
                    add(id);
                }
            });
        }
    }
    reads.sort_unstable();
    reads.dedup();
    reads
}

/// Templates of `with:` that do not parse.
pub(super) fn tree_errors(errors: Vec<TreeError>, path: &[&str], problems: &mut Problems) {
    for TreeError { path: below, error } in errors {
        let path: Vec<&str> = path.iter().copied().chain(below.iter().map(String::as_str)).collect();
        problems.syntax("bad-template", &path, error);
    }
}
