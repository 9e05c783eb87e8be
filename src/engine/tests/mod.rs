//! The engine under test: tables for the pure core, a simulation that crashes everywhere, and the shell around it.
//!
//! What is *absent*: real time, sleeps, threads, and luck. Time is [`clock::SimClock`], the far side is [`far::Far`].

mod attempts;
mod catalog;
mod clock;
mod far;
mod graph;
mod items;
mod properties;
mod random;
mod script;
mod shell;
mod simulation;
mod store;
