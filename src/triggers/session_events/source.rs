//! Where the events of a session come from.

use futures::StreamExt;
use futures::future::{BoxFuture, ready};
use futures::stream::BoxStream;

use crate::moltflow::{ApiError, MoltFlow, SessionEvent};

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The session's status is this.
    Status(String),
    /// The code that is to be scanned, as a data URL.
    Qr(String),
}

/// What opens streams. They end with the first error.
pub trait Source: Send + Sync + 'static {
    fn open(&self, session: String) -> BoxFuture<'_, Result<BoxStream<'static, Result<Told, ApiError>>, ApiError>>;
}

impl Source for MoltFlow {
    fn open(&self, session: String) -> BoxFuture<'_, Result<BoxStream<'static, Result<Told, ApiError>>, ApiError>> {
        Box::pin(async move {
            let events = self.session_events(&session).await?;
            let told = events.filter_map(|event| ready(event.map(told).transpose()));
            Ok(told.boxed())
        })
    }
}

/// What is not in the guide is nobody's trigger.
fn told(event: SessionEvent) -> Option<Told> {
    match event {
        SessionEvent::Status(status) => Some(Told::Status(status)),
        SessionEvent::Qr(qr) => Some(Told::Qr(qr)),
        SessionEvent::Other { event, .. } => {
            tracing::debug!(event, "the stream of a session told of something unknown");
            None
        }
    }
}
