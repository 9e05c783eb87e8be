//! The signals that end what stays up: Ctrl-C, and SIGTERM, as service managers send it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Exit, Failed};

/// Both signals, from the moment they are asked for; until then they kill.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn watch() -> Result<Self, Failed> {
        let failed = |error: std::io::Error| Failed::new(Exit::Failed, format!("signals cannot be received: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    /// The first of them.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
