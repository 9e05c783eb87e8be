//! `ai.prompt` against servers that answer as the providers' public documentation says.

mod answers;
mod bounds;
mod conversations;
mod data;
mod faults;
mod files;
mod model;
mod streams;
