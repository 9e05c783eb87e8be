//! The component's side: the interface of `wit/step.wit`.

/// What wit-bindgen makes of the interface.
pub mod bindings {
    #![allow(missing_docs, clippy::all)]

    #[cfg(not(feature = "connector"))]
    wit_bindgen::generate!({ path: "wit", world: "transform", pub_export_macro: true });

    #[cfg(feature = "connector")]
    wit_bindgen::generate!({ path: "wit", world: "connector", pub_export_macro: true, generate_all });
}

use bindings::exports::moltrun::step::guest::Guest;
use bindings::moltrun::step::types as wit;

use crate::plugin::Plugin;
use crate::{Context, Effect, Error, Kind, Level};

impl<P: Plugin> Guest for P {
    fn describe() -> wit::PluginInfo {
        let about = P::about();
        let owned = |texts: &[&'static str]| texts.iter().map(|text| text.to_string()).collect();
        wit::PluginInfo {
            version: about.version.to_string(),
            steps: about
                .steps
                .into_iter()
                .map(|step| wit::StepInfo {
                    name: step.name.to_string(),
                    summary: step.summary.to_string(),
                    effect: match step.effect {
                        Effect::Pure => wit::Effect::Pure,
                        Effect::Idempotent => wit::Effect::Idempotent,
                        Effect::AtMostOnce => wit::Effect::AtMostOnce,
                    },
                    input_schema: step.input_schema,
                    output_schema: step.output_schema,
                    ports: owned(step.ports),
                })
                .collect(),
            hosts: owned(&about.hosts),
            secrets: about
                .secrets
                .iter()
                .map(|(name, hosts)| wit::SecretRequest { name: name.to_string(), hosts: owned(hosts) })
                .collect(),
        }
    }

    fn run(step: String, input: String) -> Result<wit::Output, wit::StepError> {
        let context = Context::of_the_host();
        // A panic ends in a trap, which says nothing by itself.
        std::panic::set_hook(Box::new(|panic| {
            Context::of_the_host().log(Level::Error, panic, &[]);
        }));
        match P::run(&step, &input, &context) {
            Ok(exit) => Ok(wit::Output { data: exit.output, port: exit.port.map(str::to_string) }),
            Err(error) => Err(failed(error.fitting(&context))),
        }
    }
}

fn failed(error: Error) -> wit::StepError {
    let kind = error.kind();
    let failure = wit::Failure {
        code: error.code().to_string(),
        message: error.message().to_string(),
        details: error.detail().map(ToString::to_string),
    };
    match kind {
        Kind::Permanent => wit::StepError::Permanent(failure),
        Kind::Transient => wit::StepError::Transient(failure),
        Kind::Later { after_ms } => wit::StepError::Later(wit::Delay { failure, after_ms }),
        Kind::Unknown => wit::StepError::Unknown(failure),
    }
}
