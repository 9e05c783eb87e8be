//! What a plain YAML scalar is, by YAML 1.2's core schema.

use serde_json::Number;

#[derive(Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text,
    /// A number that cannot be kept as it is written, with the reason.
    Bad(&'static str),
}

pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Scalar::Bad("is a number that JSON cannot hold");
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_digit(radix))
        {
            return u64::from_str_radix(digits, radix).map_or(Scalar::Bad(TOO_LARGE), |n| Scalar::Number(n.into()));
        }
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Scalar::Text;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return integer(text, unsigned);
    }
    if is_float(unsigned) {
        let number = text.parse::<f64>().ok().and_then(Number::from_f64);
        return number.map_or(Scalar::Bad("is a number that JSON cannot hold"), Scalar::Number);
    }
    Scalar::Text
}

const TOO_LARGE: &str = "is a number too large to be exact";

fn integer(text: &str, digits: &str) -> Scalar {
    if digits.len() > 1 && digits.starts_with('0') {
        // Most likely a phone number or a code, whose zeros count.
        return Scalar::Bad("is a number that would lose its leading zeros");
    }
    if text.starts_with('+') {
        return Scalar::Bad("is a number that would lose its `+`");
    }
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(number), _) => Scalar::Number(number.into()),
        (_, Ok(number)) => Scalar::Number(number.into()),
        _ => Scalar::Bad(TOO_LARGE),
    }
}

/// `[0-9]* . [0-9]*` with at least one digit, and an exponent or not.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let dots = mantissa.bytes().filter(|byte| *byte == b'.').count();
    exponent_ok && digits > 0 && dots <= 1 && digits + dots == mantissa.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_schema() {
        for text in [
            "a",
            "yes",
            "no",
            "1.2.3",
            "1e",
            "-",
            ".",
            "0xg",
            "2026-03-29",
            "10:30",
            "1_000",
            "0x",
            "-a",
            "15551234567@c.us",
        ] {
            assert_eq!(resolve(text), Scalar::Text, "{text}");
        }
        for (text, number) in [
            ("0", 0.0),
            ("-12", -12.0),
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("-1.5E-1", -0.15),
            ("0x1F", 31.0),
            ("0o17", 15.0),
        ] {
            let Scalar::Number(found) = resolve(text) else { panic!("{text}") };
            assert_eq!(found.as_f64(), Some(number), "{text}");
        }
        for text in [
            "007",
            "+34600111222",
            ".inf",
            "-.INF",
            ".nan",
            "1e999",
            "99999999999999999999999",
            "0xfffffffffffffffffff",
        ] {
            assert!(matches!(resolve(text), Scalar::Bad(_)), "{text}");
        }
        assert_eq!(resolve("18446744073709551615"), Scalar::Number(u64::MAX.into()));
    }
}
