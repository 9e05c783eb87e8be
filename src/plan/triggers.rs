//! The expressions and templates of one trigger, compiled and checked.

use super::PlanTrigger;
use super::analyse::{Problems, expression, tree_errors};
use super::references::{At, Names, Place};
use crate::expr::{Expr, Tree};
use crate::lang::workflow::{Hook, Trigger};

/// What a trigger evaluates.
#[derive(Debug, Default)]
pub(super) struct TriggerParts {
    when: Option<Expr>,
    dedupe: Option<Expr>,
    respond: Option<Tree>,
}

impl TriggerParts {
    /// With the trigger they are of.
    pub fn of(self, trigger: Trigger) -> PlanTrigger {
        let Self { when, dedupe, respond } = self;
        PlanTrigger { trigger, when, dedupe, respond }
    }
}

/// Those of the trigger `index`.
pub(super) fn of(index: usize, trigger: &Trigger, names: &Names<'_>, problems: &mut Problems) -> TriggerParts {
    let number = index.to_string();
    let place = Place::new(At::Trigger);
    let base = ["triggers", number.as_str(), trigger.kind()];
    let mut parts = TriggerParts::default();
    if let Some(source) = trigger.when() {
        let path = [&base[..], &["when"]].concat();
        parts.when = expression(source, &path, place, names, problems);
    }
    let Trigger::Webhook(Hook { dedupe, respond, .. }) = trigger else { return parts };
    if let Some(source) = dedupe {
        let path = [&base[..], &["dedupe"]].concat();
        parts.dedupe = expression(source, &path, place, names, problems);
    }
    if let Some(body) = respond.as_ref().and_then(|respond| respond.body.as_ref()) {
        let path = [&base[..], &["respond", "body"]].concat();
        let mut errors = Vec::new();
        let tree = Tree::compile(body, &mut errors);
        tree_errors(errors, &path, problems);
        tree.references(&mut |below, reference| {
            let path: Vec<&str> = path.iter().copied().chain(below.iter().map(String::as_str)).collect();
            names.check(reference, &path, place, problems);
        });
        parts.respond = Some(tree);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::samples::checked;

    #[test]
    fn expressions_of_triggers_know_event_and_vars_alone() {
        for (trigger, expected) in [
            ("session_status: { when: steps.a.b }", "a trigger decides before any step has run"),
            ("group_join: { when: 'event.data.x ==' }", "unexpected"),
            ("session_events: { session: s, when: run.id }", "a trigger decides before there is a run"),
            ("webhook: { path: a, dedupe: evnt.body.id }", "nothing is known by the name `evnt`"),
            ("webhook: { path: a, dedupe: '{{ event.body.id }}' }", "this is an expression, not text"),
            ("webhook: { path: a, respond: { body: { id: '{{ steps.s }}' } } }", "a trigger decides before any step"),
            ("webhook: { path: a, respond: { body: ['{{ event.body'] } }", ""),
        ] {
            let text = format!("triggers: [{{ {trigger} }}]\nsteps: [{{ id: s, uses: set }}]\n");
            let found = checked(&text).diagnostics;
            assert!(found.len() == 1 && found[0].message.contains(expected), "{trigger}: {found:#?}");
            assert_eq!(found[0].line, 1, "{trigger}");
        }
        let good = "triggers:\n  - webhook: { path: a, dedupe: event.body.id, when: event.body.n > 1, respond: { body: { c: '{{ event.body.c }}' } } }\nsteps: [{ id: s, uses: set }]\n";
        let plan = checked(good).plan.unwrap();
        assert!(
            plan.triggers[0].dedupe.is_some() && plan.triggers[0].when.is_some() && plan.triggers[0].respond.is_some()
        );
    }
}
