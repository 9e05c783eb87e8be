//! The `session_events` trigger: the API's own stream of what happens to a session, for machines that no webhook can reach.
//!
//! There is one stream a session, for all workflows that want it. [`watch`] opens one for each session that is named and
//! closes those that no longer are, as the folder changes. A stream that is lost is opened again after a growing pause.
//!
//! **Once each.** A stream begins by telling the status that is, and so does each further one after a cut or a restart. What
//! was told last is kept in the store, by session; telling it again starts nothing. The runs are committed before that is,
//! under keys made of how many changes there were before: a crash in between has a change told twice and begun once. What
//! came and went while nobody listened is never told.

mod listener;
mod replay;
mod source;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use tokio::sync::watch as signal;
use tokio::task::AbortHandle;

pub use self::source::{Source, Told};

use self::listener::Listener;
use super::live::Live;
use crate::base::limits;
use crate::engine::ports::{Clock, Store};
use crate::engine::run::Engine;
use crate::senders::Senders;

/// What listening needs.
#[derive(Clone)]
pub struct Ears {
    pub source: Arc<dyn Source>,
    pub live: Live,
    pub engine: Engine,
    pub store: Arc<dyn Store>,
    /// Told of every status: sends wait while a session is down.
    pub senders: Arc<Senders>,
    pub clock: Arc<dyn Clock>,
}

/// A stream, closed when nobody holds this any more.
struct Stream(AbortHandle);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens until the daemon stops.
pub async fn watch(ears: Ears, mut stopping: signal::Receiver<bool>) {
    let mut changes = ears.live.subscribe();
    let mut streams: BTreeMap<String, Stream> = BTreeMap::new();
    let mut too_many = false;
    loop {
        let mut wanted = changes.borrow_and_update().watched();
        if wanted.len() > limits::STREAMS {
            if !too_many {
                tracing::error!(
                    sessions = wanted.len(),
                    allowed = limits::STREAMS,
                    "`session_events` triggers name too many sessions; the last ones by name are not listened to"
                );
            }
            too_many = true;
            wanted = wanted.into_iter().take(limits::STREAMS).collect();
        }
        streams.retain(|session, _| wanted.contains(session));
        for session in wanted {
            if let Entry::Vacant(place) = streams.entry(session) {
                let listener = Listener::new(ears.clone(), place.key().clone());
                place.insert(Stream(tokio::spawn(listener.listen()).abort_handle()));
            }
        }
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}
