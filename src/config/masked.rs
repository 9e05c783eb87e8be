//! A configuration as it may be drawn around a mistake: keys, and the word that is wrong. A neighbour of a mistake, or the
//! mistake itself, may be a secret that somebody has written down.

use crate::lang::Diagnostic;

/// Keys whose values are not drawn even where they are wrong.
const SECRET: [&str; 7] = ["api_key", "password", "token", "webhook_secret", "bearer", "value", "secret"];

/// The same text with `*` for every byte of a value, so that all places stay where they are. What `found` points at is kept
/// where it is one word and no secret's, and so are `${NAME}` and what only gives structure.
pub fn masked(text: &str, found: &[Diagnostic]) -> String {
    let kept: Vec<_> = found.iter().filter(|one| may_be_shown(text, one)).map(|one| one.span.clone()).collect();
    let mut drawn = String::with_capacity(text.len());
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let value = start + value_start(line);
        let mut reference = false;
        for (at, char) in line.char_indices().map(|(at, char)| (start + at, char)) {
            reference |= text[at..].starts_with("${");
            let structure = char.is_whitespace() || "{}[],:\"'#-".contains(char);
            if at < value || structure || reference || kept.iter().any(|span| span.contains(&at)) {
                drawn.push(char);
            } else {
                drawn.extend(std::iter::repeat_n('*', char.len_utf8()));
            }
            reference &= char != '}';
        }
        start += line.len();
    }
    drawn
}

/// Where the value of a line begins: after its key, or after the dash of an item.
fn value_start(line: &str) -> usize {
    let after_key = line.match_indices(':').find(|(at, _)| line[at + 1..].starts_with(char::is_whitespace));
    match after_key {
        Some((at, _)) => at + 1,
        None => line.len() - line.trim_start_matches(|c: char| c.is_whitespace() || c == '-').len(),
    }
}

fn may_be_shown(text: &str, one: &Diagnostic) -> bool {
    let Some(word) = text.get(one.span.clone()) else { return false };
    let before = text[..one.span.start].trim_end_matches([' ', '"', '\'']);
    let key = before.strip_suffix(':').unwrap_or_default().trim_end_matches(['"', '\'']);
    let key = key.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
    one.code != "bad-secret" && !word.contains(['\n', '{', '[', ':', ',']) && !SECRET.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Source;
    use crate::lang::diagnostic::Diagnostics;

    fn drawn(text: &str, wrong: &[(&'static str, &str)]) -> String {
        let source = Source { path: "moltrun.yaml".to_string(), text: text.to_string() };
        let mut found = Diagnostics::new(&source);
        for (code, word) in wrong {
            let at = text.find(word).unwrap();
            found.error(code, at..at + word.len(), "wrong");
        }
        masked(text, &found.finish())
    }

    #[test]
    fn only_keys_and_the_wrong_word_are_drawn() {
        let text = "server:\n  listen: nowhere\n  token: s3cret\nmoltflow: { api_key: \"molt\", base_url: ${URL} }\nl:\n  - é1\n";
        let expected = "server:\n  listen: nowhere\n  token: ******\nmoltflow: { *******: \"****\", ********: ${URL} }\nl:\n  - ***\n";
        assert_eq!(drawn(text, &[("bad-address", "nowhere")]), expected);
        for (code, word) in [("wrong-type", "s3cret"), ("bad-secret", "s3cret"), ("wrong-type", "{ api_key: \"molt\"")]
        {
            let drawn = drawn(text, &[(code, word)]);
            assert!(!drawn.contains("s3cret") && !drawn.contains("molt\"") && drawn.len() == text.len(), "{drawn}");
        }
    }
}
