//! Which workflows may want what: an event costs only those that may, however many there are.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::lang::workflow::{End, Trigger};
use crate::plan::Plan;

/// The plans of one state of the workflows folder, by what starts them.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By kind of trigger.
    sessions: HashMap<&'static str, Sessions>,
    /// By path of a webhook.
    hooks: HashMap<String, Vec<Arc<Plan>>>,
    /// By the workflow after whose runs they begin.
    after: HashMap<String, Vec<Arc<Plan>>>,
}

/// No plan is in both.
#[derive(Debug, Default)]
struct Sessions {
    any: Vec<Arc<Plan>>,
    named: HashMap<String, Vec<Arc<Plan>>>,
}

impl Index {
    pub fn of<'p>(plans: impl Iterator<Item = &'p Arc<Plan>>) -> Self {
        let mut index = Self::default();
        for plan in plans {
            index.add(plan);
        }
        index
    }

    fn add(&mut self, plan: &Arc<Plan>) {
        let mut sessions: HashMap<&'static str, BTreeSet<Option<&str>>> = HashMap::new();
        let (mut hooks, mut after) = (BTreeSet::new(), BTreeSet::new());
        for trigger in &plan.triggers {
            match &trigger.trigger {
                Trigger::Webhook(hook) => drop(hooks.insert(hook.path.as_str())),
                Trigger::Workflow { name, .. } => drop(after.insert(name.as_str())),
                Trigger::Schedule { .. } | Trigger::Manual => {}
                named => drop(sessions.entry(named.kind()).or_default().insert(named.session())),
            }
        }
        for (kind, names) in sessions {
            let of_kind = self.sessions.entry(kind).or_default();
            if names.contains(&None) {
                of_kind.any.push(plan.clone());
                continue;
            }
            for name in names.into_iter().flatten() {
                of_kind.named.entry(name.to_string()).or_default().push(plan.clone());
            }
        }
        hooks.into_iter().for_each(|path| self.hooks.entry(path.to_string()).or_default().push(plan.clone()));
        after.into_iter().for_each(|name| self.after.entry(name.to_string()).or_default().push(plan.clone()));
    }

    /// Plans with a trigger of this kind that may want what happens in `session`, each once.
    pub fn listening(&self, kind: &str, session: &str) -> impl Iterator<Item = &Arc<Plan>> {
        let sessions = self.sessions.get(kind);
        let any = sessions.into_iter().flat_map(|sessions| &sessions.any);
        any.chain(sessions.and_then(|sessions| sessions.named.get(session)).into_iter().flatten())
    }

    /// The sessions that triggers of this kind name.
    pub fn sessions(&self, kind: &str) -> BTreeSet<String> {
        self.sessions.get(kind).map(|sessions| sessions.named.keys().cloned().collect()).unwrap_or_default()
    }

    /// Plans with a webhook at `path`.
    pub fn hooked(&self, path: &str) -> &[Arc<Plan>] {
        self.hooks.get(path).map(Vec::as_slice).unwrap_or_default()
    }

    /// Plans that begin after a run of `name` has ended so.
    pub fn after(&self, name: &str, end: End) -> Vec<Arc<Plan>> {
        let wants = |plan: &Plan| {
            plan.triggers.iter().any(|trigger| match &trigger.trigger {
                Trigger::Workflow { name: wanted, status } => {
                    wanted == name && (status.is_empty() || status.contains(&end))
                }
                _ => false,
            })
        };
        self.after.get(name).into_iter().flatten().filter(|plan| wants(plan)).cloned().collect()
    }
}
