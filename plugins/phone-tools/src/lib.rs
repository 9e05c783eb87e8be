//! The plugin `phone-tools`: phone numbers in the spellings people use.
//!
//! | step | gives |
//! |---|---|
//! | [`parse`](steps::Parse) | E.164, region, national form, whether it is valid, or the reason why it is no number (port `bad`) |
//! | [`chat_id`](steps::ChatId) | the WhatsApp chat of a number, `<digits>@c.us` |
//! | [`clean_list`](steps::CleanList) | a list without duplicates, split into numbers and what is none, each with its reason |
//!
//! ```yaml
//! - id: people
//!   uses: phone-tools/clean_list
//!   with: { phones: "{{ inputs.phones }}", region: ES }
//! - id: message
//!   uses: moltflow.send
//!   for_each: { in: steps.people.valid }
//!   with: { session: shop, to: "{{ item.chat_id }}", text: Hello! }
//! ```
//!
//! Numbers are read by the same source files as those that moltrun itself sends to.

#[path = "../../../src/base"]
#[allow(dead_code, reason = "moltrun uses all of it")]
mod base {
    pub mod nearest;
    pub mod phone;
}
mod number;
pub mod steps;

use moltrun_step::plugin;

plugin!(steps::Parse, steps::ChatId, steps::CleanList);
