//! The `schedule` trigger: each due instant starts exactly one run of its workflow, across restarts, reloads and changes of
//! the clock.
//!
//! An instant is started under a dedupe key made of its workflow and itself, so that asking twice starts one run: the key,
//! not memory, is what makes it once. A schedule's *cursor* (in the store) says up to where its instants are settled, that is
//! started or let go as `catch_up` says; it only bounds how far a start looks back. So cursors are saved seldom and after the
//! runs, and a crash between the two repeats questions, not runs.
//!
//! - `slot` is one schedule: which of its instants are due, and which are missed.
//! - `board` is all of them: a heap of the next instants, what is due and not accepted yet, cursors to be saved. It is pure.
//! - `run` moves the board: it sleeps until the next instant, submits what is due in batches, follows reloads, and saves.
//!
//! When the clock is set back, instants that lie ahead again are asked for again; those that started a run are known by
//! their keys. When it is set forward, what it passed over is missed.

mod board;
mod overlap;
mod run;
mod slot;
mod view;

#[cfg(test)]
mod tests;

pub use self::overlap::overlap_lane;
pub use self::run::{Schedules, start};
pub use self::view::{Page, ScheduleView};
