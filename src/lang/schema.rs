//! JSON Schemas: of plugin steps, and of the answers that `ai.prompt` is to give. They come from outside, so they are
//! bounded before they are compiled: in size, in the nodes they have once references are followed (which makes recursion and
//! doubling impossible), in where references lead (inside the schema only), and in how patterns match (in linear time).

pub mod access;
pub mod holed;
mod judge;
#[cfg(test)]
mod judge_tests;
pub mod misfit;

use jsonschema::{Draft, PatternOptions, ValidationOptions, Validator};

use crate::base::Json;
use crate::base::json::text_len;
use crate::base::limits::{PLUGIN_SCHEMA, PLUGIN_SCHEMA_DEPTH, PLUGIN_SCHEMA_NODES};
use holed::Holed;
use judge::{At, Judge};
use misfit::{Misfit, What};

/// Longest error shown; a schema or a value may be part of it.
const ERROR_BYTES: usize = 300;

/// Keywords that move what a reference means.
const UNSUPPORTED: &[&str] = &["$anchor", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveRef"];

/// A schema that was checked and compiled.
#[derive(Debug)]
pub struct Schema {
    pub json: Json,
    validator: Validator,
}

/// Why something is no schema that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// Keys and indexes from the schema's root, where one place is to blame.
    pub at: Vec<String>,
    /// With that place as a JSON pointer, if there is one.
    pub message: String,
}

impl From<String> for SchemaError {
    fn from(message: String) -> Self {
        Self { at: Vec::new(), message }
    }
}

impl Schema {
    /// Checks and compiles `text`; an error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > PLUGIN_SCHEMA {
            return Err(too_large(text.len()));
        }
        let json: Json = serde_json::from_str(text).map_err(|e| format!("it is not JSON: {e}"))?;
        Self::of(json).map_err(|error| error.message)
    }

    /// Checks and compiles a schema that is JSON already.
    pub fn of(json: Json) -> Result<Self, SchemaError> {
        if text_len(&json) > PLUGIN_SCHEMA {
            return Err(too_large(text_len(&json)).into());
        }
        if !json.is_object() {
            return Err("it is not an object".to_string().into());
        }
        Walk::new(&json).visit(&json)?;
        let validator = options().build(&json).map_err(|error| {
            let pointer = error.instance_path().to_string();
            SchemaError { at: parts(&pointer), message: clean(&format!("at `{pointer}`: {error}"), ERROR_BYTES) }
        })?;
        Ok(Self { json, validator })
    }

    /// Whether `value` fits; an error names the place (a JSON pointer) and what is wrong there.
    pub fn check(&self, value: &Json) -> Result<(), String> {
        self.validator
            .validate(value)
            .map_err(|error| clean(&format!("at {}: {error}", place(&error.instance_path().to_string())), ERROR_BYTES))
    }

    /// What does not fit of `value`, the first `most` places. Unless `shown`, what stands there is left out: it may be
    /// somebody's.
    pub fn misfits(&self, value: &Json, most: usize, shown: bool) -> Vec<String> {
        let one = |error: jsonschema::ValidationError<'_>| {
            let what = if shown { error.to_string() } else { error.masked().to_string() };
            clean(&format!("at {}: {what}", place(&error.instance_path().to_string())), ERROR_BYTES)
        };
        self.validator.iter_errors(value).take(most).map(one).collect()
    }
}

/// What cannot fit `schema` of a value in which templates may stand for strings, whatever these give: the first `most`
/// mistakes. A value without templates is one that the validator takes, or there is a mistake.
pub fn misfits<'s>(schema: &'s Json, value: &Holed<'_>, most: usize) -> Vec<Misfit<'s>> {
    // Compiled for constants only: what a template gives is judged when the step runs.
    let compiled = value.constant.and_then(|constant| Some((constant, Schema::of(schema.clone()).ok()?)));
    if compiled.as_ref().is_some_and(|(constant, schema)| schema.validator.is_valid(constant)) {
        return Vec::new();
    }
    let mut found: Vec<Misfit<'s>> = Vec::new();
    for misfit in Judge::new(schema).judge(schema, value, &At::ROOT, None).misfits {
        if found.len() < most && !found.contains(&misfit) {
            found.push(misfit);
        }
    }
    if let Some((constant, compiled)) = compiled
        && found.is_empty()
    {
        let said = |error: jsonschema::ValidationError<'_>| Misfit {
            at: parts(error.instance_path().as_str()),
            what: What::Said(clean(&error.masked().to_string(), ERROR_BYTES)),
            described: None,
        };
        found.extend(compiled.validator.iter_errors(constant).take(most).map(said));
    }
    found
}

/// How every schema of ours is compiled.
fn options<'i>() -> ValidationOptions<'i> {
    jsonschema::options()
        .offline()
        // Whatever `$schema` says: older drafts read references in other ways than the walk does.
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex().size_limit(1 << 20).dfa_size_limit(1 << 20))
}

/// The keys and indexes of a JSON pointer.
fn parts(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect()
}

fn too_large(bytes: usize) -> String {
    format!("it is {bytes} bytes, more than the {PLUGIN_SCHEMA} allowed")
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "the root".to_string() } else { format!("`{pointer}`") }
}

/// `text` in at most `limit` bytes (and a mark of the cut), with control characters as spaces, so that somebody else's text
/// can neither flood a journal nor drive a terminal.
pub fn clean(text: &str, limit: usize) -> String {
    let end = text.floor_char_boundary(limit);
    let mut clean: String = text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if end < text.len() {
        clean.push('…');
    }
    clean
}

/// The walk over a schema that proves it bounded. It must see references exactly as the validator does, so whatever
/// gives them another meaning (other base addresses, dynamic scopes, escapes) is refused.
struct Walk<'a> {
    root: &'a Json,
    /// References that are being followed.
    trail: Vec<&'a str>,
    depth: usize,
    nodes: usize,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Json) -> Self {
        Self { root, trail: Vec::new(), depth: 0, nodes: 0 }
    }

    fn visit(&mut self, node: &'a Json) -> Result<(), String> {
        self.nodes += 1;
        self.depth += 1;
        if self.nodes > PLUGIN_SCHEMA_NODES {
            return Err(format!("it has more than {PLUGIN_SCHEMA_NODES} nodes once its references are followed"));
        }
        if self.depth > PLUGIN_SCHEMA_DEPTH {
            return Err(format!("it nests deeper than {PLUGIN_SCHEMA_DEPTH} once its references are followed"));
        }
        match node {
            Json::Array(items) => items.iter().try_for_each(|item| self.visit(item))?,
            Json::Object(map) => {
                let text = |key: &str| map.get(key).and_then(Json::as_str);
                if let Some(key) = UNSUPPORTED.iter().find(|key| text(key).is_some()) {
                    return Err(format!("`{key}` is not supported; use `$ref` and `#/$defs/...`"));
                }
                if let Some(reference) = text("$ref") {
                    self.follow(reference)?;
                }
                map.values().try_for_each(|value| self.visit(value))?;
            }
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }

    fn follow(&mut self, reference: &'a str) -> Result<(), String> {
        let shown = clean(reference, 100);
        let Some(pointer) = reference.strip_prefix('#') else {
            return Err(format!("`$ref: {shown}` leads outside; a reference starts with `#/$defs/`"));
        };
        if reference.contains('%') {
            return Err(format!("`$ref: {shown}` holds an escape; name the definition without one"));
        }
        if self.trail.contains(&reference) {
            return Err(format!("`$ref: {shown}` leads back to itself; recursive schemas are not supported"));
        }
        let root = self.root;
        let target = root.pointer(pointer).ok_or_else(|| format!("`$ref: {shown}` leads nowhere"))?;
        self.trail.push(reference);
        self.visit(target)?;
        self.trail.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_that_does_not_fit_is_told_where() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/n"}}},
            "$defs": {"n": {"type": "integer"}}});
        let schema = Schema::parse(&schema.to_string()).unwrap();
        assert_eq!(schema.check(&json!({"a": [1, 2]})), Ok(()));
        assert_eq!(schema.check(&json!({"a": [1, "x"]})).unwrap_err(), r#"at `/a/1`: "x" is not of type "integer""#);
        assert_eq!(schema.check(&json!(3)).unwrap_err(), r#"at the root: 3 is not of type "object""#);
        let long = schema.check(&json!({"a": ["x".repeat(10_000)]})).unwrap_err();
        assert!(long.len() < 400, "{}", long.len());
    }

    #[test]
    fn what_could_harm_is_refused_with_a_reason() {
        let mut bomb = serde_json::Map::new();
        for n in 0..30 {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            bomb.insert(format!("d{n}"), json!({"allOf": [next, next]}));
        }
        bomb.insert("d30".into(), json!({}));
        let chain: serde_json::Map<_, _> =
            (0..1000).map(|n| (format!("c{n}"), json!({"$ref": format!("#/$defs/c{}", n + 1)}))).collect();
        for (schema, reason) in [
            ("{".to_string(), "it is not JSON: "),
            ("true".to_string(), "it is not an object"),
            (" ".repeat(PLUGIN_SCHEMA + 1), "it is 65537 bytes, more than the 65536 allowed"),
            (json!({"$ref": "http://x.example/s"}).to_string(), "`$ref: http://x.example/s` leads outside"),
            (json!({"$ref": "#"}).to_string(), "`$ref: #` leads back to itself"),
            (json!({"$ref": "#/$defs/x"}).to_string(), "`$ref: #/$defs/x` leads nowhere"),
            (json!({"$ref": "#/a/b/c/d"}).to_string(), "`$ref: #/a/b/c/d` leads nowhere"),
            (json!({"$ref": "#/%24defs/a", "%24defs": {"a": {}}}).to_string(), "`$ref: #/%24defs/a` holds an escape"),
            (json!({"$dynamicRef": "#"}).to_string(), "`$dynamicRef` is not supported"),
            (json!({"items": {"$id": "x", "$ref": "#/a"}, "a": {}}).to_string(), "`$id` is not supported"),
            (json!({"$ref": "#/$defs/c0", "$defs": chain}).to_string(), "it nests deeper than 128"),
            (json!({"$ref": "#/$defs/d0", "$defs": bomb}).to_string(), "it has more than 5000 nodes"),
            (json!({"type": "text"}).to_string(), "at `/type`: "),
            (json!({"pattern": "(?=a)"}).to_string(), "at `/pattern`: "),
        ] {
            let error = Schema::parse(&schema).unwrap_err();
            assert!(error.starts_with(reason), "{schema:.80}: {error}");
        }
    }

    /// In draft 4 the inner `#/a` would be the endless one beside it.
    #[test]
    fn an_older_draft_is_read_as_the_current_one() {
        let inner = json!({"id": "x", "a": {"$ref": "#/a"}, "properties": {"p": {"$ref": "#/a"}}});
        let schema = json!({"$schema": "http://json-schema.org/draft-04/schema#", "a": {}, "properties": {"q": inner}});
        let schema = Schema::parse(&schema.to_string()).unwrap();
        assert_eq!(schema.check(&json!({"q": {"p": 1}})), Ok(()));
    }

    #[test]
    fn patterns_match_in_linear_time() {
        let schema = Schema::parse(r#"{"pattern": "^(a+)+$"}"#).unwrap();
        assert!(schema.check(&json!(format!("{}b", "a".repeat(100_000)))).is_err());
    }
}
