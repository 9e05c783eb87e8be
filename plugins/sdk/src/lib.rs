//! Steps for [moltrun](https://github.com/moltflow/moltrun) workflows, written in Rust.
//!
//! A step is a type that implements [`Step`]: its input and output are serde types, and from them (and their doc comments) the
//! JSON Schemas are derived that the workflow checker, the editor and the UI read. [`plugin!`] makes a component of one or
//! several steps.
//!
//! ```
//! use moltrun_step::prelude::*;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Input {
//!     /// What is counted.
//!     text: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Output {
//!     /// Runs of anything but white space.
//!     words: usize,
//! }
//!
//! struct Count;
//!
//! impl Step for Count {
//!     type Input = Input;
//!     type Output = Output;
//!     const NAME: &'static str = "count";
//!     const SUMMARY: &'static str = "counts the words of a text";
//!     const PORTS: &'static [&'static str] = &["none"];
//!
//!     fn run(input: Input, context: &Context) -> Result<Exit<Output>, Error> {
//!         let words = input.text.split_whitespace().count();
//!         debug!(context, "counted"; words = words);
//!         Ok(if words == 0 { Exit::on("none", Output { words }) } else { Exit::ok(Output { words }) })
//!     }
//! }
//!
//! plugin!(Count);
//!
//! // What a test does; `cargo test` runs on the host, with a stand-in for moltrun.
//! use moltrun_step::test;
//! let exit = test::call::<Plugin>("count", json!({"text": "one two"}), &Context::fake()).unwrap();
//! assert_eq!((exit.port, exit.output), (None, json!({"words": 2})));
//! ```
//!
//! `cargo build --release --target wasm32-wasip2` makes the component; copied to the plugins folder as `words.wasm` it is the
//! step `words/count`.
//!
//! # What a step may not do
//!
//! Each call gets a fresh instance: nothing is remembered in statics. There are no files, no environment and no threads;
//! the clock stands still and randomness repeats for a retried attempt. A panic is a bug: its message is left in the log,
//! and the attempt fails for good. For what can go wrong there is [`Error`].
//!
//! # Reaching out
//!
#![cfg_attr(
    feature = "connector",
    doc = "With the feature `connector` there are [`Context::state`], [`Context::secrets`] and [`http::Request`]."
)]
#![cfg_attr(
    not(feature = "connector"),
    doc = "With the feature `connector` there are values that outlive runs, secrets and HTTP."
)]
//! Each of them is granted by the operator or refused, host by host and name by name; what is refused is an ordinary [`Error`]
//! with the reason.

mod context;
mod error;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
mod log;
#[doc(hidden)]
pub mod plugin;
mod schema;
mod step;

#[cfg(feature = "connector")]
pub mod http;
#[cfg(feature = "connector")]
pub mod secrets;
#[cfg(feature = "connector")]
pub mod state;

#[cfg(not(target_arch = "wasm32"))]
pub mod test;

pub use context::Context;
pub use error::{Error, Kind};
pub use log::Level;
pub use schemars;
pub use serde;
pub use serde_json;
pub use step::{Effect, Exit, Step};

/// Everything that a step usually needs.
pub mod prelude {
    pub use crate::{Context, Effect, Error, Exit, Level, Step, debug, error, info, plugin, warn};
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
    pub use serde_json::{Value, json};

    #[cfg(feature = "connector")]
    pub use crate::http::{Request, Response};
}
