//! The steps there are at this moment. A plugin that was changed puts others in their place while the engine runs.
//!
//! An attempt takes the step that it finds when it begins, and keeps it to its end.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::engine::ports::Step;
use crate::lang::Catalog;

/// What there is at one moment: it never changes.
#[derive(Clone, Default)]
pub struct StepSet {
    /// What workflows are checked against. It may lack steps of `steps`: those that served workflows still use, and no others
    /// should.
    pub catalog: Arc<Catalog>,
    /// By name.
    pub steps: HashMap<Arc<str>, Arc<dyn Step>>,
}

/// The one place that says which steps there are. Cloning gives another handle to it.
#[derive(Clone)]
pub struct Steps(Arc<watch::Sender<Arc<StepSet>>>);

impl Steps {
    pub fn new(set: StepSet) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(set))))
    }

    /// What there is now, at the price of a reference count.
    pub fn now(&self) -> Arc<StepSet> {
        self.0.borrow().clone()
    }

    /// Told of every change from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<StepSet>> {
        self.0.subscribe()
    }

    /// Attempts that begin from now on find these.
    pub fn replace(&self, set: StepSet) {
        self.0.send_replace(Arc::new(set));
    }
}
