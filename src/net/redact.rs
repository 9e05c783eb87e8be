//! What may be shown of a URL or of somebody else's text.

use reqwest::Url;

/// A URL without credentials, query and fragment, any of which may hold a secret.
pub fn shown_url(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => shown(&url),
        // Not a URL: its text up to anything that could begin a secret.
        Err(_) => url.split(['?', '#', '@']).next().unwrap_or_default().chars().take(200).collect(),
    }
}

pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Fails only for URLs that cannot hold credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str().chars().take(300).collect()
}

/// A far side's text for an error message: one line, at most 300 characters, with `secrets` cut out.
pub fn redact(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_string();
    // A secret of a few characters would cut up ordinary words, and guards nothing.
    for secret in secrets.iter().filter(|secret| secret.len() >= 6) {
        text = text.replace(secret, "[redacted]");
    }
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    if line.chars().count() > 300 {
        line = line.chars().take(299).chain(['…']).collect();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_what_may_be_secret() {
        assert_eq!(shown_url("https://u:p@h.example/a/b?token=t#f"), "https://h.example/a/b");
        assert_eq!(shown_url("nonsense?token=t"), "nonsense");
    }

    #[test]
    fn texts_lose_secrets_controls_and_length() {
        assert_eq!(redact("bad key\n sk-123456\u{7} now", &["sk-123456"]), "bad key [redacted] now");
        assert_eq!(redact("a dog", &["a"]), "a dog");
        assert_eq!(redact(&"x".repeat(5000), &[]).chars().count(), 300);
    }
}
