//! Inputs as people and calling workflows give them, checked against their declaration.

use crate::base::Json;
use crate::base::json::JsonMap;
use crate::base::nearest::nearest;
use crate::lang::Workflow;
use crate::lang::workflow::InputKind;

/// The inputs of a run: what is given over what is declared as default. Errors name every input that is wrong.
pub fn inputs(workflow: &Workflow, given: &JsonMap) -> Result<Json, Vec<String>> {
    let mut errors = Vec::new();
    let mut inputs = JsonMap::new();
    for name in given.keys() {
        if !workflow.inputs.iter().any(|input| input.name == *name) {
            let known = workflow.inputs.iter().map(|input| input.name.as_str());
            let hint = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            errors.push(format!("workflow `{}` has no input `{name}`{hint}", workflow.name));
        }
    }
    for input in &workflow.inputs {
        match given.get(&input.name).or(input.default.as_ref()) {
            Some(value) if input.kind.fits(value) => {
                inputs.insert(input.name.clone(), value.clone());
            }
            Some(value) => errors.push(format!("input `{}` must be {}, not {value}", input.name, form(input.kind))),
            None => errors.push(format!("input `{}` is needed ({})", input.name, form(input.kind))),
        }
    }
    if errors.is_empty() { Ok(Json::Object(inputs)) } else { Err(errors) }
}

/// The value of `--input name=text`: text where text is declared, else JSON.
pub fn parse(workflow: &Workflow, name: &str, text: &str) -> Json {
    let kind = workflow.inputs.iter().find(|input| input.name == name).map(|input| input.kind);
    match kind {
        Some(InputKind::String) | None => Json::from(text),
        Some(InputKind::Number | InputKind::Boolean | InputKind::Json) => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::from(text))
        }
    }
}

fn form(kind: InputKind) -> &'static str {
    match kind {
        InputKind::String => "a text",
        InputKind::Number => "a number",
        InputKind::Boolean => "true or false",
        InputKind::Json => "any JSON",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::workflow::InputDef;
    use serde_json::json;

    fn workflow() -> Workflow {
        let input = |name: &str, kind, default| InputDef { name: name.to_string(), kind, default, description: None };
        Workflow {
            inputs: vec![
                input("name", InputKind::String, None),
                input("count", InputKind::Number, Some(json!(3))),
                input("rows", InputKind::Json, Some(json!([]))),
            ],
            ..Workflow::without_steps("w")
        }
    }

    #[test]
    fn given_values_stand_over_defaults() {
        let given = [("name".to_string(), json!("Ana"))].into_iter().collect();
        assert_eq!(inputs(&workflow(), &given), Ok(json!({"name": "Ana", "count": 3, "rows": []})));
    }

    #[test]
    fn every_mistake_is_named() {
        let given = [("nam".to_string(), json!("Ana")), ("count".to_string(), json!("x"))].into_iter().collect();
        let errors = inputs(&workflow(), &given).unwrap_err();
        assert_eq!(
            errors,
            [
                "workflow `w` has no input `nam`; did you mean `name`?",
                "input `name` is needed (a text)",
                "input `count` must be a number, not \"x\"",
            ]
        );
    }

    #[test]
    fn texts_become_what_is_declared() {
        let workflow = workflow();
        assert_eq!(parse(&workflow, "name", "12"), json!("12"));
        assert_eq!(parse(&workflow, "count", "12"), json!(12));
        assert_eq!(parse(&workflow, "rows", "[1]"), json!([1]));
    }
}
