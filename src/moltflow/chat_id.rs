//! Where a message goes.
//!
//! | accepted | meaning |
//! |---|---|
//! | `15551234567@c.us` | a contact, by its digits with country code |
//! | `120363012345678901@g.us`, `15551234567-1612345678@g.us` | a group |
//! | `+1 (555) 123-4567` | an international phone number in any punctuation: the contact of its digits |
//!
//! Everything else is refused: guessing a country code would write to a stranger.

use std::fmt;

/// A chat id in the API's form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChatId(String);

/// A text that names no chat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {problem}; write 15551234567@c.us, 120363012345678901@g.us, or +1 555 123 4567")]
pub struct BadChatId {
    text: String,
    problem: &'static str,
}

impl ChatId {
    pub fn as_str(&self) -> &str {
        &self.0
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
    let text = text.trim();
    let bad = |problem| BadChatId { text: text.chars().take(60).collect(), problem };
    if let Some((user, domain)) = text.split_once('@') {
        return match domain {
            "c.us" if is_digits(user, 5..=15) => Ok(ChatId(text.to_string())),
            "c.us" => Err(bad("has no phone number of digits alone before @c.us")),
            "g.us" if is_group(user) => Ok(ChatId(text.to_string())),
            "g.us" => Err(bad("has no group id before @g.us")),
            _ => Err(bad("is neither a contact (@c.us) nor a group (@g.us)")),
        };
    }
    let Some(number) = text.strip_prefix('+') else {
        let phone = text.chars().any(|c| c.is_ascii_digit()) && !text.chars().any(char::is_alphabetic);
        return Err(bad(if phone { "is a number without its country code (no +)" } else { "is no chat" }));
    };
    if number.chars().any(|c| (c.is_alphanumeric() && !c.is_ascii_digit()) || c.is_control() || c == '+') {
        return Err(bad("holds more than a phone number"));
    }
    if number.split(|c: char| c.is_ascii_digit()).any(|gap| gap.trim() == "(") && number.contains("(0)") {
        return Err(bad("holds a (0), which is not dialled from abroad: leave it out"));
    }
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if digits.starts_with('0') {
        return Err(bad("begins with 0, which no country code does"));
    }
    // E.164 allows 15 digits; fewer than 8 with country code is a number that was cut.
    if !is_digits(&digits, 8..=15) {
        return Err(bad("has not the 8 to 15 digits of an international phone number"));
    }
    Ok(ChatId(format!("{digits}@c.us")))
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
