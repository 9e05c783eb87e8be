//! moltrun runs declarative YAML workflows against the MoltFlow WhatsApp API: the map of the house.
//!
//! A workflow file is compiled to a directed acyclic graph; a durable engine walks the graph; its nodes are steps, built in
//! or from WASM plugins. `docs/architecture.md` follows one message through all of it; this page says what is where and
//! what always holds.
//!
//! # Where to begin
//!
//! | to understand | read |
//! |---|---|
//! | what happens next in a run, and why | [`engine::decide`], which is pure |
//! | what is written down, and when | [`engine::event`], then `engine::run::driver` |
//! | what the engine asks of everything else | [`engine::ports`]: `Step`, `Store`, `Query`, `Clock` |
//! | what a workflow file may say | [`lang::workflow`], then [`plan`] for what is checked |
//! | when a send is unknown | [`moltflow`], then `docs/outcomes.md` |
//! | how the parts are put together | [`app`], the only place that knows every concrete type |
//! | how big anything may be | [`base::limits`], every bound with its reason |
//!
//! # Layers
//!
//! A layer may `use crate::` only layers above it in this table; those of one row do not know each other. `tests/tidy.rs`
//! reads the imports and fails otherwise. Test code is free.
//!
//! | layer | holds |
//! |---|---|
//! | [`base`] | run ids, durations, bounded JSON, effects, the limits, the redacting `Secret`; no I/O, no async |
//! | [`expr`] | expressions and templates: MiniJinja, bounded, with every name they use known beforehand |
//! | [`lang`] | YAML text to a `Workflow`, with diagnostics that have places; the form of a step's contract |
//! | [`plan`] | `Workflow` to `Plan`: graph, references, compiled templates, content digest, drawings |
//! | [`engine`] | `event`, `state`, `decide` are pure; `ports` are the traits it needs; `run` is the shell that does things |
//! | [`net`] | the one HTTP client for everything that leaves the process |
//! | [`moltflow`] | the typed client: credentials, rate limits, errors, webhook events, signatures |
//! | [`senders`] | what each WhatsApp session may send, and when: pace, caps, quiet hours, opt-outs |
//! | [`steps`] [`wasm`] [`store`] [`triggers`] | built-in steps; the plugin host; SQLite and memory; what starts runs |
//! | [`config`] | `moltrun.yaml` and the environment |
//! | [`server`] [`sandbox`] | webhooks and API; a local MoltFlow and a local model |
//! | [`app`] | puts all of it together |
//! | [`cli`] | one file a command |
//!
//! # Invariants
//!
//! 1. **The journal is the truth.** A run is the fold of its events ([`engine::state`]); a row's status is only an index.
//! 2. **The core is pure.** [`engine::decide`] is a function of plan, state, input and time: no await, clock, I/O or
//!    randomness. An event that does not fit its state is an error, not a panic.
//! 3. **A commit is there whole or not at all.** What a run decided since its last one lands in one transaction; many runs
//!    share one physical commit.
//! 4. **Say before you do.** A step that must not be repeated is begun only when its intention is durable. What is lost
//!    after that is *unknown*, and the engine does not guess.
//! 5. **A run is pinned to its plan.** Plans are stored by digest; an edited file is another plan.
//! 6. **Steps are all alike.** The engine cannot tell a built-in step from a plugin's.
//! 7. **Nothing leaves the process but through [`net`]**: private addresses, redirects, sizes, times and redaction are
//!    judged there, once. What cannot be judged is refused; what may have been sent counts as sent.
//! 8. **What comes from outside is bounded**: files, bodies, answers, expressions, loops, queues, caches, all in
//!    [`base::limits`]. At a bound there is a clear error or back-pressure, never growth.
//! 9. **A webhook is answered 200 only after its runs are committed.**
//! 10. **Secrets are `Secret`** from the moment they are read: not in the journal, the logs, errors or answers.
//! 11. **Time and randomness have one door**, [`engine::clock`]; everyone else is handed a `Clock`.
#![deny(unsafe_code)]

// What the fuzzer drives is tried by tests too, under the name it has outside.
#[cfg(test)]
extern crate self as moltrun;

pub mod app;
pub mod base;
pub mod cli;
pub mod config;
pub mod engine;
pub mod expr;
pub mod lang;
pub mod moltflow;
pub mod net;
pub mod plan;
pub mod sandbox;
pub mod senders;
pub mod server;
pub mod steps;
pub mod store;
pub mod triggers;
pub mod wasm;
