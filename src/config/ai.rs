//! `ai:` of `moltrun.yaml`: the models that may be asked, and what they may cost.

use super::sections::{named, secret, trust};
use crate::lang::diagnostic::Diagnostics;
use crate::lang::reader::{self, Fields};
use crate::lang::yaml::{Entry, Node};
use crate::net::Policy;
use crate::steps::ai_prompt::{AiProviders, Budget, Kind, Prices, Provider};

/// The words of `kind`.
const KINDS: [(&str, Kind); 2] = [("openai", Kind::OpenAi), ("anthropic", Kind::Anthropic)];

/// A price or a budget beyond this is a mistake in its unit.
const MOST: f64 = 1e9;

pub(super) fn read(node: &Node, net: &mut Policy, found: &mut Diagnostics<'_>) -> AiProviders {
    let Some(mut fields) = Fields::open(node, "`ai`", found) else { return AiProviders::default() };
    let default = fields.optional("default");
    let list = fields.required("providers", found);
    let budget = fields.optional("budget");
    fields.finish(found);
    let providers = named(list, found, |entry, found| provider(entry, net, found));
    let chosen = default.and_then(|entry| reader::text(&entry.value, found));
    if let (Some(name), Some(entry)) = (&chosen, default)
        && !providers.contains_key(name)
    {
        let known = providers.keys().map(String::as_str).collect::<Vec<_>>();
        found.error("unknown-provider", entry.value.span.clone(), format!("there is no provider `{name}`")).known(
            name,
            "providers",
            known,
        );
    }
    let spendable = budget.map(|entry| spendable(&entry.value, found)).unwrap_or_default();
    if let (Some(_), Some(entry)) = (spendable.cost, budget)
        && let Some((name, _)) = providers.iter().find(|(_, provider)| provider.prices.is_none())
    {
        let message = format!("`budget.cost` cannot be kept: provider `{name}` has no `prices`");
        found
            .error("missing-key", entry.value.span.clone(), message)
            .help("give `prices: { input, output }` for a million tokens; 0 for a model that costs nothing");
    }
    // With one provider there is nothing to choose.
    let only = || providers.keys().next().cloned().unwrap_or_default();
    AiProviders { default: chosen.unwrap_or_else(only), providers, budget: spendable }
}

fn provider(entry: &Entry, net: &mut Policy, found: &mut Diagnostics<'_>) -> Option<Provider> {
    let mut fields = Fields::open(&entry.value, format!("provider `{}`", entry.key), found)?;
    let kind = fields.optional("kind");
    let base = fields.required("base_url", found);
    let key = fields.optional("api_key");
    let model = fields.required("model", found);
    let max_tokens = fields.optional("max_tokens");
    let timeout = fields.optional("timeout");
    let stream = fields.optional("stream");
    let prices = fields.optional("prices");
    fields.finish(found);
    let api_key = secret(key, found);
    let kind = kind.and_then(|entry| reader::word(&entry.value, &KINDS, found)).unwrap_or_default();
    let max_tokens = max_tokens.and_then(|entry| reader::integer(&entry.value, 1, u64::from(u32::MAX), found));
    let timeout_ms = timeout.and_then(|entry| reader::positive_ms(&entry.value, "a timeout", found));
    let stream = stream.and_then(|entry| reader::boolean(&entry.value, found)).unwrap_or(false);
    let prices = prices.and_then(|price| self::prices(&entry.key, &price.value, found));
    let (base, model) = (base?, model?);
    let base_url = reader::text(&base.value, found)?;
    trust(net, &base.value, &base_url, found);
    let model = reader::text(&model.value, found)?;
    Some(Provider { kind, base_url, api_key, model, max_tokens, timeout_ms, stream, prices })
}

fn prices(provider: &str, node: &Node, found: &mut Diagnostics<'_>) -> Option<Prices> {
    let mut fields = Fields::open(node, format!("the prices of provider `{provider}`"), found)?;
    let input = fields.required("input", found);
    let output = fields.required("output", found);
    fields.finish(found);
    let mut price = |entry: Option<&Entry>| reader::number(&entry?.value, 0.0, MOST, found);
    let (input, output) = (price(input), price(output));
    Some(Prices { input: input?, output: output? })
}

fn spendable(node: &Node, found: &mut Diagnostics<'_>) -> Budget {
    let Some(mut fields) = Fields::open(node, "`ai.budget`", found) else { return Budget::default() };
    let tokens = fields.optional("tokens");
    let cost = fields.optional("cost");
    fields.finish(found);
    let mut a_day = |entry: Option<&Entry>| {
        let entry = entry?;
        let text = reader::text(&entry.value, found)?;
        let amount = amount(&text);
        if amount.is_none() {
            let shown = reader::shown(&text);
            found
                .error("bad-budget", entry.value.span.clone(), format!("`{shown}` is no budget of a day"))
                .help("write a number and `/day`, such as 5/day or 2.5M/day");
        }
        amount
    };
    let (tokens, cost) = (a_day(tokens), a_day(cost));
    Budget { tokens: tokens.map(|tokens| tokens as u64), cost }
}

/// `5/day`, `200k/day`, `1.5M/day`.
fn amount(text: &str) -> Option<f64> {
    let number = text.trim().strip_suffix("/day")?.trim_end();
    let (digits, unit) = match number.strip_suffix(['k', 'K', 'M']) {
        Some(digits) => (digits, if number.ends_with('M') { 1e6 } else { 1e3 }),
        None => (number, 1.0),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let amount = digits.parse::<f64>().ok()? * unit;
    (amount.is_finite() && amount <= 1e15).then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::amount;

    #[test]
    fn a_budget_is_a_number_a_day() {
        for (text, expected) in [
            ("5/day", Some(5.0)),
            ("0.25/day", Some(0.25)),
            ("200k/day", Some(200_000.0)),
            ("1.5M/day", Some(1_500_000.0)),
            ("0/day", Some(0.0)),
            ("5", None),
            ("5/hour", None),
            ("-5/day", None),
            ("1e9/day", None),
            ("/day", None),
            ("inf/day", None),
        ] {
            assert_eq!(amount(text), expected, "{text}");
        }
    }
}
