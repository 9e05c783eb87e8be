//! Steps of a dry run: what would change the world is written down instead, and nothing is waited for.
//!
//! | step | in a dry run |
//! |---|---|
//! | `moltflow.send` | is checked as the real one is and recorded; who opted out is skipped |
//! | at-most-once steps, built-in ones that write, and plugins' steps that are not pure | are recorded as called; their output is null |
//! | `ai.prompt` | is not asked: its text is [`PLACEHOLDER`] |
//! | `wait`, `moltflow.wait_session` | is over at once |
//! | `wait_for` | nobody answers: `timeout` |
//! | `approve` | yes: `ok` |
//! | every other one | runs for real: the reads, and what is pure |

mod recorded;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use serde_json::json;

pub use self::recorded::{Recorded, Recorder, Sample};

use super::message::message;
use super::moltflow_send::opted_out;
use super::{Registry, text};
use crate::base::phone::Region;
use crate::base::{Effect, Json};
use crate::engine::ports::{Outcome, Port, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::senders::Senders;

/// What stands for an answer of a model that is not asked.
pub const PLACEHOLDER: &str = "‹written by the model when it is sent›";

/// Idempotent steps of the house that change something: done twice they change it once, but a dry run changes nothing.
const WRITES: [&str; 2] = ["moltflow.delete_session", "moltflow.set_auto_reply"];

/// The steps of `registry` for a dry run that tells `recorder` what it would do. `senders` know who opted out, `region` is
/// where numbers without a country code are meant.
pub fn steps(registry: &mut Registry, recorder: &Arc<Recorder>, senders: &Arc<Senders>, region: Option<Region>) {
    for step in registry.steps.values_mut() {
        let spec = step.spec().clone();
        let Some(kind) = kind(&spec) else { continue };
        let (recorder, senders) = (recorder.clone(), senders.clone());
        *step = Arc::new(Dry { real: step.clone(), spec, kind, recorder, senders, region });
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Send,
    /// Asks no model.
    Prompt,
    /// Over at once, by this port.
    Wait(&'static str),
    /// A request whose method says whether it reads.
    Http,
    Call,
}

fn kind(spec: &StepSpec) -> Option<Kind> {
    Some(match spec.name.as_str() {
        "moltflow.send" => Kind::Send,
        "ai.prompt" => Kind::Prompt,
        "wait" | "approve" | "moltflow.wait_session" => Kind::Wait("ok"),
        "wait_for" => Kind::Wait("timeout"),
        "http" | "moltflow.request" => Kind::Http,
        // What an idempotent step of a plugin does is known to the plugin alone.
        name if name.contains('/') && spec.effect != Effect::Pure => Kind::Call,
        name if spec.effect == Effect::AtMostOnce || WRITES.contains(&name) => Kind::Call,
        _ => return None,
    })
}

struct Dry {
    real: Arc<dyn Step>,
    spec: StepSpec,
    kind: Kind,
    recorder: Arc<Recorder>,
    senders: Arc<Senders>,
    region: Option<Region>,
}

/// Whoever wrote it says that it changes something.
fn acts(input: &Json) -> bool {
    let effect = input.get("effect").and_then(Json::as_str).and_then(Effect::of_word);
    effect == Some(Effect::AtMostOnce)
}

impl Step for Dry {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        let outcome = match self.kind {
            Kind::Send => return self.send(call).boxed(),
            Kind::Http if reads(&call.input) && !acts(&call.input) => return self.real.run(call),
            Kind::Http | Kind::Call => {
                self.recorder.calls(&call.workflow.name, &call.step, &self.spec.name);
                Outcome::ok(Json::Null)
            }
            Kind::Prompt => {
                self.recorder.prompts(&call.step);
                Outcome::ok(answer(&call.input))
            }
            Kind::Wait(port) => {
                self.recorder.waits(&call.step, &self.spec.name, port);
                let output =
                    if self.spec.name == "approve" { json!({"by": null, "comment": null}) } else { Json::Null };
                Outcome::Done { port: Port::Borrowed(port), output }
            }
        };
        ready(Ok(outcome)).boxed()
    }
}

/// Whether a request only reads.
fn reads(input: &Json) -> bool {
    let method = text(input, "method").unwrap_or_else(|| "GET".to_string());
    ["GET", "HEAD"].iter().any(|reads| method.eq_ignore_ascii_case(reads))
}

/// What a model would give: a text, and where data is asked for, the placeholder in every text of it.
fn answer(input: &Json) -> Json {
    let data = input.get("output").map_or(Json::Null, example);
    json!({"text": PLACEHOLDER, "data": data, "usage": null, "model": null})
}

/// Something that is about what a JSON Schema asks for.
fn example(schema: &Json) -> Json {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            Json::Object(properties.map(|(name, schema)| (name.clone(), example(schema))).collect())
        }
        Some("array") => json!([]),
        Some("number" | "integer") => json!(0),
        Some("boolean") => json!(false),
        Some("null") => Json::Null,
        _ => json!(PLACEHOLDER),
    }
}

impl Dry {
    async fn send(&self, call: StepCall) -> Result<Outcome, StepError> {
        let message = message(&call.input, self.region)?;
        let chat = message.to.to_string();
        let out = self.senders.opted_out(&message.session, &chat).await;
        if let Some(out) = out? {
            return Ok(Outcome::Skipped(opted_out(&message.session, &out)));
        }
        self.recorder.sends(&call.step, &message.session, &chat, &message.text);
        Ok(Outcome::ok(json!({"message_id": null, "timestamp": null})))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_has_the_form_that_is_asked_for() {
        let schema = json!({"type": "object", "properties": {
            "subject": {"type": "string"},
            "tone": {"enum": ["warm", "dry"]},
            "score": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "urgent": {"type": "boolean"},
        }});
        let expected = json!({"subject": PLACEHOLDER, "tone": "warm", "score": 0, "tags": [], "urgent": false});
        assert_eq!(example(&schema), expected);
        assert_eq!(answer(&json!({"prompt": "?"}))["text"], PLACEHOLDER);
    }

    #[test]
    fn of_plugins_only_pure_steps_run() {
        for (effect, is_recorded) in [(Effect::Pure, false), (Effect::Idempotent, true), (Effect::AtMostOnce, true)] {
            let spec = crate::steps::spec("crm/sync", "a plugin's step", effect, Vec::new());
            assert_eq!(matches!(kind(&spec), Some(Kind::Call)), is_recorded, "{effect:?}");
            assert_eq!(kind(&spec).is_none(), !is_recorded, "{effect:?}");
        }
    }

    #[test]
    fn only_requests_that_read_are_made() {
        for (method, is_made) in [("GET", true), ("get", true), ("HEAD", true), ("POST", false), ("DELETE", false)] {
            assert_eq!(reads(&json!({"method": method})), is_made, "{method}");
        }
        assert!(reads(&json!({"url": "https://example.com"})));
    }
}
