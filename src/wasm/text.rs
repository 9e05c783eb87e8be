//! Texts of guests, made fit for logs, errors and terminals.

/// `text` in at most `limit` bytes (and a mark of the cut), with control characters as spaces, so that a guest can
/// neither flood a journal nor drive a terminal.
pub(super) fn clean(text: &str, limit: usize) -> String {
    let end = text.floor_char_boundary(limit);
    let mut clean: String = text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if end < text.len() {
        clean.push('…');
    }
    clean
}

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
