//! A step of a plugin, as the engine sees steps.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::answers::{self, DescribedStep};
use super::bindings::TransformPre;
use super::bindings::moltrun::step::types::{Failure as WitFailure, Output, StepError as WitError};
use super::call::{self, Bounds};
use super::cause::Cause;
use super::imports::{Attended, Outside, Reach};
use super::runtime::Runtime;
use super::state::{Attempt, State};
use crate::base::limits::{PLUGIN_JSON, PLUGIN_LATER_MS, STEP_TIMEOUT_MS};
use crate::base::{Effect, Json, json};
use crate::engine::ports::{Failure, Outcome, Port, Step, StepCall, StepError};
use crate::lang::catalog::{Fields, Ports, StepSpec};
use crate::lang::schema::Schema;

/// What the steps of one plugin share.
pub(super) struct Common {
    pub(super) runtime: Arc<Runtime>,
    pub(super) pre: TransformPre<State>,
    pub(super) name: String,
    /// SHA-256 of the component's file, hex.
    pub(super) digest: String,
    pub(super) bounds: Bounds,
    pub(super) reach: Arc<Reach>,
}

/// One of them.
pub(super) struct PluginStep {
    plugin: Arc<Common>,
    name: String,
    spec: StepSpec,
    input: Schema,
    output: Schema,
    ports: Vec<String>,
}

impl PluginStep {
    pub(super) fn new(plugin: Arc<Common>, described: DescribedStep) -> Self {
        let DescribedStep { name, summary, effect, input, output, ports } = described;
        let spec = StepSpec {
            name: format!("{}/{name}", plugin.name),
            summary,
            effect,
            ports: Ports::Fixed(ports.clone()),
            fields: Fields::Schema(input.json.clone()),
            output: Some(output.json.clone()),
            // The engine's bound is there for the wait for a permit; the guest's own time begins after it.
            timeout_ms: STEP_TIMEOUT_MS.saturating_add(plugin.bounds.timeout_ms),
        };
        Self { plugin, name, spec, input, output, ports }
    }

    async fn attempt(&self, mut call: StepCall) -> Result<Outcome, StepError> {
        let plugin = &*self.plugin;
        let input = json::bounded("the input", std::mem::take(&mut call.input), PLUGIN_JSON)
            .map_err(|e| self.refuse("plugin.bad_input", &e.to_string()))?;
        self.input.check(&input).map_err(|e| self.refuse("plugin.bad_input", &format!("bad input {e}")))?;
        let bounds = Bounds {
            timeout_ms: call.timeout_ms.min(plugin.bounds.timeout_ms),
            whole_ms: call.timeout_ms,
            ..plugin.bounds
        };
        let attempt = Attempt {
            plugin: plugin.name.clone(),
            run: call.run.to_string(),
            step: call.step.to_string(),
            attempt: call.attempt,
            idempotency_key: call.idempotency_key(),
            now: call.now,
            log: call.log.clone(),
            outside: self.outside(&call),
        };
        let outside = attempt.outside.clone();
        let _attended = outside.clone().map(Attended);
        let (step, input) = (self.name.clone(), input.to_string());
        let ended = call::run(&plugin.runtime, &plugin.pre, attempt, bounds, step, input).await;
        let (error, broke) = match ended {
            Ok(Ok(output)) => match self.accept(output) {
                Ok((port, output)) => {
                    return Ok(match outside {
                        Some(outside) => outside.succeeded(port, output),
                        None => Outcome::Done { port, output },
                    });
                }
                Err(error) => (error, true),
            },
            Ok(Err(error)) => self.failed(error),
            Err(cause) => (self.broke(cause), true),
        };
        Err(match (outside, self.spec.effect) {
            (Some(outside), Effect::AtMostOnce) => outside.at_most_once(error, broke),
            (Some(outside), _) => outside.repeatable(error),
            (None, _) => error,
        })
    }

    /// What a step that may act reaches the world with.
    fn outside(&self, call: &StepCall) -> Option<Arc<Outside>> {
        let outside = || {
            let (run, step) = (call.run.to_string(), call.step.to_string());
            Outside::new(self.plugin.reach.clone(), run, step, call.log.clone(), call.keys.clone())
        };
        (self.spec.effect != Effect::Pure).then(|| Arc::new(outside()))
    }

    /// The guest's port and output, if they are what the step promised.
    fn accept(&self, output: Output) -> Result<(Port, Json), StepError> {
        let answer = answers::output(&self.output, &self.ports, &output.data, output.port.as_deref());
        let (port, output) = answer.map_err(|cause| self.broke(cause))?;
        Ok((port.into(), output))
    }

    /// A failure the guest reports itself, and whether the report is broken.
    fn failed(&self, error: WitError) -> (StepError, bool) {
        let reported = match &error {
            WitError::Permanent(failure) | WitError::Transient(failure) | WitError::Unknown(failure) => failure,
            WitError::Later(delay) => &delay.failure,
        };
        let failure = match self.reported(reported) {
            Ok(failure) => failure,
            Err(broken) => return (broken, true),
        };
        let error = match error {
            WitError::Permanent(_) => StepError::Permanent(failure),
            WitError::Transient(_) => StepError::Transient(failure),
            WitError::Later(delay) => {
                let after_ms = delay.after_ms.clamp(*PLUGIN_LATER_MS.start(), *PLUGIN_LATER_MS.end());
                StepError::Later { failure, after_ms }
            }
            WitError::Unknown(_) if self.spec.effect == Effect::AtMostOnce => StepError::Unknown(failure),
            WitError::Unknown(_) => StepError::Transient(failure),
        };
        (error, false)
    }

    fn reported(&self, failure: &WitFailure) -> Result<Failure, StepError> {
        let WitFailure { code, message, details } = failure;
        answers::failure(&self.plugin.name, code, message, details.as_deref()).map_err(|cause| self.broke(cause))
    }

    /// The guest did what no guest may: permanent, because it would do it again.
    fn broke(&self, cause: Cause) -> StepError {
        let Common { name, digest, .. } = &*self.plugin;
        let message = format!("the plugin {name} ({}) in its step {} {}", &digest[..12], self.name, cause.text);
        let failure = Failure::new(cause.code, message);
        // No guest's fault, and over as soon as a call ends.
        if cause.code == "plugin.busy" { StepError::Transient(failure) } else { StepError::Permanent(failure) }
    }

    fn refuse(&self, code: &str, message: &str) -> StepError {
        StepError::Permanent(Failure::new(code, format!("{}: {message}", self.spec.name)))
    }
}

impl Step for PluginStep {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        Box::pin(self.attempt(call))
    }
}
