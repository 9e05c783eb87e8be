//! `moltflow.request`: any other endpoint of the API, with its credentials and rate limits.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::json;

use super::moltflow_calls::word;
use super::{field, permanent, text};
use crate::base::json::kind;
use crate::base::{Effect, Json};
use crate::engine::ports::{Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;
use crate::moltflow::MoltFlow;
use crate::net::Method;

pub struct MoltflowRequest {
    spec: StepSpec,
    moltflow: Arc<MoltFlow>,
}

const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

impl MoltflowRequest {
    pub fn new(moltflow: Arc<MoltFlow>) -> Self {
        Self { spec: spec(), moltflow }
    }

    async fn ask(&self, call: &StepCall) -> Result<Outcome, StepError> {
        let input = &call.input;
        let invalid = |message: String| permanent("moltflow.invalid", message);
        let name = text(input, "method").unwrap_or_else(|| METHODS[0].to_string());
        let method = Method::from_bytes(name.as_bytes()).ok().filter(|_| METHODS.contains(&name.as_str()));
        let method = method.ok_or_else(|| invalid(format!("with.method must be one of {}", METHODS.join(", "))))?;
        let effect = match text(input, "effect") {
            None => Effect::of_method(&name),
            Some(word) => Effect::of_word(&word).ok_or_else(|| {
                let known: Vec<&str> = Effect::WORDS.iter().map(|(known, _)| *known).collect();
                invalid(format!("with.effect must be one of {}", known.join(", ")))
            })?,
        };
        let query = query(input.get("query")).map_err(invalid)?;
        let json = input.get("json").filter(|json| !json.is_null());
        let answer = self.moltflow.request(method, &word(input, "path")?, &query, json, effect).await?;
        Ok(Outcome::ok(json!({ "status": answer.status, "body": answer.body })))
    }
}

/// The pairs of a query, in the order they are written; a list gives one for each of its values, null none.
fn query(given: Option<&Json>) -> Result<Vec<(String, String)>, String> {
    let Some(given) = given.filter(|given| !given.is_null()) else { return Ok(Vec::new()) };
    let Json::Object(map) = given else {
        return Err(format!("with.query must be a mapping of names to values, not {}", kind(given)));
    };
    let mut pairs = Vec::new();
    for (name, value) in map {
        let values = match value {
            Json::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            match value {
                Json::Null => {}
                Json::String(text) => pairs.push((name.clone(), text.clone())),
                Json::Number(_) | Json::Bool(_) => pairs.push((name.clone(), value.to_string())),
                _ => return Err(format!("with.query.{name} must be a text, a number or a list of them")),
            }
        }
    }
    Ok(pairs)
}

impl Step for MoltflowRequest {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        Box::pin(async move { self.ask(&call).await })
    }
}

/// For the catalog. Output: `{status, body}`.
pub fn spec() -> StepSpec {
    let fields = vec![
        field("method", FieldKind::Method(METHODS), false, "GET, POST, PUT, PATCH or DELETE; default: GET"),
        field("path", FieldKind::Text, true, "below the base URL, such as /sessions/support-team/groups"),
        field("query", FieldKind::Any, false, "a mapping of names to values"),
        field("json", FieldKind::Any, false, "the body"),
        field("effect", FieldKind::Effect, false, "`idempotent` or `at_most_once`; default: what the method says"),
    ];
    super::spec("moltflow.request", "any other endpoint of the API", Effect::Idempotent, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_mapping_of_plain_values() {
        let pairs = query(Some(&json!({ "a": 1, "b": "x y", "c": ["u", true, null], "d": null }))).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "x y"), ("c", "u"), ("c", "true")]);
        assert!(query(Some(&json!("a=b"))).unwrap_err().contains("mapping"));
        assert!(query(Some(&json!({ "a": {} }))).unwrap_err().contains("with.query.a"));
    }
}
