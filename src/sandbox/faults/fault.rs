//! One fault: which requests, which of those, and what happens to them.

use std::fmt;

use super::super::{exact, routes};

/// A fault. Made by reading one ([`super::read`]), which checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) on: On,
    pub(super) which: Which,
    /// How often it happens at most; None: without end.
    pub(super) times: Option<u64>,
    /// Other requests are picked for a share by another seed.
    pub(super) seed: u64,
    pub(super) delay_ms: u64,
    /// An answer or a delay comes after the effect rather than instead of it or before it.
    pub(super) carried_out: bool,
    pub(super) what: What,
}

/// What may be met by a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// Method (`*`: any) and path glob, without `/api/v2`.
    Request { method: String, path: String },
    /// Webhook deliveries, by a glob of their event.
    Delivery { event: String },
}

/// Which of them are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// From 1.
    Nth(u64),
    Every(u64),
    /// Of a million.
    Share(u32),
}

/// What happens, after the delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Nothing more.
    Delay,
    Answer {
        status: u16,
        error_code: Option<String>,
        retry_after: RetryAfter,
    },
    Cut(Moment),
    Garbage,
    /// Deliveries in all.
    Duplicate(u32),
}

/// What the headers of an answer say about the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryAfter {
    /// What the status usually says: a 429 names a second, others name nothing.
    Usual,
    None,
    Ms(u64),
}

/// When a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before the request is carried out.
    Before,
    /// After it, instead of the answer.
    After,
    /// After it, in the middle of the answer.
    Midway,
}

impl Moment {
    pub(super) const WORDS: [(&str, Self); 3] =
        [("before", Self::Before), ("after", Self::After), ("midway", Self::Midway)];

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, moment)| *moment == self).map_or("", |(word, _)| word)
    }
}

impl Fault {
    pub(super) fn is_on_request(&self, asked: &str, bare_path: &str) -> bool {
        matches!(&self.on, On::Request { method, path }
            if (method == "*" || method == asked) && routes::matches(path, bare_path))
    }

    pub(super) fn is_on_delivery(&self, kind: &str) -> bool {
        matches!(&self.on, On::Delivery { event } if routes::matches(event, kind))
    }

    /// Whether the `count`th match, from 1, is picked.
    pub(super) fn picks(&self, count: u64) -> bool {
        match self.which {
            Which::All => true,
            Which::Nth(nth) => count == nth,
            Which::Every(every) => count.is_multiple_of(every),
            Which::Share(millionths) => {
                // The text keeps two faults of one seed from picking the same requests.
                let text = hash(self.to_string().bytes().fold(self.seed, |sum, byte| hash(sum ^ u64::from(byte))));
                hash(text ^ count) % 1_000_000 < u64::from(millionths)
            }
        }
    }
}

/// A permutation that scatters its input (the finalizer of SplitMix64, by Vigna). Not the clock's randomness: the same
/// faults must meet the same requests tomorrow.
fn hash(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// As [`super::read`] reads it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.on {
            On::Request { method, path } => write!(f, "{method} {path}:")?,
            On::Delivery { event } => write!(f, "DELIVERY {event}:")?,
        }
        match self.which {
            Which::All => {}
            Which::Nth(nth) => write!(f, " nth={nth}")?,
            Which::Every(every) => write!(f, " every={every}")?,
            Which::Share(millionths) => write!(f, " {}%", f64::from(millionths) / 10_000.0)?,
        }
        if let Some(times) = self.times {
            write!(f, " times={times}")?;
        }
        if self.seed != 0 {
            write!(f, " seed={}", self.seed)?;
        }
        if self.delay_ms > 0 {
            write!(f, " delay={}", exact(self.delay_ms))?;
        }
        match &self.what {
            What::Delay => {}
            What::Answer { status, error_code, retry_after } => {
                write!(f, " {status}")?;
                if let Some(code) = error_code {
                    write!(f, " error_code={code}")?;
                }
                match retry_after {
                    RetryAfter::Usual => {}
                    RetryAfter::None => f.write_str(" retry_after=none")?,
                    RetryAfter::Ms(ms) => write!(f, " retry_after={}", exact(*ms))?,
                }
            }
            What::Cut(moment) => write!(f, " cut={}", moment.word())?,
            What::Garbage => f.write_str(" garbage")?,
            What::Duplicate(deliveries) => write!(f, " duplicate={deliveries}")?,
        }
        if self.carried_out { f.write_str(" carried_out") } else { Ok(()) }
    }
}
