//! Far sides that tell the same again whenever they are asked.
//!
//! The guide has a stream go on as things happen. One that instead tells a session's whole story and hangs up would have every
//! status look like a change with each stream. So a stream that follows a short one is compared with it: while it tells the
//! same, its events are held back; once it has told all of it, they were a repetition. As soon as it differs, ends or falls
//! silent before that, they were news.

use super::Told;
use crate::base::hex::hex;
use sha2::{Digest, Sha256};

/// Events of one stream that are remembered. A longer story is told by nobody who hangs up after it.
const REMEMBERED: usize = 32;

/// The stream at hand, beside the one before.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// What the one before told, if it was short.
    before: Vec<String>,
    /// Told now and as before, so far.
    held: Vec<Told>,
    /// Told now, all of it; None: too much.
    heard: Option<Vec<String>>,
}

impl Replay {
    pub fn new(before: Vec<String>) -> Self {
        Self { before, held: Vec::new(), heard: Some(Vec::new()) }
    }

    /// Whether something is held back, which must not be for long.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes an event; what is news now, in order.
    pub fn take(&mut self, told: Told) -> Vec<Told> {
        let name = name(&told);
        let same = self.before.get(self.held.len()) == Some(&name);
        self.heard = self.heard.take().filter(|heard| heard.len() < REMEMBERED);
        self.heard.iter_mut().for_each(|heard| heard.push(name.clone()));
        self.held.push(told);
        if !same {
            return self.release();
        }
        if self.held.len() == self.before.len() {
            self.before.clear();
            self.held.clear();
        }
        Vec::new()
    }

    /// It is no repetition: what was held back is news.
    pub fn release(&mut self) -> Vec<Told> {
        self.before.clear();
        std::mem::take(&mut self.held)
    }

    /// What the next stream is to be compared with, if this one was short.
    pub fn heard(self) -> Vec<String> {
        self.heard.unwrap_or_default()
    }
}

/// The digest of an event: a code lets people in and is not kept.
pub(super) fn name(told: &Told) -> String {
    let text = match told {
        Told::Status(status) => format!("status:{status}"),
        Told::Qr(qr) => format!("qr:{qr}"),
    };
    hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: &str) -> Told {
        Told::Status(status.to_string())
    }

    /// What is news of a stream, word by word; `|` is a silence.
    fn news(before: &[&str], now: &[&str]) -> Vec<String> {
        let mut replay = Replay::new(before.iter().map(|word| name(&status(word))).collect());
        let mut news = Vec::new();
        for word in now {
            news.extend(if *word == "|" { replay.release() } else { replay.take(status(word)) });
        }
        news.extend(replay.release());
        let word = |told: &Told| match told {
            Told::Status(status) => status.clone(),
            Told::Qr(_) => panic!("no code was told"),
        };
        news.iter().map(word).collect()
    }

    #[test]
    fn only_a_whole_repetition_is_none() {
        assert_eq!(news(&["qr_code", "working"], &["qr_code", "working"]), [""; 0]);
        assert_eq!(news(&["qr_code", "working"], &["qr_code", "working", "failed"]), ["failed"]);
        assert_eq!(news(&["working", "failed"], &["working", "|", "failed"]), ["working", "failed"]);
        assert_eq!(news(&["working", "failed"], &["failed", "working"]), ["failed", "working"]);
        assert_eq!(news(&["working", "failed"], &["working"]), ["working"]);
        assert_eq!(news(&[], &["working"]), ["working"]);
    }

    #[test]
    fn a_long_story_is_not_remembered() {
        let mut replay = Replay::new(Vec::new());
        for number in 0..REMEMBERED + 1 {
            assert_eq!(replay.take(status(&number.to_string())).len(), 1);
        }
        assert!(replay.heard().is_empty());
    }
}
