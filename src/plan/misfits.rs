//! What of a plugin step's `with:` cannot fit its input schema, in words, at the key or value to blame.

use super::analyse::{Part, Problems, Weight};
use super::layout::Slot;
use crate::base::Json;
use crate::base::json::{JsonMap, kind};
use crate::base::limits::SCHEMA_MISFITS;
use crate::lang::diagnostic::suggestion;
use crate::lang::reader::shown;
use crate::lang::schema::holed::Holed;
use crate::lang::schema::misfit::{Misfit, What};
use crate::lang::schema::{clean, misfits};

/// Longest description of a schema that is repeated, in bytes.
const DESCRIBED: usize = 200;

/// Values or names that are listed.
const LISTED: usize = 20;

/// Reports what `given`, the `with` of a step of the kind `step`, has that cannot fit `schema`.
pub(super) fn check(schema: &Json, step: &str, given: &JsonMap, slot: &Slot<'_>, problems: &mut Problems) {
    let given = Json::Object(given.clone());
    for misfit in misfits(schema, &Holed::of(&given), SCHEMA_MISFITS) {
        let Misfit { at, what, described } = &misfit;
        let found = at.iter().try_fold(&given, |value, part| match value {
            Json::Object(map) => map.get(part),
            Json::Array(items) => items.get(part.parse::<usize>().ok()?),
            _ => None,
        });
        let said = Said::of(what, at, found, step);
        let below: Vec<&str> = std::iter::once("with").chain(at.iter().map(String::as_str)).collect();
        // Where there is no `with`, and for the whole of it, the step's kind is the place to look at.
        let (path, part) = match (at.is_empty(), what) {
            (true, _) => (slot.at(&["uses"]), Part::Value),
            (false, What::Unknown(_) | What::Name(_) | What::Missing(_)) => (slot.at(&below), Part::Key),
            (false, _) => (slot.at(&below), Part::Value),
        };
        let described = described.map(|text| format!("it is described as: {}", clean(text.trim(), DESCRIBED)));
        let help: Vec<String> = said.help.into_iter().chain(described).collect();
        let problem = problems.add(said.code, &path, part, said.message);
        problem.weight = Weight::Contract;
        problem.help = (!help.is_empty()).then(|| help.join("; "));
    }
}

struct Said {
    code: &'static str,
    message: String,
    help: Option<String>,
}

impl Said {
    fn of(what: &What<'_>, at: &[String], found: Option<&Json>, step: &str) -> Self {
        let said = |code, message: String| Said { code, message, help: None };
        // The mapping that a key is, or ought to be, in.
        let owner = |at: &[String]| match at.last() {
            None => format!("`{step}`"),
            Some(part) if part.parse::<usize>().is_ok() => "this item".to_string(),
            Some(part) => format!("`{}`", shown(part)),
        };
        let found_kind = found.map_or("something else", kind);
        match what {
            What::Never => said("bad-value", "nothing may stand here".to_string()),
            What::Type(types) => {
                let expected = types.iter().map(|name| in_words(name)).collect::<Vec<_>>().join(" or ");
                // A fraction where a whole number is due is a number as well.
                let found = match found {
                    Some(number @ Json::Number(_)) => format!("the number {number}"),
                    _ => found_kind.to_string(),
                };
                said("wrong-type", format!("expected {expected}, found {found}"))
            }
            What::Value(values) => value(values, found),
            What::Missing(name) => {
                let name = shown(name);
                let key = if at.is_empty() { format!("with.{name}") } else { name };
                said("missing-key", format!("{} needs `{key}`", owner(at)))
            }
            What::Unknown(known) => {
                let (above, key) = at.split_at(at.len().saturating_sub(1));
                let key = key.first().map_or("", String::as_str);
                let (word, words) = if above.is_empty() { ("input", "inputs") } else { ("key", "keys") };
                let message = format!("{} has no {word} `{}`", owner(above), shown(key));
                Said { code: "unknown-key", message, help: suggestion(key, words, known.iter().copied()) }
            }
            What::Name(inner) => {
                let key = at.last().map_or("", String::as_str);
                let name = Json::String(key.to_string());
                let why = Said::of(inner, at, Some(&name), step);
                Said {
                    code: "bad-name",
                    message: format!("`{}` is no name for a key here: {}", shown(key), why.message),
                    ..why
                }
            }
            What::Limit(keyword, argument) => said("bad-value", limit(keyword, argument, found)),
            What::Not => said("bad-value", "this is just what it must not be".to_string()),
            What::Several => {
                said("bad-value", "this fits several of the forms it may have, and must fit exactly one".to_string())
            }
            What::Forms(titles) => Said {
                help: (!titles.is_empty()).then(|| format!("known forms: {}", listed(titles.iter().copied()))),
                ..said("bad-value", "this fits none of the forms it may have".to_string())
            },
            What::Said(text) => said("bad-value", format!("this does not fit: {text}")),
        }
    }
}

/// A value that is none of `values`.
fn value(values: &[&Json], found: Option<&Json>) -> Said {
    let texts: Vec<&str> = values.iter().filter_map(|value| value.as_str()).collect();
    let message = match (found, values) {
        (_, []) => "no value may stand here".to_string(),
        (Some(Json::String(text)), _) => format!("`{}` is none of its values", shown(text)),
        (Some(number @ (Json::Number(_) | Json::Bool(_))), _) => format!("`{number}` is none of its values"),
        _ => "this is none of its values".to_string(),
    };
    let help = match found {
        Some(Json::String(text)) if texts.len() == values.len() => suggestion(text, "values", texts),
        _ if values.len() <= LISTED && !values.is_empty() => {
            let shown: Vec<String> = values.iter().map(|value| literal(value)).collect();
            Some(format!("known values: {}", listed(shown.iter().map(String::as_str))))
        }
        _ => None,
    };
    Said { code: "bad-value", message, help }
}

/// What goes against a bound or another keyword.
fn limit(keyword: &str, argument: &Json, found: Option<&Json>) -> String {
    let argument_text = literal(argument);
    let number = found.map_or(String::new(), literal);
    let length = match found {
        Some(Json::String(text)) => text.chars().count(),
        Some(Json::Array(items)) => items.len(),
        Some(Json::Object(map)) => map.len(),
        _ => 0,
    };
    let (most, word) = match keyword {
        "minimum" => return format!("expected at least {argument_text}, found {number}"),
        "maximum" => return format!("expected at most {argument_text}, found {number}"),
        "exclusiveMinimum" => return format!("expected more than {argument_text}, found {number}"),
        "exclusiveMaximum" => return format!("expected less than {argument_text}, found {number}"),
        "multipleOf" => return format!("expected a multiple of {argument_text}, found {number}"),
        "pattern" => return format!("`{}` does not match the pattern `{argument_text}`", shown(&number)),
        "format" => return format!("`{}` has not the form `{argument_text}`", shown(&number)),
        "uniqueItems" => return "the list holds the same item twice".to_string(),
        "contains" => return "the list does not hold the items that it has to".to_string(),
        "minLength" => ("least", "character"),
        "maxLength" => ("most", "character"),
        "minItems" => ("least", "item"),
        "maxItems" => ("most", "item"),
        "minProperties" => ("least", "key"),
        "maxProperties" => ("most", "key"),
        _ => return format!("this goes against `{}`", shown(keyword)),
    };
    let s = if argument.as_f64() == Some(1.0) { "" } else { "s" };
    format!("expected at {most} {argument_text} {word}{s}, found {length}")
}

/// A constant as a person writes it.
fn literal(value: &Json) -> String {
    match value {
        Json::String(text) => shown(text),
        other => shown(&clean(&other.to_string(), DESCRIBED)),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.take(LISTED).map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ")
}

/// A JSON type.
pub(super) fn in_words(name: &str) -> &str {
    match name {
        "null" => "nothing",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        "object" => "a mapping",
        other => other,
    }
}
