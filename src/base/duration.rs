//! Durations as people write them: `500ms`, `30s`, `5m`, `6h`, `90d`, `1h30m`.

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no duration; write a number and a unit: 500ms, 30s, 5m, 6h, 90d, or 1h30m")]
pub struct BadDuration(String);

/// The milliseconds of `text`.
pub fn parse_ms(text: &str) -> Result<u64, BadDuration> {
    let bad = || BadDuration(text.to_string());
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let count: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let unit_len = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit: u64 = match &rest[..unit_len] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        rest = &rest[unit_len..];
        total = count.checked_mul(unit).and_then(|ms| total.checked_add(ms)).ok_or_else(bad)?;
    }
    // What is added to a timestamp must not overflow it: 10,000 years are enough for anyone.
    if total > 10_000 * 366 * 86_400_000 {
        return Err(bad());
    }
    Ok(total)
}

/// `ms` as people read it: `0.4 ms` is the caller's business, this is for whole milliseconds.
pub fn human(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_people_write() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("6h", 21_600_000),
            ("90d", 7_776_000_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "5", "s", "5 s", "-5s", "1.5h", "5y", "99999999999999999999s", "9999999999d", "5sm"] {
            assert!(parse_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_people_read() {
        assert_eq!(human(12), "12 ms");
        assert_eq!(human(1_250), "1.2 s");
        assert_eq!(human(61_000), "1 min 1 s");
        assert_eq!(human(5_400_000), "1 h 30 min");
    }
}
