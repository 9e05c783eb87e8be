//! The services that may be asked, as the configuration names them.

use std::collections::BTreeMap;

use super::permanent;
use crate::base::Secret;
use crate::base::nearest::nearest;
use crate::engine::ports::StepError;
use crate::net::redact;

/// The models that may be asked, and what all of them together may cost.
#[derive(Clone, Debug, Default)]
pub struct AiProviders {
    /// Used by steps that name no `provider`.
    pub default: String,
    pub providers: BTreeMap<String, Provider>,
    pub budget: Budget,
}

/// One service.
#[derive(Clone, Debug)]
pub struct Provider {
    pub kind: Kind,
    /// Ends in `/v1` for most; must be trusted by the net's policy if it is a private address.
    pub base_url: String,
    /// None for local models that ask for none.
    pub api_key: Option<Secret>,
    /// Used by steps that name no `model`.
    pub model: String,
    /// The longest answer where a step does not say it.
    pub max_tokens: Option<u64>,
    /// Of one request, in milliseconds; with `stream` of its head and of every silence after it. The step's own time bounds it too.
    pub timeout_ms: Option<u64>,
    /// Answers are read while they are written.
    pub stream: bool,
    pub prices: Option<Prices>,
}

/// How it is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// `POST {base_url}/chat/completions`, as OpenAI and most others have it.
    #[default]
    OpenAi,
    /// `POST {base_url}/messages`, as Anthropic has it.
    Anthropic,
}

/// What a million tokens cost, in the owner's currency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prices {
    pub input: f64,
    pub output: f64,
}

impl Prices {
    pub fn cost(self, input_tokens: u64, output_tokens: u64) -> f64 {
        (input_tokens as f64 * self.input + output_tokens as f64 * self.output) / 1e6
    }
}

/// What all workflows together may spend in a day of UTC. None: whatever they ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// Of questions and answers.
    pub tokens: Option<u64>,
    /// In the currency of the prices.
    pub cost: Option<f64>,
}

impl Provider {
    /// An OpenAI-compatible service without bounds of its own.
    pub fn new(base_url: impl Into<String>, api_key: Option<Secret>, model: impl Into<String>) -> Self {
        Self {
            kind: Kind::OpenAi,
            base_url: base_url.into(),
            api_key,
            model: model.into(),
            max_tokens: None,
            timeout_ms: None,
            stream: false,
            prices: None,
        }
    }
}

/// One that is to answer.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub name: &'a str,
    pub provider: &'a Provider,
    pub model: String,
}

impl Candidate<'_> {
    /// What must not be in any message.
    pub fn secret(&self) -> &str {
        self.provider.api_key.as_ref().map_or("", Secret::expose)
    }
}

impl AiProviders {
    /// The only one there is.
    pub fn only(name: &str, provider: Provider) -> Self {
        Self { default: name.to_string(), providers: [(name.to_string(), provider)].into(), budget: Budget::default() }
    }

    /// The provider of this name, or the default one, with this model or its own.
    pub(super) fn candidate(&self, name: Option<&str>, model: Option<&str>) -> Result<Candidate<'_>, StepError> {
        let name = name.unwrap_or(&self.default);
        let Some((name, provider)) = self.providers.get_key_value(name) else { return Err(self.unknown(name)) };
        Ok(Candidate { name, provider, model: model.unwrap_or(&provider.model).to_string() })
    }

    /// One of `fallback`: `provider`, or `provider/model`. A model's name may hold further slashes.
    pub(super) fn fallback(&self, text: &str) -> Result<Candidate<'_>, StepError> {
        match text.split_once('/') {
            Some((name, model)) if !model.is_empty() => self.candidate(Some(name), Some(model)),
            _ => self.candidate(Some(text), None),
        }
    }

    fn unknown(&self, name: &str) -> StepError {
        let known = self.providers.keys().map(String::as_str);
        let help = match nearest(name, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.providers.is_empty() => "moltrun.yaml has none under ai.providers".to_string(),
            None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
        };
        permanent("ai.unknown_provider", format!("there is no AI provider `{}`; {help}", redact(name, &[])))
    }
}
