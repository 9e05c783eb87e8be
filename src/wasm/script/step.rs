//! The step `script`, as the engine sees steps.

use futures::future::BoxFuture;
use sha2::{Digest, Sha256};

use super::bindings::exports::moltrun::script::engine::Call;
use super::engine::ScriptEngine;
use super::mistake;
use crate::base::limits::{PLUGIN_JSON, PLUGIN_MEMORY, PLUGIN_TIMEOUT_MS, STEP_TIMEOUT_MS};
use crate::base::{Effect, Json};
use crate::engine::ports::{Failure, Outcome, Step, StepCall, StepError};
use crate::lang::catalog::{Field, FieldKind, Fields, Ports, SCOPE, StepSpec};
use crate::wasm::call::Bounds;
use crate::wasm::cause::Cause;
use crate::wasm::state::Attempt;

/// The step `script`.
pub struct ScriptStep {
    engine: ScriptEngine,
    spec: StepSpec,
}

impl ScriptStep {
    pub fn new(engine: ScriptEngine) -> Self {
        let field = |name, kind, required, summary| Field { name, kind, required, summary };
        let spec = StepSpec {
            name: "script".to_string(),
            summary: "Runs JavaScript: a function of `input`, `event`, `steps` and `vars` that returns JSON"
                .to_string(),
            effect: Effect::Pure,
            ports: Ports::Fixed(vec!["ok".to_string()]),
            fields: Fields::Known(vec![
                field("code", FieldKind::Script, true, "JavaScript, the body of a function; `return` gives the output"),
                field("input", FieldKind::Any, false, "what the code sees as `input`"),
            ]),
            output: None,
            // The engine's bound is there for the wait for a permit; the script's own time begins after it.
            timeout_ms: STEP_TIMEOUT_MS.saturating_add(PLUGIN_TIMEOUT_MS),
        };
        Self { engine, spec }
    }

    async fn attempt(&self, mut call: StepCall) -> Result<Outcome, StepError> {
        let Json::String(code) = call.input["code"].take() else {
            return Err(permanent("script.bad_input", "`with.code` is no text".to_string()));
        };
        let scope = scope(&mut call.input);
        let bytes = code.len() + scope.len();
        if bytes > PLUGIN_JSON {
            let text = format!("code and values of the script are {bytes} bytes, more than the {PLUGIN_JSON} allowed");
            return Err(permanent("script.too_large", text));
        }
        let bounds = Bounds {
            memory_bytes: PLUGIN_MEMORY,
            timeout_ms: call.timeout_ms.min(PLUGIN_TIMEOUT_MS),
            whole_ms: call.timeout_ms,
        };
        let key = call.idempotency_key();
        let place = call.workflow.code.get(&*call.step).copied();
        let attempt = Attempt {
            run: call.run.to_string(),
            step: call.step.to_string(),
            attempt: call.attempt,
            now: call.now,
            log: call.log.clone(),
            ..Attempt::default()
        };
        let given = Call {
            code: code.clone(),
            scope,
            now_ms: call.now,
            seed: seed(&key),
            max_output: u32::try_from(PLUGIN_JSON).unwrap_or(u32::MAX),
        };
        match self.engine.run(attempt, bounds, given).await {
            Ok(Ok(output)) => match serde_json::from_str(&output) {
                Ok(output) => Ok(Outcome::Done { port: "ok".into(), output }),
                Err(error) => Err(permanent("script.bad_output", format!("the engine gave what is not JSON: {error}"))),
            },
            Ok(Err(error)) => Err(StepError::Permanent(mistake::failure(&error, &code, place))),
            Err(cause) => Err(broke(&cause)),
        }
    }
}

/// The parameters as one JSON object. What the code does not name is not there: it reads as empty.
fn scope(input: &mut Json) -> String {
    let mut scope = serde_json::Map::new();
    scope.insert("input".to_string(), input["input"].take());
    for (name, otherwise) in
        [("event", Json::Null), ("steps", Json::Object(Default::default())), ("vars", Json::Object(Default::default()))]
    {
        let handed = input.get_mut(SCOPE).and_then(|handed| handed.get_mut(name)).map(Json::take);
        scope.insert(name.to_string(), handed.unwrap_or(otherwise));
    }
    Json::Object(scope).to_string()
}

/// What `Math.random` begins with: the same for each attempt of a step.
fn seed(idempotency_key: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(idempotency_key));
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn permanent(code: &str, message: String) -> StepError {
    StepError::Permanent(Failure::new(code, message))
}

/// What the host stopped. All of it would happen again, but for a full pool.
fn broke(cause: &Cause) -> StepError {
    let word = match cause.code.split_once('.') {
        Some((_, "timeout")) => "script.timeout",
        Some((_, "memory")) => "script.memory",
        Some((_, "too_large")) => "script.too_large",
        Some((_, "busy")) => {
            return StepError::Transient(Failure::new("script.busy", format!("the script {}", cause.text)));
        }
        Some((_, "no_engine")) => {
            let text = format!("the JavaScript engine cannot run here: {}", cause.text);
            return permanent("script.no_engine", text);
        }
        _ => "script.stopped",
    };
    permanent(word, format!("the script {}", cause.text))
}

impl Step for ScriptStep {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        Box::pin(self.attempt(call))
    }
}
