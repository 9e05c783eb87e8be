//! Which names an expression may use where it stands.

use super::analyse::{Part, Problems};
use super::graph::Graph;
use super::layout::Layout;
use crate::base::phone::Region;
use crate::expr::{FUNCTIONS, Reference};
use crate::lang::catalog::ScriptReader;
use crate::lang::diagnostic::suggestion;
use crate::lang::{StepSpec, Workflow};

/// Where an expression stands, and what is known there besides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub at: At,
    /// The names of the items of the `for_each` steps around, the outermost first.
    pub items: &'a [&'a str],
    /// In `collect` of a `for_each` on one step.
    pub output: bool,
    /// In the `when` of a step that waits for an event.
    pub incoming: bool,
}

/// When an expression is evaluated, which says what has been before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// `when` of a trigger: before there is a run.
    Trigger,
    /// `concurrency.key`: before the run's first step.
    Start,
    /// When the step of this number is reached.
    Step(usize),
    /// `collect` of a block: when the steps of this block have ended.
    Items(usize),
    /// `output` of the workflow: when the run ends.
    End,
}

impl Place<'_> {
    pub fn new(at: At) -> Self {
        Self { at, items: &[], output: false, incoming: false }
    }

    fn in_run(&self) -> bool {
        !matches!(self.at, At::Trigger | At::Start)
    }
}

/// The names of a workflow.
pub(super) struct Names<'a> {
    pub workflow: &'a Workflow,
    pub layout: &'a Layout<'a>,
    pub graph: &'a Graph,
    /// Of each step, as in the analysis.
    pub specs: &'a [Option<&'a StepSpec>],
    /// Where phone numbers without a country code are meant.
    pub region: Option<Region>,
    pub scripts: Option<&'a ScriptReader>,
}

const RUN: &[&str] = &["id", "workflow", "started_at", "attempt"];

impl Names<'_> {
    /// Reports what is wrong with one use of a name in the text at `path`.
    pub fn check(&self, reference: &Reference, path: &[&str], place: Place<'_>, problems: &mut Problems) {
        let root = reference.root.as_str();
        match root {
            _ if place.items.contains(&root) => {}
            "index" if !place.items.is_empty() => {}
            "output" if place.output => {
                if let At::Step(container) = place.at {
                    self.own_output(reference, container, path, problems);
                }
            }
            "incoming" if place.incoming => {}
            "event" => {}
            _ if FUNCTIONS.contains(&root) => {}
            "vars" => self.known(reference, path, "variable", "variables", problems, |name| {
                self.workflow.vars.contains_key(name)
            }),
            "inputs" if place.at != At::Trigger => self.known(reference, path, "input", "inputs", problems, |name| {
                self.workflow.inputs.iter().any(|input| input.name == name)
            }),
            "run" if place.in_run() => {
                self.known(reference, path, "field of `run`", "fields", problems, |name| RUN.contains(&name));
            }
            "steps" | "errors" if place.in_run() => self.step(reference, place.at, path, problems),
            _ => self.unknown(reference, path, place, problems),
        }
    }

    /// A name that means nothing here.
    fn unknown(&self, reference: &Reference, path: &[&str], place: Place<'_>, problems: &mut Problems) {
        let root = reference.root.as_str();
        let mut known = vec!["event", "vars", "now"];
        known.extend((place.at != At::Trigger).then_some("inputs"));
        if place.in_run() {
            known.extend(["steps", "errors", "run"]);
        }
        known.extend(place.items);
        known.extend((!place.items.is_empty()).then_some("index"));
        known.extend(place.output.then_some("output"));
        known.extend(place.incoming.then_some("incoming"));
        known.sort_unstable();
        let mut help = suggestion(root, "names", known);
        let message = match (root, place.at) {
            ("steps" | "errors", At::Trigger) => {
                help = None;
                format!("`{}`: a trigger decides before any step has run", reference.dotted())
            }
            ("steps" | "errors", _) => {
                format!("`{}`: a run gets its key before any of its steps has run", reference.dotted())
            }
            ("inputs" | "run", At::Trigger) => format!("`{root}`: a trigger decides before there is a run"),
            ("run", _) => "`run`: a run gets its key before it begins".to_string(),
            ("output", At::Items(_)) => {
                help = Some("a block has several: write `steps.<id>` of one of its steps".to_string());
                "`output` is that of one step".to_string()
            }
            ("output", _) => "`output` is known in `collect` only".to_string(),
            ("incoming", _) => {
                let for_now = "`event` is the event that started the run; what a run waits for is `incoming`";
                help = Some(format!("{for_now}, in the `when` of a `wait_for`, and its output afterwards"));
                "`incoming` is known in the `when` of a `wait_for` only".to_string()
            }
            ("item" | "index", _) => format!("`{root}` is known in a step with `for_each` only"),
            _ => format!("nothing is known by the name `{root}`"),
        };
        problems.add("unknown-reference", path, Part::Word(reference.span.clone()), message).help = help;
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

    /// `steps.x`, `errors.x`.
    fn step(&self, reference: &Reference, at: At, path: &[&str], problems: &mut Problems) {
        let word = Part::Word(reference.span.clone());
        let root = reference.root.as_str();
        let Some(id) = reference.first() else {
            problems
                .add("dynamic-reference", path, word, format!("`{root}` must be followed by the id of a step"))
                .help = Some(format!("write `{root}.<id>`: the checker must see which step is read"));
            return;
        };
        let own = match at {
            At::Step(number) => self.layout.slots[number].step.id.as_str(),
            _ => "",
        };
        let Some(&other) = self.layout.ids.get(id) else {
            let mut known: Vec<&str> = self.layout.ids.keys().copied().filter(|known| *known != own).collect();
            known.sort_unstable();
            problems.add("unknown-reference", path, word, format!("there is no step `{id}`")).help =
                suggestion(id, "steps", known);
            return;
        };
        if self.is_visible(other, at) {
            self.parts(reference, other, path, problems);
            return;
        }
        let (message, help) = self.why_not(id, other, at, root);
        problems.add("not-upstream", path, word, message).help = help;
    }

    /// The ids of the steps whose output can be read at `at`, in order.
    pub fn visible(&self, at: At) -> Vec<&str> {
        let mut ids: Vec<&str> =
            self.layout.ids.iter().filter(|(_, number)| self.is_visible(**number, at)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    fn is_visible(&self, other: usize, at: At) -> bool {
        let block = self.layout.slots[other].block;
        match at {
            At::Trigger | At::Start => false,
            At::End => block == 0,
            At::Step(number) => self.graph.is_upstream(other, number) || self.graph.uncertain[number],
            At::Items(own) => {
                let around = self.layout.blocks[own].chain.last();
                block == own || around.is_some_and(|container| self.is_visible(other, At::Step(*container)))
            }
        }
    }

    /// Why the step `other` cannot be read, and what to do.
    fn why_not(&self, id: &str, other: usize, at: At, root: &str) -> (String, Option<String>) {
        let layout = self.layout;
        let id_of = |number: usize| layout.slots[number].step.id.as_str();
        // The blocks from the place outwards, and the step of each that the place is in.
        let (block, own) = match at {
            At::Step(number) => (layout.slots[number].block, Some(number)),
            At::Items(block) => (block, None),
            _ => (0, None),
        };
        let around = &layout.blocks[block].chain;
        if own == Some(other) || own.is_some_and(|own| id_of(own) == id) {
            let what = if root == "steps" { "output" } else { "error" };
            return (format!("the step `{id}` cannot read its own {what}"), None);
        }
        if around.contains(&other) {
            return (format!("the step `{id}` has not ended yet when a step of its block runs"), None);
        }
        let its = &layout.blocks[layout.slots[other].block];
        if let Some(&container) = its.chain.last().filter(|container| !around.contains(container)) {
            let container = id_of(container);
            let message = format!("the step `{id}` is in the block of `{container}`, which has one for each item");
            let help =
                format!("say in `collect` of `{container}` what is needed, and read `steps.{container}.collected`");
            return (message, Some(help));
        }
        // The step that can be made to need it: the place's own, or the container around the place in the other's block.
        let placed =
            around.iter().copied().chain(own).find(|step| layout.slots[*step].block == layout.slots[other].block);
        let needing = placed.map(id_of).filter(|id| !id.is_empty());
        let message = match needing {
            Some(needing) => format!("the step `{id}` is not upstream of `{needing}`"),
            None => format!("the step `{id}` is not upstream"),
        };
        (message, needing.map(|needing| format!("let `{needing}`, or a step it needs, need `{id}`")))
    }
}
