//! Forgetting what has expired, in small batches with pauses: runs commit in between.

use std::sync::Arc;

use tokio::sync::watch;

use crate::base::Millis;
use crate::engine::ports::{Clock, Store};

/// The first look comes when what the start began is over, in milliseconds.
const FIRST_MS: Millis = 1_000;

/// Between looks. One that finds nothing costs a few reads.
const EVERY_MS: Millis = 60_000;

/// Runs, dedupe keys and values of one batch, each.
const BATCH: u32 = 200;

/// Between batches: the writer is free most of the time.
const PAUSE_MS: Millis = 50;

/// Until the daemon stops.
pub async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>, mut stopping: watch::Receiver<bool>) {
    let mut pause_ms = FIRST_MS;
    let (mut runs, mut others) = (0, 0);
    loop {
        tokio::select! {
            () = clock.sleep_until(clock.now() + pause_ms) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        pause_ms = EVERY_MS;
        match store.prune(clock.now(), BATCH).await {
            Ok(pruned) => {
                runs += pruned.runs;
                others += pruned.others;
                if pruned.more {
                    pause_ms = PAUSE_MS;
                } else if runs + others > 0 {
                    tracing::debug!(runs, keys = others, "what had expired is forgotten");
                    (runs, others) = (0, 0);
                }
            }
            Err(error) => tracing::warn!(%error, "what has expired could not be forgotten"),
        }
    }
}
