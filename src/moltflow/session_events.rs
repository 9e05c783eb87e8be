//! The events of one session as they happen, by server-sent events.
//!
//! The endpoint takes its token in the address, which is why that address is in no error and no log: errors name it without
//! its query.

use std::collections::VecDeque;

use futures::StreamExt;
use futures::stream::{BoxStream, unfold};

use super::client::Signer;
use super::error::Kind;
use super::{ApiError, MoltFlow};
use crate::base::{Json, limits};
use crate::net::{Method, NetError, Opened, Redirects, Request, Response, SseEvent, SseParser};

/// How long the stream may be silent, in milliseconds, before it counts as dead. A session says nothing for hours, so that
/// this is also how often a quiet stream is opened anew; a connection that is gone is noticed no sooner.
const SILENCE_MS: u64 = 5 * 60 * 1_000;

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// Its status now: `starting`, `qr_code`, `working`, `failed`; others may come.
    Status(String),
    /// A code to be scanned: a `data:` URL of an image.
    Qr(String),
    /// What the guide does not name. Data that is no JSON is a text.
    Other { event: String, data: Json },
}

impl SessionEvent {
    fn read(event: SseEvent) -> Self {
        let SseEvent { event, data, .. } = event;
        let data = serde_json::from_str(&data).unwrap_or(Json::String(data));
        let text = |name: &str| data.get(name).and_then(Json::as_str).map(str::to_string);
        match (event.as_str(), text("status"), text("qr")) {
            ("status", Some(status), _) => Self::Status(status),
            ("qr", _, Some(qr)) => Self::Qr(qr),
            _ => Self::Other { event, data },
        }
    }
}

/// Events as they come. It ends when the API ends it, or after its first error.
pub type SessionEvents = BoxStream<'static, Result<SessionEvent, ApiError>>;

impl MoltFlow {
    /// `GET /sessions/{name}/events`: the stream from now on. The result comes with the head of the answer; every error
    /// is that of a read.
    pub async fn session_events(&self, name: &str) -> Result<SessionEvents, ApiError> {
        let mut signer = self.signer().await?;
        loop {
            let permit = self.permit().await?;
            let opened = self.net.open(self.events_request(name, &signer)?).await;
            let Opened { status, headers, body } = match opened {
                Ok(opened) => opened,
                Err(error) => return self.answered(permit, Err(ApiError::of_net(error, Kind::Read))).map(|_| silent()),
            };
            let mut head = Response { status, headers, body: Default::default() };
            if head.is_success() {
                self.answered(permit, Ok(head))?;
                return Ok(events(body));
            }
            head.body = whole(body).await.into();
            let response = self.answered(permit, Ok(head))?;
            if !self.renewed(&mut signer, response.status).await? {
                return Err(self.refused(&response, Kind::Read, &signer));
            }
        }
    }

    fn events_request(&self, name: &str, signer: &Signer) -> Result<Request, ApiError> {
        let mut url = self.url(&["sessions", name, "events"])?;
        url.query_pairs_mut().append_pair("token", signer.pass.secret().expose());
        let request = Request::new(Method::GET, url).timeout_ms(SILENCE_MS).redirects(Redirects::HandBack);
        let request =
            request.header("accept", "text/event-stream").map_err(|error| ApiError::of_net(error, Kind::Read))?;
        signer.pass.sign(request)
    }
}

/// A stream without events.
fn silent() -> SessionEvents {
    futures::stream::empty().boxed()
}

/// The beginning of a refusal's body, as much as an explanation needs.
async fn whole(mut body: BoxStream<'static, Result<bytes::Bytes, NetError>>) -> Vec<u8> {
    let mut read = Vec::new();
    // An error ends it: the status alone says enough.
    while let Some(Ok(piece)) = body.next().await {
        read.extend_from_slice(&piece);
        if read.len() > limits::FAILURE_MESSAGE {
            break;
        }
    }
    read
}

struct Reading {
    body: BoxStream<'static, Result<bytes::Bytes, NetError>>,
    parser: SseParser,
    ready: VecDeque<SseEvent>,
}

fn events(body: BoxStream<'static, Result<bytes::Bytes, NetError>>) -> SessionEvents {
    let reading = Reading { body, parser: SseParser::new(), ready: VecDeque::new() };
    unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        loop {
            if let Some(event) = reading.ready.pop_front() {
                return Some((Ok(SessionEvent::read(event)), Some(reading)));
            }
            let error = match reading.body.next().await? {
                Ok(piece) => match reading.parser.push(&piece) {
                    Ok(events) => {
                        reading.ready = events.into();
                        continue;
                    }
                    Err(error) => {
                        ApiError::lost(Kind::Read, "moltflow.bad_answer", format!("the session's events: {error}"))
                    }
                },
                Err(error) => ApiError::of_net(error, Kind::Read),
            };
            return Some((Err(error), None));
        }
    })
    .boxed()
}
