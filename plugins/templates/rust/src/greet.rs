//! The step `greet`.

use moltrun_step::prelude::*;

/// What the step is given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Whom to greet.
    #[schemars(length(max = 200))]
    name: String,
}

/// What the step gives.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Output {
    /// The greeting.
    text: String,
}

/// Greets somebody by name.
pub struct Greet;

impl Step for Greet {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "greet";
    const SUMMARY: &'static str = "greets somebody by name";

    fn run(input: Input, context: &Context) -> Result<Exit<Output>, Error> {
        let name = input.name.trim();
        if name.is_empty() {
            return Err(Error::permanent("blank_name", "the name is blank; give one"));
        }
        debug!(context, "greeting"; length = name.len());
        Ok(Output { text: format!("Hello, {name}!") }.into())
    }
}

#[cfg(test)]
mod tests {
    use moltrun_step::test;

    use super::*;
    use crate::Plugin;

    #[test]
    fn greets_by_name() {
        let exit = test::call::<Plugin>("greet", json!({"name": " Ana "}), &Context::fake()).unwrap();
        assert_eq!(exit, Exit::ok(json!({"text": "Hello, Ana!"})));
    }

    #[test]
    fn refuses_a_blank_name() {
        let error = test::call::<Plugin>("greet", json!({"name": " "}), &Context::fake()).unwrap_err();
        assert_eq!(error.code(), "blank_name");
    }
}
