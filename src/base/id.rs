//! Run ids: 26 characters, sorted by the time they were made.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::Millis;

/// A run's name for people, scripts and rows: 48 bits of milliseconds, 80 bits of randomness, in Crockford's base 32
/// (the ULID form, lower case). Ids made later sort later, so that new rows are appended to the index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(u128);

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LEN: usize = 26;

/// A text that is no run id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no run id; an id is 26 letters and digits, as `moltrun runs list` prints them")]
pub struct BadRunId(String);

impl RunId {
    /// The id of a run made at `at` with the given randomness (80 bits are used).
    pub fn new(at: Millis, random: u128) -> Self {
        let time = (at.max(0) as u128) & ((1 << 48) - 1);
        Self(time << 80 | random & ((1 << 80) - 1))
    }

    pub fn parse(text: &str) -> Result<Self, BadRunId> {
        let bad = || BadRunId(text.chars().take(64).collect());
        if text.len() != LEN {
            return Err(bad());
        }
        let mut value: u128 = 0;
        for (index, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|&c| c == byte.to_ascii_lowercase()).ok_or_else(bad)?;
            // 26 digits of 5 bits are 130 bits: the first one holds only 3.
            if index == 0 && digit > 7 {
                return Err(bad());
            }
            value = value << 5 | digit as u128;
        }
        Ok(Self(value))
    }

    /// The id right after this one.
    pub fn successor(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// A number drawn from the id, for spreading without randomness (retry jitter).
    pub fn seed(self) -> u64 {
        (self.0 ^ (self.0 >> 64)) as u64
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; LEN];
        for (index, slot) in text.iter_mut().enumerate() {
            *slot = ALPHABET[(self.0 >> (5 * (LEN - 1 - index)) & 31) as usize];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl std::str::FromStr for RunId {
    type Err = BadRunId;

    fn from_str(text: &str) -> Result<Self, BadRunId> {
        Self::parse(text)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_back(at in 0i64..1 << 48, random: u128) {
            let id = RunId::new(at, random);
            prop_assert_eq!(RunId::parse(&id.to_string()), Ok(id));
        }

        #[test]
        fn later_ids_sort_later(at in 0i64..1 << 40, random: u128, other: u128) {
            prop_assert!(RunId::new(at, random).to_string() < RunId::new(at + 1, other).to_string());
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = RunId::parse(&text);
        }
    }
}
