//! What somebody who opts out is told: a run of a small workflow of the house, so that it is journaled, shown, and sent at most
//! once like any other send.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::base::json::JsonMap;
use crate::base::{Json, Millis, limits};
use crate::engine::ports::Dedupe;
use crate::engine::run::Submission;
use crate::lang::{Catalog, Source};
use crate::moltflow;
use crate::plan::{Plan, check};

/// Its name. No file can have it: names of workflows hold no brackets.
pub const NAME: &str = "(opt-out)";

/// Under a name that can be checked; [`plan`] gives it its own.
const TEXT: &str = r#"
name: opt-out
description: Says to somebody who opted out, or in again, that it was heard.
retention: 30d
inputs:
  session: { type: string }
  to: { type: string }
  text: { type: string }
steps:
  - id: notice
    uses: moltflow.send
    with: { session: "{{ inputs.session }}", to: "{{ inputs.to }}", text: "{{ inputs.text }}" }
    on_unknown: skip
    retry: { attempts: 3 }
"#;

/// The workflow, as the catalog of today runs it; an error is a bug of the house.
pub fn plan(catalog: &Catalog) -> Result<Arc<Plan>, String> {
    let source = Source { path: NAME.to_string(), text: TEXT.to_string() };
    let checked = check(&source, Path::new("/"), catalog, &JsonMap::new());
    let Some(plan) = checked.plan else {
        let found = checked.diagnostics.into_iter().map(|diagnostic| diagnostic.message);
        return Err(found.collect::<Vec<_>>().join("; "));
    };
    let mut stored = plan.stored();
    stored["workflow"]["name"] = json!(NAME);
    Plan::restore(&stored, catalog).map(Arc::new).map_err(|error| error.to_string())
}

/// The run that says `text`; one for all deliveries of `event`.
pub fn submission(plan: &Arc<Plan>, event: &Arc<Json>, session: &str, to: &str, text: &str, now: Millis) -> Submission {
    Submission {
        plan: plan.clone(),
        trigger: "message",
        event: event.clone(),
        inputs: Arc::new(json!({"session": session, "to": to, "text": text})),
        dedupe: Some(Dedupe {
            key: format!("opt-out:{}", moltflow::dedupe_key(event)),
            expires_at: Some(now + limits::DEDUPE_TTL_MS),
        }),
        lane: None,
    }
}
