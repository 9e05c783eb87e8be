//! Instants as people read them.

use super::Millis;

/// `at` as RFC 3339 in UTC; out of jiff's range (no clock gives that) the bare number.
pub fn rfc3339(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |timestamp| timestamp.to_string())
}

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time; write RFC 3339 with an offset, such as 2026-03-01T09:00:00+01:00")]
pub struct BadTime(String);

/// The instant of `text`: RFC 3339 with an offset, or milliseconds since 1970.
pub fn parse(text: &str) -> Result<Millis, BadTime> {
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let timestamp = text.parse::<jiff::Timestamp>();
    timestamp.map(jiff::Timestamp::as_millisecond).map_err(|_| BadTime(text.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{parse, rfc3339};

    #[test]
    fn every_number_has_a_text() {
        assert_eq!(rfc3339(1_500), "1970-01-01T00:00:01.5Z");
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn instants_have_an_offset_or_are_numbers() {
        assert_eq!(parse("1970-01-01T01:00:01+01:00"), Ok(1_000));
        assert_eq!(parse("-5"), Ok(-5));
        for text in ["", "tomorrow", "2026-03-01", "2026-03-01T09:00:00", "1.5"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
