//! An answer that is to be data: found in what was said, and held against its schema.

use crate::base::Json;
use crate::lang::schema::Schema;

/// Places that are told of an answer that does not fit: enough to mend it by.
const MISFITS: usize = 8;

/// Why an answer is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// For the model, with the values that do not fit.
    pub shown: String,
    /// For people and journals, without them.
    pub masked: String,
}

/// The data of an answer.
pub(super) fn read(schema: &Schema, content: &str) -> Result<Json, Misfit> {
    let Some(data) = parse(content) else {
        let what = "it is no JSON".to_string();
        return Err(Misfit { shown: what.clone(), masked: what });
    };
    let shown = schema.misfits(&data, MISFITS, true);
    if shown.is_empty() {
        return Ok(data);
    }
    Err(Misfit { shown: shown.join("\n"), masked: schema.misfits(&data, MISFITS, false).join("; ") })
}

/// The JSON in an answer. Models like to put it into a code fence, or to say a word before or after it.
fn parse(content: &str) -> Option<Json> {
    let whole = |text: &str| serde_json::from_str::<Json>(text.trim()).ok();
    whole(content).or_else(|| whole(fenced(content)?)).or_else(|| {
        let (start, end) = (content.find(['{', '['])?, content.rfind(['}', ']'])?);
        whole(content.get(start..=end)?)
    })
}

/// What stands in the first code fence.
fn fenced(content: &str) -> Option<&str> {
    let (_, after) = content.split_once("```")?;
    // The rest of the line is the language.
    let (_, block) = after.split_once('\n')?;
    Some(block.split_once("```").map_or(block, |(block, _)| block))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_is_found_in_what_models_say() {
        for content in [
            r#"{"a": 1}"#,
            "\n {\"a\": 1}\n",
            "```json\n{\"a\": 1}\n```",
            "```\n{\"a\": 1}```",
            "Here you are:\n\n```json\n{\"a\": 1}\n```\nAnything else?",
            "Sure! {\"a\": 1} is the answer.",
        ] {
            assert_eq!(parse(content), Some(json!({"a": 1})), "{content}");
        }
        for (content, expected) in
            [("[1]", Some(json!([1]))), ("7", Some(json!(7))), ("{", None), ("}{", None), ("no", None), ("```", None)]
        {
            assert_eq!(parse(content), expected, "{content}");
        }
    }

    #[test]
    fn people_are_not_shown_what_was_said() {
        let schema = Schema::of(json!({"type": "object", "properties": {"age": {"type": "integer"}}})).unwrap();
        let misfit = read(&schema, r#"{"age": "my secret"}"#).unwrap_err();
        assert!(misfit.shown.contains("my secret") && misfit.shown.contains("/age"), "{misfit:?}");
        assert!(!misfit.masked.contains("my secret") && misfit.masked.contains("/age"), "{misfit:?}");
        assert_eq!(read(&schema, "nothing").unwrap_err().masked, "it is no JSON");
    }
}
