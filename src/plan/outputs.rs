//! What expressions ask of a step's output, against the schema of that output.

use std::sync::LazyLock;

use serde_json::json;

use super::analyse::{Part, Problems, Weight};
use super::layout::Role;
use super::references::Names;
use crate::base::Json;
use crate::expr::{self, Expr, Reference};
use crate::lang::catalog::FieldKind;
use crate::lang::diagnostic::suggestion;
use crate::lang::schema::access::{Access, Nowhere, Why, follow, types};
use crate::lang::schema::clean;

/// What a `for_each` gives.
static OF_ITEMS: LazyLock<Json> = LazyLock::new(|| {
    let count = json!({"type": "integer"});
    json!({"type": "object", "additionalProperties": false, "properties": {
        "total": count, "succeeded": count, "failed": count, "skipped": count, "unknown": count,
        "reasons": {}, "failures": {"type": "array"}, "collected": {"type": "array"}, "collected_truncated": {}}})
});

/// What `errors.<id>` is.
static OF_ERRORS: LazyLock<Json> = LazyLock::new(|| {
    json!({"type": "object", "additionalProperties": false,
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "details": {}}})
});

impl Names<'_> {
    /// The schema of what the step of this number gives, where it has one.
    fn output(&self, number: usize) -> Option<&Json> {
        match self.layout.slots[number].role {
            Role::Container(_) => Some(&OF_ITEMS),
            Role::Single | Role::Repeated => self.specs[number]?.output.as_ref(),
        }
    }

    /// The schema that the step itself asks its `data` to fit.
    fn asked_for(&self, number: usize) -> Option<&Json> {
        let slot = &self.layout.slots[number];
        let field = self.specs[number]?.field(FieldKind::Schema)?;
        slot.step.with.get(field.name).filter(|schema| schema.is_object())
    }

    /// `steps.x.…` and `errors.x.…` of the step `number`.
    pub(super) fn parts(&self, reference: &Reference, number: usize, path: &[&str], problems: &mut Problems) {
        match reference.root == "errors" {
            true => follow_in(&OF_ERRORS, reference, 1, path, problems),
            false => self.asked(reference, number, 1, path, problems),
        }
    }

    /// `output.…` in the `collect` of the `for_each` of this number, which repeats one step.
    pub(super) fn own_output(&self, reference: &Reference, container: usize, path: &[&str], problems: &mut Problems) {
        let Role::Container(block) = self.layout.slots[container].role else { return };
        self.asked(reference, self.layout.blocks[block].first, 0, path, problems);
    }

    /// What is asked of the output of a step after the first `skip` names.
    fn asked(&self, reference: &Reference, number: usize, skip: usize, path: &[&str], problems: &mut Problems) {
        let Some(schema) = self.output(number) else { return };
        match self.asked_for(number) {
            Some(own) if reference.path.get(skip).is_some_and(|name| name == "data") => {
                follow_in(own, reference, skip + 1, path, problems);
            }
            _ => follow_in(schema, reference, skip, path, problems),
        }
    }

    /// Reports an `in` that is nothing but a part of an output which is certainly no list.
    pub(super) fn no_list(&self, items: &Expr, path: &[&str], problems: &mut Problems) {
        let mut references = items.references().iter();
        let (Some(only), None) = (references.next(), references.next()) else { return };
        let (Some(id), true) = (only.first(), only.root == "steps" && items.source().trim() == only.dotted()) else {
            return;
        };
        let Some(&number) = self.layout.ids.get(id).filter(|_| only.path.len() > 1) else { return };
        let Some(schema) = self.output(number) else { return };
        let Some(found) = types(schema, &accesses(only, 1)).filter(|found| !found.contains(&"array")) else { return };
        let what = found.iter().map(|name| super::misfits::in_words(name)).collect::<Vec<_>>().join(" or ");
        let message = format!("`{}` is {what}, and a `for_each` needs a list", only.dotted());
        problems.add("not-a-list", path, Part::Value, message).weight = Weight::Contract;
    }
}

/// What comes after the first `skip` names of a reference.
fn accesses(reference: &Reference, skip: usize) -> Vec<Access<'_>> {
    let names = reference.path.iter().skip(skip).map(|name| Access::Name(name));
    let beyond = reference.beyond.iter().map(|beyond| match &beyond.part {
        expr::Part::Name(name) => Access::Name(name),
        expr::Part::Index(index) => Access::Index(*index),
        expr::Part::Computed => Access::Some,
    });
    names.chain(beyond).collect()
}

/// Follows a reference, without its first `skip` names, through a schema.
fn follow_in(schema: &Json, reference: &Reference, skip: usize, path: &[&str], problems: &mut Problems) {
    let accesses = accesses(reference, skip);
    let Err(Nowhere { index, why }) = follow(schema, &accesses) else { return };
    let names = reference.path.len() - skip;
    let word = match index.checked_sub(names) {
        None => reference.name_span(index + skip),
        Some(beyond) => reference.beyond[beyond].span.clone(),
    };
    let mut owner =
        std::iter::once(&reference.root).chain(&reference.path[..skip]).cloned().collect::<Vec<_>>().join(".");
    for access in &accesses[..index] {
        match access {
            Access::Name(name) => owner.push_str(&format!(".{}", clean(name, 64))),
            Access::Index(index) => owner.push_str(&format!("[{index}]")),
            Access::Some => owner.push_str("[…]"),
        }
    }
    let name = match accesses[index] {
        Access::Name(name) => name.to_string(),
        Access::Index(index) => index.to_string(),
        Access::Some => "…".to_string(),
    };
    let shown = clean(&name, 64);
    let whats = if index + skip <= 1 { "outputs" } else { "fields" };
    let (weight, message, help) = match why {
        Why::Closed(known) => {
            let message = format!("`{owner}` has no `{shown}`");
            (Weight::Contract, message, suggestion(&name, whats, known))
        }
        Why::Unlisted(known) => {
            let message = format!("the schema of `{owner}` does not list `{shown}`");
            (Weight::Warning, message, suggestion(&name, whats, known))
        }
        Why::Plain(types) => {
            let what = types.iter().map(|name| super::misfits::in_words(name)).collect::<Vec<_>>().join(" or ");
            (Weight::Contract, format!("`{owner}` is {what} and has no `{shown}`"), list_help(&types, &owner))
        }
    };
    let problem = problems.add("unknown-output", path, Part::Word(word), message);
    problem.weight = weight;
    problem.help = help;
}

/// How to get at the items of a list.
fn list_help(types: &[&str], owner: &str) -> Option<String> {
    let is_list = types.contains(&"array");
    is_list.then(|| format!("an item has fields: `{owner}[0].…`, or a `for_each` over `{owner}`"))
}
