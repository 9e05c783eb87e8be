//! What a plugin said of itself when it was first loaded, as it is kept beside its compiled code: asking again would take an
//! instance, and the answer must be the same. It is the plugin's own answer, to be checked like a new one.

use serde::{Deserialize, Serialize};

use super::bindings::moltrun::step::types::{Effect, PluginInfo, SecretRequest, StepInfo};

/// An answer of `describe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Memory it had while it answered, in bytes: with less it might not have.
    pub(super) memory_bytes: usize,
    version: String,
    steps: Vec<Step>,
    hosts: Vec<String>,
    secrets: Vec<Request>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    name: String,
    summary: String,
    effect: Claim,
    input: String,
    output: String,
    ports: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Claim {
    Pure,
    Idempotent,
    AtMostOnce,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    name: String,
    hosts: Vec<String>,
}

impl Kept {
    pub(super) fn new(info: &PluginInfo, memory_bytes: usize) -> Self {
        let step = |step: &StepInfo| Step {
            name: step.name.clone(),
            summary: step.summary.clone(),
            effect: match step.effect {
                Effect::Pure => Claim::Pure,
                Effect::Idempotent => Claim::Idempotent,
                Effect::AtMostOnce => Claim::AtMostOnce,
            },
            input: step.input_schema.clone(),
            output: step.output_schema.clone(),
            ports: step.ports.clone(),
        };
        let request = |secret: &SecretRequest| Request { name: secret.name.clone(), hosts: secret.hosts.clone() };
        Self {
            memory_bytes,
            version: info.version.clone(),
            steps: info.steps.iter().map(step).collect(),
            hosts: info.hosts.clone(),
            secrets: info.secrets.iter().map(request).collect(),
        }
    }

    /// Bytes of its JSON.
    pub(super) fn text_len(&self) -> usize {
        serde_json::to_string(self).map_or(usize::MAX, |text| text.len())
    }

    pub(super) fn info(self) -> PluginInfo {
        let step = |step: Step| StepInfo {
            name: step.name,
            summary: step.summary,
            effect: match step.effect {
                Claim::Pure => Effect::Pure,
                Claim::Idempotent => Effect::Idempotent,
                Claim::AtMostOnce => Effect::AtMostOnce,
            },
            input_schema: step.input,
            output_schema: step.output,
            ports: step.ports,
        };
        let request = |request: Request| SecretRequest { name: request.name, hosts: request.hosts };
        PluginInfo {
            version: self.version,
            steps: self.steps.into_iter().map(step).collect(),
            hosts: self.hosts,
            secrets: self.secrets.into_iter().map(request).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_as_it_was() {
        let step = |effect| StepInfo {
            name: "one".into(),
            summary: "does things".into(),
            effect,
            input_schema: r#"{"type": "object"}"#.into(),
            output_schema: "{}".into(),
            ports: vec!["side".into()],
        };
        let info = PluginInfo {
            version: "1.2.3".into(),
            steps: vec![step(Effect::Pure), step(Effect::Idempotent), step(Effect::AtMostOnce)],
            hosts: vec!["api.example:443".into()],
            secrets: vec![SecretRequest { name: "KEY".into(), hosts: vec!["*:443".into()] }],
        };
        let kept = Kept::new(&info, 7);
        let text = serde_json::to_string(&kept).unwrap();
        let read: Kept = serde_json::from_str(&text).unwrap();
        assert_eq!((&read, read.memory_bytes), (&kept, 7));
        assert_eq!(format!("{:?}", read.info()), format!("{info:?}"));
    }
}
