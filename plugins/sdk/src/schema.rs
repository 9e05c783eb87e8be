//! Schemas of steps: derived from their types, and closed.
//!
//! schemars leaves objects open unless a type says `deny_unknown_fields`. A misspelled key of `with:` or of `steps.x` is then
//! found by nobody, so every object that names its properties is closed here. Where an object is put together from several
//! schemas (`allOf`, a flattened enum) none of the parts knows the others' properties: there the whole is closed, by
//! `unevaluatedProperties`.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// The schema of `with:`; always one of an object.
pub(crate) fn input<T: JsonSchema>() -> String {
    let mut schema = derive::<T>(settings().for_deserialize());
    schema.entry("type").or_insert_with(|| "object".into());
    Value::Object(schema).to_string()
}

/// The schema of what serde writes of `T`.
pub(crate) fn output<T: JsonSchema>() -> String {
    Value::Object(derive::<T>(settings().for_serialize())).to_string()
}

/// Without references, which only a type that holds itself needs then (and moltrun refuses that one).
fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    })
}

fn derive<T: JsonSchema>(settings: SchemaSettings) -> Map<String, Value> {
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    close(&mut schema, false);
    match schema {
        Value::Object(mut schema) => {
            // The name of a Rust type, which says nothing to whoever writes a workflow.
            schema.remove("title");
            schema
        }
        // `true`: anything at all.
        _ => Map::new(),
    }
}

/// Closes the objects in `schema`; `part` is one that is put together with others into an object.
fn close(schema: &mut Value, part: bool) {
    let Value::Object(node) = schema else { return };
    // `uint32` and the like: names of Rust types that no validator knows.
    node.retain(|key, value| key != "format" || !value.as_str().is_some_and(is_number_format));
    let has_properties = node.contains_key("properties");
    let is_composed =
        node.contains_key("allOf") || (has_properties && (node.contains_key("oneOf") || node.contains_key("anyOf")));
    let says_itself = node.contains_key("additionalProperties") || node.contains_key("unevaluatedProperties");
    if is_composed {
        for key in ["allOf", "anyOf", "oneOf"] {
            // What a part says itself would be said of the properties of the others too.
            each(node.get_mut(key), |one| {
                if let Value::Object(one) = one {
                    one.remove("additionalProperties");
                }
                close(one, true);
            });
        }
        node.remove("additionalProperties");
    } else {
        for key in ["allOf", "anyOf", "oneOf"] {
            each(node.get_mut(key), |one| close(one, part));
        }
    }
    if !part && is_composed {
        node.insert("unevaluatedProperties".to_string(), false.into());
    } else if !part && has_properties && !says_itself {
        node.insert("additionalProperties".to_string(), false.into());
    }
    for key in ["$defs", "properties", "patternProperties"] {
        if let Some(Value::Object(named)) = node.get_mut(key) {
            named.values_mut().for_each(|one| close(one, false));
        }
    }
    each(node.get_mut("prefixItems"), |one| close(one, false));
    for key in ["additionalProperties", "items"] {
        if let Some(one) = node.get_mut(key) {
            close(one, false);
        }
    }
}

fn each(list: Option<&mut Value>, mut f: impl FnMut(&mut Value)) {
    if let Some(Value::Array(list)) = list {
        list.iter_mut().for_each(&mut f);
    }
}

fn is_number_format(format: &str) -> bool {
    format.starts_with("int") || format.starts_with("uint") || ["double", "float"].contains(&format)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Row {
        /// How many.
        count: u32,
        note: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<Tag>,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Tag {
        name: String,
    }

    #[test]
    fn every_object_is_closed() {
        let tag = json!({
            "type": "object", "additionalProperties": false, "required": ["name"],
            "properties": {"name": {"type": "string"}},
        });
        let properties = json!({
            "count": {"type": "integer", "minimum": 0, "description": "How many."},
            "note": {"type": ["string", "null"]},
            "tags": {"type": "array", "items": tag},
        });
        let mut expected = json!({
            "type": "object", "additionalProperties": false, "required": ["count", "note"], "properties": properties,
        });
        assert_eq!(read(&output::<Row>()), expected);
        // Who reads may leave out what has a default.
        expected["required"] = json!(["count"]);
        expected["properties"]["tags"]["default"] = json!([]);
        expected["properties"]["count"]["maximum"] = read(&input::<Row>())["properties"]["count"]["maximum"].clone();
        let mut found = read(&input::<Row>());
        for place in [&mut found, &mut expected] {
            let count = place["properties"]["count"].as_object_mut().unwrap();
            count.remove("maximum");
            place["properties"]["tags"].as_object_mut().unwrap().remove("default");
        }
        assert_eq!(found, expected);
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Whole {
        id: String,
        #[serde(flatten)]
        shape: Shape,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Shape {
        Round { radius: f64 },
        Square { side: f64 },
    }

    #[test]
    fn an_object_of_parts_is_closed_as_a_whole() {
        let whole = read(&output::<Whole>());
        assert_eq!(whole["unevaluatedProperties"], false, "{whole:#}");
        for part in whole["oneOf"].as_array().unwrap() {
            assert_eq!(part.get("additionalProperties"), None, "{whole:#}");
        }
        // Alone, each of the variants is an object of its own.
        let alone = read(&output::<Shape>());
        for variant in alone["oneOf"].as_array().unwrap() {
            assert_eq!(variant["additionalProperties"], false, "{alone:#}");
        }
    }

    #[test]
    fn maps_stay_open_and_inputs_are_objects() {
        assert_eq!(
            read(&output::<BTreeMap<String, Tag>>())["additionalProperties"]["additionalProperties"],
            false,
            "the values are closed"
        );
        assert_eq!(read(&input::<Value>()), json!({"type": "object"}));
        assert_eq!(read(&output::<Value>()), json!({}));
        assert_eq!(read(&output::<u8>())["type"], "integer");
    }
}
