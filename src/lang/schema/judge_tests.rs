//! The checker's judgement beside the validator's: of constants they are the same, and what templates may give is never
//! refused beforehand.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::holed::Holed;
use super::judge::{At, Judge, Verdict};
use super::{Schema, misfits};
use crate::base::Json;
use crate::base::json::JsonMap;

const NAMES: &[&str] = &["a", "b", "ab", "c/d"];
const TEXTS: &[&str] = &["", "a", "b", "ab", "abc", "é"];

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        (-1i64..4).prop_map(|number| json!(number)),
        select(vec![0.5, 1.0, 2.5, 1e300]).prop_map(|number| json!(number)),
        select(TEXTS).prop_map(|text| json!(text)),
        select(TEXTS).prop_map(|text| json!(text)),
    ]
}

fn value() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::btree_map(select(NAMES), inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().map(|(key, value)| (key.to_string(), value)).collect())),
        ]
    })
}

fn object(one: impl Strategy<Value = Json>) -> impl Strategy<Value = Json> {
    prop::collection::btree_map(select(NAMES), one, 0..3)
        .prop_map(|map| Json::Object(map.into_iter().map(|(key, value)| (key.to_string(), value)).collect()))
}

const TYPES: &[&str] = &["null", "boolean", "integer", "number", "string", "array", "object"];

/// A keyword that holds no schema.
fn plain() -> BoxedStrategy<(&'static str, Json)> {
    let names = prop::collection::btree_set(select(NAMES), 0..3).prop_map(|names| json!(names));
    let small = 0u64..4;
    prop_oneof![
        4 => select(TYPES).prop_map(|name| ("type", json!(name))),
        2 => prop::collection::btree_set(select(TYPES), 1..4).prop_map(|names| ("type", json!(names))),
        2 => prop::collection::vec(value(), 1..4).prop_map(|values| ("enum", Json::Array(values))),
        1 => value().prop_map(|value| ("const", value)),
        2 => (select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), -1i64..4)
            .prop_map(|(keyword, number)| (keyword, json!(number))),
        1 => select(vec![json!(2), json!(0.5)]).prop_map(|number| ("multipleOf", number)),
        2 => (select(vec!["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
            "minContains", "maxContains"]), small).prop_map(|(keyword, number)| (keyword, json!(number))),
        1 => select(vec!["^a", "b$", "^$", "."]).prop_map(|pattern| ("pattern", json!(pattern))),
        1 => Just(("format", json!("date"))),
        1 => any::<bool>().prop_map(|flag| ("uniqueItems", json!(flag))),
        2 => names.clone().prop_map(|names| ("required", names)),
        1 => object(names).prop_map(|map| ("dependentRequired", map)),
        1 => Just(("description", json!("words"))),
    ]
    .boxed()
}

/// A keyword that holds schemas.
fn holding(inner: BoxedStrategy<Json>) -> BoxedStrategy<(&'static str, Json)> {
    let several = prop::collection::vec(inner.clone(), 1..4).prop_map(Json::Array);
    let patterns =
        prop::collection::btree_map(select(vec!["^a", "b$"]), inner.clone(), 0..3).prop_map(|map| json!(map));
    prop_oneof![
        4 => object(inner.clone()).prop_map(|map| ("properties", map)),
        1 => patterns.prop_map(|map| ("patternProperties", map)),
        2 => inner.clone().prop_map(|one| ("additionalProperties", one)),
        1 => inner.clone().prop_map(|one| ("propertyNames", one)),
        1 => object(inner.clone()).prop_map(|map| ("dependentSchemas", map)),
        2 => inner.clone().prop_map(|one| ("items", one)),
        1 => several.clone().prop_map(|all| ("prefixItems", all)),
        1 => inner.clone().prop_map(|one| ("contains", one)),
        3 => (select(vec!["allOf", "anyOf", "oneOf"]), several),
        3 => (select(vec!["not", "if", "then", "else"]), inner.clone()),
        1 => (select(vec!["unevaluatedProperties", "unevaluatedItems"]), inner),
        1 => select(vec!["#/$defs/one", "#/$defs/two"]).prop_map(|to| ("$ref", json!(to))),
    ]
    .boxed()
}

fn part() -> BoxedStrategy<Json> {
    let map = |words: Vec<(&'static str, Json)>| {
        Json::Object(words.into_iter().map(|(key, value)| (key.to_string(), value)).collect())
    };
    let leaf = prop_oneof![
        1 => any::<bool>().prop_map(Json::Bool),
        6 => prop::collection::vec(plain(), 0..3).prop_map(map),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let word = prop_oneof![2 => plain(), 3 => holding(inner.boxed())];
        prop::collection::vec(word, 1..4).prop_map(map)
    })
    .boxed()
}

/// A schema that compiles; its definitions refer to nothing.
fn schema() -> impl Strategy<Value = Schema> {
    let definition = || {
        prop::collection::vec(plain(), 0..3)
            .prop_map(|words| words.into_iter().map(|(k, v)| (k.to_string(), v)).collect::<JsonMap>())
    };
    (part(), definition(), definition()).prop_filter_map("it does not compile", |(part, one, two)| {
        let Json::Object(mut root) = part else { return None };
        root.insert("$defs".to_string(), json!({"one": one, "two": two}));
        Schema::of(Json::Object(root)).ok()
    })
}

/// `value` with a template in the place of some of its parts.
fn with_holes(value: &Json, picks: &mut impl Iterator<Item = u8>) -> Json {
    match (picks.next().unwrap_or_default(), value) {
        (1, _) => json!("{{ steps.x }}"),
        (2, Json::String(_)) => json!("text {{ steps.x }}"),
        (_, Json::Array(items)) => Json::Array(items.iter().map(|item| with_holes(item, picks)).collect()),
        (_, Json::Object(map)) => {
            Json::Object(map.iter().map(|(key, value)| (key.clone(), with_holes(value, picks))).collect())
        }
        _ => value.clone(),
    }
}

fn verdict(schema: &Schema, value: &Json) -> Verdict {
    Judge::new(&schema.json).judge(&schema.json, &Holed::of(value), &At::ROOT, None).verdict
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn constants_are_judged_as_the_validator_does(schema in schema(), value in value()) {
        let valid = schema.check(&value).is_ok();
        let said = misfits(&schema.json, &Holed::of(&value), 20);
        prop_assert_eq!(valid, said.is_empty(), "{} {} {:?}", schema.json, value, said);
        let verdict = verdict(&schema, &value);
        let text = schema.json.to_string();
        // What depends on the other keywords is the validator's.
        if text.contains("unevaluated") {
            prop_assert!(verdict != if valid { Verdict::Misfit } else { Verdict::Fits }, "{} {} {:?}", text, value, verdict);
        } else {
            let expected = if valid { Verdict::Fits } else { Verdict::Misfit };
            prop_assert_eq!(verdict, expected, "{} {}", text, value);
        }
    }

    #[test]
    fn what_a_template_may_give_is_not_refused(
        schema in schema(),
        value in value(),
        picks in prop::collection::vec(select(vec![0u8, 0, 1, 2]), 1..16),
    ) {
        let holed = with_holes(&value, &mut picks.into_iter());
        let valid = schema.check(&value).is_ok();
        if valid {
            let said = misfits(&schema.json, &Holed::of(&holed), 20);
            prop_assert!(said.is_empty(), "{} {} {:?}", schema.json, holed, said);
        }
        // And what is promised of every filling holds of this one: `not` and `oneOf` stand on it.
        let never = if valid { Verdict::Misfit } else { Verdict::Fits };
        prop_assert!(verdict(&schema, &holed) != never, "{} {} as {}", schema.json, holed, value);
    }
}
