//! The workflows of a process that reads its files once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ports::Workflows;
use crate::plan::Plan;

/// Always the same ones, by name.
#[derive(Clone, Debug, Default)]
pub struct FixedWorkflows(BTreeMap<Arc<str>, Arc<Plan>>);

impl FromIterator<Arc<Plan>> for FixedWorkflows {
    /// The first one of a name counts.
    fn from_iter<T: IntoIterator<Item = Arc<Plan>>>(plans: T) -> Self {
        let mut named = BTreeMap::new();
        for plan in plans {
            named.entry(plan.name.clone()).or_insert(plan);
        }
        Self(named)
    }
}

impl Workflows for FixedWorkflows {
    fn plan(&self, name: &str) -> Option<Arc<Plan>> {
        self.0.get(name).cloned()
    }
}
