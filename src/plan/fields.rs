//! The fields of `with:` against what the step says of them.

use serde_json::Value as Json;

use super::analyse::{Part, Problems, expression, tree_errors};
use super::layout::Slot;
use super::references::{Names, Place};
use super::script;
use super::with::{Field as Compiled, With};
use crate::base::json::kind;
use crate::base::{Effect, duration, time};
use crate::expr::{Expr, Tree};
use crate::lang::catalog::{Field, FieldKind, Fields, SCOPE};
use crate::lang::diagnostic::suggestion;
use crate::lang::schema::{Schema, SchemaError};
use crate::lang::{StepSpec, is_identifier, is_workflow_name};

/// `with:`, compiled.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub with: With,
    /// What must hold of the event that the step waits for.
    pub deferred: Option<Expr>,
    /// The workflow it calls, where that is a constant.
    pub calls: Option<String>,
    /// What the step does, where its fields decide that.
    pub effect: Option<Effect>,
}

/// Compiles the `with` of step `index`. Of a step whose type is unknown only the templates are checked.
pub(super) fn compile(
    index: usize,
    spec: Option<&StepSpec>,
    place: Place<'_>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Input {
    let slot = &names.layout.slots[index];
    let given = &slot.step.with;
    let mut input = Input::default();
    for (key, value) in given {
        let path = slot.at(&["with", key]);
        let mut cx = Cx { place, names, problems, input: &mut input };
        let compiled = match spec.map(|spec| (&spec.fields, spec)) {
            Some((Fields::Known(known), spec)) => match known.iter().find(|field| field.name == key) {
                Some(field) => cx.known(field, value, &path),
                None => {
                    let message = format!("`{}` has no input `{key}`", spec.name);
                    problems.add("unknown-key", &path, Part::Key, message).help =
                        suggestion(key, "inputs", known.iter().map(|field| field.name));
                    continue;
                }
            },
            // A bare expression of an unknown step would look like text; a template is one anywhere.
            Some((Fields::Schema(_) | Fields::Any, _)) | None => Some(cx.tree(value, &path)),
        };
        input.with.fields.extend(compiled.map(|field| (key.clone(), field)));
    }
    if let Some(spec) = spec {
        super::recipients::check(spec, slot, names.region, problems);
    }
    input.with.fields.shrink_to_fit();
    let is_given = |name: &str| given.get(name).is_some_and(|value| !value.is_null());
    if let Some(spec) = spec {
        let required: Vec<&str> = match &spec.fields {
            Fields::Known(known) => known.iter().filter(|field| field.required).map(|field| field.name).collect(),
            Fields::Schema(schema) => {
                super::misfits::check(schema, &spec.name, given, slot, problems);
                Vec::new()
            }
            Fields::Any => Vec::new(),
        };
        for name in required.into_iter().filter(|name| !is_given(name)) {
            let message = format!("`{}` needs `with.{name}`", spec.name);
            problems.add("missing-key", &slot.at(&["uses"]), Part::Value, message);
        }
        choices(slot, spec, problems);
        anybody(slot, spec, &input, problems);
        if let (Some(pause), Some(until)) = (spec.field(FieldKind::Pause), spec.field(FieldKind::Until)) {
            let (pause, until) = (pause.name, until.name);
            match (is_given(pause), is_given(until)) {
                (false, false) => {
                    let message = format!("`{}` needs `with.{pause}` or `with.{until}`", spec.name);
                    problems.add("missing-key", &slot.at(&["uses"]), Part::Value, message);
                }
                (true, true) => {
                    let message = format!("`{}` takes `{pause}` or `{until}`, not both", spec.name);
                    problems.add("conflicting-keys", &slot.at(&["with", until]), Part::Key, message);
                }
                _ => {}
            }
        }
    }
    input
}

/// Fields of which one is to be given, or at most one.
fn choices(slot: &Slot<'_>, spec: &StepSpec, problems: &mut Problems) {
    let Fields::Known(known) = &spec.fields else { return };
    for kind in [FieldKind::Source, FieldKind::Body] {
        let names: Vec<&str> = known.iter().filter(|field| field.kind == kind).map(|field| field.name).collect();
        let is_given = |name: &&str| slot.step.with.get(*name).is_some_and(|value| !value.is_null());
        let given: Vec<&str> = names.iter().copied().filter(is_given).collect();
        let listed = names.iter().map(|name| format!("`with.{name}`")).collect::<Vec<_>>().join(" or ");
        match given[..] {
            [] if kind == FieldKind::Source && !names.is_empty() => {
                let message = format!("`{}` needs {listed}", spec.name);
                problems.add("missing-key", &slot.at(&["uses"]), Part::Value, message);
            }
            [_, second, ..] => {
                let message = format!("`{}` takes {listed}, not both", spec.name);
                problems.add("conflicting-keys", &slot.at(&["with", second]), Part::Key, message);
            }
            _ => {}
        }
    }
}

/// A wait for a `webhook` must say of which path: all paths of served workflows deliver events of this name, and at a path
/// whose trigger names no secret anybody may.
fn anybody(slot: &Slot<'_>, spec: &StepSpec, input: &Input, problems: &mut Problems) {
    let Some(when) = spec.field(FieldKind::Incoming).map(|field| field.name) else { return };
    let is_webhook = slot.step.with.get("event").and_then(Json::as_str) == Some("webhook");
    let is_broken = input.deferred.is_none() && slot.step.with.get(when).is_some_and(|value| !value.is_null());
    let says = input.deferred.iter().flat_map(|when| when.references().iter());
    if !is_webhook || is_broken || says.into_iter().any(|one| one.root == "incoming" && one.first() == Some("path")) {
        return;
    }
    let message = "a delivery to any path of a webhook would end this wait, one that nobody has signed as well";
    problems.add("any-webhook", &slot.at(&["with", "event"]), Part::Value, message).help =
        Some(format!("compare the path in `with.{when}`, such as `incoming.path == 'shop/paid'`"));
}

struct Cx<'a, 'p> {
    place: Place<'a>,
    names: &'a Names<'a>,
    problems: &'p mut Problems,
    input: &'p mut Input,
}

impl Cx<'_, '_> {
    fn tree(&mut self, value: &Json, path: &[&str]) -> Compiled {
        let mut errors = Vec::new();
        let tree = Tree::compile(value, &mut errors);
        tree_errors(errors, path, self.problems);
        tree.references(&mut |below, reference| {
            let path: Vec<&str> = path.iter().copied().chain(below.iter().map(String::as_str)).collect();
            self.names.check(reference, &path, self.place, self.problems);
        });
        Compiled::Tree(tree)
    }

    fn wrong(&mut self, path: &[&str], expected: &str, value: &Json) -> Option<Compiled> {
        let message = format!("expected {expected}, found {}", kind(value));
        self.problems.add("wrong-type", path, Part::Value, message);
        None
    }

    fn known(&mut self, field: &Field, value: &Json, path: &[&str]) -> Option<Compiled> {
        // What is required and empty is reported as missing.
        if value.is_null() && !matches!(field.kind, FieldKind::Any | FieldKind::Body) {
            return None;
        }
        match field.kind {
            FieldKind::Any | FieldKind::Body => Some(self.tree(value, path)),
            FieldKind::Condition => self.condition(value, path).map(Compiled::Condition),
            FieldKind::Conditions => self.conditions(value, path),
            FieldKind::Text | FieldKind::Source => match value {
                Json::String(_) | Json::Number(_) => Some(self.tree(value, path)),
                _ => self.wrong(path, "text", value),
            },
            FieldKind::Number => match value {
                Json::Number(_) => Some(self.tree(value, path)),
                Json::String(text) if crate::expr::Template::is_one(text) => Some(self.tree(value, path)),
                _ => self.wrong(path, "a number", value),
            },
            FieldKind::Duration | FieldKind::Pause => match value {
                Json::String(text) if crate::expr::Template::is_one(text) => Some(self.tree(value, path)),
                Json::String(text) => match duration::parse_ms(text) {
                    Ok(_) => Some(self.tree(value, path)),
                    Err(error) => {
                        self.problems.add("bad-duration", path, Part::Value, error.to_string());
                        None
                    }
                },
                _ => self.wrong(path, "a duration such as 30s", value),
            },
            FieldKind::OneOf(words) | FieldKind::Method(words) => match value {
                Json::String(text) if crate::expr::Template::is_one(text) || words.contains(&text.as_str()) => {
                    if matches!(field.kind, FieldKind::Method(_)) {
                        // A template is no method, so that the worst is assumed of it.
                        self.input.effect.get_or_insert(Effect::of_method(text));
                    }
                    Some(self.tree(value, path))
                }
                Json::String(text) => {
                    let message = format!("`{}` is none of its values", crate::lang::reader::shown(text));
                    self.problems.add("bad-value", path, Part::Value, message).help =
                        suggestion(text, "values", words.iter().copied());
                    None
                }
                _ => self.wrong(path, "text", value),
            },
            // What they say is checked together.
            FieldKind::Recipient | FieldKind::Region => {
                self.known(&Field { kind: FieldKind::Text, ..field.clone() }, value, path)
            }
            FieldKind::Effect => {
                let found = value.as_str().and_then(Effect::of_word);
                if found.is_some() {
                    self.input.effect = found;
                    return Some(self.tree(value, path));
                }
                let Json::String(text) = value else { return self.wrong(path, "text", value) };
                // It decides what a crash means, so it cannot depend on a run.
                let message = format!("`{}` is no effect", crate::lang::reader::shown(text));
                self.problems.add("bad-value", path, Part::Value, message).help =
                    suggestion(text, "values", Effect::WORDS.iter().map(|(word, _)| *word));
                None
            }
            FieldKind::Until => self.until(value, path),
            FieldKind::Workflow => match value {
                Json::String(text) if crate::expr::Template::is_one(text) => Some(self.tree(value, path)),
                Json::String(text) if is_workflow_name(text) => {
                    self.input.calls = Some(text.clone());
                    Some(self.tree(value, path))
                }
                Json::String(text) => {
                    let shown = crate::lang::reader::shown(text);
                    self.problems.add("bad-name", path, Part::Value, format!("`{shown}` is no name of a workflow"));
                    None
                }
                _ => self.wrong(path, "text", value),
            },
            FieldKind::Object(known) => self.object(field.name, known, value, path),
            FieldKind::Schema => match Schema::of(value.clone()) {
                Ok(_) => Some(Compiled::Tree(Tree::Constant(value.clone()))),
                Err(SchemaError { at, message }) => {
                    let path: Vec<&str> = path.iter().copied().chain(at.iter().map(String::as_str)).collect();
                    let message = format!("this is no JSON Schema that answers can be checked against: {message}");
                    self.problems.add("bad-schema", &path, Part::Value, message);
                    None
                }
            },
            FieldKind::Script => match value {
                Json::String(code) => {
                    let scope = script::compile(code, path, self.place, self.names, self.problems)?;
                    self.input.with.fields.push((SCOPE.to_string(), Compiled::Tree(scope)));
                    Some(Compiled::Tree(Tree::Constant(value.clone())))
                }
                _ => self.wrong(path, "JavaScript", value),
            },
            FieldKind::Repeatable => match value {
                Json::Bool(says) => {
                    if *says {
                        self.input.effect = Some(Effect::Idempotent);
                    }
                    Some(self.tree(value, path))
                }
                // It decides what a crash means, so it cannot depend on a run.
                _ => self.wrong(path, "true or false", value),
            },
            FieldKind::Incoming => {
                self.place.incoming = true;
                self.input.deferred = self.condition(value, path);
                self.place.incoming = false;
                None
            }
        }
    }

    /// A mapping whose keys are known.
    fn object(&mut self, name: &str, known: &[Field], value: &Json, path: &[&str]) -> Option<Compiled> {
        let given = match value {
            Json::Object(given) => given,
            Json::String(text) if crate::expr::Template::is_one(text) => return Some(self.tree(value, path)),
            _ => return self.wrong(path, "a mapping", value),
        };
        let mut entries = Vec::with_capacity(given.len());
        for (key, value) in given {
            let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
            let Some(field) = known.iter().find(|field| field.name == key) else {
                let names = known.iter().map(|field| field.name);
                let shown = crate::lang::reader::shown(key);
                self.problems.add("unknown-key", &path, Part::Key, format!("`{name}` has no key `{shown}`")).help =
                    suggestion(key, "keys", names);
                continue;
            };
            if let Some(Compiled::Tree(tree)) = self.known(field, value, &path) {
                entries.push((key.clone(), tree));
            }
        }
        let absent = |field: &&Field| field.required && given.get(field.name).is_none_or(Json::is_null);
        for field in known.iter().filter(absent) {
            let message = format!("`{name}` needs `{}`", field.name);
            self.problems.add("missing-key", path, Part::Key, message);
        }
        Some(Compiled::Tree(Tree::Map(entries)))
    }

    fn until(&mut self, value: &Json, path: &[&str]) -> Option<Compiled> {
        let error = match value {
            Json::String(text) if crate::expr::Template::is_one(text) => None,
            Json::String(text) => time::parse(text).err().map(|error| error.to_string()),
            Json::Number(ms) if ms.as_i64().is_none() => Some(format!("{ms} is no time in milliseconds")),
            Json::Number(_) => None,
            _ => return self.wrong(path, "a time", value),
        };
        if let Some(error) = error {
            self.problems.add("bad-time", path, Part::Value, error);
            return None;
        }
        Some(self.tree(value, path))
    }

    fn condition(&mut self, value: &Json, path: &[&str]) -> Option<Expr> {
        let source = match value {
            Json::String(text) => text.clone(),
            Json::Bool(_) | Json::Number(_) => value.to_string(),
            _ => {
                self.wrong(path, "an expression", value);
                return None;
            }
        };
        expression(&source, path, self.place, self.names, self.problems)
    }

    fn conditions(&mut self, value: &Json, path: &[&str]) -> Option<Compiled> {
        let Json::Object(cases) = value else { return self.wrong(path, "a mapping of names to expressions", value) };
        if cases.is_empty() {
            self.problems.add("no-cases", path, Part::Value, "there is no case to choose from");
            return None;
        }
        let mut compiled = Vec::with_capacity(cases.len());
        for (name, source) in cases {
            let path: Vec<&str> = path.iter().copied().chain([name.as_str()]).collect();
            if matches!(name.as_str(), "else" | "error") || !is_identifier(name) {
                let shown = crate::lang::reader::shown(name);
                let message = match name.as_str() {
                    "else" => "`else` is taken when no case holds and cannot be a case".to_string(),
                    "error" => "`error` is the port of a failure and cannot be a case".to_string(),
                    _ => format!("`{shown}` is no name of a case; write a-z, 0-9 and _, a letter first"),
                };
                self.problems.add("bad-name", &path, Part::Key, message);
            }
            compiled.extend(self.condition(source, &path).map(|expr| (name.clone(), expr)));
        }
        Some(Compiled::Conditions(compiled))
    }
}
