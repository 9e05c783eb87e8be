//! The outside proof: the real program as a process, on real sockets, against a far side written from the API guide
//! alone. Nothing here reaches into the library, so a test can only pass by what a user would see too.

mod commands;
mod demo;
mod examples;
mod far_side;
mod kill;
mod outcomes;
mod pipes;
mod schedule;
mod serve_load;
mod shown;
mod stops;
mod support;
mod validate;
