//! Conversations: what was said before under a key, and what is said now.
//!
//! The key is held from the reading until the commit that has both the new turn and the step's success, so that of two runs
//! of one chat the second knows what the first was told.

use futures::future::{Either, select};
use serde_json::json;

use super::question::Turn;
use super::{permanent, tokens};
use crate::base::json::text_len;
use crate::base::{Json, Millis, duration, limits};
use crate::engine::ports::{Clock, Failure, Held, OK, Outcome, Space, StepCall, StepError, Write};
use crate::lang::catalog::{Field, FieldKind};
use crate::steps::text;

/// What `history:` may say.
pub(super) const FIELDS: &[Field] = &[
    Field {
        name: "key",
        kind: FieldKind::Text,
        required: true,
        summary: "Whose conversation it is, such as {{ event.data.from }}",
    },
    Field {
        name: "turns",
        kind: FieldKind::Number,
        required: false,
        summary: "Turns that are remembered, 1 to 100; default: 10",
    },
    Field {
        name: "tokens",
        kind: FieldKind::Number,
        required: false,
        summary: "About how much of them is sent at most; default: 4000",
    },
    Field {
        name: "ttl",
        kind: FieldKind::Duration,
        required: false,
        summary: "Forgotten this long after the last turn; default: 30d",
    },
    Field {
        name: "scope",
        kind: FieldKind::Text,
        required: false,
        summary: "Workflows that name the same one share a memory; default: the workflow's name",
    },
];

const TURNS: u64 = 10;
const TOKENS: u64 = 4_000;

/// Memory of people is not kept for ever unless somebody says so.
const TTL_MS: u64 = 30 * 86_400_000;

/// The pause before an attempt that found its conversation busy is made again, in milliseconds.
const BUSY_MS: u64 = 1_000;

/// A conversation, held.
#[derive(Debug)]
pub(super) struct Memory {
    held: Held,
    key: String,
    /// All that is remembered, the oldest first.
    stored: Vec<Turn>,
    most: usize,
    /// About how much of it is sent at most.
    tokens: u64,
    expires_at: Millis,
}

impl Memory {
    /// Takes up the conversation that `history:` names; None without one. Whoever is in it already is waited for, half of the
    /// step's time at most: then the attempt is put off, which costs it nothing.
    pub async fn open(call: &StepCall, clock: &dyn Clock) -> Result<Option<Self>, StepError> {
        let Some(given) = call.input.get("history").filter(|given| !given.is_null()) else { return Ok(None) };
        let invalid = |what: String| permanent("ai.invalid", format!("with.history{what}"));
        if !given.is_object() {
            return Err(invalid(" is no mapping".to_string()));
        }
        let number = |name: &str, default: u64, most: u64| match given.get(name) {
            None | Some(Json::Null) => Ok(default),
            Some(value) => {
                let number = value.as_u64().filter(|number| (1..=most).contains(number));
                number.ok_or_else(|| invalid(format!(".{name} is no whole number from 1 to {most}")))
            }
        };
        let most = number("turns", TURNS, limits::AI_TURNS)?;
        let tokens = number("tokens", TOKENS, limits::AI_HISTORY as u64)?;
        let ttl_ms = match given.get("ttl") {
            None | Some(Json::Null) => TTL_MS,
            Some(ttl) => {
                let ms = ttl.as_str().and_then(|ttl| duration::parse_ms(ttl).ok());
                ms.ok_or_else(|| invalid(".ttl is no duration such as 7d".to_string()))?
            }
        };
        let name = text(given, "key").ok_or_else(|| invalid(".key is empty".to_string()))?;
        let scope = text(given, "scope").unwrap_or_else(|| call.workflow.name.clone());
        // A scope cannot hold a line break, so that no two pairs make one key.
        if scope.contains(char::is_control) {
            return Err(invalid(".scope holds a line break or another control character".to_string()));
        }
        let key = format!("{scope}\n{name}");
        if key.len() > limits::KEY {
            let message = format!(": scope and key are {} bytes, more than the {} allowed", key.len(), limits::KEY);
            return Err(invalid(message));
        }
        let mut held = hold(call, &key, clock).await?;
        let stored = parse(held.value.take());
        let expires_at = call.now.saturating_add_unsigned(ttl_ms);
        Ok(Some(Self { held, key, stored, most: most as usize, tokens, expires_at }))
    }

    /// What is sent of it, the oldest first: as many of the newest turns as fit. The rest stays remembered.
    pub fn turns(&self) -> Vec<Turn> {
        let mut turns = self.stored.clone();
        let sizes = |turn: &Turn| tokens::of_message(&turn.user) + tokens::of_message(&turn.assistant);
        newest(&mut turns, self.most, self.tokens, sizes);
        turns
    }

    /// The step's end, together with what was said now, and before unless that `is_too_long` for the model.
    pub fn written(self, is_too_long: bool, now: Turn, output: Json) -> Outcome {
        let mut turns = if is_too_long { Vec::new() } else { self.stored };
        // One that does not fit on its own is not remembered; what was said before it still is.
        if size(&now) <= limits::AI_HISTORY as u64 {
            turns.push(now);
        }
        newest(&mut turns, self.most, limits::AI_HISTORY as u64, size);
        let turns: Vec<Json> = turns.into_iter().map(|turn| json!([turn.user, turn.assistant])).collect();
        let write = Write {
            space: Space::History,
            key: self.key,
            value: Some(json!({ "turns": turns })),
            expires_at: Some(self.expires_at),
        };
        Outcome::Written { port: OK, output, writes: vec![write], held: vec![self.held] }
    }
}

async fn hold(call: &StepCall, key: &str, clock: &dyn Clock) -> Result<Held, StepError> {
    let holding = std::pin::pin!(call.keys.hold(Space::History, key));
    match select(holding, clock.pause(call.timeout_ms / 2)).await {
        Either::Left((held, _)) => held.map_err(StepError::from),
        Either::Right(_) => {
            let failure = Failure::new("ai.busy", "another run is in this conversation; its turn comes");
            Err(StepError::Later { failure, after_ms: BUSY_MS })
        }
    }
}

/// Of a turn as it is stored, in bytes.
fn size(turn: &Turn) -> u64 {
    (turn.user.len() + turn.assistant.len() + 8).max(text_len(&json!([turn.user, turn.assistant]))) as u64
}

/// Drops the oldest until at most `most` are left, and `sizes` adds up to at most `limit`.
fn newest(turns: &mut Vec<Turn>, most: usize, limit: u64, sizes: impl Fn(&Turn) -> u64) {
    let mut sum = 0u64;
    let kept = turns.iter().rev().take(most).take_while(|turn| {
        sum = sum.saturating_add(sizes(turn));
        sum <= limit
    });
    let kept = kept.count();
    turns.drain(..turns.len() - kept);
}

/// What is stored; anything else is a conversation of another age, and forgotten.
fn parse(value: Option<Json>) -> Vec<Turn> {
    let Some(Json::Array(turns)) = value.and_then(|mut value| value.get_mut("turns").map(Json::take)) else {
        return Vec::new();
    };
    let one = |turn: Json| {
        let text = |index: usize| turn.get(index).and_then(Json::as_str).map(String::from);
        Some(Turn { user: text(0)?, assistant: text(1)? })
    };
    turns.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(text: &str) -> Turn {
        Turn { user: text.to_string(), assistant: text.to_uppercase() }
    }

    #[test]
    fn the_newest_are_kept() {
        let all = || ["a", "bb", "ccc"].map(turn).to_vec();
        for (most, limit, kept) in [(9, 99, 3), (2, 99, 2), (9, 10, 2), (9, 9, 1), (9, 5, 0), (0, 99, 0)] {
            let mut turns = all();
            newest(&mut turns, most, limit, |turn| (turn.user.len() + turn.assistant.len()) as u64);
            assert_eq!(turns, all()[3 - kept..], "{most} {limit}");
        }
    }

    #[test]
    fn what_is_stored_is_read_back_and_nothing_else_is() {
        let stored = json!({ "turns": [["a", "A"], ["bb", "BB"]] });
        assert_eq!(parse(Some(stored)), [turn("a"), turn("bb")]);
        for other in [json!(null), json!([]), json!({"turns": 7}), json!({"turns": [["a"], 7]})] {
            assert_eq!(parse(Some(other)), []);
        }
    }
}
