//! Events from outside, to the runs that wait for them.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::json;
use tokio::sync::oneshot;

use super::mail::Mail;
use super::scope::scope;
use super::values::{ItemValues, ValueError};
use super::{Engine, Shared};
use crate::base::{Json, limits};
use crate::engine::event::Place;
use crate::engine::frame::Phase;
use crate::engine::ports::{Listen, StoreError};
use crate::engine::state::RunState;
use crate::engine::waiting::Waiting;
use crate::plan::Plan;

impl Engine {
    /// Gives an event to the runs that wait for it in a `wait_for` step whose `when` holds. `key` names the event: a run
    /// takes it once, however often it is delivered. Durable when this returns; says how many runs took it.
    pub async fn deliver(&self, event: &str, key: &str, payload: &Arc<Json>) -> Result<usize, StoreError> {
        let shared = &self.0;
        let event: Arc<str> = event.into();
        let mut taken = 0;
        if *event == *Listen::attention().event {
            return Ok(0);
        }
        for path in shared.listened(&event) {
            let Some(value) = at_path(payload, &path) else { continue };
            let listen = Listen { event: event.to_string(), path, value };
            let mut after = None;
            loop {
                let runs = shared.store.listening(listen.clone(), after, limits::PAGE).await?;
                let Some(last) = runs.last() else { break };
                after = Some(*last);
                let answers = runs.into_iter().map(|run| {
                    let (answer, answered) = oneshot::channel();
                    let (event, key, payload) = (event.clone(), key.to_string(), payload.clone());
                    shared.post(run, Mail::Event { event, key, payload, answer });
                    answered
                });
                for answer in join_all(answers).await {
                    match answer {
                        Ok(Ok(())) => taken += 1,
                        Ok(Err(_)) => {}
                        // Not durable: whoever delivers must come again.
                        Err(_) => return Err(StoreError::Unavailable("the daemon is stopping".to_string())),
                    }
                }
            }
        }
        Ok(taken)
    }
}

/// The value at a dotted path as a `Listen` has it. The empty path is that of any event.
fn at_path(payload: &Json, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(String::new());
    }
    let value = path.split('.').try_fold(payload, |value, name| value.get(name))?;
    Some(value.to_string())
}

impl Shared {
    /// Remembers what events are listened for, so that the others cost nothing.
    pub(super) fn listening(&self, listens: &[Listen]) {
        let mut paths = self.paths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for listen in listens {
            paths.entry(listen.event.clone()).or_default().insert(listen.path.clone());
        }
    }

    fn listened(&self, event: &str) -> Vec<String> {
        let paths = self.paths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        paths.get(event).into_iter().flatten().cloned().collect()
    }
}

/// Whether two payloads are of one event: what started a run is no answer to it, however often it is delivered. The id of a
/// message is its own; that of any other event is of what the event is about, a session or a group, and names no event.
fn is_one(a: &Json, b: &Json) -> bool {
    let same = |name: &str| a.get(name) == b.get(name);
    let is_message = a.get("event").and_then(Json::as_str) == Some("message");
    let id = a.get("data").filter(|_| is_message).and_then(|data| data.get("id")).filter(|id| match id {
        Json::String(text) => !text.is_empty(),
        other => other.is_number(),
    });
    a == b || id.is_some() && id == b.get("data").and_then(|data| data.get("id")) && same("event") && same("session")
}

/// The first step of the run that waits for such an event and whose `when` holds for this one.
pub async fn accepting(
    plan: &Plan,
    state: &RunState,
    values: &mut ItemValues,
    shared: &Shared,
    event: &str,
    payload: &Arc<Json>,
) -> Result<Option<Place>, StoreError> {
    if is_one(&state.event, payload) {
        return Ok(None);
    }
    let mut waiting = Vec::new();
    state.visit(&mut |step, items, slot| {
        if let Phase::Waiting { why: Waiting::Event { on }, .. } = &slot.phase
            && on.iter().any(|listen| listen.event == event)
        {
            waiting.push((Place { step, items: items.to_vec() }, slot.attempt, slot.started_at));
        }
    });
    for (place, attempt, started_at) in waiting {
        let Some(when) = &plan.steps[place.step as usize].deferred else { return Ok(Some(place)) };
        let mut scope = scope(plan, state, &place, attempt, started_at);
        match values.fill(plan, state, &place, &*shared.store, &mut scope).await {
            Ok(()) => {}
            Err(ValueError::Failure(_)) => continue,
            Err(ValueError::Store(error)) => return Err(error),
        }
        scope.incoming = Some(payload.clone());
        match when.holds(&scope) {
            Ok(true) => return Ok(Some(place)),
            Ok(false) => {}
            // It would fail alike at a redelivery; the step goes on waiting.
            Err(error) => {
                let step = &*plan.steps[place.step as usize].id;
                tracing::warn!(run = %state.id, step, %error, event = %json!(event), "`when` of a wait_for cannot be evaluated");
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_is_known_by_its_id() {
        let event = |kind: &str, id: Json, status: &str| json!({"event": kind, "session": "s", "data": {"id": id, "status": status}});
        for (kind, id, one) in [
            ("message", json!("m1"), true),
            ("message", json!(7), true),
            ("message", json!(""), false),
            ("message", Json::Null, false),
            ("session_status", json!("s"), false),
            ("group_join", json!("120363012345678901@g.us"), false),
        ] {
            let (first, later) = (event(kind, id.clone(), "failed"), event(kind, id.clone(), "working"));
            assert_eq!(is_one(&first, &later), one, "{first} {later}");
            // As it came before, it is the same.
            assert!(is_one(&first, &first.clone()), "{first}");
            let mut elsewhere = first.clone();
            elsewhere["session"] = json!("t");
            assert!(!is_one(&first, &elsewhere), "{first}");
        }
        assert!(!is_one(&event("message", json!("m1"), "x"), &event("message", json!("m2"), "x")));
    }
}
