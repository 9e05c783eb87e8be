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
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            self.0 += buf.len();
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // A `Value` has string keys and finite numbers, and the counter never fails, so neither can this.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
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
        for value in [json!(null), json!({"a": [1, 2.5, "ü\n"]}), json!("x".repeat(1000))] {
            assert_eq!(text_len(&value), value.to_string().len());
        }
    }

    #[test]
    fn a_value_over_its_bound_names_both_sizes() {
        let error = bounded("the output", json!("abcdef"), 4).unwrap_err();
        assert_eq!(error.to_string(), "the output is 8 bytes of JSON, more than the 4 allowed");
    }
}
