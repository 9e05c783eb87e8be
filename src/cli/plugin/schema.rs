//! A JSON Schema in one line, for people: `{ text: string, keywords: [string], limit?: integer }`. It leaves out what does
//! not fit a line (bounds, descriptions, patterns); `--json` has all of it.

use crate::base::Json;
use crate::base::json::JsonMap;

/// Objects and lists within each other that are shown; what is deeper is `…`.
const DEPTH: usize = 4;

/// Names of an object, and words of an enumeration, that are shown.
const SHOWN: usize = 12;

pub fn compact(schema: &Json) -> String {
    shape(schema, schema, DEPTH)
}

fn shape(schema: &Json, root: &Json, depth: usize) -> String {
    if depth == 0 {
        return "…".to_string();
    }
    if let Some(name) = schema["$ref"].as_str() {
        return match name.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) {
            Some(meant) => shape(meant, root, depth - 1),
            None => "…".to_string(),
        };
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(words) = schema["enum"].as_array() {
        return listed(words.iter().map(Json::to_string), "|");
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(options) = schema[key].as_array() {
            return listed(options.iter().map(|option| shape(option, root, depth - 1)), " | ");
        }
    }
    match &schema["type"] {
        Json::Array(types) => listed(types.iter().filter_map(Json::as_str).map(str::to_string), "|"),
        Json::String(kind) if kind == "object" => object(schema, root, depth),
        Json::String(kind) if kind == "array" => format!("[{}]", shape(&schema["items"], root, depth - 1)),
        Json::String(kind) => kind.clone(),
        _ => "any".to_string(),
    }
}

fn object(schema: &Json, root: &Json, depth: usize) -> String {
    let none = JsonMap::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    let open = schema["additionalProperties"] != Json::Bool(false);
    let mut parts: Vec<String> = properties
        .iter()
        .map(|(name, value)| {
            let mark = if required(name) { "" } else { "?" };
            format!("{name}{mark}: {}", shape(value, root, depth - 1))
        })
        .collect();
    if open {
        parts.push("…".to_string());
    }
    if parts.is_empty() { "{}".to_string() } else { format!("{{ {} }}", listed(parts.into_iter(), ", ")) }
}

fn listed(parts: impl Iterator<Item = String>, between: &str) -> String {
    let mut parts: Vec<String> = parts.collect();
    if parts.len() > SHOWN {
        parts.truncate(SHOWN);
        parts.push("…".to_string());
    }
    parts.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schemas_in_a_line() {
        for (schema, line) in [
            (json!({}), "any"),
            (json!({"type": ["string", "null"]}), "string|null"),
            (json!({"enum": ["a", 1]}), "\"a\"|1"),
            (
                json!({"type": "object", "additionalProperties": false, "required": ["b"],
                    "properties": {"b": {"type": "array", "items": {"type": "string"}}, "c": {"$ref": "#/$defs/x"}},
                    "$defs": {"x": {"anyOf": [{"const": true}, {"type": "number"}]}}}),
                "{ b: [string], c?: true | number }",
            ),
            (json!({"type": "object"}), "{ … }"),
            (json!({"type": "object", "additionalProperties": false}), "{}"),
            (json!({"$ref": "#"}), "…"),
            (json!({"$ref": "#/nowhere"}), "…"),
            (json!({"type": "array"}), "[any]"),
        ] {
            assert_eq!(compact(&schema), line, "{schema}");
        }
        let many: Vec<_> = (0..20).collect();
        assert!(compact(&json!({"enum": many})).ends_with("|11|…"));
    }
}
