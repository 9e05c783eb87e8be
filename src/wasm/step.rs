//! A step of a plugin, as the engine sees steps.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::bindings::TransformPre;
use super::bindings::moltrun::step::types::{Failure as WitFailure, Output, StepError as WitError};
use super::call::{self, Bounds};
use super::cause::Cause;
use super::describe::Described;
use super::runtime::Runtime;
use super::state::{Attempt, State};
use super::text::{clean, is_name};
use crate::base::limits::{FAILURE_DETAILS, PLUGIN_JSON, PLUGIN_LATER_MS, PLUGIN_LOG_LINE, STEP_TIMEOUT_MS};
use crate::base::{Effect, Json, json};
use crate::engine::ports::{Failure, Outcome, Step, StepCall, StepError};
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
    pub(super) fn new(plugin: Arc<Common>, described: Described) -> Self {
        let Described { name, summary, input, output, ports } = described;
        let spec = StepSpec {
            name: format!("{}/{name}", plugin.name),
            summary,
            effect: Effect::Pure,
            ports: Ports::Fixed(ports.clone()),
            fields: Fields::Schema(input.json.clone()),
            output: Some(output.json.clone()),
            // The engine's bound is there for the wait for a permit; the guest's own time begins after it.
            timeout_ms: STEP_TIMEOUT_MS.max(plugin.bounds.timeout_ms),
        };
        Self { plugin, name, spec, input, output, ports }
    }

    async fn attempt(&self, mut call: StepCall) -> Result<Outcome, StepError> {
        let plugin = &*self.plugin;
        let input = json::bounded("the input", std::mem::take(&mut call.input), PLUGIN_JSON)
            .map_err(|e| self.refuse("plugin.bad_input", &e.to_string()))?;
        self.input.check(&input).map_err(|e| self.refuse("plugin.bad_input", &format!("bad input {e}")))?;
        let bounds = Bounds { timeout_ms: call.timeout_ms.min(plugin.bounds.timeout_ms), ..plugin.bounds };
        let attempt = Attempt {
            plugin: plugin.name.clone(),
            run: call.run.to_string(),
            step: call.step.to_string(),
            attempt: call.attempt,
            idempotency_key: call.idempotency_key(),
            now: call.now,
        };
        match call::run(&plugin.runtime, &plugin.pre, attempt, bounds, &self.name, &input.to_string()).await {
            Ok(Ok(output)) => self.accept(output),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(cause) => Err(self.broke(cause)),
        }
    }

    /// The guest's output, if it is what the step promised.
    fn accept(&self, output: Output) -> Result<Outcome, StepError> {
        let bad = |text: String| self.broke(Cause::new("plugin.bad_output", text));
        if output.data.len() > PLUGIN_JSON {
            let text = format!("answered {} bytes, more than the {PLUGIN_JSON} allowed", output.data.len());
            return Err(self.broke(Cause::new("plugin.too_large", text)));
        }
        let data: Json =
            serde_json::from_str(&output.data).map_err(|e| bad(format!("answered what is not JSON: {e}")))?;
        self.output.check(&data).map_err(|e| bad(format!("answered against its own output schema: {e}")))?;
        let port = output.port.unwrap_or_else(|| "ok".to_string());
        if !self.ports.contains(&port) {
            let known = self.ports.join(", ");
            return Err(bad(format!("answered on the port `{}`; it has {known}", clean(&port, 64))));
        }
        Ok(Outcome::Done { port: port.into(), output: data })
    }

    /// A failure the guest reports itself.
    fn failed(&self, error: WitError) -> StepError {
        match error {
            WitError::Permanent(failure) => self.reported(failure).map_or_else(|bad| bad, StepError::Permanent),
            WitError::Transient(failure) => self.reported(failure).map_or_else(|bad| bad, StepError::Transient),
            WitError::Later(delay) => match self.reported(delay.failure) {
                Ok(failure) => {
                    let after_ms = delay.after_ms.clamp(*PLUGIN_LATER_MS.start(), *PLUGIN_LATER_MS.end());
                    StepError::Later { failure, after_ms }
                }
                Err(bad) => bad,
            },
            WitError::Unknown(failure) => self.reported(failure).map_or_else(
                |bad| bad,
                |failure| match self.spec.effect {
                    Effect::AtMostOnce => StepError::Unknown(failure),
                    _ => StepError::Transient(failure),
                },
            ),
        }
    }

    fn reported(&self, failure: WitFailure) -> Result<Failure, StepError> {
        if !is_name(&failure.code, &['_']) {
            let text = format!("failed with the code `{}`, which is not [a-z][a-z0-9_]*", clean(&failure.code, 64));
            return Err(self.broke(Cause::new("plugin.bad_output", text)));
        }
        let code = format!("plugin.{}.{}", self.plugin.name, failure.code);
        let reported = Failure::new(code, clean(&failure.message, PLUGIN_LOG_LINE));
        let Some(details) = failure.details else { return Ok(reported) };
        if details.len() > FAILURE_DETAILS {
            let text =
                format!("failed with {} bytes of details, more than the {FAILURE_DETAILS} allowed", details.len());
            return Err(self.broke(Cause::new("plugin.bad_output", text)));
        }
        let details = serde_json::from_str(&details).map_err(|e| {
            self.broke(Cause::new("plugin.bad_output", format!("failed with details that are not JSON: {e}")))
        })?;
        Ok(reported.with_details(details))
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
