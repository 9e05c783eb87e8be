//! A run in the foreground and the runs that it starts: is there anything left to wait for?

use std::collections::BTreeMap;

use super::progress::{Committed, Stands};
use crate::base::RunId;
use crate::engine::ports::Workflows;

pub struct Foreground<'a> {
    root: RunId,
    workflows: &'a dyn Workflows,
    runs: BTreeMap<RunId, Stands>,
    /// Runs that start because another one failed: those to come, and those that were seen.
    expected: usize,
    followers: Vec<RunId>,
}

impl<'a> Foreground<'a> {
    pub fn new(root: RunId, workflows: &'a dyn Workflows) -> Self {
        Self { root, workflows, runs: BTreeMap::new(), expected: 0, followers: Vec::new() }
    }

    /// Takes what was committed.
    pub fn saw(&mut self, committed: &Committed) {
        let run = committed.run;
        let before = self.runs.insert(run, committed.stands.clone());
        if before.is_none() && run != self.root && !committed.is_called {
            self.followers.push(run);
        }
        // Without such a workflow none is started.
        let follower = committed.follower.as_ref().filter(|_| before != Some(Stands::Ended));
        self.expected += usize::from(follower.is_some_and(|name| self.workflows.plan(name).is_some()));
    }

    /// Nothing goes on without a person or an event from outside.
    pub fn is_over(&self) -> bool {
        let all_started = self.followers.len() >= self.expected;
        self.rests(self.root) && all_started && self.followers.iter().all(|run| self.rests(*run))
    }

    /// Runs that a person or an event lets go on.
    pub fn parked(&self) -> impl Iterator<Item = RunId> {
        self.runs.iter().filter(|(_, stands)| matches!(stands, Stands::Parked(_))).map(|(run, _)| *run)
    }

    /// Ended, or parked with every run that it called.
    fn rests(&self, run: RunId) -> bool {
        match self.runs.get(&run) {
            None | Some(Stands::Busy) => false,
            Some(Stands::Ended) => true,
            // A called run that has ended lets its caller go on.
            Some(Stands::Parked(called)) => {
                called.iter().all(|run| self.runs.get(run) != Some(&Stands::Ended) && self.rests(*run))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::engine::event::RunStatus;
    use crate::plan::Plan;

    /// Says of every name that there is no such workflow.
    struct Nothing;

    impl Workflows for Nothing {
        fn plan(&self, _: &str) -> Option<Arc<Plan>> {
            None
        }
    }

    fn run(number: u128) -> RunId {
        RunId::new(0, number)
    }

    fn committed(number: u128, stands: Stands, is_called: bool) -> Committed {
        Committed {
            run: run(number),
            workflow: "w".into(),
            status: RunStatus::Running,
            lines: Vec::new(),
            counts: None,
            stands,
            is_called,
            follower: Some("gone".into()),
            gave_up: None,
        }
    }

    #[test]
    fn a_caller_rests_when_all_that_it_called_does() {
        let mut all = Foreground::new(run(1), &Nothing);
        assert!(!all.is_over());
        for (seen, over) in [
            (committed(1, Stands::Busy, false), false),
            (committed(1, Stands::Parked(vec![run(2)]), false), false),
            (committed(2, Stands::Busy, true), false),
            (committed(2, Stands::Parked(Vec::new()), true), true),
            // It will tell its caller.
            (committed(2, Stands::Ended, true), false),
            (committed(1, Stands::Ended, false), true),
            // What starts after a failure is waited for, too.
            (committed(3, Stands::Busy, false), false),
            (committed(3, Stands::Parked(Vec::new()), false), true),
        ] {
            all.saw(&seen);
            assert_eq!(all.is_over(), over, "{seen:?}");
        }
        assert_eq!(all.parked().collect::<Vec<_>>(), [run(3)]);
    }
}
