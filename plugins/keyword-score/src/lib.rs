//! The plugin `keyword-score`: one step, `score`, which says which keywords a text holds.
//!
//! ```yaml
//! - id: intent
//!   uses: keyword-score/score
//!   with: { text: "{{ event.data.body }}", keywords: [urgent, refund, "not working"] }
//! # steps.intent is { score: 1, matched: [urgent] }
//! ```
//!
//! [`score`] holds the rules.

use moltrun_step::prelude::*;

pub mod score;

/// What the step is given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What is searched.
    pub text: String,
    /// Words or phrases; each counts once, whole words in any case.
    #[schemars(length(max = 1000), inner(length(min = 1)))]
    pub keywords: Vec<String>,
}

/// What the step gives.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Output {
    /// How many of the keywords the text holds.
    pub score: usize,
    /// Those, as they were written.
    pub matched: Vec<String>,
}

/// The step `score`.
pub struct Score;

impl Step for Score {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "score";
    const SUMMARY: &'static str = "says which keywords a text holds, as whole words in any case";

    fn run(input: Input, _: &Context) -> Result<Exit<Output>, Error> {
        score::score(&input).map(Exit::ok).map_err(|message| Error::permanent("bad_input", message))
    }
}

plugin!(Score);

#[cfg(test)]
mod tests {
    use moltrun_step::{serde_json, test};

    use super::*;

    #[test]
    fn json_in_and_out() {
        let input = json!({"text": "My shop is down, urgent!", "keywords": ["urgent", "down", "refund"]});
        let exit = test::call::<Plugin>("score", input, &Context::fake()).unwrap();
        assert_eq!(exit, Exit::ok(json!({"score": 2, "matched": ["urgent", "down"]})));
    }

    #[test]
    fn bad_input_says_what_is_wrong() {
        let call = |input| test::call::<Plugin>("score", input, &Context::fake()).unwrap_err();
        let blank = call(json!({"text": "x", "keywords": ["a", " "]}));
        assert_eq!((blank.code(), blank.message()), ("bad_input", "keyword 2 is blank; remove it or write a word"));
        assert_eq!(call(json!({"text": 1})).code(), "bad_input");
    }

    #[test]
    fn the_schemas_say_what_the_types_do() {
        let about = test::about::<Plugin>();
        let schema = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(
            schema(&about.steps[0].input_schema),
            json!({
                "type": "object",
                "description": "What the step is given.",
                "additionalProperties": false,
                "required": ["text", "keywords"],
                "properties": {
                    "text": {"type": "string", "description": "What is searched."},
                    "keywords": {
                        "type": "array",
                        "description": "Words or phrases; each counts once, whole words in any case.",
                        "items": {"type": "string", "minLength": 1},
                        "maxItems": 1000
                    }
                }
            })
        );
        assert_eq!(schema(&about.steps[0].output_schema)["additionalProperties"], false);
    }
}
