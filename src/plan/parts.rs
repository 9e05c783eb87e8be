//! The expressions and templates of one step, compiled and checked, and the steps that they read.

use super::PlanOutput;
use super::analyse::{Part, Parts, Problems, expression, template, tree_errors};
use super::fields::{self, Input};
use super::layout::{Layout, Role};
use super::references::{At, Names, Place};
use super::with::Field;
use crate::base::Json;
use crate::expr::{Expr, Reference, Tree};
use crate::lang::StepSpec;

/// Those of the step `index`.
pub(super) fn of(index: usize, spec: Option<&StepSpec>, names: &Names<'_>, problems: &mut Problems) -> Parts {
    let slot = &names.layout.slots[index];
    let items = names.layout.items(slot.block);
    let place = Place { items: &items, ..Place::new(At::Step(index)) };
    let mut parts = Parts::default();
    // The `if` of a `for_each` is about the whole of it.
    if let Some(source) = slot.step.condition.as_ref().filter(|_| slot.role != Role::Repeated) {
        parts.condition = expression(source, &slot.at(&["if"]), place, names, problems);
    }
    match slot.role {
        Role::Container(block) => for_each(&mut parts, block, place, names, problems),
        Role::Single | Role::Repeated => {
            parts.input = fields::compile(index, spec, place, names, problems);
            if let Some(once) = &slot.step.once {
                parts.once = template(&once.key, &slot.at(&["once", "key"]), place, names, problems);
            }
        }
    }
    parts.reads = reads(&parts, names.layout);
    parts
}

/// What a container evaluates; `place` is where it stands itself.
fn for_each(parts: &mut Parts, block: usize, place: Place<'_>, names: &Names<'_>, problems: &mut Problems) {
    let At::Step(index) = place.at else { return };
    let slot = &names.layout.slots[index];
    let Some(each) = &slot.step.for_each else { return };
    parts.items = expression(&each.items, &slot.at(&["for_each", "in"]), place, names, problems);
    parts.source = parts.items.as_ref().and_then(|items| source(items, names.layout));
    if let Some(other) = parts.source.map(|source| &names.layout.slots[source])
        && matches!(other.role, Role::Container(_))
    {
        let id = &other.step.id;
        let message = format!("the output of the `for_each` `{id}` is a mapping, not a list");
        problems.add("not-a-list", &slot.at(&["for_each", "in"]), Part::Value, message).help =
            Some(format!("what its `collect` gave is `steps.{id}.collected`"));
    }
    if let Some(items) = &parts.items {
        names.no_list(items, &slot.at(&["for_each", "in"]), problems);
    }
    let path = slot.at(&["for_each", "as"]);
    if crate::expr::is_reserved(&each.name) {
        let message = format!("`as: {}` hides what expressions know by that name", each.name);
        problems.add("shadowed-name", &path, Part::Value, message);
    } else if place.items.contains(&each.name.as_str()) {
        let message = format!("the item is called `{}`, like that of a `for_each` around it", each.name);
        problems.add("shadowed-name", &path, Part::Value, message).help =
            Some("give it another name with `as`".to_string());
    }
    if let Some(source) = &each.collect {
        let items = names.layout.items(block);
        let place = match slot.step.is_block() {
            true => Place { items: &items, ..Place::new(At::Items(block)) },
            false => Place { items: &items, output: true, ..place },
        };
        parts.collect = expression(source, &slot.at(&["for_each", "collect"]), place, names, problems);
    }
}

/// The step whose output `items` is and nothing else.
fn source(items: &Expr, layout: &Layout<'_>) -> Option<usize> {
    let mut references = items.references().iter();
    let (Some(only), None) = (references.next(), references.next()) else { return None };
    let whole = items.source().trim() == only.dotted();
    let [id] = &only.path[..] else { return None };
    layout.ids.get(id.as_str()).copied().filter(|_| whole && only.root == "steps")
}

/// `output:` of the workflow.
pub(super) fn output(json: &Json, names: &Names<'_>, problems: &mut Problems) -> PlanOutput {
    let mut errors = Vec::new();
    let tree = Tree::compile(json, &mut errors);
    tree_errors(errors, &["output"], problems);
    let mut reads = Vec::new();
    tree.references(&mut |below, reference| {
        let path: Vec<&str> = std::iter::once("output").chain(below.iter().map(String::as_str)).collect();
        names.check(reference, &path, Place::new(At::End), problems);
        reads.extend(read(reference, names.layout));
    });
    PlanOutput { tree, reads: sorted(reads) }
}

/// The step that a reference reads.
fn read(reference: &Reference, layout: &Layout<'_>) -> Option<usize> {
    let id = reference.first().filter(|_| matches!(reference.root.as_str(), "steps" | "errors"))?;
    layout.ids.get(id).copied()
}

/// The steps a step's expressions read, each once, in order.
fn reads(parts: &Parts, layout: &Layout<'_>) -> Vec<usize> {
    let mut reads = Vec::new();
    let mut add = |reference: &Reference| reads.extend(read(reference, layout));
    let Input { with, deferred, .. } = &parts.input;
    for expr in [&parts.condition, &parts.items, &parts.collect, deferred].into_iter().flatten() {
        expr.references().iter().for_each(&mut add);
    }
    parts.once.iter().for_each(|key| key.references().iter().for_each(&mut add));
    for (_, field) in &with.fields {
        match field {
            Field::Condition(expr) => expr.references().iter().for_each(&mut add),
            Field::Conditions(cases) => {
                cases.iter().for_each(|(_, expr)| expr.references().iter().for_each(&mut add));
            }
            Field::Tree(tree) => tree.references(&mut |_, reference| add(reference)),
        }
    }
    sorted(reads)
}

fn sorted(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
