//! What was really sent: the sandbox's answer to "did it go out, and once?".

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::base::{Millis, limits};

/// One message the API accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    pub session: String,
    pub chat_id: String,
    pub text: String,
    /// When, in milliseconds.
    pub at: Millis,
    /// The session replied by itself: no request asked for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_reply: bool,
}

/// Which messages; None: of any.
#[derive(Debug, Default)]
pub struct Filter {
    pub session: Option<String>,
    pub chat: Option<String>,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        self.session.as_ref().is_none_or(|session| *session == entry.session)
            && self.chat.as_ref().is_none_or(|chat| *chat == entry.chat_id)
    }
}

/// A page of them.
#[derive(Debug)]
pub struct Found {
    /// All messages ever sent.
    pub total: u64,
    /// The number of the last one that was looked at: where the next page begins.
    pub next: u64,
    pub entries: Vec<Entry>,
}

/// The newest messages, and the count of all.
pub struct Ledger {
    kept: Mutex<Kept>,
    total: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<Entry>,
    text_bytes: usize,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { kept: Mutex::default(), total: watch::Sender::new(0) }
    }
}

impl Ledger {
    /// Adds a message.
    pub fn add(&self, entry: Entry) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.text_bytes += entry.text.len();
        kept.entries.push_back(entry);
        while kept.entries.len() > limits::SANDBOX_LEDGER || kept.text_bytes > limits::SANDBOX_TEXT {
            let Some(oldest) = kept.entries.pop_front() else { break };
            kept.text_bytes -= oldest.text.len();
        }
        // Counted under the lock, so that numbers and places agree.
        self.total.send_modify(|total| *total += 1);
    }

    /// Up to `limit` messages that the filter takes, of those after the first `after` ever sent.
    pub fn find(&self, after: u64, limit: usize, filter: &Filter) -> Found {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let total = *self.total.borrow();
        let forgotten = total - kept.entries.len() as u64;
        let skip = usize::try_from(after.saturating_sub(forgotten)).unwrap_or(usize::MAX);
        let mut found = Found { total, next: after, entries: Vec::new() };
        for (number, entry) in (forgotten + 1..).zip(&kept.entries).skip(skip) {
            if found.entries.len() >= limit {
                break;
            }
            found.next = number;
            if filter.takes(entry) {
                found.entries.push(entry.clone());
            }
        }
        found
    }

    pub fn sent(&self) -> watch::Receiver<u64> {
        self.total.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry {
            id: text.into(),
            session: "s".into(),
            chat_id: "15551234567@c.us".into(),
            text: text.into(),
            at: 0,
            auto_reply: false,
        }
    }

    fn all(ledger: &Ledger) -> (u64, Vec<Entry>) {
        let found = ledger.find(0, usize::MAX, &Filter::default());
        (found.total, found.entries)
    }

    #[test]
    fn pages_of_one_chat_go_on_where_the_last_one_ended() {
        let ledger = Ledger::default();
        for (number, chat) in ["a", "b", "a", "b", "a"].into_iter().enumerate() {
            ledger.add(Entry { chat_id: chat.into(), ..entry(&number.to_string()) });
        }
        let filter = Filter { session: Some("s".into()), chat: Some("a".into()) };
        let page = |after| {
            let found = ledger.find(after, 2, &filter);
            (found.next, found.entries.into_iter().map(|entry| entry.text).collect::<String>())
        };
        assert_eq!([page(0), page(3), page(5)], [(3, "02".into()), (5, "4".into()), (5, "".into())]);
        let other = Filter { session: Some("t".into()), ..Filter::default() };
        assert_eq!(ledger.find(0, 9, &other).entries, []);
    }

    #[test]
    fn pages_count_from_the_first_ever_sent() {
        let ledger = Ledger::default();
        for text in ["a", "b", "c"] {
            ledger.add(entry(text));
        }
        let texts = |after, limit| {
            ledger
                .find(after, limit, &Filter::default())
                .entries
                .into_iter()
                .map(|entry| entry.text)
                .collect::<String>()
        };
        assert_eq!(
            (texts(0, 9), texts(1, 1), texts(3, 9), texts(u64::MAX, 9)),
            ("abc".into(), "b".into(), "".into(), "".into())
        );
        assert_eq!(*ledger.sent().borrow(), 3);
    }

    #[test]
    fn the_oldest_are_forgotten_and_still_counted() {
        let ledger = Ledger::default();
        for number in 1..=limits::SANDBOX_LEDGER + 2 {
            ledger.add(entry(&number.to_string()));
        }
        let (total, newest) = all(&ledger);
        assert_eq!((total, newest.len()), (limits::SANDBOX_LEDGER as u64 + 2, limits::SANDBOX_LEDGER));
        assert_eq!(newest[0].id, "3");
        assert_eq!(ledger.find(total - 1, 9, &Filter::default()).entries[0].id, total.to_string());
    }

    #[test]
    fn long_texts_are_forgotten_sooner() {
        let ledger = Ledger::default();
        let long = "x".repeat(limits::SANDBOX_TEXT / 4);
        for _ in 0..9 {
            ledger.add(entry(&long));
        }
        let (total, newest) = all(&ledger);
        assert_eq!((total, newest.len()), (9, 4));
    }
}
