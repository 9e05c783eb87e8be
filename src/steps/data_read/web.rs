//! Rows that come over the web: read as they arrive, never whole.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::rows::Format;
use crate::base::{Effect, limits};
use crate::engine::ports::{StepCall, StepError};
use crate::net::{Method, NetError, Opened, Request, Response, Target, shown_url};
use crate::steps::http::{Web, headers, of_net, of_status, signed};
use crate::steps::{permanent, text};

/// Pieces of the body that are read ahead of whoever makes rows of them.
const AHEAD: usize = 8;

/// An answer whose rows are to be read.
pub(super) struct Source {
    /// As it is shown.
    pub name: String,
    pub format: Format,
    pub reader: Pieces,
    /// What no row may repeat of the credential; empty without one.
    pub secrets: Vec<String>,
    pub pump: Pump,
}

/// Asks for `with.url`. An answer that is no success is judged as that of an `http` step.
pub(super) async fn open(web: &Web, call: &StepCall) -> Result<Source, StepError> {
    let url = text(&call.input, "url").unwrap_or_default();
    let name = shown_url(&url);
    let request = headers(Request::new(Method::GET, Target::from(&url)), &call.input)?;
    let (request, secrets) = signed(request, call, &web.credentials)?;
    let mut opened = web.net.open(request).await.map_err(|error| of_net(&error, Effect::Idempotent))?;
    if !opened.is_success() {
        let refusal = refusal(&mut opened).await;
        return Err(of_status(&refusal, Effect::Idempotent, web.clock.now(), &secrets));
    }
    let format = format(call.input["format"].as_str(), &url, opened.header("content-type")).ok_or_else(|| {
        permanent(
            "data.format",
            format!("{name}: neither ending nor content type says the format; add `format: csv`, `json` or `ndjson`"),
        )
    })?;
    let (sender, pieces) = mpsc::channel(AHEAD);
    let mut body = opened.body;
    let pump = tokio::spawn(async move {
        while let Some(piece) = body.next().await {
            let failed = piece.is_err();
            // Nobody wants more; or there is no more.
            if sender.send(piece).await.is_err() || failed {
                return;
            }
        }
    });
    Ok(Source { name, format, reader: Pieces { pieces, rest: Bytes::new() }, secrets, pump: Pump(pump) })
}

/// The task that reads the body; it ends with whoever reads the rows.
pub(super) struct Pump(tokio::task::JoinHandle<()>);

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The head of a refusal, and the beginning of what it says.
async fn refusal(opened: &mut Opened) -> Response {
    let mut body = Vec::new();
    while body.len() < limits::HTTP_REFUSAL
        && let Some(Ok(piece)) = opened.body.next().await
    {
        body.extend_from_slice(&piece[..piece.len().min(limits::HTTP_REFUSAL)]);
    }
    Response { status: opened.status, headers: std::mem::take(&mut opened.headers), body: body.into() }
}

/// What the step says, else what the URL's path ends in, else the content type.
fn format(given: Option<&str>, url: &str, content_type: Option<&str>) -> Option<Format> {
    if given.is_some() {
        return given.and_then(Format::of);
    }
    let path = crate::net::Url::parse(url).ok().map(|url| url.path().to_string());
    let ending = path.as_deref().and_then(|path| Path::new(path).extension()?.to_str()).and_then(Format::of);
    ending.or_else(|| {
        let kind = content_type?.split(';').next()?.trim().to_ascii_lowercase();
        match kind.as_str() {
            "text/csv" | "application/csv" => Some(Format::Csv),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
                Some(Format::Ndjson)
            }
            "application/json" | "text/json" => Some(Format::Json),
            _ => kind.ends_with("+json").then_some(Format::Json),
        }
    })
}

/// The body as something that is read, on a thread that may wait.
pub(super) struct Pieces {
    pieces: mpsc::Receiver<Result<Bytes, NetError>>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.rest = piece.map_err(io::Error::other)?,
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// Why the body ended, if the connection is why.
pub(super) fn broken(error: &io::Error) -> Option<StepError> {
    let error = error.get_ref()?.downcast_ref::<NetError>()?;
    Some(of_net(error, Effect::Idempotent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_found_out() {
        for (given, url, kind, expected) in [
            (None, "https://h.example/a.csv?x=1", None, Some(Format::Csv)),
            (None, "https://h.example/a.NDJSON", Some("text/plain"), Some(Format::Ndjson)),
            (None, "https://h.example/a.jsonl", None, Some(Format::Ndjson)),
            (Some("json"), "https://h.example/a.csv", Some("text/csv"), Some(Format::Json)),
            (None, "https://h.example/rows", Some("Text/CSV; charset=utf-8"), Some(Format::Csv)),
            (None, "https://h.example/rows", Some("application/vnd.shop+json"), Some(Format::Json)),
            (None, "https://h.example/v1.2/rows", Some("application/x-ndjson"), Some(Format::Ndjson)),
            (None, "https://h.example/rows", Some("text/html"), None),
            (None, "https://h.example/rows", None, None),
        ] {
            assert_eq!(format(given, url, kind), expected, "{url} {kind:?}");
        }
    }
}
