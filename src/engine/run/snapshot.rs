//! The state of a run as it is kept beside its journal, so that a long run is taken up again without reading all of it.
//!
//! It is only speed: one that cannot be read, or that another version of this program wrote, is passed over, and the run is
//! folded from its journal.

use serde_json::{Value, json};

use super::{LoadError, Shared};
use crate::base::{Json, RunId, limits};
use crate::engine::event::Event;
use crate::engine::state::{IllegalEvent, RunState};
use crate::plan::Plan;

/// The form of what is written. Another number with every change of [`RunState`] or what it is made of.
const FORM: u32 = 2;

/// Events after which a state is written again.
const EVENTS: u64 = 512;

/// A large state is written more seldom: an event for so many bytes of it.
const BYTES_AN_EVENT: u64 = 128;

/// The version at which the next snapshot is worth its writing, after one of `bytes` at `version`.
pub fn next(version: u64, bytes: usize) -> u64 {
    version + EVENTS.max(bytes as u64 / BYTES_AN_EVENT)
}

/// A state is made of text, numbers and lists: it has a JSON form.
pub fn take(state: &RunState) -> Option<Json> {
    let state = serde_json::to_value(state).ok()?;
    Some(json!({"form": FORM, "state": state}))
}

/// The state that a snapshot and the events after it are, or why it is none.
pub fn restore(plan: &Plan, run: RunId, version: u64, snapshot: Json, events: &[Event]) -> Result<RunState, String> {
    let Value::Object(mut snapshot) = snapshot else { return Err("it is no object".to_string()) };
    let form = snapshot.get("form").cloned().unwrap_or_default();
    if form != FORM {
        return Err(format!("its form is {form}, not {FORM}"));
    }
    let state = snapshot.remove("state").unwrap_or_default();
    let mut state: RunState = serde_json::from_value(state).map_err(|error| error.to_string())?;
    let steps = plan.blocks.first().map_or(0, |root| root.len);
    if state.id != run || state.version != version || state.root.steps.len() != steps {
        return Err("it is of another run, version or plan".to_string());
    }
    for event in events {
        state.apply(plan, event).map_err(|error| error.to_string())?;
    }
    Ok(state)
}

impl Shared {
    /// The state that the whole journal is, read page by page.
    pub(super) async fn fold_all(&self, plan: &Plan, run: RunId) -> Result<RunState, LoadError> {
        let mut page = self.store.journal(run, 0, limits::JOURNAL_PAGE).await?;
        let mut state = RunState::fold(plan, run, &page)?;
        while !page.is_empty() {
            page = self.store.journal(run, state.version, limits::JOURNAL_PAGE).await?;
            for event in &page {
                state.apply(plan, event)?;
            }
        }
        Ok(state)
    }

    /// The state of a loaded run that is at event `at` of its journal.
    pub(super) async fn restored(
        &self,
        plan: &Plan,
        run: RunId,
        at: u64,
        snapshot: Option<(u64, Json)>,
        events: &[Event],
    ) -> Result<RunState, LoadError> {
        let state = match snapshot {
            None => RunState::fold(plan, run, events)?,
            Some((version, snapshot)) => match restore(plan, run, version, snapshot, events) {
                Ok(state) => state,
                Err(why) => {
                    tracing::warn!(%run, why, "a snapshot cannot be used; the run is read from its whole journal");
                    self.fold_all(plan, run).await?
                }
            },
        };
        if state.version != at {
            let what = "it is longer or shorter than its row says";
            return Err(IllegalEvent { run, version: state.version, what }.into());
        }
        Ok(state)
    }
}
