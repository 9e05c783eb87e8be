//! What keeps a WhatsApp number alive: one policy a session, shared by every workflow and kept across restarts.
//!
//! | file | holds |
//! |---|---|
//! | `policy` `pace` `quiet` `words` | what `senders:` of `moltrun.yaml` says |
//! | `standing` `calendar` | what a session has sent and when it may send again; pure, and the forecast with it |
//! | `health` | whether a session is connected, and how long its sends wait if it is not |
//! | `turns` | who waits, and when each one's turn is |
//! | `desk` | one session: all of that under one lock, and written down before it counts |
//! | `opted_out` `notice` `reply` | who wants no more messages, what they are told, who has just written |
//! | `house` | [`Senders`], all of them |
//! | `view` | what people see of it |

mod calendar;
mod desk;
mod health;
mod house;
mod notice;
mod opted_out;
mod pace;
mod policy;
mod quiet;
mod reply;
mod standing;
mod turns;
mod view;
mod words;

pub use desk::Ask;
pub use health::WORKING;
pub use house::{Permit, Senders, Sessions};
pub use notice::NAME as NOTICE;
pub use opted_out::OptedOut;
pub use pace::{BadJitter, BadRate, Jitter, Pace, Rate};
pub use policy::Policy;
pub use quiet::QuietHours;
pub use reply::is_reply;
pub use standing::{Decision, Standing, Why, decide, forecast};
pub use view::SenderView;
pub use words::{OptOut, Said, plain};

#[cfg(test)]
mod tests;
