//! Where a message goes.
//!
//! | accepted | meaning |
//! |---|---|
//! | `15551234567@c.us` | a contact, by its digits with country code |
//! | `120363012345678901@g.us`, `15551234567-1612345678@g.us` | a group |
//! | `+1 (555) 123-4567`, `0049 30 1234567` | an international phone number in any spelling ([`super::phone`]) |
//! | `(650) 555-1234` | a phone number of a region, where one is given |
//!
//! Everything else is refused: guessing a country code would write to a stranger.

use std::fmt;

use super::phone::{self, Region};

/// A chat id in the API's form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChatId(String);

/// A text that names no chat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {problem}; write 15551234567@c.us, 120363012345678901@g.us, or +1 555 123 4567")]
pub struct BadChatId {
    text: String,
    problem: String,
}

impl ChatId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The phone number of a contact, in the form of E.164; None for a group.
    pub fn phone(&self) -> Option<String> {
        self.0.strip_suffix("@c.us").map(|digits| format!("+{digits}"))
    }

    pub fn is_group(&self) -> bool {
        self.0.ends_with("@g.us")
    }
}

impl fmt::Display for ChatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a chat id or an international phone number.
pub fn parse(text: &str) -> Result<ChatId, BadChatId> {
    parse_in(text, None)
}

/// Reads a chat id or a phone number; one without country code is meant in `region`.
pub fn parse_in(text: &str, region: Option<Region>) -> Result<ChatId, BadChatId> {
    let text = text.trim();
    let bad = |problem: &str| BadChatId { text: text.chars().take(60).collect(), problem: problem.to_string() };
    if text.len() > 200 {
        return Err(bad("is longer than any chat id or phone number"));
    }
    if let Some((user, domain)) = text.split_once('@') {
        return match domain {
            "c.us" if is_digits(user, 5..=15) => Ok(ChatId(text.to_string())),
            "c.us" => Err(bad("has no phone number of digits alone before @c.us")),
            "g.us" if is_group(user) => Ok(ChatId(text.to_string())),
            "g.us" => Err(bad("has no group id before @g.us")),
            _ => Err(bad("is neither a contact (@c.us) nor a group (@g.us)")),
        };
    }
    let begins_as_number = text.starts_with(['+', '(', '[']) || text.starts_with(|c: char| c.is_ascii_digit());
    if !begins_as_number && !text.to_ascii_lowercase().starts_with("tel:") && text.chars().all(|c| !c.is_ascii_digit())
    {
        return Err(bad("is no chat"));
    }
    match phone::parse(text, region) {
        Ok(phone) => Ok(ChatId(format!("{}@c.us", phone.digits()))),
        Err(problem) => Err(bad(&problem)),
    }
}

fn is_digits(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// New groups have one number, old ones their maker's phone and a timestamp.
fn is_group(user: &str) -> bool {
    match user.split_once('-') {
        Some((phone, made)) => is_digits(phone, 5..=15) && is_digits(made, 5..=15),
        None => is_digits(user, 10..=30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_accepted() {
        for (text, id) in [
            ("15551234567@c.us", "15551234567@c.us"),
            (" 15551234567@c.us ", "15551234567@c.us"),
            ("120363012345678901@g.us", "120363012345678901@g.us"),
            ("15551234567-1612345678@g.us", "15551234567-1612345678@g.us"),
            ("+15551234567", "15551234567@c.us"),
            ("+1 (650) 555-1234", "16505551234@c.us"),
            ("+44 20 7946 0958", "442079460958@c.us"),
            ("+49\u{a0}30\u{2011}1234567", "49301234567@c.us"),
            ("+1.555/123.4567", "15551234567@c.us"),
        ] {
            assert_eq!(parse(text).map(|id| id.0), Ok(id.to_string()), "{text}");
        }
        assert!(parse("120363012345678901@g.us").unwrap().is_group());
    }

    #[test]
    fn what_is_refused_says_why() {
        for (text, word) in [
            ("", "no chat"),
            ("alice", "no chat"),
            ("15551234567", "country code"),
            ("0555 123", "country code"),
            ("+0155512345", "begins with 0"),
            ("+44 (0)20 7946 0958", "(0)"),
            ("+1555", "8 to 15"),
            ("+1234567890123456", "8 to 15"),
            ("+1555123CALL", "more than"),
            ("+1555\u{0}1234567", "more than"),
            ("+1+5551234567", "more than"),
            ("+١٥٥٥١٢٣٤٥٦٧", "more than"),
            ("1 555@c.us", "digits alone"),
            ("@c.us", "digits alone"),
            ("abc@g.us", "no group id"),
            ("15551234567@s.whatsapp.net", "neither"),
            ("a@c.us@g.us", "neither"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_passes_is_canonical(text in "\\PC{0,40}") {
            if let Ok(id) = parse(&text) {
                prop_assert_eq!(parse(id.as_str()), Ok(id));
            }
        }
    }
}
