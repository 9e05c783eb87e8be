//! An answer whose body is read as it comes.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{Either, select};
use futures::stream::{BoxStream, unfold};

use super::{HeaderMap, NetError, NetErrorKind};
use crate::base::duration::human;
use crate::engine::ports::Clock;

/// The head of an answer of any status, and the stream of its body. The stream ends after its first error. `Debug` shows
/// neither header values nor the body.
pub struct Opened {
    pub status: u16,
    pub headers: HeaderMap,
    /// Pieces of any size, none of them empty. All of them together may have any length.
    pub body: BoxStream<'static, Result<Bytes, NetError>>,
}

impl Opened {
    /// `place` is the method and the shown URL; a silence of `silence_ms` ends the body with an error.
    pub(super) fn new(mut answer: reqwest::Response, place: String, clock: Arc<dyn Clock>, silence_ms: u64) -> Self {
        let (status, headers) = (answer.status().as_u16(), std::mem::take(answer.headers_mut()));
        let body = unfold(Some((answer, place, clock)), move |going| async move {
            let (mut answer, place, clock) = going?;
            let piece = loop {
                let piece = std::pin::pin!(answer.chunk());
                break match select(piece, clock.pause(silence_ms)).await {
                    Either::Left((Ok(Some(piece)), _)) if piece.is_empty() => continue,
                    Either::Left((piece, _)) => piece.map_err(|error| NetError::of(&error, &place, true)),
                    Either::Right(_) => {
                        let message = format!("{place}: nothing more came for {}", human(silence_ms));
                        Err(NetError::new(NetErrorKind::Timeout, message))
                    }
                };
            };
            match piece {
                Ok(Some(piece)) => Some((Ok(piece), Some((answer, place, clock)))),
                Ok(None) => None,
                Err(error) => Some((Err(NetError { status: Some(status), ..error }), None)),
            }
        });
        Self { status, headers, body: Box::pin(body) }
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's text, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("status", &self.status).finish_non_exhaustive()
    }
}
