//! Who wants to see what happens: the foreground `run` and the demo.

use crate::base::RunId;
use crate::engine::event::Event;
use crate::engine::state::RunState;
use crate::plan::Plan;

/// Told of every commit, after it is durable. Must not block: it is called on the run's own task.
pub trait Observer: Send + Sync {
    fn committed(&self, plan: &Plan, state: &RunState, events: &[Event]);

    /// Told of a run that cannot go on in this process, with the reason.
    fn gave_up(&self, _run: RunId, _why: &str) {}
}
