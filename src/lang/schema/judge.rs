//! Does a value with holes fit a schema? Three answers: it does whatever the holes are filled with, it cannot, or nobody
//! knows yet. Only what cannot fit is reported, so that a mistake is one in every run.
//!
//! What is judged by one keyword alone (types, patterns, bounds, equality) is left to the validator, keyword by keyword, so
//! that the two cannot disagree; what combines schemas is judged here.

use std::collections::HashMap;
use std::rc::Rc;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;

use super::holed::{Holed, Shape};
use super::misfit::{Misfit, What};
use super::options;
use crate::base::Json;
use crate::base::json::{JsonMap, text_len};
use crate::base::limits::{PLUGIN_SCHEMA, PLUGIN_SCHEMA_DEPTH, SCHEMA_VISITS};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Fits,
    Unknown,
    Misfit,
}

/// The answer and its reasons.
#[derive(Debug)]
pub(super) struct Judged<'s> {
    pub verdict: Verdict,
    /// Not empty for [`Verdict::Misfit`] alone.
    pub misfits: Vec<Misfit<'s>>,
}

impl<'s> Judged<'s> {
    fn of(verdict: Verdict) -> Self {
        Self { verdict, misfits: Vec::new() }
    }

    fn fits_if(fits: bool) -> Self {
        Self::of(if fits { Verdict::Fits } else { Verdict::Unknown })
    }

    /// Both must hold.
    fn and(&mut self, other: Self) {
        self.verdict = self.verdict.max(other.verdict);
        self.misfits.extend(other.misfits);
    }
}

/// Judged by the validator, each alone.
const ALONE: &[&str] = &[
    "type",
    "enum",
    "const",
    "multipleOf",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "format",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxProperties",
    "minProperties",
    "required",
    "dependentRequired",
];

/// Of those, what is asked of texts, of lists and of mappings only.
const OF_TEXTS: &[&str] = &["maxLength", "minLength", "pattern", "format"];
const OF_LISTS: &[&str] = &["maxItems", "minItems", "uniqueItems"];
const OF_MAPPINGS: &[&str] = &["maxProperties", "minProperties", "required", "dependentRequired"];

/// Where in the value.
#[derive(Clone, Copy)]
pub(super) struct At<'p> {
    above: Option<&'p At<'p>>,
    part: &'p str,
    depth: usize,
}

impl<'p> At<'p> {
    pub(super) const ROOT: At<'static> = At { above: None, part: "", depth: 0 };

    fn below(&'p self, part: &'p str) -> At<'p> {
        At { above: Some(self), part, depth: self.depth + 1 }
    }

    fn path(&self) -> Vec<String> {
        let mut path = Vec::with_capacity(self.depth);
        let mut at = Some(self);
        while let Some(here) = at.filter(|here| here.above.is_some()) {
            path.push(here.part.to_string());
            at = here.above;
        }
        path.reverse();
        path
    }
}

/// What a validator was compiled of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Argument,
    Pattern,
    Schema,
}

/// Judges values by the schemas within `root`.
pub(super) struct Judge<'s> {
    root: &'s Json,
    /// By the address of what was compiled, which lives as long as the schema.
    compiled: HashMap<(Part, usize), Option<Rc<Validator>>>,
    /// Schemas that may still be visited.
    left: usize,
    /// Schemas that are being visited, one within the other.
    depth: usize,
}

impl<'s> Judge<'s> {
    pub(super) fn new(root: &'s Json) -> Self {
        Self { root, compiled: HashMap::new(), left: SCHEMA_VISITS, depth: 0 }
    }

    /// Judges `value` by `schema`, a part of the root. `described` is what is said of the place already.
    pub(super) fn judge(
        &mut self,
        schema: &'s Json,
        value: &Holed<'_>,
        at: &At<'_>,
        described: Option<&'s str>,
    ) -> Judged<'s> {
        if self.left == 0 || self.depth >= PLUGIN_SCHEMA_DEPTH {
            return Judged::of(Verdict::Unknown);
        }
        self.left -= 1;
        let map = match schema {
            Json::Bool(true) => return Judged::of(Verdict::Fits),
            Json::Bool(false) => return misfit(at, What::Never, described),
            Json::Object(map) => map,
            _ => return Judged::of(Verdict::Unknown),
        };
        let here = Here { map, at, described: map.get("description").and_then(Json::as_str).or(described) };
        let mut judged = Judged::of(Verdict::Fits);
        self.depth += 1;
        for (keyword, argument) in map {
            judged.and(self.keyword(here, keyword, argument, value));
        }
        self.depth -= 1;
        judged
    }

    fn keyword(&mut self, here: Here<'s, '_>, keyword: &'s str, argument: &'s Json, value: &Holed<'_>) -> Judged<'s> {
        match keyword {
            _ if ALONE.contains(&keyword) => self.alone(here, keyword, argument, value),
            "$ref" => match argument.as_str().and_then(|to| self.root.pointer(to.strip_prefix('#')?)) {
                Some(target) => self.judge(target, value, here.at, here.described),
                None => Judged::of(Verdict::Unknown),
            },
            "allOf" => {
                let mut judged = Judged::of(Verdict::Fits);
                for one in self.each(here, argument, value) {
                    judged.and(one);
                }
                judged
            }
            "anyOf" => {
                let each = self.each(here, argument, value);
                match each.iter().map(|one| one.verdict).min() {
                    Some(Verdict::Misfit) => nearest(each, here, argument),
                    Some(best) => Judged::of(best),
                    None => Judged::of(Verdict::Unknown),
                }
            }
            "oneOf" => {
                let each = self.each(here, argument, value);
                let count = |verdict| each.iter().filter(|one| one.verdict == verdict).count();
                match (count(Verdict::Fits), count(Verdict::Unknown)) {
                    (0, 0) if !each.is_empty() => nearest(each, here, argument),
                    (1, 0) => Judged::of(Verdict::Fits),
                    (2.., _) => here.misfit(What::Several),
                    _ => Judged::of(Verdict::Unknown),
                }
            }
            "not" => match self.judge(argument, value, here.at, None).verdict {
                Verdict::Fits => here.misfit(What::Not),
                Verdict::Unknown => Judged::of(Verdict::Unknown),
                Verdict::Misfit => Judged::of(Verdict::Fits),
            },
            "if" => {
                let is_so = self.judge(argument, value, here.at, None).verdict;
                let mut branch = |name: &str| match here.map.get(name) {
                    Some(schema) => self.judge(schema, value, here.at, here.described),
                    None => Judged::of(Verdict::Fits),
                };
                match is_so {
                    Verdict::Fits => branch("then"),
                    Verdict::Misfit => branch("else"),
                    Verdict::Unknown => {
                        let both = [branch("then").verdict, branch("else").verdict];
                        Judged::fits_if(both == [Verdict::Fits; 2])
                    }
                }
            }
            "properties"
            | "patternProperties"
            | "additionalProperties"
            | "propertyNames"
            | "dependentSchemas"
            | "dependencies" => match &value.shape {
                Shape::Map(entries) => self.mapping(here, keyword, argument, value, entries),
                Shape::Any => Judged::of(Verdict::Unknown),
                _ => Judged::of(Verdict::Fits),
            },
            "items" | "prefixItems" | "contains" => match &value.shape {
                Shape::List(items) => self.list(here, keyword, argument, items),
                Shape::Any => Judged::of(Verdict::Unknown),
                _ => Judged::of(Verdict::Fits),
            },
            "unevaluatedProperties" | "unevaluatedItems" => match (&value.shape, keyword) {
                (Shape::Any, _) => Judged::of(Verdict::Unknown),
                (Shape::Map(_), "unevaluatedProperties") | (Shape::List(_), "unevaluatedItems") => {
                    self.whole(here, value)
                }
                _ => Judged::of(Verdict::Fits),
            },
            // A word of older drafts that the validator has an opinion on.
            "additionalItems" => Judged::of(Verdict::Unknown),
            // Notes, definitions, and what goes with a keyword above.
            _ => Judged::of(Verdict::Fits),
        }
    }

    /// The judgement of each schema of a list.
    fn each(&mut self, here: Here<'s, '_>, argument: &'s Json, value: &Holed<'_>) -> Vec<Judged<'s>> {
        let schemas = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        schemas.iter().map(|schema| self.judge(schema, value, here.at, here.described)).collect()
    }

    /// A keyword that says something of the value and nothing of its parts.
    fn alone(&mut self, here: Here<'s, '_>, keyword: &'s str, argument: &'s Json, value: &Holed<'_>) -> Judged<'s> {
        let fits = match (value.constant, &value.shape) {
            (Some(constant), _) => self.is_valid(keyword, argument, constant),
            (None, Shape::Any) => None,
            (None, Shape::Text) if OF_TEXTS.contains(&keyword) => None,
            (None, Shape::Text) if keyword == "type" => self.is_valid(keyword, argument, &Json::String(String::new())),
            (None, _) if matches!(keyword, "enum" | "const") => {
                let could = match (keyword, argument) {
                    ("enum", Json::Array(values)) => values.iter().any(|one| value.may_be(one)),
                    _ => value.may_be(argument),
                };
                (!could).then_some(false)
            }
            (None, Shape::List(_)) if keyword == "uniqueItems" => (argument == &Json::Bool(false)).then_some(true),
            (None, Shape::List(_)) if keyword == "type" || OF_LISTS.contains(&keyword) => {
                value.skeleton().and_then(|skeleton| self.is_valid(keyword, argument, &skeleton))
            }
            (None, Shape::Map(_)) if keyword == "type" || OF_MAPPINGS.contains(&keyword) => {
                value.skeleton().and_then(|skeleton| self.is_valid(keyword, argument, &skeleton))
            }
            _ => Some(true),
        };
        match fits {
            Some(true) => Judged::of(Verdict::Fits),
            None => Judged::of(Verdict::Unknown),
            Some(false) => self.against(here, keyword, argument, value),
        }
    }

    /// The misfits of a value that goes against a keyword.
    fn against(&self, here: Here<'s, '_>, keyword: &'s str, argument: &'s Json, value: &Holed<'_>) -> Judged<'s> {
        let has = |name: &str| match &value.shape {
            Shape::Map(entries) => entries.iter().any(|(key, _)| *key == name),
            _ => false,
        };
        let absent = |names: &'s Json| {
            let names = names.as_array().into_iter().flatten().filter_map(Json::as_str);
            names.filter(|name| !has(name)).collect::<Vec<_>>()
        };
        let what = match (keyword, argument) {
            ("type", Json::String(one)) => What::Type(vec![one]),
            ("type", Json::Array(several)) => What::Type(several.iter().filter_map(Json::as_str).collect()),
            ("enum", Json::Array(values)) => What::Value(values.iter().collect()),
            ("const", value) => What::Value(vec![value]),
            ("required" | "dependentRequired", _) => {
                let names = match argument {
                    Json::Object(map) => {
                        map.iter().filter(|(key, _)| has(key)).flat_map(|(_, names)| absent(names)).collect()
                    }
                    names => absent(names),
                };
                match here.missing(names) {
                    Judged { verdict: Verdict::Fits, .. } => What::Limit(keyword, argument),
                    missing => return missing,
                }
            }
            _ => What::Limit(keyword, argument),
        };
        here.misfit(what)
    }

    fn mapping(
        &mut self,
        here: Here<'s, '_>,
        keyword: &'s str,
        argument: &'s Json,
        value: &Holed<'_>,
        entries: &[(&str, Holed<'_>)],
    ) -> Judged<'s> {
        let mut judged = Judged::of(Verdict::Fits);
        let find = |name: &str| entries.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        match (keyword, argument) {
            ("properties", Json::Object(properties)) => {
                for (name, schema) in properties {
                    if let Some(value) = find(name) {
                        judged.and(self.judge(schema, value, &here.at.below(name), None));
                    }
                }
            }
            ("patternProperties", Json::Object(patterns)) => {
                for (pattern, schema) in patterns {
                    for (key, value) in entries {
                        match self.matches(pattern, key) {
                            Some(true) => judged.and(self.judge(schema, value, &here.at.below(key), None)),
                            Some(false) => {}
                            None => judged.and(Judged::of(Verdict::Unknown)),
                        }
                    }
                }
            }
            ("additionalProperties", schema) => {
                let listed = here.map.get("properties").and_then(Json::as_object);
                let patterns = here.map.get("patternProperties").and_then(Json::as_object);
                for (key, value) in entries {
                    if listed.is_some_and(|listed| listed.contains_key(*key)) {
                        continue;
                    }
                    let matched: Vec<_> = patterns
                        .into_iter()
                        .flat_map(JsonMap::keys)
                        .map(|pattern| self.matches(pattern, key))
                        .collect();
                    let at = here.at.below(key);
                    if matched.contains(&Some(true)) {
                        continue;
                    }
                    if matched.contains(&None) {
                        judged.and(Judged::of(Verdict::Unknown));
                    } else if schema == &Json::Bool(false) {
                        let known = listed.into_iter().flat_map(JsonMap::keys).map(String::as_str).collect();
                        judged.and(misfit(&at, What::Unknown(known), None));
                    } else {
                        judged.and(self.judge(schema, value, &at, None));
                    }
                }
            }
            ("propertyNames", schema) => {
                for (key, _) in entries {
                    let name = Json::String(key.to_string());
                    let at = here.at.below(key);
                    let mut one = self.judge(schema, &Holed::scalar(&name), &at, None);
                    // One is enough of a name.
                    one.misfits.truncate(1);
                    for found in &mut one.misfits {
                        found.what = What::Name(Box::new(std::mem::replace(&mut found.what, What::Never)));
                    }
                    judged.and(one);
                }
            }
            ("dependentSchemas" | "dependencies", Json::Object(map)) => {
                for (_, dependent) in map.iter().filter(|(name, _)| find(name).is_some()) {
                    match dependent {
                        Json::Array(names) => {
                            let absent = names.iter().filter_map(Json::as_str).filter(|name| find(name).is_none());
                            judged.and(here.missing(absent.collect()));
                        }
                        schema => judged.and(self.judge(schema, value, here.at, here.described)),
                    }
                }
            }
            _ => judged.and(Judged::of(Verdict::Unknown)),
        }
        judged
    }

    fn list(&mut self, here: Here<'s, '_>, keyword: &'s str, argument: &'s Json, items: &[Holed<'_>]) -> Judged<'s> {
        let mut judged = Judged::of(Verdict::Fits);
        match (keyword, argument) {
            ("prefixItems", Json::Array(schemas)) => {
                for (index, (schema, item)) in schemas.iter().zip(items).enumerate() {
                    judged.and(self.judge(schema, item, &here.at.below(&index.to_string()), None));
                }
            }
            ("items", Json::Object(_) | Json::Bool(_)) => {
                let before = here.map.get("prefixItems").and_then(Json::as_array).map_or(0, Vec::len);
                for (index, item) in items.iter().enumerate().skip(before) {
                    judged.and(self.judge(argument, item, &here.at.below(&index.to_string()), None));
                }
            }
            ("contains", Json::Object(_) | Json::Bool(_)) => {
                let bound = |name: &str, without: u64| match here.map.get(name) {
                    None => Some(without),
                    Some(number) => number.as_u64(),
                };
                let (Some(min), Some(max)) = (bound("minContains", 1), bound("maxContains", u64::MAX)) else {
                    return Judged::of(Verdict::Unknown);
                };
                let verdicts: Vec<_> =
                    items.iter().map(|item| self.judge(argument, item, here.at, None).verdict).collect();
                let count = |verdict| verdicts.iter().filter(|one| **one == verdict).count() as u64;
                let (fit, unknown) = (count(Verdict::Fits), count(Verdict::Unknown));
                return match () {
                    () if fit > max || fit + unknown < min => here.misfit(What::Limit(keyword, argument)),
                    () => Judged::fits_if(fit >= min && fit + unknown <= max),
                };
            }
            _ => return Judged::of(Verdict::Unknown),
        }
        judged
    }

    /// A schema whose keywords depend on what the others saw is the validator's, whole; and only of constants.
    fn whole(&mut self, here: Here<'s, '_>, value: &Holed<'_>) -> Judged<'s> {
        let Some(constant) = value.constant else { return Judged::of(Verdict::Unknown) };
        let key = std::ptr::from_ref(here.map) as usize;
        let root = self.root;
        let build = || {
            let mut left = PLUGIN_SCHEMA;
            let schema = inlined(root, &Json::Object(here.map.clone()), &mut left, 0)?;
            options().build(&schema).ok().map(Rc::new)
        };
        let Some(validator) = self.compiled.entry((Part::Schema, key)).or_insert_with(build).clone() else {
            return Judged::of(Verdict::Unknown);
        };
        let mut judged = Judged::of(if validator.is_valid(constant) { Verdict::Fits } else { Verdict::Unknown });
        if judged.verdict == Verdict::Fits {
            return judged;
        }
        for error in validator.iter_errors(constant) {
            // The others are found by their own keywords.
            let (ValidationErrorKind::UnevaluatedProperties { unexpected }
            | ValidationErrorKind::UnevaluatedItems { unexpected }) = error.kind()
            else {
                continue;
            };
            if !error.instance_path().as_str().is_empty() {
                continue;
            }
            for name in unexpected {
                let is_key = matches!(value.shape, Shape::Map(_));
                let what = if is_key { What::Unknown(Vec::new()) } else { What::Never };
                let named = if is_key { here.at.below(name) } else { *here.at };
                judged.and(misfit(&named, what, None));
            }
        }
        judged
    }

    /// Does `pattern` match `key`? None: it is no pattern.
    fn matches(&mut self, pattern: &'s String, key: &str) -> Option<bool> {
        let address = std::ptr::from_ref(pattern) as usize;
        let build = || options().build(&keyword_alone("pattern", Json::String(pattern.clone()))).ok().map(Rc::new);
        let validator = self.compiled.entry((Part::Pattern, address)).or_insert_with(build).as_ref()?;
        Some(validator.is_valid(&Json::String(key.to_string())))
    }

    /// Is `value` valid for this keyword alone? None: it cannot be compiled.
    fn is_valid(&mut self, keyword: &str, argument: &'s Json, value: &Json) -> Option<bool> {
        // What is plain needs no validator.
        match (keyword, argument, value) {
            ("type", Json::String(name), _) => return Some(has_type(value, name)),
            ("type", Json::Array(names), _) => {
                return Some(names.iter().filter_map(Json::as_str).any(|name| has_type(value, name)));
            }
            ("enum", Json::Array(values), Json::String(_)) => return Some(values.contains(value)),
            ("const", _, Json::String(_)) => return Some(argument == value),
            ("required", Json::Array(names), Json::Object(map)) => {
                return Some(names.iter().filter_map(Json::as_str).all(|name| map.contains_key(name)));
            }
            _ => {}
        }
        let address = std::ptr::from_ref(argument) as usize;
        let build = || options().build(&keyword_alone(keyword, argument.clone())).ok().map(Rc::new);
        let validator = self.compiled.entry((Part::Argument, address)).or_insert_with(build).as_ref()?;
        Some(validator.is_valid(value))
    }
}

fn keyword_alone(keyword: &str, argument: Json) -> Json {
    Json::Object(JsonMap::from_iter([(keyword.to_string(), argument)]))
}

fn has_type(value: &Json, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        // The validator knows no other.
        _ => true,
    }
}

/// A schema and the place it is asked of.
#[derive(Clone, Copy)]
struct Here<'s, 'p> {
    map: &'s JsonMap,
    at: &'p At<'p>,
    described: Option<&'s str>,
}

impl<'s> Here<'s, '_> {
    fn misfit(&self, what: What<'s>) -> Judged<'s> {
        misfit(self.at, what, self.described)
    }

    /// The mapping lacks these keys; each is described by its own schema.
    fn missing(&self, names: Vec<&'s str>) -> Judged<'s> {
        let mut judged = Judged::of(Verdict::Fits);
        for name in names {
            let described = self.map.get("properties").and_then(|all| all.get(name)?.get("description")?.as_str());
            judged.and(misfit(self.at, What::Missing(name.to_string()), described));
        }
        judged
    }
}

fn misfit<'s>(at: &At<'_>, what: What<'s>, described: Option<&'s str>) -> Judged<'s> {
    Judged { verdict: Verdict::Misfit, misfits: vec![Misfit { at: at.path(), what, described }] }
}

/// Of a value that fits none of several schemas: what is wrong with it by the one that was most likely meant.
fn nearest<'s>(each: Vec<Judged<'s>>, here: Here<'s, '_>, schemas: &'s Json) -> Judged<'s> {
    let depth = here.at.depth;
    let of_type = |one: &Misfit<'s>| matches!(&one.what, What::Type(_)) && one.at.len() == depth;
    // A constant that tells the schemas apart, such as `kind: mail`, is at the place or one key below it.
    let of_value = |one: &Misfit<'s>| matches!(&one.what, What::Value(_)) && one.at.len() <= depth + 1;
    let rank = |one: &Judged<'s>| match () {
        () if one.misfits.iter().any(of_type) => 2,
        () if one.misfits.iter().any(of_value) => 1,
        () => 0,
    };
    let Some(best) = each.iter().map(rank).min() else { return Judged::of(Verdict::Unknown) };
    let total = each.len();
    let mut meant: Vec<Judged<'s>> = each.into_iter().filter(|one| rank(one) == best).collect();
    if meant.len() == 1 {
        return meant.swap_remove(0);
    }
    if best == 2 && meant.len() == total {
        let mut all: Vec<&'s str> = Vec::new();
        for found in meant.iter().flat_map(|one| &one.misfits).filter(|one| of_type(one)) {
            let What::Type(names) = &found.what else { continue };
            for name in names.iter().copied() {
                if !all.contains(&name) {
                    all.push(name);
                }
            }
        }
        return here.misfit(What::Type(all));
    }
    if best == 1 {
        let first = meant[0].misfits.iter().filter(|one| of_value(one)).map(|one| one.at.clone()).collect::<Vec<_>>();
        let shared = first
            .into_iter()
            .find(|at| meant.iter().all(|one| one.misfits.iter().any(|found| of_value(found) && &found.at == at)));
        if let Some(at) = shared {
            let mut all: Vec<&'s Json> = Vec::new();
            for found in meant.iter().flat_map(|one| &one.misfits).filter(|one| of_value(one) && one.at == at) {
                let What::Value(values) = &found.what else { continue };
                for value in values.iter().copied() {
                    if !all.contains(&value) {
                        all.push(value);
                    }
                }
            }
            let what = What::Value(all);
            return Judged { verdict: Verdict::Misfit, misfits: vec![Misfit { at, what, described: here.described }] };
        }
    }
    let titles = schemas.as_array().into_iter().flatten().filter_map(|schema| schema.get("title")?.as_str());
    here.misfit(What::Forms(titles.collect()))
}

/// `schema` with every reference replaced by what it leads to; None if that is too large. Schemas do not recur.
fn inlined(root: &Json, schema: &Json, left: &mut usize, depth: usize) -> Option<Json> {
    if depth > PLUGIN_SCHEMA_DEPTH {
        return None;
    }
    match schema {
        Json::Object(map) => {
            let mut copy = JsonMap::with_capacity(map.len());
            let mut target = None;
            for (key, value) in map {
                match key.as_str() {
                    "$ref" if value.is_string() => {
                        let found = root.pointer(value.as_str()?.strip_prefix('#')?)?;
                        target = Some(inlined(root, found, left, depth + 1)?);
                    }
                    "$defs" | "definitions" => {}
                    "enum" | "const" | "default" | "examples" => {
                        *left = left.checked_sub(text_len(value))?;
                        copy.insert(key.clone(), value.clone());
                    }
                    _ => {
                        copy.insert(key.clone(), inlined(root, value, left, depth + 1)?);
                    }
                }
            }
            if let Some(target) = target {
                match copy.entry("allOf").or_insert_with(|| Json::Array(Vec::new())) {
                    Json::Array(all) => all.push(target),
                    _ => return None,
                }
            }
            Some(Json::Object(copy))
        }
        Json::Array(items) => {
            let items = items.iter().map(|item| inlined(root, item, left, depth + 1));
            Some(Json::Array(items.collect::<Option<_>>()?))
        }
        _ => {
            *left = left.checked_sub(text_len(schema))?;
            Some(schema.clone())
        }
    }
}
