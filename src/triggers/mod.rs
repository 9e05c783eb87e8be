//! What starts runs: messages by webhook, schedules, people; and which workflows there are to start.

pub mod live;
pub mod message;
pub mod reload;
pub mod schedule;
#[cfg(test)]
mod testing;
