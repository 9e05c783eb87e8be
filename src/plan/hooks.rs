//! Webhooks of workflows: the secrets they name, and the paths they share.

use std::collections::BTreeMap;

use super::Plan;
use crate::base::json::JsonMap;
use crate::lang::diagnostic::suggestion;
use crate::lang::workflow::{Hook, Trigger};
use crate::lang::{Catalog, Diagnostic, Diagnostics, Source, Spans, Workflow};

/// Reports secrets that the configuration does not have. A stored plan is not asked: its run goes on without its trigger.
pub(super) fn secrets(workflow: &Workflow, catalog: &Catalog, spans: &Spans, found: &mut Diagnostics<'_>) {
    let Some(known) = catalog.secrets() else { return };
    for (index, hook) in hooks(&workflow.triggers) {
        let Some(secret) = hook.secret.as_deref().filter(|secret| !known.contains(*secret)) else { continue };
        let span = spans.value(&["triggers", &index.to_string(), "webhook", "secret"]);
        let message = format!("the configuration has no secret `{secret}`");
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        found.error("unknown-secret", span, message).help = suggestion(secret, "secrets", names).or_else(|| {
            Some(format!("add `secrets: {{ {secret}: ${{{}}} }}` to moltrun.yaml", secret.to_ascii_uppercase()))
        });
    }
}

/// Reports workflows that share a path of webhooks but do not agree on who may deliver to it. The first one of a path
/// counts; it is the others that are wrong.
pub(super) fn shared_paths(plans: &[(&str, &Plan)], source: &dyn Fn(&str) -> Option<Source>) -> Vec<Diagnostic> {
    let mut first: BTreeMap<&str, (&str, &Hook)> = BTreeMap::new();
    let mut diagnostics = Vec::new();
    for (file, plan) in plans {
        let mut wrong = Vec::new();
        for (index, hook) in hooks(&plan.workflow.triggers) {
            let (holder, other) = *first.entry(&hook.path).or_insert((&plan.name, hook));
            if (&other.secret, &other.header) != (&hook.secret, &hook.header) {
                wrong.push((index, hook, holder, other));
            }
        }
        if wrong.is_empty() {
            continue;
        }
        let source = source(file).unwrap_or_else(|| Source { path: file.to_string(), text: String::new() });
        // It was read without an error before; what is found now is about positions only.
        let parsed = crate::lang::parse(&plan.workflow.folder, &JsonMap::new(), &mut Diagnostics::new(&source));
        let mut found = Diagnostics::new(&source);
        for (index, hook, holder, other) in wrong {
            let span = parsed
                .as_ref()
                .map_or(0..0, |parsed| parsed.spans.value(&["triggers", &index.to_string(), "webhook", "path"]));
            let message = format!("the webhook `{}` is also that of `{holder}`, with {}", hook.path, signed(other));
            found
                .error("path-conflict", span, message)
                .help("give both the same `secret` and `header`, or this one another path");
        }
        diagnostics.extend(found.finish());
    }
    diagnostics
}

/// The webhooks among triggers, with their places.
fn hooks(triggers: &[Trigger]) -> impl Iterator<Item = (usize, &Hook)> {
    triggers.iter().enumerate().filter_map(|(index, trigger)| match trigger {
        Trigger::Webhook(hook) => Some((index, hook)),
        _ => None,
    })
}

fn signed(hook: &Hook) -> String {
    match &hook.secret {
        Some(secret) => format!("the secret `{secret}` in `{}`", hook.header),
        None => "no secret".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{catalog, checked, source};
    use super::super::{Checked, check};
    use super::*;
    use std::path::Path;

    fn text(hook: &str) -> String {
        format!("triggers:\n  - webhook: {{ {hook} }}\nsteps: [{{ id: s, uses: set }}]\n")
    }

    #[test]
    fn a_secret_is_one_of_the_configuration() {
        let with = |names: &[&str], hook: &str| -> Checked {
            let mut catalog = catalog();
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            catalog.set_secrets(&names);
            check(&source(&text(hook)), Path::new("."), &catalog, &JsonMap::new())
        };
        assert!(with(&["shop"], "path: a, secret: shop").plan.is_some());
        assert!(with(&[], "path: a").plan.is_some());
        for (names, expected) in [
            (&["shop_key", "crm"][..], "did you mean `shop_key`?"),
            (&["crm"], "known secrets: `crm`"),
            (&[], "add `secrets: { shopkey: ${SHOPKEY} }` to moltrun.yaml"),
        ] {
            let found = with(names, "path: a, secret: shopkey").diagnostics;
            assert_eq!((found.len(), found[0].code, found[0].line), (1, "unknown-secret", 2));
            assert_eq!(found[0].help.as_deref(), Some(expected));
        }
        // Nobody knows the configuration.
        assert!(checked(&text("path: a, secret: shop")).plan.is_some());
    }

    #[test]
    fn who_shares_a_path_agrees_on_its_secret() {
        let mistakes = |hooks: &[&str]| -> Vec<String> {
            let names = ["a", "b", "c"];
            let plans: Vec<_> = hooks
                .iter()
                .zip(names)
                .map(|(hook, name)| (name, checked(&format!("name: {name}\n{}", text(hook))).plan.unwrap()))
                .collect();
            let plans: Vec<_> = plans.iter().map(|(name, plan)| (*name, &**plan)).collect();
            let read = |file: &str| {
                let index = names.iter().position(|name| *name == file)?;
                Some(Source { path: file.to_string(), text: format!("name: {file}\n{}", text(hooks[index])) })
            };
            let found = shared_paths(&plans, &read);
            found.iter().map(|one| format!("{}:{} {}", one.file, one.line, one.message)).collect()
        };
        assert_eq!(mistakes(&["path: x, secret: s", "path: x, secret: s, when: true", "path: y"]), [""; 0]);
        assert_eq!(
            mistakes(&["path: x, secret: s", "path: x", "path: x, secret: s, header: h"]),
            [
                "b:3 the webhook `x` is also that of `a`, with the secret `s` in `x-webhook-signature`",
                "c:3 the webhook `x` is also that of `a`, with the secret `s` in `x-webhook-signature`",
            ]
        );
        assert_eq!(mistakes(&["path: x", "path: x, secret: s"]).len(), 1);
    }
}
