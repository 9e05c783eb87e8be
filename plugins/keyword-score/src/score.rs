//! What counts as a match.
//!
//! - Case does not matter, in any script (`STRASSE` is `straße`, `ΣΟΣ` is `σος`). Accents do: `cafe` is not `café`.
//! - A keyword matches whole words only: a letter or digit at its edge may not touch another one. `refund` is in
//!   `Refund!` and `_refund_`, not in `refunds`.
//! - A keyword may be several words, or hold signs (`not working`, `c++`); a run of white space is one space.
//! - A keyword counts once, however often it occurs or is listed. The score is the number of keywords found.

use crate::{Input, Output};

/// The keywords of `input` that its text holds.
pub fn score(input: &Input) -> Result<Output, String> {
    let text = fold(&input.text);
    let mut seen: Vec<String> = Vec::new();
    let mut matched = Vec::new();
    for (index, keyword) in input.keywords.iter().enumerate() {
        let folded = fold(keyword);
        if folded.is_empty() {
            return Err(format!("keyword {} is blank; remove it or write a word", index + 1));
        }
        if !seen.contains(&folded) && holds(&text, &folded) {
            matched.push(keyword.clone());
            seen.push(folded);
        }
    }
    Ok(Output { score: matched.len(), matched })
}

/// `text` without case, and with one space for each run of white space. Upper case comes first because it unites what
/// lower case keeps apart: `ß` and `ss`, `ς` and `σ`.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase));
    }
    folded
}

/// Whether `keyword` stands in `text` with no letter or digit touching one of its own.
fn holds(text: &str, keyword: &str) -> bool {
    let glued = |a: Option<char>, b: Option<char>| matches!((a, b), (Some(a), Some(b)) if in_word(a) && in_word(b));
    let (first, last) = (keyword.chars().next(), keyword.chars().next_back());
    text.match_indices(keyword).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + keyword.len()..].chars().next();
        !glued(before, first) && !glued(last, after)
    })
}

/// Letters, digits, and the accents that are written after their letter.
fn in_word(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(text: &str, keywords: &[&str]) -> Vec<String> {
        let keywords = keywords.iter().map(|k| k.to_string()).collect();
        score(&Input { text: text.into(), keywords }).unwrap().matched
    }

    #[test]
    fn whole_words_in_any_case() {
        for (text, keyword, found) in [
            ("URGENT: please", "urgent", true),
            ("this is not urgently needed", "urgent", false),
            ("insurgent", "urgent", false),
            ("refund!", "Refund", true),
            ("_refund_ and *more*", "refund", true),
            ("refund2", "refund", false),
            ("refunds, then refund", "refund", true),
            ("GRÖSSE", "größe", true),
            ("σος", "ΣΟΣ", true),
            ("срочно!", "СРОЧНО", true),
            ("café", "cafe", false),
            ("cafe\u{301}", "cafe", false),
            ("é urgent", "É", true),
            ("我要退款", "退款", false),
            ("退款 please", "退款", true),
            ("it is not\n  working", "Not  Working", true),
            ("c++ rocks", "C++", true),
            ("", "x", false),
        ] {
            assert_eq!(!matched(text, &[keyword]).is_empty(), found, "{keyword:?} in {text:?}");
        }
    }

    #[test]
    fn a_keyword_counts_once_and_keeps_its_spelling() {
        assert_eq!(matched("down down DOWN, urgent", &["Urgent", "down", "DOWN", "refund"]), ["Urgent", "down"]);
    }
}
