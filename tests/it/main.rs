//! The outside proof: the real program as a process, on real sockets, against a far side written from the API guide
//! alone. Nothing here reaches into the library, so a test can only pass by what a user would see too.

mod blocks;
mod broadcasts;
mod calls;
mod commands;
mod damage;
mod demo;
mod disk;
mod examples;
mod examples_sessions;
mod examples_shop;
mod far_side;
mod kill;
mod kill_at_random;
mod metrics;
mod moltflow_steps;
mod outcomes;
mod parked;
mod pipes;
mod plan;
mod pressure;
mod reload;
mod restarts;
mod schedule;
mod second;
mod secrets;
mod senders;
mod serve_load;
mod shown;
mod stops;
mod support;
mod takeover;
mod triggers;
mod validate;
mod values;
mod words;
