//! The `message` trigger: which workflows want an event that MoltFlow delivered.

use std::sync::Arc;

use crate::base::{Json, Millis, limits};
use crate::engine::ports::Dedupe;
use crate::engine::run::Submission;
use crate::expr::Scope;
use crate::lang::workflow::{From, Trigger};
use crate::moltflow;
use crate::plan::{Plan, PlanTrigger};
use crate::triggers::live::Served;

/// A submission for each workflow that wants this event. Redeliveries carry the same dedupe key.
pub fn submissions(served: &Served, event: &moltflow::Event, payload: &Arc<Json>, now: Millis) -> Vec<Submission> {
    if event.event != "message" {
        return Vec::new();
    }
    let key = moltflow::dedupe_key(payload);
    let listening = served.listening(&event.session);
    let wanting =
        listening.filter(|plan| plan.triggers.iter().any(|trigger| wants(plan, trigger, event, payload, now)));
    wanting
        .map(|plan| Submission {
            plan: plan.clone(),
            trigger: "message",
            event: payload.clone(),
            inputs: plan.default_inputs.clone(),
            dedupe: Some(Dedupe {
                key: format!("message:{}:{key}", plan.name),
                expires_at: Some(now + limits::DEDUPE_TTL_MS),
            }),
            lane: None,
        })
        .collect()
}

fn wants(plan: &Plan, trigger: &PlanTrigger, event: &moltflow::Event, payload: &Arc<Json>, now: Millis) -> bool {
    let Trigger::Message { session, from, .. } = &trigger.trigger else { return false };
    let from = match from {
        From::Any => true,
        From::Groups => event.is_from_group(),
        From::Contacts => !event.is_from_group(),
    };
    from && session.as_ref().is_none_or(|session| *session == event.session) && holds(plan, trigger, payload, now)
}

fn holds(plan: &Plan, trigger: &PlanTrigger, payload: &Arc<Json>, now: Millis) -> bool {
    let Some(when) = &trigger.when else { return true };
    let scope = Scope { event: payload.clone(), vars: plan.vars.clone(), now, ..Scope::default() };
    match when.holds(&scope) {
        Ok(holds) => holds,
        Err(error) => {
            // A redelivery would fail alike, so refusing the event would only make MoltFlow repeat it.
            tracing::warn!(workflow = %plan.name, %error, "`when` of a message trigger cannot be evaluated; the event starts no run");
            false
        }
    }
}
