//! When each event was posted, answered, and acted on, in nanoseconds since the book was opened.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::Notify;

/// The times of one event; 0: not yet.
#[derive(Default)]
pub struct Line {
    /// The webhook's first byte is about to be written.
    pub posted: AtomicU64,
    /// Its 200 has been read.
    pub accepted: AtomicU64,
    /// The model was asked.
    pub asked: AtomicU64,
    /// The message arrived at the API.
    pub sent: AtomicU64,
}

/// The events of one round, by number from `first`.
pub struct Book {
    opened: Instant,
    first: usize,
    lines: Vec<Line>,
    sent: AtomicUsize,
    /// Messages that came twice.
    repeated: AtomicUsize,
    moved: Notify,
}

impl Book {
    pub fn new(first: usize, events: usize) -> Self {
        Self {
            opened: Instant::now(),
            first,
            lines: (0..events).map(|_| Line::default()).collect(),
            sent: AtomicUsize::new(0),
            repeated: AtomicUsize::new(0),
            moved: Notify::new(),
        }
    }

    pub fn first(&self) -> usize {
        self.first
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn line(&self, number: usize) -> Option<&Line> {
        self.lines.get(number.checked_sub(self.first)?)
    }

    /// Writes the present into `field`, unless it holds a time already.
    pub fn stamp(&self, field: &AtomicU64) -> bool {
        let now = self.opened.elapsed().as_nanos() as u64;
        field.compare_exchange(0, now.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// A message of `number` arrived.
    pub fn arrived(&self, number: usize) {
        let Some(line) = self.line(number) else { return };
        if !self.stamp(&line.sent) {
            self.repeated.fetch_add(1, Ordering::Relaxed);
        } else {
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        self.moved.notify_waiters();
    }

    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    pub fn repeated(&self) -> usize {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Returns once messages of `count` events have arrived.
    pub async fn until_sent(&self, count: usize) {
        self.until(|| self.sent() >= count).await;
    }

    /// Returns once `count` messages have arrived, whatever their events.
    pub async fn until_arrived(&self, count: usize) {
        self.until(|| self.sent() + self.repeated() >= count).await;
    }

    async fn until(&self, reached: impl Fn() -> bool) {
        loop {
            let moved = self.moved.notified();
            if reached() {
                return;
            }
            moved.await;
        }
    }

    /// From the first post to the last message, in seconds.
    pub fn seconds(&self) -> f64 {
        let times = |of: fn(&Line) -> &AtomicU64| {
            self.lines.iter().map(move |line| of(line).load(Ordering::Relaxed)).filter(|at| *at > 0)
        };
        let from = times(|line| &line.posted).min().unwrap_or(0);
        let to = times(|line| &line.sent).max().unwrap_or(0);
        to.saturating_sub(from) as f64 / 1e9
    }

    /// Times between two fields, in milliseconds, sorted; lines that lack one are left out.
    pub fn spans(&self, from: fn(&Line) -> &AtomicU64, to: fn(&Line) -> &AtomicU64) -> Vec<f64> {
        let spans = self.lines.iter().filter_map(|line| {
            let (from, to) = (from(line).load(Ordering::Relaxed), to(line).load(Ordering::Relaxed));
            (from > 0 && to > 0).then(|| to.saturating_sub(from) as f64 / 1e6)
        });
        let mut spans: Vec<f64> = spans.collect();
        spans.sort_by(f64::total_cmp);
        spans
    }
}

/// The value below which `share` (0 to 1) of the sorted values lie; NaN of none.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}
