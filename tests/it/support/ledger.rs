//! What the far side really received: the only witness these tests believe.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;

/// One message that reached the far side, whether or not its sender ever heard so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub session: String,
    pub to: String,
    pub text: String,
}

/// Every received message in the order of arrival.
pub struct Ledger {
    messages: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { messages: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Ledger {
    /// Records a message; the answer is its place, from 0.
    pub fn record(&self, message: Received) -> usize {
        let mut messages = self.messages.lock().unwrap();
        messages.push(message);
        let count = messages.len();
        self.count.send_replace(count);
        count - 1
    }

    pub fn messages(&self) -> Vec<Received> {
        self.messages.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    /// How often each text arrived.
    pub fn by_text(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for message in self.messages.lock().unwrap().iter() {
            *counts.entry(message.text.clone()).or_default() += 1;
        }
        counts
    }

    /// Returns once `wanted` messages have arrived.
    pub async fn arrived(&self, wanted: usize) {
        let mut count = self.count.subscribe();
        let arrived = tokio::time::timeout(super::PATIENCE, count.wait_for(|count| *count >= wanted)).await;
        let Ok(arrived) = arrived else {
            panic!("waited for {wanted} messages at the far side, {} arrived", self.len());
        };
        arrived.unwrap();
    }

    /// Returns when the next message arrives, or after a moment: what is waited for may have sent nothing.
    pub async fn next_or_a_moment(&self) {
        let mut count = self.count.subscribe();
        let _ = tokio::time::timeout(Duration::from_millis(50), count.changed()).await;
    }
}
