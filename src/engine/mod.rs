//! The durable engine: a pure core (`event`, `state`, `decide`), the ports it needs, and the shell that runs it.

pub mod backoff;
pub mod clock;
pub mod decide;
pub mod event;
pub mod fixed;
pub mod frame;
pub mod items;
pub mod ports;
pub mod reasons;
pub mod report;
pub mod run;
pub mod state;
mod step_log;
pub mod waiting;

#[cfg(test)]
mod tests;
