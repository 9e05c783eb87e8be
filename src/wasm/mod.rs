//! Plugins: WASM components of the worlds `transform` and `connector` (`wit/step.wit`) as steps.
//!
//! A file goes through `scan` (which files there are), `cache` (compiled and asked once a digest) and `describe` (what it
//! offers, checked) and becomes a few steps. A call goes through `call`: one fresh instance, one store, both gone afterwards. The
//! bounds of a call are kept in four places: time in `call` and `slow`, memory in `quota`, host calls and log lines in `state`,
//! sizes and schemas in `answers`.
//!
//! Trust: a component is hostile until shown otherwise. It may waste its own call, never the host or another call; and
//! what it says (names, schemas, texts) is checked and bounded before anyone else sees it.
//!
//! What is *absent*: files, sockets and environment for all guests; network, secrets, values across runs, real time and real
//! randomness for those that only compute. What a connector has of these, and by whose leave, is in `imports`.

pub mod answers;
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
mod kept;
mod load;
mod measure;
mod private;
mod quota;
mod runtime;
mod scan;
mod script;
mod slow;
mod stamp;
mod state;
mod step;
mod text;
mod ticks;
mod wasi;
mod within;

#[cfg(test)]
mod replay;
#[cfg(test)]
mod tests;

pub use asks::Asks;
pub use grant::Grant;
pub use host::{Host, Origin, Plugin, Plugins, PluginsConfig, Services};
pub use hosts::HostPattern;
pub use measure::{Meter, Usage};
pub use scan::check_name;
pub use script::{ScriptEngine, ScriptStep};
