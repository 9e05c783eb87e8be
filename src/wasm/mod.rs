//! Plugins: WASM components of the world `moltrun:step/transform` (`wit/step.wit`) as steps.
//!
//! A file goes through `scan` (which files there are), `cache` (compiled once a digest) and `describe` (what it offers,
//! checked) and becomes a few steps. A call goes through `call`: one fresh instance, one store, both gone afterwards. The
//! bounds of a call are kept in four places: time in `runtime`, memory in `quota`, host calls and log lines in `state`,
//! sizes and schemas in `step`.
//!
//! Trust: a component is hostile until shown otherwise. It may waste its own call, never the host or another call; and
//! what it says (names, schemas, texts) is checked and bounded before anyone else sees it.
//!
//! What is *absent*: network, files, environment, real time and real randomness for guests, and any state between calls.

mod asks;
mod bindings;
mod bundled;
mod cache;
mod call;
mod cause;
mod describe;
mod grant;
mod host;
mod hosts;
mod imports;
mod load;
mod quota;
mod runtime;
mod scan;
mod state;
mod step;
mod text;
mod wasi;

#[cfg(test)]
mod tests;

pub use asks::Asks;
pub use grant::Grant;
pub use host::{Host, Origin, Plugin, Plugins, PluginsConfig, Services};
pub use hosts::HostPattern;
