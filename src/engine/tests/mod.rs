//! The engine under test: tables for the pure core, a simulation that crashes everywhere, and the shell around it.
//!
//! What is *absent*: real time, sleeps, threads, and luck. Time is a number or [`clock::SimClock`], the far side is drawn from a seed.

mod attempts;
mod blocks;
mod catalog;
mod clock;
mod ends;
mod far;
mod graph;
mod items;
mod outside;
mod pause;
mod properties;
mod random;
mod retries;
mod script;
mod shell;
mod simulation;
mod store;
