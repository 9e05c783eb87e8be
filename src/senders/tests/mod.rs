//! The rules of sending, held against random histories, and the senders at work over a store.

mod events;
mod history;
mod house;
mod line;
