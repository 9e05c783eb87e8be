//! Which names an expression may use where it stands.

use std::collections::HashMap;

use super::analyse::{Part, Problems};
use super::graph::Graph;
use crate::expr::{FUNCTIONS, Reference};
use crate::lang::Workflow;
use crate::lang::diagnostic::suggestion;

/// Where an expression stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// `when:` of a trigger: before there is a run.
    Trigger,
    Step {
        index: usize,
        /// The name of the `for_each` item, where there is one.
        item: Option<&'a str>,
        /// In `collect`.
        output: bool,
    },
}

/// The names of a workflow.
pub(super) struct Names<'a> {
    pub workflow: &'a Workflow,
    pub ids: &'a HashMap<String, usize>,
    pub graph: &'a Graph,
}

const RUN: &[&str] = &["id", "workflow", "started_at", "attempt"];

impl Names<'_> {
    /// Reports what is wrong with one use of a name in the text at `path`.
    pub fn check(&self, reference: &Reference, path: &[&str], place: Place<'_>, problems: &mut Problems) {
        let word = Part::Word(reference.span.clone());
        let root = reference.root.as_str();
        let (item, output, in_run) = match place {
            Place::Trigger => (None, false, false),
            Place::Step { item, output, .. } => (item, output, true),
        };
        match root {
            _ if item == Some(root) => {}
            "index" if item.is_some() => {}
            "output" if output => {}
            "event" => {}
            _ if FUNCTIONS.contains(&root) => {}
            "vars" => self.known(reference, path, "variable", "variables", problems, |name| {
                self.workflow.vars.contains_key(name)
            }),
            "inputs" if in_run => self.known(reference, path, "input", "inputs", problems, |name| {
                self.workflow.inputs.iter().any(|input| input.name == name)
            }),
            "run" if in_run => {
                self.known(reference, path, "field of `run`", "fields", problems, |name| RUN.contains(&name));
            }
            "steps" | "errors" => match place {
                Place::Trigger => {
                    let message = format!("`{}`: a trigger decides before any step has run", reference.dotted());
                    problems.add("unknown-reference", path, word, message);
                }
                Place::Step { index, .. } => self.step(reference, index, path, problems),
            },
            _ => {
                let mut known = vec!["event", "vars", "now"];
                if in_run {
                    known.extend(["steps", "errors", "inputs", "run"]);
                }
                known.extend(item.into_iter().chain(item.map(|_| "index")).chain(output.then_some("output")));
                known.sort_unstable();
                let message = match root {
                    "output" => "`output` is known in `collect` only".to_string(),
                    "item" | "index" => format!("`{root}` is known in a step with `for_each` only"),
                    "inputs" | "run" => format!("`{root}`: a trigger decides before there is a run"),
                    _ => format!("nothing is known by the name `{root}`"),
                };
                problems.add("unknown-reference", path, word, message).help = suggestion(root, "names", known);
            }
        }
    }

    /// `vars.x`, `inputs.x`, `run.x`. All of them at once (`vars | tojson`) are allowed.
    fn known(
        &self,
        reference: &Reference,
        path: &[&str],
        what: &str,
        whats: &str,
        problems: &mut Problems,
        is_known: impl Fn(&str) -> bool,
    ) {
        let Some(name) = reference.first().filter(|name| !is_known(name)) else { return };
        let known: Vec<&str> = match reference.root.as_str() {
            "vars" => self.workflow.vars.keys().map(String::as_str).collect(),
            "inputs" => self.workflow.inputs.iter().map(|input| input.name.as_str()).collect(),
            _ => RUN.to_vec(),
        };
        let message = format!("there is no {what} `{name}`");
        let part = Part::Word(reference.span.clone());
        problems.add("unknown-reference", path, part, message).help = suggestion(name, whats, known);
    }

    fn step(&self, reference: &Reference, index: usize, path: &[&str], problems: &mut Problems) {
        let word = Part::Word(reference.span.clone());
        let root = reference.root.as_str();
        let Some(id) = reference.first() else {
            problems
                .add("dynamic-reference", path, word, format!("`{root}` must be followed by the id of a step"))
                .help = Some(format!("write `{root}.<id>`: the checker must see which step is read"));
            return;
        };
        let own = self.workflow.steps[index].id.as_str();
        let Some(&other) = self.ids.get(id) else {
            let known = self.ids.keys().map(String::as_str).filter(|known| *known != own);
            let mut known: Vec<&str> = known.collect();
            known.sort_unstable();
            problems.add("unknown-reference", path, word, format!("there is no step `{id}`")).help =
                suggestion(id, "steps", known);
            return;
        };
        if self.graph.is_upstream(other, index) || self.graph.uncertain[index] {
            return;
        }
        let message = if other == index {
            format!("the step `{id}` cannot read its own {}", if root == "steps" { "output" } else { "error" })
        } else {
            format!("the step `{id}` is not upstream of `{own}`")
        };
        problems.add("not-upstream", path, word, message).help =
            (other != index && !own.is_empty()).then(|| format!("let `{own}`, or a step it needs, need `{id}`"));
    }
}
