//! What starts runs: what MoltFlow delivers, webhooks of others, streams of session events, schedules, people; and which
//! workflows there are to start.

pub mod delivered;
mod index;
pub mod live;
pub mod registration;
pub mod reload;
pub mod schedule;
pub mod session_events;
#[cfg(test)]
mod testing;
pub mod webhook;
