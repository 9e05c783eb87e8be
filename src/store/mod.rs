//! Where the journal lives. Two stores behind one port (`engine::ports::Store`): SQLite for the daemon, memory for tests and
//! for reading the rules; one conformance suite holds both to them.

pub mod dry;
pub mod memory;
pub mod sqlite;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod histories;
