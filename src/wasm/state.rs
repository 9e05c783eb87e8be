//! What the host holds for one call, and the functions a guest may call on it.

use std::sync::Arc;

use tracing::Level as TraceLevel;
use wasmtime::component::ResourceTable;

use super::bindings::moltrun::step::{context, log, types};
use super::imports::{Http, Outside};
use super::quota::Quota;
use super::runtime::Deadline;
use super::text::clean;
use super::wasi::Wasi;
use crate::base::Millis;
use crate::base::limits::{PLUGIN_HOST_CALLS, PLUGIN_LOG_LINE, PLUGIN_LOG_LINES};
use crate::engine::ports::{LogLevel, StepLog};

/// The attempt a guest is told of; all empty while it describes itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempt {
    pub(super) plugin: String,
    pub(super) run: String,
    pub(super) step: String,
    pub(super) attempt: u32,
    pub(super) idempotency_key: String,
    pub(super) now: Millis,
    /// Where the guest's lines go besides the log.
    pub(super) log: StepLog,
    /// None: it only computes.
    pub(super) outside: Option<Arc<Outside>>,
}

/// The data of one store.
pub(super) struct State {
    pub(super) attempt: Attempt,
    pub(super) deadline: Deadline,
    pub(super) quota: Quota,
    host_calls: u32,
    lines: u32,
    /// Made at the first WASI call: most guests make none.
    pub(super) wasi: Option<Wasi>,
    http: Http,
}

/// A guest that calls the host more than [`PLUGIN_HOST_CALLS`] times.
#[derive(Debug, thiserror::Error)]
#[error("it called the host more than {PLUGIN_HOST_CALLS} times")]
pub(super) struct HostCallFlood;

impl State {
    pub(super) fn new(attempt: Attempt, deadline: Deadline, memory_bytes: usize) -> Self {
        let http = Http::new(attempt.outside.clone(), deadline);
        Self { attempt, deadline, quota: Quota::new(memory_bytes), host_calls: 0, lines: 0, wasi: None, http }
    }

    pub(super) fn count_call(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        if self.host_calls > PLUGIN_HOST_CALLS {
            return Err(wasmtime::Error::new(HostCallFlood));
        }
        Ok(())
    }

    /// The world outside of this call, if it has one.
    pub(super) fn outside(&self) -> Option<Arc<Outside>> {
        self.attempt.outside.clone()
    }

    /// Why it has none.
    pub(super) fn closed(&self) -> &'static str {
        match self.attempt.run.is_empty() {
            true => "nothing is granted while a plugin says what it offers",
            false => "the step says `pure`, so it only computes; if it does more, it has to say so",
        }
    }

    /// What its HTTP works with.
    pub(super) fn http_parts(&mut self) -> (&mut Http, &mut ResourceTable) {
        let wasi = self.wasi.get_or_insert_with(|| Wasi::new(&self.attempt));
        (&mut self.http, &mut wasi.table)
    }

    /// Log lines that were dropped because there were too many.
    pub(super) fn dropped_lines(&self) -> u32 {
        self.lines.saturating_sub(PLUGIN_LOG_LINES)
    }
}

impl types::Host for State {}

impl context::Host for State {
    fn run_id(&mut self) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.attempt.run.clone())
    }

    fn step_id(&mut self) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.attempt.step.clone())
    }

    fn attempt(&mut self) -> wasmtime::Result<u32> {
        self.count_call()?;
        Ok(self.attempt.attempt)
    }

    fn idempotency_key(&mut self) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.attempt.idempotency_key.clone())
    }

    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.count_call()?;
        Ok(self.attempt.now.max(0) as u64)
    }

    fn remaining_ms(&mut self) -> wasmtime::Result<u64> {
        self.count_call()?;
        Ok(self.deadline.remaining_ms())
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.count_call()?;
        self.lines = self.lines.saturating_add(1);
        if self.lines > PLUGIN_LOG_LINES {
            return Ok(());
        }
        let mut line = message;
        for (name, value) in fields {
            if line.len() > PLUGIN_LOG_LINE {
                break;
            }
            line.push_str(&format!(" {name}={value:?}"));
        }
        let line = clean(&line, PLUGIN_LOG_LINE);
        let Attempt { plugin, run, step, .. } = &self.attempt;
        // The level of a tracing event is part of its call site.
        macro_rules! event {
            ($level:expr) => {
                tracing::event!(target: "moltrun::plugin", $level, %plugin, %run, %step, "{line}")
            };
        }
        let level = match level {
            log::Level::Debug => {
                event!(TraceLevel::DEBUG);
                LogLevel::Debug
            }
            log::Level::Info => {
                event!(TraceLevel::INFO);
                LogLevel::Info
            }
            log::Level::Warn => {
                event!(TraceLevel::WARN);
                LogLevel::Warn
            }
            log::Level::Error => {
                event!(TraceLevel::ERROR);
                LogLevel::Error
            }
        };
        self.attempt.log.push(level, line);
        Ok(())
    }
}
