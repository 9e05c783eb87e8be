//! What one call has sent, and whether it was answered: what decides if a failed call may simply be repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use crate::net::Method;

/// Counts of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU32,
    /// Exchanges of any kind whose end is not known yet.
    open: AtomicU32,
    /// Those among them that may change something.
    acting: AtomicU32,
    acted: AtomicBool,
    lost: AtomicBool,
    /// The answer to a request of any kind was lost.
    missed: AtomicBool,
}

impl Traffic {
    /// Counts a request, whatever becomes of it; its number, from 1.
    pub(super) fn begin(&self) -> u32 {
        self.0.begun.fetch_add(1, SeqCst) + 1
    }

    /// From now on the request may have reached the far side.
    pub(super) fn send(&self, method: &Method) -> Sending {
        let acts = !matches!(*method, Method::GET | Method::HEAD);
        self.0.open.fetch_add(1, SeqCst);
        if acts {
            self.0.acting.fetch_add(1, SeqCst);
        }
        Sending { traffic: self.clone(), acts, ended: Ended::Lost }
    }

    /// Something that may change something may have been sent.
    pub(super) fn acted(&self) -> bool {
        self.0.acted.load(SeqCst) || self.lost()
    }

    /// The same, and its answer never came.
    pub(super) fn lost(&self) -> bool {
        self.0.lost.load(SeqCst) || self.0.acting.load(SeqCst) > 0
    }

    /// Some request has had no answer, or has none yet.
    pub(super) fn missed(&self) -> bool {
        self.0.missed.load(SeqCst) || self.0.open.load(SeqCst) > 0
    }
}

/// One exchange on its way. Dropped without a word it is lost.
pub(super) struct Sending {
    traffic: Traffic,
    acts: bool,
    ended: Ended,
}

#[derive(Clone, Copy)]
enum Ended {
    Lost,
    Answered,
    NotSent,
}

impl Sending {
    /// The guest is given the answer.
    pub(super) fn answered(mut self) {
        self.ended = Ended::Answered;
    }

    /// It is proven that nothing left.
    pub(super) fn not_sent(mut self) {
        self.ended = Ended::NotSent;
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let counts = &*self.traffic.0;
        if let Ended::Lost = self.ended {
            counts.missed.store(true, SeqCst);
        }
        if self.acts {
            // Before the count goes down: nobody may see neither.
            match self.ended {
                Ended::Lost => counts.lost.store(true, SeqCst),
                Ended::Answered => counts.acted.store(true, SeqCst),
                Ended::NotSent => {}
            }
            counts.acting.fetch_sub(1, SeqCst);
        }
        counts.open.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_what_was_sent() {
        // (method, end: answered, not sent, or dropped) and then (acted, lost).
        for (method, end, expected) in [
            (Method::GET, "answered", (false, false)),
            (Method::GET, "dropped", (false, false)),
            (Method::HEAD, "dropped", (false, false)),
            (Method::POST, "answered", (true, false)),
            (Method::POST, "not sent", (false, false)),
            (Method::POST, "dropped", (true, true)),
            (Method::OPTIONS, "dropped", (true, true)),
        ] {
            let traffic = Traffic::default();
            let sending = traffic.send(&method);
            // While it is on its way nothing is known of it.
            let acts = !matches!(method, Method::GET | Method::HEAD);
            assert_eq!((traffic.acted(), traffic.lost(), traffic.missed()), (acts, acts, true), "{method} {end}");
            match end {
                "answered" => sending.answered(),
                "not sent" => sending.not_sent(),
                _ => drop(sending),
            }
            assert_eq!((traffic.acted(), traffic.lost()), expected, "{method} {end}");
            assert_eq!(traffic.missed(), end == "dropped", "{method} {end}");
        }
    }
}
