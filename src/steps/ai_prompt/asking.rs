//! One candidate after the other, and each as often as it takes: in the form it understands, within what it may cost,
//! and once more if its answer does not fit.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::budget::{Ledger, Reservation, Sum, UNBOUNDED};
use super::fault::{Asked, Fault};
use super::provider::{Candidate, Kind};
use super::question::{Form, Question, Repair};
use super::reply::{Finish, Reply};
use super::wire::Wire;
use super::{anthropic, openai, output, permanent, tokens};
use crate::base::{Json, Millis, limits};
use crate::engine::ports::{Clock, Failure, Keys, StepError};
use crate::net::Net;

/// A pause that is waited for although another provider could be asked at once, in milliseconds: the first choice is
/// worth a few seconds.
const SHORT_PAUSE_MS: u64 = 5_000;

/// The longest answer that is asked for under a `max_cost` when nobody says how long it may be, in tokens: what every model
/// can give.
const AFFORDED: u64 = 4_096;

/// Forms of models that are remembered: names may come from templates, and nobody uses more.
const FORMS: usize = 256;

/// The form in which each model was last answered, by provider and model.
#[derive(Debug, Default)]
pub(super) struct Forms(Mutex<HashMap<(String, String), Form>>);

impl Forms {
    fn of(&self, candidate: &Candidate<'_>) -> Form {
        let key = (candidate.name.to_string(), candidate.model.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied().unwrap_or_default()
    }

    fn learn(&self, candidate: &Candidate<'_>, form: Form) {
        let mut forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if forms.len() >= FORMS {
            forms.clear();
        }
        forms.insert((candidate.name.to_string(), candidate.model.clone()), form);
    }
}

/// What an attempt is made with.
pub(super) struct Asking<'a> {
    pub net: &'a Net,
    pub clock: &'a dyn Clock,
    pub forms: &'a Forms,
    pub ledger: Option<&'a Ledger>,
    pub keys: &'a Keys,
    /// What all requests of the attempt may cost.
    pub max_cost: Option<f64>,
    pub spent: Spent,
}

/// What the requests of an attempt did cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spent {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost: f64,
    /// Some of it has no price.
    pub unpriced: bool,
    /// Some provider did not say what it counted, or its answer was lost.
    pub estimated: bool,
}

/// An answer that is one.
#[derive(Debug)]
pub(super) struct Good<'a> {
    pub candidate: &'a Candidate<'a>,
    pub model: Option<String>,
    pub finish: Finish,
    /// As it was said.
    pub text: String,
    /// With a schema: what it says.
    pub data: Option<Json>,
    /// What was said before is too long for the model, and was left out.
    pub is_too_long: bool,
}

impl<'a> Asking<'a> {
    /// The first good answer. `deadline` is shared among those that are left, so that a silent one leaves time for the next.
    pub async fn first<'c>(
        &mut self,
        candidates: &'c [Candidate<'c>],
        question: &Question,
        deadline: Millis,
    ) -> Result<Good<'c>, StepError> {
        let mut failed: Vec<(String, StepError)> = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            let left = candidates.len() - index;
            let now = self.clock.now();
            let until = now + (deadline - now).max(0) / left as i64;
            match self.one(candidate, question.clone(), until).await {
                Ok(good) => return Ok(good),
                Err(error @ StepError::Later { after_ms, .. }) if after_ms <= SHORT_PAUSE_MS => return Err(error),
                Err(error) => {
                    let name = format!("{}/{}", candidate.name, candidate.model);
                    if left > 1 {
                        tracing::warn!(model = name, error = failure(&error).code, "the next model is asked");
                    }
                    failed.push((name, error));
                }
            }
        }
        Err(together(failed))
    }

    async fn one<'c>(
        &mut self,
        candidate: &'c Candidate<'c>,
        mut question: Question,
        deadline: Millis,
    ) -> Result<Good<'c>, StepError> {
        let mut form = self.forms.of(candidate);
        let mut is_too_long = false;
        loop {
            let reply = match self.request(candidate, &question, form, deadline).await {
                Ok(reply) => reply,
                Err(Fault::Ended(error)) => return Err(error),
                // What was said before is what can be left out. At most once: there is nothing left then.
                Err(Fault::TooLong(_)) if !question.turns.is_empty() => {
                    question.turns.clear();
                    is_too_long = true;
                    continue;
                }
                Err(Fault::TooLong(failure)) => return Err(StepError::Permanent(failure)),
                Err(Fault::Form(refused)) => {
                    let asked = Asked {
                        structured: question.structured(form).is_some(),
                        max_tokens: candidate.provider.kind == Kind::OpenAi
                            && (question.max_tokens.or(candidate.provider.max_tokens).is_some()
                                || self.max_cost.is_some()),
                        stream: candidate.provider.kind == Kind::OpenAi && candidate.provider.stream,
                    };
                    match refused.adapted(form, asked) {
                        Some(next) => form = next,
                        None => return Err(StepError::Permanent(refused.failure)),
                    }
                    continue;
                }
            };
            if form != self.forms.of(candidate) {
                self.forms.learn(candidate, form);
            }
            reply.judged()?;
            let finish = reply.finish.unwrap_or(Finish::Stop);
            let text = reply.content().to_string();
            let data = match &question.schema {
                None => None,
                Some(schema) => match output::read(schema, &text) {
                    Ok(data) => Some(data),
                    Err(_) if finish == Finish::Length => {
                        return Err(permanent(
                            "ai.cut",
                            "the answer was cut at max_tokens and is no whole JSON; allow more",
                        ));
                    }
                    Err(misfit) if question.repair.is_none() => {
                        let end = text.floor_char_boundary(limits::AI_REPAIR);
                        question.repair = Some(Repair { answer: text[..end].to_string(), misfits: misfit.shown });
                        continue;
                    }
                    Err(misfit) => {
                        let message = format!("the answer does not fit `output`, asked twice: {}", misfit.masked);
                        return Err(permanent("ai.bad_output", message));
                    }
                },
            };
            return Ok(Good { candidate, model: reply.model, finish, text, data, is_too_long });
        }
    }

    /// One request, counted.
    async fn request(
        &mut self,
        candidate: &Candidate<'_>,
        question: &Question,
        form: Form,
        deadline: Millis,
    ) -> Result<Reply, Fault> {
        let input = question.tokens(form);
        let max_tokens = self.allowed(candidate, question, input)?;
        let longest = max_tokens.unwrap_or(UNBOUNDED);
        let reservation = self.reserve(candidate, input, longest).await?;
        let stream = candidate.provider.stream;
        let body = match candidate.provider.kind {
            Kind::OpenAi => openai::body(question, &candidate.model, form, max_tokens, stream),
            Kind::Anthropic => anthropic::body(question, &candidate.model, form, max_tokens, stream),
        };
        let mut reply = Reply::default();
        let wire = Wire { net: self.net, clock: self.clock, candidate, deadline };
        let result = wire.exchange(&body, &mut reply).await;
        let lost = result.is_err().then_some(longest);
        self.count(candidate, input, &reply, lost, reservation).await;
        result.map(|()| reply)
    }

    /// The longest answer that may be asked for.
    fn allowed(&self, candidate: &Candidate<'_>, question: &Question, input: u64) -> Result<Option<u64>, StepError> {
        let wanted = question.max_tokens.or(candidate.provider.max_tokens);
        let Some(max_cost) = self.max_cost else { return Ok(wanted) };
        let Some(prices) = candidate.provider.prices else {
            let message = format!("with.max_cost needs ai.providers.{}.prices; 0 is a price, too", candidate.name);
            return Err(permanent("ai.invalid", message));
        };
        let left = max_cost - self.spent.cost - prices.cost(input, 0);
        if left < prices.cost(0, 1) {
            let message = format!(
                "asking {} may cost more than with.max_cost: about {:.6} for the question alone, and {:.6} of {max_cost} are spent",
                candidate.name,
                prices.cost(input, 0),
                self.spent.cost
            );
            return Err(permanent("ai.too_expensive", message));
        }
        if prices.output <= 0.0 {
            return Ok(wanted);
        }
        // Saturates: for a price of next to nothing any answer is affordable.
        let affordable = (left * 1e6 / prices.output) as u64;
        // What nobody has bounded gets a bound that every model knows, and no figure that some refuse.
        Ok(Some(wanted.unwrap_or(AFFORDED).min(affordable)))
    }

    async fn reserve(
        &self,
        candidate: &Candidate<'_>,
        input: u64,
        output: u64,
    ) -> Result<Option<Reservation<'a>>, StepError> {
        let Some(ledger) = self.ledger else { return Ok(None) };
        let cost = candidate.provider.prices.map_or(0.0, |prices| prices.cost(input, output));
        let wanted = Sum { tokens: input.saturating_add(output), cost };
        ledger.reserve(self.keys, wanted).await.map(Some)
    }

    /// Notes what a request did cost. A refusal costs nothing. `lost` is set where no whole answer came: it is taken to
    /// have been that many tokens, for the provider charges for what it wrote, not for what arrived.
    async fn count(
        &mut self,
        candidate: &Candidate<'_>,
        question: u64,
        reply: &Reply,
        lost: Option<u64>,
        reservation: Option<Reservation<'a>>,
    ) {
        let (mut input, mut output) = (0, 0);
        if reply.charged {
            input = reply.input_tokens.unwrap_or(question);
            let read = tokens::estimate(reply.content());
            output = match lost {
                None => reply.output_tokens.unwrap_or(read),
                Some(longest) => reply.output_tokens.unwrap_or(0).max(read).max(longest),
            };
            self.spent.estimated |= lost.is_some() || reply.input_tokens.is_none() || reply.output_tokens.is_none();
            self.spent.unpriced |= candidate.provider.prices.is_none();
        }
        let cost = candidate.provider.prices.map_or(0.0, |prices| prices.cost(input, output));
        self.spent.input_tokens = self.spent.input_tokens.saturating_add(input);
        self.spent.output_tokens = self.spent.output_tokens.saturating_add(output);
        self.spent.cost += cost;
        let Some((reservation, ledger)) = reservation.zip(self.ledger) else { return };
        reservation.settle(Sum { tokens: input.saturating_add(output), cost });
        if let Err(error) = ledger.save(self.keys).await {
            // The sum in memory still holds, and the next answer stores it.
            tracing::warn!(%error, "the day's spending on models could not be stored");
        }
    }
}

/// What a failed attempt says.
pub(super) fn failure(error: &StepError) -> &Failure {
    match error {
        StepError::Permanent(failure) | StepError::Transient(failure) | StepError::Unknown(failure) => failure,
        StepError::Later { failure, .. } => failure,
    }
}

/// The failure of all candidates: as hopeful as that of the most hopeful one, in the words of all.
fn together(failed: Vec<(String, StepError)>) -> StepError {
    let hope = |error: &StepError| match error {
        StepError::Later { .. } => 0,
        StepError::Transient(_) | StepError::Unknown(_) => 1,
        StepError::Permanent(_) => 2,
    };
    let all = failed.iter().map(|(name, error)| format!("{name}: {}", failure(error).message)).collect::<Vec<_>>();
    let alone = failed.len() == 1;
    let best = failed.into_iter().min_by_key(|(_, error)| hope(error)).map(|(_, error)| error);
    let Some(best) = best else { return permanent("ai.invalid", "there is no model to ask") };
    if alone {
        return best;
    }
    let words = |failure: Failure| Failure::new(failure.code, all.join("; "));
    match best {
        StepError::Later { failure, after_ms } => StepError::Later { failure: words(failure), after_ms },
        StepError::Transient(failure) | StepError::Unknown(failure) => StepError::Transient(words(failure)),
        StepError::Permanent(failure) => StepError::Permanent(words(failure)),
    }
}
