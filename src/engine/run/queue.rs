//! Which run is worked on next: as many at once as there are workers, not too many of one workflow, and in turns.
//!
//! Workflows that have work and room take turns, one job a turn, so that a flood of one does not keep another waiting.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Jobs that wait for a worker. Every operation takes constant time.
pub struct Queue<T> {
    lines: Mutex<Lines<T>>,
    /// Rung when a job may have become ready.
    ready: Notify,
    /// Workers of one workflow, at most.
    per_workflow: usize,
}

struct Lines<T> {
    /// Workers that are free.
    free: usize,
    /// Jobs that wait.
    waiting: usize,
    /// Workflows with jobs that wait or are worked on.
    workflows: HashMap<Arc<str>, Line<T>>,
    /// Workflows that have a job and room for it, each once, the next one first.
    turns: VecDeque<Arc<str>>,
}

struct Line<T> {
    jobs: VecDeque<T>,
    working: usize,
    has_turn: bool,
}

/// A worker's place; dropping it lets the next job go.
pub struct Permit<T> {
    queue: Arc<Queue<T>>,
    workflow: Arc<str>,
}

impl<T> Queue<T> {
    /// Both bounds are at least 1.
    pub fn new(workers: usize, per_workflow: usize) -> Arc<Self> {
        let lines = Lines { free: workers.max(1), waiting: 0, workflows: HashMap::new(), turns: VecDeque::new() };
        Arc::new(Self { lines: Mutex::new(lines), ready: Notify::new(), per_workflow: per_workflow.max(1) })
    }

    /// Workers of this workflow, at most. Runs that are woken stand in one line of no workflow, which only the whole bounds.
    fn bound(&self, workflow: &str) -> usize {
        if workflow.is_empty() { usize::MAX } else { self.per_workflow }
    }

    /// Adds a job behind the workflow's others. How many there may be is the caller's to bound.
    pub fn push(&self, workflow: &Arc<str>, job: T) {
        let mut lines = self.lines();
        lines.waiting += 1;
        match lines.workflows.get_mut(workflow) {
            Some(line) => line.jobs.push_back(job),
            None => {
                let line = Line { jobs: VecDeque::from([job]), working: 0, has_turn: false };
                lines.workflows.insert(workflow.clone(), line);
            }
        }
        lines.queue_up(workflow, self.bound(workflow));
        drop(lines);
        self.ready.notify_one();
    }

    /// The next job, if there is one and a worker for it.
    pub fn pop(self: &Arc<Self>) -> Option<(T, Permit<T>)> {
        let mut lines = self.lines();
        if lines.free == 0 {
            return None;
        }
        let workflow = lines.turns.pop_front()?;
        let line = lines.workflows.get_mut(&workflow)?;
        line.has_turn = false;
        let job = line.jobs.pop_front()?;
        line.working += 1;
        lines.free -= 1;
        lines.waiting -= 1;
        lines.queue_up(&workflow, self.bound(&workflow));
        drop(lines);
        Some((job, Permit { queue: self.clone(), workflow }))
    }

    /// Waits for the next job and a worker for it. For one dispatcher: several would miss each other's rings. Dropping the
    /// future loses no job.
    pub async fn next(self: &Arc<Self>) -> (T, Permit<T>) {
        loop {
            if let Some(next) = self.pop() {
                return next;
            }
            self.ready.notified().await;
        }
    }

    /// Jobs that wait for a worker.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.lines().waiting
    }

    fn release(&self, workflow: &Arc<str>) {
        let mut lines = self.lines();
        lines.free += 1;
        if let Some(line) = lines.workflows.get_mut(workflow) {
            line.working -= 1;
            if line.working == 0 && line.jobs.is_empty() {
                lines.workflows.remove(workflow);
            }
        }
        lines.queue_up(workflow, self.bound(workflow));
        drop(lines);
        self.ready.notify_one();
    }

    fn lines(&self) -> MutexGuard<'_, Lines<T>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Lines<T> {
    /// Gives the workflow a turn if it has work and room and none yet.
    fn queue_up(&mut self, workflow: &Arc<str>, per_workflow: usize) {
        if let Some(line) = self.workflows.get_mut(workflow)
            && !line.has_turn
            && !line.jobs.is_empty()
            && line.working < per_workflow
        {
            line.has_turn = true;
            self.turns.push_back(workflow.clone());
        }
    }
}

impl<T> Drop for Permit<T> {
    fn drop(&mut self) {
        self.queue.release(&self.workflow);
    }
}

#[cfg(test)]
mod tests;
