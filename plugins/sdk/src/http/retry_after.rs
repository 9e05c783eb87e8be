//! The pause that an answer names.

use std::time::Duration;

/// The shortest pause: a `Retry-After: 0` would be a loop.
const SHORTEST: Duration = Duration::from_secs(1);

/// Seconds, or an HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`); none if it is neither.
pub(super) fn parse(text: &str, now_ms: u64) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds are a very long pause.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))).max(SHORTEST));
    }
    let due_ms = date(text)?.checked_mul(1_000)?;
    Some(Duration::from_millis(due_ms.saturating_sub(now_ms)).max(SHORTEST))
}

/// The seconds since the Unix epoch of an HTTP date; none before the epoch.
fn date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day: i64 = parts.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let name = parts.next()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let year: i64 = parts.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = parts.next()?.split(':');
    let mut part = |below: i64| clock.next()?.parse::<i64>().ok().filter(|part| (0..below).contains(part));
    // 60: a leap second.
    let (hours, minutes, seconds) = (part(24)?, part(60)?, part(61)?);
    if parts.next()? != "GMT" || parts.next().is_some() || clock.next().is_some() {
        return None;
    }
    // Days since 0000-03-01, so that the leap day is the last one of its year.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    u64::try_from(((days * 24 + hours) * 60 + minutes) * 60 + seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        let now_ms = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(1)),
            ("99999999999999999999", Some(4_294_967_295)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(1)),
            ("Thu, 29 Feb 1996 00:00:00 GMT", Some(825_552_000 - 784_111_777)),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 1994 25:49:37 GMT", None),
            ("Sun, 06 Noe 1994 08:49:37 GMT", None),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(parse(text, now_ms), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(date("Tue, 01 Mar 2000 00:00:00 GMT"), Some(951_868_800));
    }
}
