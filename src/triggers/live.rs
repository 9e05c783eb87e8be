//! The workflows that are served now: what webhooks, schedules and people start runs of.
//!
//! [`Live`] holds one [`Served`], which never changes: a reload puts another in its place. A reader takes it once and sees
//! one state of the folder for as long as it holds it, at the price of a reference count.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::watch;

use super::index::Index;
use crate::engine::ports::Workflows;
use crate::lang::Diagnostic;
use crate::lang::workflow::End;
use crate::plan::{Folder, Plan};

/// The one place that says what is served. Cloning gives another handle to it.
#[derive(Clone, Debug)]
pub struct Live(Arc<watch::Sender<Arc<Served>>>);

/// One state of the workflows folder.
#[derive(Debug, Default)]
pub struct Served {
    /// By name.
    workflows: Vec<ServedWorkflow>,
    /// What is wrong with files, the ones whose last good version is served too.
    problems: Vec<Diagnostic>,
    /// Of those that are enabled.
    index: Index,
}

/// A workflow and where it comes from.
#[derive(Clone, Debug)]
pub struct ServedWorkflow {
    pub plan: Arc<Plan>,
    /// As the folder was named.
    pub file: Arc<str>,
    /// The file has been edited since and is broken: this is its last good version.
    pub stale: bool,
}

impl Live {
    pub fn new(served: Served) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(served))))
    }

    /// What is served at this moment.
    pub fn now(&self) -> Arc<Served> {
        self.0.borrow().clone()
    }

    /// Told of every change from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Served>> {
        self.0.subscribe()
    }

    /// Serves `served` from now on. Runs that have begun are pinned to their plans and do not notice.
    pub fn publish(&self, served: Served) {
        self.0.send_replace(Arc::new(served));
    }
}

/// What a run calls is what is served when it calls it.
impl Workflows for Live {
    fn plan(&self, name: &str) -> Option<Arc<Plan>> {
        self.now().find(name).map(|served| served.plan.clone())
    }

    fn after(&self, name: &str, end: End) -> Vec<Arc<Plan>> {
        self.now().index.after(name, end)
    }
}

impl Served {
    /// `workflows` must not hold a name twice.
    pub fn new(mut workflows: Vec<ServedWorkflow>, problems: Vec<Diagnostic>) -> Self {
        workflows.sort_by(|a, b| a.plan.name.cmp(&b.plan.name));
        let enabled = workflows.iter().map(|served| &served.plan).filter(|plan| plan.workflow.enabled);
        let index = Index::of(enabled);
        Self { workflows, problems, index }
    }

    /// The folder as it was checked at the start.
    pub fn of(folder: &Folder) -> Self {
        let files: HashMap<*const Plan, String> = folder
            .files
            .iter()
            .filter_map(|file| Some((Arc::as_ptr(file.plan.as_ref()?), file.path.display().to_string())))
            .collect();
        let served = folder.plans.iter().map(|plan| ServedWorkflow {
            plan: plan.clone(),
            file: files.get(&Arc::as_ptr(plan)).map(String::as_str).unwrap_or_default().into(),
            stale: false,
        });
        Self::new(served.collect(), folder.diagnostics.clone())
    }

    /// Every workflow, by name; those that are not enabled too.
    pub fn workflows(&self) -> &[ServedWorkflow] {
        &self.workflows
    }

    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    pub fn find(&self, name: &str) -> Option<&ServedWorkflow> {
        let index = self.workflows.binary_search_by(|served| (*served.plan.name).cmp(name)).ok()?;
        self.workflows.get(index)
    }

    /// The plans that triggers may start.
    pub fn enabled(&self) -> impl Iterator<Item = &Arc<Plan>> {
        self.workflows.iter().map(|served| &served.plan).filter(|plan| plan.workflow.enabled)
    }

    /// The plans with a trigger of this kind that may want what happens in `session`: each of them once, and no others are
    /// looked at.
    pub fn listening(&self, kind: &str, session: &str) -> impl Iterator<Item = &Arc<Plan>> {
        self.index.listening(kind, session)
    }

    /// The sessions whose stream of events somebody wants.
    pub fn watched(&self) -> BTreeSet<String> {
        self.index.sessions("session_events")
    }

    /// The plans that have a webhook at `path`.
    pub fn hooked(&self, path: &str) -> &[Arc<Plan>] {
        self.index.hooked(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::triggers::testing::plan;

    fn served(texts: &[&str]) -> Served {
        let workflows = texts.iter().map(|text| ServedWorkflow { plan: plan(text), file: "f".into(), stale: false });
        Served::new(workflows.collect(), Vec::new())
    }

    #[test]
    fn a_message_meets_the_plans_of_its_session_and_of_any_each_once() {
        let served = served(&[
            "name: b\ntriggers: [{ message: { session: one } }, { message: { session: one, from: groups } }]",
            "name: a\ntriggers: [{ message: {} }, { message: { session: one } }]",
            "name: c\ntriggers: [{ message: { session: two } }, { message: { session: one } }]",
            "name: off\nenabled: false\ntriggers: [{ message: {} }]",
            "name: none\ntriggers: [manual]",
        ]);
        let names =
            |session: &str| served.listening("message", session).map(|plan| plan.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names("one"), ["a", "b", "c"]);
        assert_eq!(names("two"), ["a", "c"]);
        assert_eq!(names("three"), ["a"]);
        assert_eq!(served.find("off").map(|served| &*served.plan.name), Some("off"));
        assert!(served.find("offf").is_none());
        assert_eq!(served.enabled().count(), 4);
    }

    #[test]
    fn other_events_meet_those_that_want_them() {
        let served = served(&[
            "name: a\ntriggers: [{ session_status: {} }, { group_join: { session: one } }, { workflow: { name: z } }]",
            "name: b\ntriggers: [{ session_events: { session: one } }, { session_events: { session: two } }, { webhook: { path: x/y } }]",
            "name: c\ntriggers: [{ message: {} }, { webhook: { path: x/y } }, { webhook: { path: x/y, when: true } }, { workflow: { name: z, status: failed } }]",
            "name: off\nenabled: false\ntriggers: [{ webhook: { path: x/y } }, { workflow: { name: z } }, { session_events: { session: off } }]",
        ]);
        let names = |plans: Vec<&Arc<Plan>>| plans.iter().map(|plan| plan.name.to_string()).collect::<Vec<_>>();
        let listening = |kind: &str, session: &str| names(served.listening(kind, session).collect());
        assert_eq!(listening("session_status", "one"), ["a"]);
        assert_eq!((listening("group_join", "one"), listening("group_join", "two").len()), (vec!["a".to_string()], 0));
        assert_eq!(
            (listening("session_events", "two"), listening("message", "two")),
            (vec!["b".into()], vec!["c".into()])
        );
        assert_eq!(served.watched(), ["one", "two"].map(String::from).into());
        assert_eq!(names(served.hooked("x/y").iter().collect()), ["b", "c"]);
        assert!(served.hooked("x").is_empty());
        let live = Live::new(served);
        let after =
            |name: &str, end: End| live.after(name, end).iter().map(|plan| plan.name.to_string()).collect::<Vec<_>>();
        assert_eq!(
            (after("z", End::Failed), after("z", End::Succeeded)),
            (vec!["a".into(), "c".into()], vec!["a".into()])
        );
        assert!(after("a", End::Failed).is_empty());
    }

    #[test]
    fn a_reader_keeps_what_it_took() {
        let live = Live::new(served(&["name: a"]));
        let mut changes = live.subscribe();
        let before = live.now();
        live.publish(served(&["name: b"]));
        assert!(before.find("a").is_some() && live.now().find("a").is_none());
        assert!(changes.has_changed().unwrap());
        assert!(changes.borrow_and_update().find("b").is_some());
    }
}
