//! Tokens, roughly: each model has its own, and none of them is worth a table of 100,000 words here.

/// Bytes that make a token. English has four to a token, most other writing fewer; too many tokens are the safe mistake.
const BYTES: u64 = 3;

/// What stands around a message.
const AROUND: u64 = 4;

/// About how many tokens `text` is.
pub(super) fn estimate(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BYTES)
}

/// The same for a message of a conversation.
pub(super) fn of_message(text: &str) -> u64 {
    estimate(text) + AROUND
}
