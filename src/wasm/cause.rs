//! Why a guest stopped, in words of the person who runs it.

use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

pub(super) use super::answers::Cause;
use super::runtime::GUEST_STACK;
use super::state::{HostCallFlood, State};
use super::text::clean;
use crate::base::duration::human;
use crate::base::limits::{PLUGIN_CALLS, PLUGIN_JSON};

/// The call's time was over.
#[derive(Debug, thiserror::Error)]
#[error("its time was over")]
pub(super) struct DeadlineExceeded;

impl Cause {
    /// The call took longer than it may.
    pub(super) fn timeout(timeout_ms: u64) -> Self {
        Self::new("plugin.timeout", format!("took longer than {}", human(timeout_ms)))
    }

    /// There was no place for the call in `ms` milliseconds.
    pub(super) fn busy(ms: u64) -> Self {
        let text = format!("found no free place within {}: {PLUGIN_CALLS} calls were at work", human(ms));
        Self::new("plugin.busy", text)
    }

    /// What `error`, which ended a call of at most `timeout_ms`, was about.
    pub(super) fn of(error: &wasmtime::Error, state: &State, timeout_ms: u64) -> Self {
        if error.is::<DeadlineExceeded>() {
            return Self::timeout(timeout_ms);
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Self::new("plugin.busy", "found no free place in the pool of instances");
        }
        if let Some(flood) = error.downcast_ref::<HostCallFlood>() {
            return Self::new("plugin.trap", format!("was stopped: {flood}"));
        }
        if let Some(I32Exit(code)) = error.downcast_ref() {
            return Self::new("plugin.trap", format!("exited with status {code} instead of answering"));
        }
        let trap = error.downcast_ref::<Trap>();
        if trap == Some(&Trap::StackOverflow) {
            return Self::new(
                "plugin.trap",
                format!("recursed until its stack of {} KiB was full", GUEST_STACK / 1024),
            );
        }
        if state.quota.refused {
            let limit = state.quota.limit_bytes() / (1024 * 1024);
            return Self::new("plugin.memory", format!("wanted more than its {limit} MiB of memory"));
        }
        if let Some(trap) = trap {
            let text = trap.to_string();
            return Self::new("plugin.trap", format!("trapped: {}", text.strip_prefix("wasm trap: ").unwrap_or(&text)));
        }
        let root = error.root_cause().to_string();
        // The error's type is private to wasmtime; its text is pinned with wasmtime's version and covered by a test.
        if root.contains("fuel allocated for hostcalls") {
            return Self::new("plugin.too_large", format!("handed over more than {PLUGIN_JSON} bytes at once"));
        }
        Self::new("plugin.bad_output", format!("broke the interface: {}", clean(&root, 300)))
    }
}
