//! How requests ended, by route: what a client's own count can be held against.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::routes::{MESSAGES, ROUTES};
use crate::base::Json;
use crate::base::json::JsonMap;

/// Counts since the start. There is a fixed number of routes and of ends.
#[derive(Default)]
pub struct Counts {
    ends: Mutex<BTreeMap<(usize, End), u64>>,
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
