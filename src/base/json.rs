//! JSON values and their bounds.

/// The one JSON type of the house.
pub type Json = serde_json::Value;

/// An object, in the order its keys were written.
pub type JsonMap = serde_json::Map<String, Json>;

/// A JSON text that is larger than its bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {bytes} bytes of JSON, more than the {limit} allowed")]
pub struct TooLarge {
    pub what: &'static str,
    pub bytes: usize,
    pub limit: usize,
}

/// The size of `value` as compact JSON text in bytes, without building the text.
pub fn text_len(value: &Json) -> usize {
    let commas = |items: usize| items.saturating_sub(1);
    match value {
        Json::Null => 4,
        Json::Bool(flag) => 5 - usize::from(*flag),
        Json::Number(number) => number_len(number),
        Json::String(text) => string_len(text),
        Json::Array(items) => 2 + commas(items.len()) + items.iter().map(text_len).sum::<usize>(),
        Json::Object(map) => {
            let entries = map.iter().map(|(key, value)| string_len(key) + 1 + text_len(value));
            2 + commas(map.len()) + entries.sum::<usize>()
        }
    }
}

fn number_len(number: &serde_json::Number) -> usize {
    let digits = |magnitude: u64| magnitude.checked_ilog10().map_or(1, |log| log as usize + 1);
    match (number.as_u64(), number.as_i64()) {
        (Some(natural), _) => digits(natural),
        (None, Some(negative)) => 1 + digits(negative.unsigned_abs()),
        (None, None) => number.to_string().len(),
    }
}

fn string_len(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' => 1,
        // As `\u001f`.
        0..=0x1f => 5,
        _ => 0,
    };
    2 + text.len() + text.bytes().map(escaped).sum::<usize>()
}

/// What a value is, for messages: `a list`.
pub fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "nothing",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a mapping",
    }
}

/// `value` if its text is at most `limit` bytes.
pub fn bounded(what: &'static str, value: Json, limit: usize) -> Result<Json, TooLarge> {
    let bytes = text_len(&value);
    if bytes > limit {
        return Err(TooLarge { what, bytes, limit });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn length_is_that_of_the_compact_text() {
        let every: String = (0..0x180u32).filter_map(char::from_u32).collect();
        for value in [
            json!(null),
            json!([true, false, [], {}, ""]),
            json!({"a": [1, 2.5, "ü\n"], "\"\u{1}": {}}),
            json!("x".repeat(1000)),
            json!(every),
            json!([0, 9, 10, 99, 100, -1, -9, -10, i64::MIN, i64::MAX, u64::MAX, 10_000_000_000_000_000_000u64]),
            json!([0.0, -0.0, 1e300, -1.5e-9, 0.1, 123456789.0]),
        ] {
            assert_eq!(text_len(&value), value.to_string().len(), "{value}");
        }
    }

    #[test]
    fn a_value_over_its_bound_names_both_sizes() {
        let error = bounded("the output", json!("abcdef"), 4).unwrap_err();
        assert_eq!(error.to_string(), "the output is 8 bytes of JSON, more than the 4 allowed");
    }
}
