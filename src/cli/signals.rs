//! The signals that end what stays up: Ctrl-C, and SIGTERM, as service managers send it; and one that must not end it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Exit, Failed};

/// SIGXFSZ: a file would grow beyond what this process may write (`ulimit -f`, `LimitFSIZE=`). The same number on Linux,
/// macOS and the BSDs.
const FILE_TOO_LARGE: i32 = 25;

/// All of them, from the moment they are asked for; until then they kill.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Nobody reads it: because it is caught, the write is refused with an error, like one on a full disk, instead of
    /// ending the process.
    _file_too_large: Signal,
}

impl Signals {
    pub fn watch() -> Result<Self, Failed> {
        let watched = |kind: SignalKind| {
            signal(kind).map_err(|error| Failed::new(Exit::Failed, format!("signals cannot be received: {error}")))
        };
        Ok(Self {
            terminate: watched(SignalKind::terminate())?,
            interrupt: watched(SignalKind::interrupt())?,
            _file_too_large: watched(SignalKind::from_raw(FILE_TOO_LARGE))?,
        })
    }

    /// The first, or the next, that asks to end.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
