//! What starts runs: messages by webhook, schedules, people.

pub mod manual;
pub mod message;
pub mod schedule;
