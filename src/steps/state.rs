//! `state.get`, `state.set`, `state.increment`, `state.delete`: values that outlive runs. What a step writes is committed
//! with its success or not at all, so that each may simply run again.

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Number, json};

use super::{due, field, permanent, text};
use crate::base::json::{bounded, kind};
use crate::base::{Effect, Json, limits};
use crate::engine::ports::{Held, OK, Outcome, Space, Step, StepCall, StepError, Write};
use crate::lang::StepSpec;
use crate::lang::catalog::{Field, FieldKind};

/// One of the four.
pub struct State {
    spec: StepSpec,
    verb: Verb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Get,
    Set,
    Increment,
    Delete,
}

impl State {
    /// All of them.
    pub fn all() -> [Self; 4] {
        [
            Self { spec: get(), verb: Verb::Get },
            Self { spec: set(), verb: Verb::Set },
            Self { spec: increment(), verb: Verb::Increment },
            Self { spec: delete(), verb: Verb::Delete },
        ]
    }
}

fn key() -> Field {
    field("key", FieldKind::Text, true, "the name of the value, the same for all workflows")
}

fn ttl() -> Field {
    field("ttl", FieldKind::Duration, false, "how long it is kept, such as `30d`; default: for ever")
}

/// What all of them give.
fn value(spec: StepSpec) -> StepSpec {
    super::giving(spec, json!({"value": {}}))
}

/// For the catalog. Output: `{value}`, null if there is none.
pub fn get() -> StepSpec {
    value(super::spec("state.get", "the value of a key", Effect::Idempotent, vec![key()]))
}

/// For the catalog. Output: `{value}`.
pub fn set() -> StepSpec {
    let fields = vec![key(), field("value", FieldKind::Any, true, "what is kept"), ttl()];
    value(super::spec("state.set", "keeps a value under a key", Effect::Idempotent, fields))
}

/// For the catalog. Output: `{value}`, the sum.
pub fn increment() -> StepSpec {
    let by = field("by", FieldKind::Number, false, "what is added; default: 1");
    let summary = "adds to the number of a key; no value counts as 0";
    value(super::spec("state.increment", summary, Effect::Idempotent, vec![key(), by, ttl()]))
}

/// For the catalog. Output: `{value}`, what was there.
pub fn delete() -> StepSpec {
    value(super::spec("state.delete", "forgets a key", Effect::Idempotent, vec![key()]))
}

impl Step for State {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        act(self.verb, call).boxed()
    }
}

async fn act(verb: Verb, call: StepCall) -> Result<Outcome, StepError> {
    let key = text(&call.input, "key").ok_or_else(|| permanent("state.bad_key", "with.key is empty"))?;
    if key.len() > limits::KEY {
        let message = format!("with.key is {} bytes, more than the {} allowed", key.len(), limits::KEY);
        return Err(permanent("state.bad_key", message));
    }
    let expires_at = due(&call, "ttl", "state.bad_ttl")?;
    // A reader waits, too: for the commit of whoever wrote the key just before, in the same run perhaps.
    let mut held = call.keys.hold(Space::State, &key).await?;
    let before = held.value.take();
    match verb {
        Verb::Get => Ok(Outcome::ok(json!({ "value": before }))),
        Verb::Delete => {
            let write = Write { space: Space::State, key, value: None, expires_at: None };
            Ok(written(json!({ "value": before }), write, held))
        }
        Verb::Set => {
            let value = call.input.get("value").cloned().unwrap_or(Json::Null);
            kept(key, value, expires_at, held)
        }
        Verb::Increment => {
            let sum = sum(&key, before.as_ref(), call.input.get("by"))?;
            kept(key, Json::Number(sum), expires_at, held)
        }
    }
}

fn kept(key: String, value: Json, expires_at: Option<i64>, held: Held) -> Result<Outcome, StepError> {
    let value = bounded("the value", value, limits::STATE_VALUE);
    let value = value.map_err(|error| permanent("state.too_large", error.to_string()))?;
    let output = json!({ "value": value });
    Ok(written(output, Write { space: Space::State, key, value: Some(value), expires_at }, held))
}

fn written(output: Json, write: Write, held: Held) -> Outcome {
    Outcome::Written { port: OK, output, writes: vec![write], held: vec![held] }
}

/// Whole numbers add up to whole ones; a sum that does not fit is refused, not rounded.
fn sum(key: &str, before: Option<&Json>, by: Option<&Json>) -> Result<Number, StepError> {
    let number = |what: &str, value: Option<&Json>, default: i64| match value {
        None | Some(Json::Null) => Ok(Number::from(default)),
        Some(Json::Number(number)) => Ok(number.clone()),
        Some(other) => {
            let message = format!("{what} is {}, not a number", kind(other));
            Err(permanent("state.not_a_number", message))
        }
    };
    let before = number(&format!("the value of `{key}`"), before, 0)?;
    let by = number("with.by", by, 1)?;
    let sum = match (before.as_i64(), by.as_i64()) {
        (Some(before), Some(by)) => before.checked_add(by).map(Number::from),
        _ => before.as_f64().zip(by.as_f64()).and_then(|(before, by)| Number::from_f64(before + by)),
    };
    sum.ok_or_else(|| permanent("state.overflow", format!("`{key}`: {before} and {by} are too much to add")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::call;

    fn step(verb: Verb) -> State {
        State::all().into_iter().find(|state| state.verb == verb).unwrap()
    }

    #[test]
    fn whole_numbers_stay_whole_and_nothing_is_rounded_in_silence() {
        for (before, by, expected) in [
            (None, None, Ok(json!(1))),
            (Some(json!(null)), Some(json!(5)), Ok(json!(5))),
            (Some(json!(2)), Some(json!(-3)), Ok(json!(-1))),
            (Some(json!(1)), Some(json!(0.5)), Ok(json!(1.5))),
            (Some(json!(i64::MAX)), Some(json!(1)), Err("state.overflow")),
            (Some(json!(f64::MAX)), Some(json!(f64::MAX)), Err("state.overflow")),
            (Some(json!("7")), None, Err("state.not_a_number")),
            (None, Some(json!("1")), Err("state.not_a_number")),
        ] {
            let sum = sum("k", before.as_ref(), by.as_ref()).map(Json::Number);
            let sum = sum.map_err(|error| match error {
                StepError::Permanent(failure) => failure.code,
                other => panic!("{other:?}"),
            });
            assert_eq!(sum, expected.map_err(String::from), "{before:?} + {by:?}");
        }
    }

    #[tokio::test]
    async fn what_is_to_be_written_comes_with_the_held_key() {
        let ended = step(Verb::Set).run(call(json!({"key": "k", "value": [1], "ttl": "1m"}))).await;
        let Ok(Outcome::Written { output, writes, held, .. }) = ended else { panic!("{ended:?}") };
        assert_eq!(output, json!({"value": [1]}));
        let expected =
            Write { space: Space::State, key: "k".to_string(), value: Some(json!([1])), expires_at: Some(60_000) };
        assert_eq!((writes, held[0].key()), (vec![expected], "k"));

        let ended = step(Verb::Increment).run(call(json!({"key": 7}))).await;
        assert!(
            matches!(ended, Ok(Outcome::Written { writes, .. }) if writes[0].value == Some(json!(1)) && writes[0].key == "7")
        );
        let ended = step(Verb::Delete).run(call(json!({"key": "k"}))).await;
        assert!(matches!(ended, Ok(Outcome::Written { writes, .. }) if writes[0].value.is_none()));
        assert_eq!(step(Verb::Get).run(call(json!({"key": "k"}))).await, Ok(Outcome::ok(json!({"value": null}))));
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_refused() {
        let long = "x".repeat(limits::KEY + 1);
        let large = "x".repeat(limits::STATE_VALUE);
        for (input, code) in [
            (json!({"key": "", "value": 1}), "state.bad_key"),
            (json!({"key": long, "value": 1}), "state.bad_key"),
            (json!({"key": "k", "value": large}), "state.too_large"),
            (json!({"key": "k", "value": 1, "ttl": "a while"}), "state.bad_ttl"),
        ] {
            let Err(StepError::Permanent(failure)) = step(Verb::Set).run(call(input)).await else {
                panic!("not permanent")
            };
            assert_eq!(failure.code, code);
        }
    }
}
