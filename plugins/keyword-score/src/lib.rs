//! The plugin `keyword-score`: one step, `score`, which says which keywords a text holds.
//!
//! ```yaml
//! - id: intent
//!   uses: keyword-score/score
//!   with: { text: "{{ event.data.body }}", keywords: [urgent, refund, "not working"] }
//! # steps.intent is { score: 1, matched: [urgent] }
//! ```
//!
//! [`score`] holds the rules and runs anywhere (`cargo test`); `guest` is the thin layer towards moltrun.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod guest;
pub mod score;
