//! The shell: back-pressure, stopping, waking, mail, lists, events, calls, a store that is away, steps that panic.

mod calls;
mod ends;
mod events;
mod follow;
pub mod house;
mod lists;
mod logged;
mod mail;
mod pausing;
mod people;
mod queued;
mod replaced;
mod snapshots;
mod stopping;
mod trouble;
mod values;
