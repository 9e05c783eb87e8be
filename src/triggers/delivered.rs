//! The triggers of what MoltFlow delivers to its webhook: `message`, `session_status`, `group_join`.

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
    // The word of a run's trigger; an event of another kind starts nothing.
    let Some(kind) = moltflow::event::KINDS.into_iter().find(|kind| *kind == event.event) else { return Vec::new() };
    let key = moltflow::dedupe_key(payload);
    let listening = served.listening(kind, &event.session);
    let wanting =
        listening.filter(|plan| plan.triggers.iter().any(|trigger| wants(plan, trigger, event, payload, now)));
    wanting
        .map(|plan| Submission {
            plan: plan.clone(),
            trigger: kind,
            event: payload.clone(),
            inputs: plan.default_inputs.clone(),
            dedupe: Some(Dedupe {
                key: format!("{kind}:{}:{key}", plan.name),
                expires_at: Some(now + limits::DEDUPE_TTL_MS),
            }),
            lane: None,
        })
        .collect()
}

fn wants(plan: &Plan, trigger: &PlanTrigger, event: &moltflow::Event, payload: &Arc<Json>, now: Millis) -> bool {
    let fits = match &trigger.trigger {
        Trigger::Message { from, .. } => {
            event.event == "message"
                && match from {
                    From::Any => true,
                    From::Groups => event.is_from_group(),
                    From::Contacts => !event.is_from_group(),
                }
        }
        Trigger::SessionStatus { status, .. } => {
            event.event == "session_status"
                && (status.is_empty() || event.status().is_some_and(|is| status.iter().any(|one| one == is)))
        }
        Trigger::GroupJoin { group, .. } => {
            event.event == "group_join" && group.as_deref().is_none_or(|group| event.is_about(group))
        }
        _ => false,
    };
    fits && trigger.trigger.session().is_none_or(|session| session == event.session)
        && holds(plan, trigger, payload, now)
}

/// Whether the trigger's `when` wants this event.
pub(super) fn holds(plan: &Plan, trigger: &PlanTrigger, payload: &Arc<Json>, now: Millis) -> bool {
    let Some(when) = &trigger.when else { return true };
    match when.holds(&scope(plan, payload, now)) {
        Ok(holds) => holds,
        Err(error) => {
            // A redelivery would fail alike, so refusing the event would only have it repeated.
            let kind = trigger.trigger.kind();
            tracing::warn!(workflow = %plan.name, %error, "`when` of a {kind} trigger cannot be evaluated; the event starts no run");
            false
        }
    }
}

/// What the expressions and templates of a trigger know.
pub(super) fn scope(plan: &Plan, payload: &Arc<Json>, now: Millis) -> Scope {
    Scope { event: payload.clone(), vars: plan.vars.clone(), now, ..Scope::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::triggers::live::ServedWorkflow;
    use crate::triggers::testing::plan;
    use serde_json::json;

    /// The workflows that a payload starts, of these.
    fn started(texts: &[&str], payload: Json) -> Vec<String> {
        let workflows = texts.iter().map(|text| ServedWorkflow { plan: plan(text), file: "f".into(), stale: false });
        let served = Served::new(workflows.collect(), Vec::new());
        let event = moltflow::Event::parse(&payload).unwrap();
        let found = submissions(&served, &event, &Arc::new(payload), 0);
        found.iter().map(|one| format!("{} {}", one.trigger, one.plan.name)).collect()
    }

    #[test]
    fn a_status_meets_those_that_wait_for_it() {
        let texts = [
            "name: any\ntriggers: [{ session_status: {} }]",
            "name: bad\ntriggers: [{ session_status: { session: s, status: [failed, qr_code] } }]",
            "name: good\ntriggers: [{ session_status: { status: working, when: event.session == 's' } }]",
            "name: other\ntriggers: [{ session_status: { session: t } }, { message: {} }]",
            "name: broken\ntriggers: [{ session_status: { when: event.data.no.such } }]",
        ];
        let status = |session: &str, status: Json| json!({"event": "session_status", "session": session, "timestamp": 1, "data": {"status": status}});
        assert_eq!(started(&texts, status("s", json!("failed"))), ["session_status any", "session_status bad"]);
        assert_eq!(started(&texts, status("s", json!("working"))), ["session_status any", "session_status good"]);
        assert_eq!(started(&texts, status("t", json!("working"))), ["session_status any", "session_status other"]);
        assert_eq!(started(&texts, status("s", json!(5))), ["session_status any"]);
        assert_eq!(started(&texts, json!({"event": "session_status", "session": "s"})), ["session_status any"]);
        assert_eq!(started(&texts, json!({"event": "new_kind", "session": "s"})), [""; 0]);
    }

    #[test]
    fn a_join_meets_those_of_its_group() {
        let texts = [
            "name: any\ntriggers: [{ group_join: {} }]",
            "name: one\ntriggers: [{ group_join: { group: 120363012345678901@g.us } }]",
            "name: two\ntriggers: [{ group_join: { group: 120363098765432109@g.us } }]",
        ];
        for name in ["group", "group_id", "wa_group_id", "chatId", "from", "id"] {
            let join = json!({"event": "group_join", "session": "s", "timestamp": 1,
                "data": {name: "120363012345678901@g.us", "participant": "15551234567@c.us"}});
            assert_eq!(started(&texts, join), ["group_join any", "group_join one"], "{name}");
        }
        let nested =
            json!({"event": "group_join", "session": "s", "data": {"group": {"id": "120363012345678901@g.us"}}});
        assert_eq!(started(&texts, nested), ["group_join any", "group_join one"]);
    }
}
