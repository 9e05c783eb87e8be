//! Words by which people say that they want no more messages, or want them again.

/// `opt_out:` of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptOut {
    words: Vec<String>,
    start_words: Vec<String>,
    /// What is answered to one who opts out; None: nothing.
    pub reply: Option<String>,
    /// What is answered to one who comes back; None: nothing.
    pub start_reply: Option<String>,
}

/// What a message says by one of the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Stop,
    Start,
}

impl OptOut {
    pub fn new(words: &[String], start_words: &[String], reply: Option<String>, start_reply: Option<String>) -> Self {
        let plain = |words: &[String]| words.iter().map(|word| plain(word)).collect();
        Self { words: plain(words), start_words: plain(start_words), reply, start_reply }
    }

    /// What `body` says, if it is one of the words and nothing else, and that word.
    pub fn said(&self, body: &str) -> Option<(Said, &str)> {
        // No word is longer, and a long text need not be folded to see that.
        if body.len() > LONGEST {
            return None;
        }
        let body = plain(body);
        let of = |words: &'_ [String]| words.iter().position(|word| *word == body);
        of(&self.words)
            .map(|at| (Said::Stop, self.words[at].as_str()))
            .or_else(|| of(&self.start_words).map(|at| (Said::Start, self.start_words[at].as_str())))
    }
}

/// Bytes of a message that may be a word: a word of [`SENDER_WORD`](crate::base::limits::SENDER_WORD) characters with
/// spaces and marks around it.
const LONGEST: usize = 8 * crate::base::limits::SENDER_WORD;

/// A word as it is compared: without space around it and marks after it, and whatever the case of its letters. Upper and
/// then lower case makes `ß` and `SS`, `ς` and `Σ` the same.
pub fn plain(text: &str) -> String {
    let text = text.trim_matches(is_around);
    let end = text.trim_end_matches(|c: char| is_around(c) || is_mark(c));
    // A text of nothing but marks is itself: `!` may be a word.
    let text = if end.is_empty() { text } else { end };
    text.to_uppercase().to_lowercase().replace('ς', "σ")
}

/// White space, and what phones put around a text without showing it.
fn is_around(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{202a}'..='\u{202e}')
}

/// What people end a sentence with, in any script; quotes and brackets among it.
fn is_mark(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '…' | '‥' | '。' | '．' | '！' | '？' | '，' | '、' | '；' | '：' | '·' | '۔' | '؟' | '؛' | '،')
        || matches!(c, '।' | '॥' | '’' | '‘' | '“' | '”' | '«' | '»' | '–' | '—' | '\u{fe0f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opt_out(words: &[&str], start: &[&str]) -> OptOut {
        let list = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        OptOut::new(&list(words), &list(start), None, None)
    }

    #[test]
    fn a_word_is_heard_however_it_is_written() {
        let words = opt_out(&["stop", "Baja", "STRAßE", "στοπ ς", "отписаться", "やめて"], &["start"]);
        for body in [
            "stop",
            "Stop",
            "STOP",
            " stop \n",
            "stop.",
            "STOP!!!",
            "stop ...",
            "Stop…",
            "\u{200e}stop\u{200f}",
            "baja",
            "BAJA。",
            "strasse",
            "Straße?",
            "ΣΤΟΠ Σ",
            "Отписаться",
            "やめて！",
            "stop\u{fe0f}",
        ] {
            assert_eq!(words.said(body).map(|(said, _)| said), Some(Said::Stop), "{body:?}");
        }
        assert_eq!(words.said("Start!").map(|(said, _)| said), Some(Said::Start));
        for body in ["", "please stop", "stop it", "stopp", "sto p", "...", "!stop", &"stop ".repeat(1_000)] {
            assert_eq!(words.said(body), None, "{body:?}");
        }
    }

    #[test]
    fn a_mark_may_be_a_word() {
        assert_eq!(opt_out(&["!"], &[]).said(" ! "), Some((Said::Stop, "!")));
        assert_eq!(opt_out(&["0"], &[]).said("0."), Some((Said::Stop, "0")));
    }
}
