//! What the operator allows one plugin. Nothing named means the defaults and nothing to reach; of what is named here a
//! plugin can use only what it asks for.

use std::collections::BTreeSet;

use super::HostPattern;
use crate::base::limits::{PLUGIN_MEMORY, PLUGIN_TIMEOUT_MS};

/// The grant of one plugin (`grants:` in `moltrun.yaml`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Places it may send requests to.
    pub http: Vec<HostPattern>,
    /// Secrets of the configuration that it may use without seeing them, by name.
    pub secrets: BTreeSet<String>,
    /// Whether it may keep values across runs.
    pub state: bool,
    /// Memory of one call in bytes; [`PLUGIN_MEMORY`] if not named. More than [`Grant::MAX_MEMORY`] is cut to it.
    pub memory_bytes: Option<usize>,
    /// The longest a call may take, in milliseconds; [`PLUGIN_TIMEOUT_MS`] if not named.
    pub timeout_ms: Option<u64>,
    /// SHA-256 of the component's file, hex. A file with another digest is not loaded.
    pub sha256: Option<String>,
}

impl Grant {
    /// What a 32-bit guest can address at most.
    pub const MAX_MEMORY: usize = 4 * 1024 * 1024 * 1024 - 64 * 1024;

    /// Memory of one call in bytes.
    pub fn memory(&self) -> usize {
        self.memory_bytes.unwrap_or(PLUGIN_MEMORY).min(Self::MAX_MEMORY)
    }

    /// Time of one call in milliseconds.
    pub fn timeout(&self) -> u64 {
        self.timeout_ms.unwrap_or(PLUGIN_TIMEOUT_MS)
    }
}
