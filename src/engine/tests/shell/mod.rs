//! The shell: back-pressure, stopping, waking, mail, a store that is away, steps that panic.

mod house;
mod mail;
mod stopping;
mod trouble;
