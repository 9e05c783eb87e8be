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
    closed: AtomicBool,
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

    /// From now on the request may have reached the far side. None: the call is over, and the request must not leave.
    pub(super) fn send(&self, method: &Method) -> Option<Sending> {
        let acts = !matches!(*method, Method::GET | Method::HEAD);
        self.0.open.fetch_add(1, SeqCst);
        if acts {
            self.0.acting.fetch_add(1, SeqCst);
        }
        let sending = Sending { traffic: self.clone(), acts, ended: Ended::Lost };
        // After it was counted: whoever closes and then reads the counts has either counted it or keeps it from leaving.
        if self.0.closed.load(SeqCst) {
            sending.not_sent();
            return None;
        }
        Some(sending)
    }

    /// The call is over for its step: nothing more leaves, wherever its guest still is. To be called before what is known of
    /// the traffic decides anything.
    pub(super) fn close(&self) {
        self.0.closed.store(true, SeqCst);
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
            let sending = traffic.send(&method).unwrap();
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

    #[test]
    fn after_the_end_nothing_leaves_and_nothing_is_unknown() {
        let traffic = Traffic::default();
        traffic.close();
        for method in [Method::GET, Method::POST] {
            assert!(traffic.send(&method).is_none(), "{method}");
        }
        assert_eq!((traffic.acted(), traffic.lost(), traffic.missed()), (false, false, false));
        // What had left before is not forgotten.
        let traffic = Traffic::default();
        let sending = traffic.send(&Method::POST);
        traffic.close();
        assert_eq!((traffic.acted(), traffic.lost()), (true, true));
        sending.unwrap().answered();
        assert_eq!((traffic.acted(), traffic.lost()), (true, false));
    }

    /// Whoever closes, and then reads that nothing was sent, is right: in every order of the two.
    #[test]
    fn what_is_sent_at_the_moment_of_the_end_is_counted_or_kept_back() {
        for _ in 0..2_000 {
            let traffic = Traffic::default();
            let start = std::sync::Barrier::new(2);
            let (left, lost) = std::thread::scope(|threads| {
                let sends = threads.spawn(|| {
                    start.wait();
                    traffic.send(&Method::POST)
                });
                start.wait();
                traffic.close();
                let lost = traffic.lost();
                (sends.join().unwrap(), lost)
            });
            assert!(left.is_none() || lost, "it left, and nobody knew");
        }
    }
}
