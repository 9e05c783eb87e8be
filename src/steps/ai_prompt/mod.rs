//! `ai.prompt`: a question to a language model, of one of two kinds of API, and an answer as text or as data.
//!
//! The way of a question: [`question`] says what is asked; [`openai`] and [`anthropic`] give it the form of a provider;
//! [`wire`] sends it and reads the answer, whole or as it is written; [`fault`] judges a refusal; [`asking`] goes from
//! candidate to candidate. [`history`] remembers conversations, [`budget`] what was spent.

mod anthropic;
mod asking;
mod budget;
mod fault;
mod history;
mod openai;
mod output;
mod provider;
mod question;
mod reply;
mod tokens;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::json;

use self::asking::{Asking, Forms, Good, Spent};
use self::budget::Ledger;
use self::history::Memory;
use self::provider::Candidate;
use self::question::{Question, Turn};
use super::{field, permanent, text};
use crate::base::json::JsonMap;
use crate::base::{Effect, Json, limits};
use crate::engine::ports::{Clock, Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;
use crate::lang::schema::Schema;
use crate::net::Net;

pub use self::anthropic::VERSION as ANTHROPIC_VERSION;
pub use self::provider::{AiProviders, Budget, Kind, Prices, Provider};

/// The step. Output: `{text, usage, model, provider, finish}`, with `data` in place of `text` where there is an `output`.
pub struct AiPrompt {
    spec: StepSpec,
    providers: AiProviders,
    net: Arc<Net>,
    clock: Arc<dyn Clock>,
    forms: Forms,
    ledger: Option<Ledger>,
}

impl AiPrompt {
    pub fn new(providers: AiProviders, net: Arc<Net>, clock: Arc<dyn Clock>) -> Self {
        let ledger = Ledger::new(providers.budget, clock.clone());
        Self { spec: spec(), providers, net, clock, forms: Forms::default(), ledger }
    }

    async fn ask(&self, call: StepCall) -> Result<Outcome, StepError> {
        // The far side's last word should come before the engine's: a timeout of ours names the place.
        let whole = i64::try_from(call.timeout_ms.saturating_sub(call.timeout_ms / 20)).unwrap_or(i64::MAX);
        let deadline = self.clock.now().saturating_add(whole);
        let candidates = self.candidates(&call.input)?;
        let mut question = question(&call.input)?;
        let mut asking = Asking {
            net: &self.net,
            clock: &*self.clock,
            forms: &self.forms,
            ledger: self.ledger.as_ref(),
            keys: &call.keys,
            max_cost: bound(&call.input, "max_cost")?,
            spent: Spent::default(),
        };
        let memory = Memory::open(&call, &*self.clock).await?;
        question.turns = memory.as_ref().map(Memory::turns).unwrap_or_default();
        let Good { candidate, model, finish, text, data, is_too_long } =
            asking.first(&candidates, &question, deadline).await?;
        let mut output = JsonMap::new();
        match data {
            Some(data) => output.insert("data".to_string(), data),
            None => output.insert("text".to_string(), json!(text)),
        };
        output.insert("usage".to_string(), usage(&asking.spent));
        output.insert("model".to_string(), json!(model.unwrap_or_else(|| candidate.model.clone())));
        output.insert("provider".to_string(), json!(candidate.name));
        output.insert("finish".to_string(), json!(finish.as_str()));
        let output = Json::Object(output);
        Ok(match memory {
            Some(memory) => memory.written(is_too_long, Turn { user: question.prompt, assistant: text }, output),
            None => Outcome::ok(output),
        })
    }

    /// Whom to ask, in order. All of them are known before anyone is asked: a name that is wrong should not be found on the
    /// day it is needed.
    fn candidates(&self, input: &Json) -> Result<Vec<Candidate<'_>>, StepError> {
        let (provider, model) = (text(input, "provider"), text(input, "model"));
        let mut candidates = vec![self.providers.candidate(provider.as_deref(), model.as_deref())?];
        let invalid = |what: &str| permanent("ai.invalid", format!("with.fallback {what}"));
        let listed = match input.get("fallback") {
            None | Some(Json::Null) => &[][..],
            Some(Json::Array(listed)) => listed,
            Some(one @ Json::String(_)) => std::slice::from_ref(one),
            Some(_) => return Err(invalid("is no list of providers")),
        };
        if listed.len() > limits::AI_FALLBACKS {
            return Err(invalid(&format!("has more than the {} entries allowed", limits::AI_FALLBACKS)));
        }
        for entry in listed {
            let name =
                entry.as_str().ok_or_else(|| invalid("holds an entry that is no `provider` or `provider/model`"))?;
            candidates.push(self.providers.fallback(name)?);
        }
        Ok(candidates)
    }
}

impl Step for AiPrompt {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        Box::pin(self.ask(call))
    }
}

/// For the catalog, where no client is at hand.
pub fn spec() -> StepSpec {
    let fields = vec![
        field("prompt", FieldKind::Text, true, "What is asked"),
        field("system", FieldKind::Text, false, "How the model is to behave"),
        field("provider", FieldKind::Text, false, "One of ai.providers; default: ai.default"),
        field("model", FieldKind::Text, false, "Default: the provider's model"),
        field("temperature", FieldKind::Number, false, "0 is the most predictable"),
        field("max_tokens", FieldKind::Number, false, "The longest answer"),
        field("history", FieldKind::Object(history::FIELDS), false, "What was said before, by key"),
        field("output", FieldKind::Schema, false, "A JSON Schema that the answer must fit"),
        field("fallback", FieldKind::Any, false, "Providers, or provider/model, to ask when one fails"),
        field("max_cost", FieldKind::Number, false, "What the attempt may cost, in the currency of the prices"),
    ];
    let spec = super::spec("ai.prompt", "Asks a language model", Effect::Idempotent, fields);
    // What `data` is, its own `output` says.
    let texts = json!({"type": ["string", "null"]});
    let usage = json!({"type": ["object", "null"], "additionalProperties": false,
        "properties": {"input_tokens": {}, "output_tokens": {}, "cost": {}, "estimated": {}}});
    let outputs =
        json!({"text": texts, "data": {}, "usage": usage, "model": texts, "provider": texts, "finish": texts});
    super::giving(spec, outputs)
}

fn question(input: &Json) -> Result<Question, StepError> {
    let invalid = |what: String| permanent("ai.invalid", what);
    let prompt = text(input, "prompt").filter(|prompt| !prompt.trim().is_empty());
    let max_tokens = match input.get("max_tokens") {
        None | Some(Json::Null) => None,
        Some(value) => {
            let number = value.as_u64().filter(|number| *number > 0);
            Some(number.ok_or_else(|| invalid("with.max_tokens is no whole number above 0".to_string()))?)
        }
    };
    let schema = match input.get("output") {
        None | Some(Json::Null) => None,
        // It was checked with the file; a run of an older one may still bring anything.
        Some(schema) => match Schema::of(schema.clone()) {
            Ok(schema) => Some(Arc::new(schema)),
            Err(error) => return Err(invalid(format!("with.output: {}", error.message))),
        },
    };
    Ok(Question {
        system: text(input, "system"),
        turns: Vec::new(),
        prompt: prompt.ok_or_else(|| invalid("with.prompt is empty".to_string()))?,
        temperature: input.get("temperature").and_then(Json::as_number).cloned(),
        max_tokens,
        schema,
        repair: None,
    })
}

/// A number that is not negative.
fn bound(input: &Json, name: &str) -> Result<Option<f64>, StepError> {
    match input.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => {
            let number = value.as_f64().filter(|number| *number >= 0.0);
            number.map(Some).ok_or_else(|| permanent("ai.invalid", format!("with.{name} is no number from 0 on")))
        }
    }
}

/// `{input_tokens, output_tokens, cost}` of all requests of the attempt; the cost is null where a price is missing.
fn usage(spent: &Spent) -> Json {
    // Billionths are beyond any price, and keep the noise of floating point out.
    let cost = (!spent.unpriced).then(|| (spent.cost * 1e9).round() / 1e9);
    let mut usage = json!({ "input_tokens": spent.input_tokens, "output_tokens": spent.output_tokens, "cost": cost });
    if spent.estimated {
        usage["estimated"] = json!(true);
    }
    usage
}
