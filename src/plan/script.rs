//! Scripts: what their code names of the workflow is handed to them, and what it may not name is a mistake where it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::json;

use super::analyse::{Part, Problems};
use super::javascript::{self, Token};
use super::references::{Names, Place};
use crate::base::Json;
use crate::expr::{Reference, Template, Tree};
use crate::lang::catalog::FieldKind;
use crate::lang::workflow::StepDef;
use crate::lang::{Catalog, CodePlace, Spans, Workflow};

/// What a script knows of the run without being given it.
const KNOWN: &[&str] = &["event", "steps", "vars"];

/// What templates know and scripts are given by `input` only.
const PASSED: &[(&str, &str)] = &[
    ("inputs", "{{ inputs }}"),
    ("errors", "{{ errors.<step> }}"),
    ("run", "{{ run }}"),
    ("item", "{{ item }}"),
    ("index", "{{ index }}"),
];

/// Words of modules and promises, with the reason that a script has none.
const ABSENT: &[(&str, &str)] = &[
    ("await", "a script has nothing to wait for: it ends when it returns"),
    ("import", "a script has no modules: its code is all there is"),
    ("export", "a script has no modules: it gives its result with `return`"),
];

/// Checks the code at `path`; gives what it is handed besides its input: a mapping of `event`, `steps` and `vars`, as far
/// as it names them.
pub(super) fn compile(
    code: &str,
    path: &[&str],
    place: Place<'_>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Option<Tree> {
    let trimmed = code.trim();
    if trimmed.starts_with("{{") && trimmed.ends_with("}}") && Template::is_one(trimmed) {
        let message = "the code of a script is JavaScript as it stands here, not a template";
        problems.add("bad-script", path, Part::Value, message).help =
            Some("write the code here; it reads values as `input`, `event`, `steps` and `vars`".to_string());
        return None;
    }
    let tokens = javascript::tokens(code);
    if !absent(code, &tokens, path, problems) {
        read(code, &tokens, path, names, problems);
    }
    passed(code, &tokens, path, place, problems);
    Some(scope(code, &tokens, path, place, names, problems))
}

/// Reports words that no script can use; whether there are any.
fn absent(code: &str, tokens: &[Token], path: &[&str], problems: &mut Problems) -> bool {
    let mut uses = javascript::uses(code, tokens, &["await", "import", "export"]);
    uses.retain(|one| !one.own);
    for one in &uses {
        let why = ABSENT.iter().find(|(word, _)| *word == one.name).map_or("", |(_, why)| *why);
        let word = one.span.start..one.span.start + one.name.len();
        problems.add("bad-script", path, Part::Word(word), format!("`{}` means nothing here", one.name)).help =
            Some(why.to_string());
    }
    !uses.is_empty()
}

/// Asks the engine whether the code is JavaScript.
fn read(code: &str, tokens: &[Token], path: &[&str], names: &Names<'_>, problems: &mut Problems) {
    let Some(Err(mistake)) = names.scripts.map(|scripts| scripts.read(code)) else { return };
    let part = match mistake.at.and_then(|at| word_at(tokens, at)).or_else(|| last(tokens)) {
        Some(word) => Part::Word(word),
        None => Part::Value,
    };
    problems.add("bad-script", path, part, format!("this is no JavaScript: {}", mistake.message));
}

/// The token at the byte `at`, or the next one.
fn word_at(tokens: &[Token], at: usize) -> Option<Range<usize>> {
    tokens.iter().find(|token| token.span.end > at).map(|token| token.span.clone())
}

fn last(tokens: &[Token]) -> Option<Range<usize>> {
    tokens.last().map(|token| token.span.clone())
}

/// Reports names that only templates know.
fn passed(code: &str, tokens: &[Token], path: &[&str], place: Place<'_>, problems: &mut Problems) {
    let mut known: Vec<(&str, String)> = PASSED.iter().map(|(name, template)| (*name, template.to_string())).collect();
    known.extend(place.items.iter().map(|name| (*name, format!("{{{{ {name} }}}}"))));
    let words: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    for one in javascript::uses(code, tokens, &words).into_iter().filter(|one| !one.own) {
        let template = known.iter().find(|(name, _)| *name == one.name).map_or("", |(_, template)| template.as_str());
        let word = one.span.start..one.span.start + one.name.len();
        let message = format!("a script does not know `{}`", one.name);
        problems.add("unknown-reference", path, Part::Word(word), message).help = Some(format!(
            "pass it: `input: {{ {}: '{template}' }}`, and read `input.{}` in the code",
            one.name, one.name
        ));
    }
}

/// What is handed in: of `vars` and `steps` those that are named, or all where the code does not say which. A name that is
/// the script's own at one place may be the run's at another, so it is handed in whole.
fn scope(
    code: &str,
    tokens: &[Token],
    path: &[&str],
    place: Place<'_>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Tree {
    let mut event = None;
    let mut members: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for one in javascript::uses(code, tokens, KNOWN) {
        if one.name == "event" {
            event = Some("{{ event }}");
            continue;
        }
        let handed = members.entry(one.name).or_default();
        let Some(member) = one.member.filter(|_| !one.own) else {
            match one.name {
                "vars" => handed.extend(names.workflow.vars.keys().cloned()),
                _ => handed.extend(names.visible(place.at).into_iter().map(String::from)),
            }
            continue;
        };
        let before = problems.found.len();
        let (root, path_of, span) = (one.name.into(), vec![member.into()], one.span.clone());
        let reference = Reference { root, path: path_of, span, beyond: Box::default() };
        names.check(&reference, path, place, problems);
        if problems.found.len() == before {
            handed.insert(member.to_string());
        }
    }
    let mut all = serde_json::Map::new();
    all.extend(event.map(|event| ("event".to_string(), json!(event))));
    for (root, members) in members {
        let template = |name: &str| match root {
            // A step that was skipped has no output: null.
            "steps" => format!("{{{{ steps.{name} | default(none) }}}}"),
            _ => format!("{{{{ vars[{}] }}}}", Json::String(name.to_string())),
        };
        let members = members.into_iter().map(|name| (name.clone(), Json::String(template(&name))));
        all.insert(root.to_string(), Json::Object(members.collect()));
    }
    // Made of names that were checked: every template in it parses.
    Tree::compile(&Json::Object(all), &mut Vec::new())
}

/// Where the scripts of `workflow` stand in the file `source`, by step id.
pub(super) fn places(
    workflow: &Workflow,
    catalog: &Catalog,
    spans: &Spans,
    source: &str,
) -> BTreeMap<String, CodePlace> {
    let mut places = BTreeMap::new();
    let mut walk = Walk { catalog, spans, source, places: &mut places };
    walk.steps(&workflow.steps, &mut Vec::new());
    places
}

struct Walk<'a> {
    catalog: &'a Catalog,
    spans: &'a Spans,
    source: &'a str,
    places: &'a mut BTreeMap<String, CodePlace>,
}

impl Walk<'_> {
    fn steps(&mut self, steps: &[StepDef], above: &mut Vec<String>) {
        above.push("steps".to_string());
        for (index, step) in steps.iter().enumerate() {
            above.push(index.to_string());
            if let Some(field) = self.catalog.get(&step.uses).and_then(|spec| spec.field(FieldKind::Script)) {
                let path: Vec<&str> = above.iter().map(String::as_str).chain(["with", field.name]).collect();
                let place = self.spans.code(&path, self.source);
                self.places.extend(place.map(|place| (step.id.clone(), place)));
            }
            self.steps(&step.steps, above);
            above.pop();
        }
        above.pop();
    }
}

#[cfg(test)]
mod tests;
