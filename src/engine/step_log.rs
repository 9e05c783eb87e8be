//! What a step tells whoever looks at its run: a few lines, bounded, journaled with the end of the attempt.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::base::limits::{STEP_LOG_BYTES, STEP_LOG_LINES};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub level: LogLevel,
    pub text: String,
}

/// The lines of one attempt, from a step to the engine. Cloning gives another handle to them.
#[derive(Clone, Debug, Default)]
pub struct StepLog(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    kept: Vec<LogLine>,
    bytes: usize,
    dropped: u32,
}

impl StepLog {
    /// Adds a line. The texts of an attempt are at most [`STEP_LOG_BYTES`] in [`STEP_LOG_LINES`] lines; what is beyond is
    /// counted.
    pub fn push(&self, level: LogLevel, text: impl Into<String>) {
        let text = text.into();
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.kept.len() >= STEP_LOG_LINES || lines.bytes + text.len() > STEP_LOG_BYTES {
            lines.dropped = lines.dropped.saturating_add(1);
            return;
        }
        lines.bytes += text.len();
        lines.kept.push(LogLine { level, text });
    }

    /// The lines so far; the last one says how many there were besides, if there were.
    pub fn take(&self) -> Vec<LogLine> {
        let lines = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut kept = lines.kept;
        if lines.dropped > 0 {
            let text = format!("({} more lines are not kept)", lines.dropped);
            kept.push(LogLine { level: LogLevel::Warn, text });
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_in_number_and_in_bytes() {
        let log = StepLog::default();
        (0..STEP_LOG_LINES + 3).for_each(|n| log.push(LogLevel::Info, n.to_string()));
        let lines = log.take();
        assert_eq!(lines.len(), STEP_LOG_LINES + 1);
        assert_eq!(lines[STEP_LOG_LINES].text, "(3 more lines are not kept)");

        log.push(LogLevel::Error, "x".repeat(STEP_LOG_BYTES));
        log.push(LogLevel::Info, "y");
        let lines = log.take();
        assert_eq!((lines.len(), lines[1].text.as_str()), (2, "(1 more lines are not kept)"));
        assert!(log.take().is_empty());
    }
}
