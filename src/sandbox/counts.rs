//! How requests ended, by route: what a client's own count can be held against.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::json;

use super::routes::{MESSAGES, ROUTES};
use crate::base::json::JsonMap;
use crate::base::{Json, Millis};

/// Counts since the start. There is a fixed number of routes and of ends.
#[derive(Default)]
pub struct Counts {
    ends: Mutex<BTreeMap<(usize, End), u64>>,
    pauses: Mutex<Pauses>,
}

/// What a client was told about the next try, and whether it kept to it.
#[derive(Default)]
struct Pauses {
    began_at: Millis,
    ends_at: Millis,
    early: Early,
}

/// Requests to the MoltFlow API, of any credential, that came while a `Retry-After` ran. What was on its way when the 429
/// was answered comes within moments; what comes later was sent in spite of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Early {
    pub count: u64,
    /// How long after the 429 the latest of them came, in milliseconds.
    pub latest_ms: Millis,
}

/// How a request ended, as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Answered(u16),
    CutBefore,
    CutAfter,
    CutMidway,
    Garbage,
}

impl End {
    fn word(self) -> String {
        match self {
            Self::Answered(status) => status.to_string(),
            Self::CutBefore => "cut before".to_string(),
            Self::CutAfter => "cut after".to_string(),
            Self::CutMidway => "cut midway".to_string(),
            Self::Garbage => "garbage".to_string(),
        }
    }
}

impl Counts {
    /// Counts a request of the route at this place of [`ROUTES`].
    pub fn add(&self, route: usize, end: End) {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner).entry((route, end)).or_default() += 1;
    }

    /// A request comes.
    pub fn arrived(&self, now: Millis) {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        if now < pauses.ends_at {
            pauses.early.count += 1;
            pauses.early.latest_ms = pauses.early.latest_ms.max(now - pauses.began_at);
        }
    }

    /// A 429 is answered that names a pause.
    pub fn paused(&self, now: Millis, ms: Millis) {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= pauses.ends_at {
            pauses.began_at = now;
        }
        pauses.ends_at = pauses.ends_at.max(now.saturating_add(ms));
    }

    pub fn early(&self) -> Early {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner).early
    }

    /// `{"POST /groups": {"200": 3, "cut after": 1}}`; routes that nobody asked for are left out.
    pub fn shown(&self) -> Json {
        let mut shown = JsonMap::new();
        for (&(route, end), count) in &*self.ends.lock().unwrap_or_else(PoisonError::into_inner) {
            let (method, path) = ROUTES[route];
            let name = if method == "*" { "others".to_string() } else { format!("{method} {path}") };
            shown.entry(name).or_insert_with(|| json!({}))[end.word()] = json!(count);
        }
        Json::Object(shown)
    }

    /// Those of requests to send: `{"200": 3, "429": 1}`.
    pub fn of_sends(&self) -> Json {
        self.shown().get(format!("POST {MESSAGES}")).cloned().unwrap_or_else(|| json!({}))
    }
}

#[cfg(test)]
mod tests {
    use super::super::routes::find;
    use super::*;

    #[test]
    fn who_comes_while_a_pause_runs_is_early() {
        let counts = Counts::default();
        counts.arrived(1_000);
        counts.paused(1_000, 2_000);
        for now in [1_005, 1_900, 3_000] {
            counts.arrived(now);
        }
        assert_eq!(counts.early(), Early { count: 2, latest_ms: 900 });
        // A second 429 during the first one's pause makes it longer, not later.
        counts.paused(5_000, 1_000);
        counts.paused(5_500, 1_000);
        counts.arrived(6_400);
        assert_eq!(counts.early(), Early { count: 3, latest_ms: 1_400 });
    }

    #[test]
    fn ends_are_counted_by_route() {
        let counts = Counts::default();
        assert_eq!((counts.shown(), counts.of_sends()), (json!({}), json!({})));
        for end in [End::Answered(200), End::CutAfter, End::Answered(200)] {
            counts.add(find("POST", "/sessions/a/messages"), end);
        }
        counts.add(find("PATCH", "/x"), End::Answered(404));
        assert_eq!(counts.of_sends(), json!({ "200": 2, "cut after": 1 }));
        assert_eq!(counts.shown()["others"], json!({ "404": 1 }));
    }
}
