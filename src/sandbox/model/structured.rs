//! Answers that keep to a JSON Schema: the smallest value there is, with the canned answer wherever a text goes.

use serde_json::json;

use crate::base::Json;
use crate::base::json::JsonMap;

/// Nesting of an answer. A schema that is deeper asks for more than a stand-in can say.
const DEPTH: u32 = 16;

/// Values of an answer: lists of lists would otherwise multiply.
const VALUES: u32 = 1_000;

/// A value for `schema`. `question` picks among the words of an `enum`: the first that it holds. What a schema says beyond
/// types, `enum`, `const`, required counts and bounds is not looked at.
pub fn instance(schema: &Json, question: &str, answer: &str) -> Json {
    let asked = Asked { question: question.to_lowercase(), answer };
    let mut left = VALUES;
    asked.value(schema, DEPTH, &mut left)
}

struct Asked<'a> {
    question: String,
    answer: &'a str,
}

impl Asked<'_> {
    fn value(&self, schema: &Json, depth: u32, left: &mut u32) -> Json {
        if *left == 0 {
            return Json::Null;
        }
        *left -= 1;
        if depth == 0 {
            return Json::Null;
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Json::as_array) {
            let is_asked =
                |value: &&Json| value.as_str().is_some_and(|word| self.question.contains(&word.to_lowercase()));
            return values.iter().find(is_asked).or(values.first()).cloned().unwrap_or_default();
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema.get(several).and_then(|several| several.get(0)) {
                return self.value(first, depth - 1, left);
            }
        }
        let number = |key: &str| schema.get(key).and_then(Json::as_u64).and_then(|number| usize::try_from(number).ok());
        match kind(schema) {
            "object" => {
                let none = JsonMap::new();
                let fields = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
                fields.iter().map(|(name, field)| (name.clone(), self.value(field, depth - 1, left))).collect()
            }
            "array" => {
                let any = json!({});
                let item = schema.get("items").unwrap_or(&any);
                let least = number("minItems").unwrap_or(0).min(*left as usize);
                (0..least).map_while(|_| (*left > 0).then(|| self.value(item, depth - 1, left))).collect()
            }
            "boolean" => json!(false),
            "number" | "integer" => {
                schema.get("minimum").filter(|least| least.is_number()).cloned().unwrap_or(json!(0))
            }
            "null" => Json::Null,
            _ => json!(self.answer.chars().take(number("maxLength").unwrap_or(usize::MAX)).collect::<String>()),
        }
    }
}

/// The first type that is named; without one, what the other words belong to.
fn kind(schema: &Json) -> &str {
    let named = match schema.get("type") {
        Some(Json::Array(kinds)) => kinds.first(),
        other => other,
    };
    match named.and_then(Json::as_str) {
        Some(kind) => kind,
        None if schema.get("properties").is_some() => "object",
        None if schema.get("items").is_some() => "array",
        None => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_value_of_a_schema() {
        for (schema, value) in [
            (json!({ "type": "string" }), json!("Yes.")),
            (json!({ "type": "string", "maxLength": 2 }), json!("Ye")),
            (json!({ "enum": ["low", "HIGH"] }), json!("HIGH")),
            (json!({ "enum": ["low", "mid"] }), json!("low")),
            (json!({ "const": 7 }), json!(7)),
            (json!({ "type": ["integer", "null"], "minimum": 3 }), json!(3)),
            (json!({ "type": "array", "minItems": 2, "items": { "type": "boolean" } }), json!([false, false])),
            (json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] }), json!(null)),
            (
                json!({ "properties": { "a": { "type": "number" }, "b": { "type": "object" } } }),
                json!({ "a": 0, "b": {} }),
            ),
            (json!(true), json!("Yes.")),
        ] {
            assert_eq!(instance(&schema, "Is it high?", "Yes."), value, "{schema}");
        }
    }

    #[test]
    fn a_schema_of_lists_of_lists_is_bounded() {
        let mut schema = json!({ "type": "string" });
        for _ in 0..100 {
            schema = json!({ "type": "array", "minItems": 1_000_000, "items": schema });
        }
        assert!(instance(&schema, "", "x").to_string().len() < 20_000);
    }
}
