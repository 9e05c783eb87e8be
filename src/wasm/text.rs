//! Texts of guests, made fit for logs, errors and terminals.

pub(super) use crate::lang::schema::clean;

/// Whether `name` is `[a-z][a-z0-9]*` with the given signs between, at most 64 bytes.
pub(super) fn is_name(name: &str, signs: &[char]) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || signs.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters_and_lose_their_controls() {
        assert_eq!(clean("a\u{1b}[31mb\nc", 100), "a [31mb c");
        assert_eq!(clean("aüb", 2), "a…");
        assert_eq!(clean("aüb", 3), "aü…");
    }

    #[test]
    fn names() {
        for (name, is) in
            [("a", true), ("keyword-score", true), ("Ab", false), ("", false), ("1a", false), ("a/b", false)]
        {
            assert_eq!(is_name(name, &['-']), is, "{name}");
        }
        assert!(!is_name(&"a".repeat(65), &[]));
    }
}
