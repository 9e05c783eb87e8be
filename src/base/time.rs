//! Instants as people read them.

use super::Millis;

/// `at` as RFC 3339 in UTC; out of jiff's range (no clock gives that) the bare number.
pub fn rfc3339(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |timestamp| timestamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn every_number_has_a_text() {
        assert_eq!(rfc3339(1_500), "1970-01-01T00:00:01.5Z");
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
    }
}
