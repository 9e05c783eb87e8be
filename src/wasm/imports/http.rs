//! `wasi:http`: requests of guests, through the one door that everything leaves by ([`crate::net`]).
//!
//! A request goes out if the plugin asked for its host and the operator granted it, if the placeholders in it stand for
//! secrets that may go there, and if the network's policy lets it ([`crate::net::Policy`]: no private address after names
//! are resolved). It goes out once, whole, and with what remains of the call as its time; redirects are answers. The answer
//! is whole in memory before the guest sees its head, so that no secret can be cut in two by where a piece ends.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, IF_RANGE, RANGE, TE,
    TRAILER,
};
use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView,
};

use super::super::asks;
use super::super::runtime::Deadline;
use super::super::state::State;
use super::errors;
use super::swap::{Form, Swapped};
use super::{Outside, Reach, patience, within};
use crate::base::limits::{
    HTTP_HEADERS, PLUGIN_HTTP_AT_ONCE, PLUGIN_HTTP_BODY, PLUGIN_HTTP_HEADERS, PLUGIN_HTTP_KEPT, PLUGIN_HTTP_PIECE,
    PLUGIN_HTTP_REQUESTS, PLUGIN_HTTP_URL,
};
use crate::net::{HeaderMap, HeaderValue, Method, NetError, Redirects, Request, Response, Url};

/// Interfaces that are linked, of any version 0.2. A guest that imports one of them is a connector.
pub(in crate::wasm) const INTERFACES: &[&str] = &["wasi:http/outgoing-handler", "wasi:http/types"];

/// Links [`INTERFACES`].
pub(in crate::wasm) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

/// `wasi:http` of one call.
pub(in crate::wasm) struct Http {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

impl Http {
    /// Without an `outside` every request is denied.
    pub(in crate::wasm) fn new(outside: Option<Arc<Outside>>, deadline: Deadline) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(PLUGIN_HTTP_HEADERS);
        let room = Room { at_once: Arc::new(Semaphore::new(PLUGIN_HTTP_AT_ONCE)), kept: Arc::default() };
        Self { ctx, hooks: Hooks { outside, deadline, room } }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (http, table) = self.http_parts();
        WasiHttpCtxView { hooks: &mut http.hooks, table, ctx: &mut http.ctx }
    }
}

struct Hooks {
    outside: Option<Arc<Outside>>,
    deadline: Deadline,
    room: Room,
}

/// What the answers of one call may take.
#[derive(Clone)]
struct Room {
    at_once: Arc<Semaphore>,
    /// Bytes of answers that the guest has not read yet.
    kept: Arc<AtomicUsize>,
}

type Ended = Result<(hyper::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for Hooks {
    /// Those of one connection are the host's own, and so is the request's length: a secret may be longer than its
    /// placeholder. It is taken out later, because a guest may state it here.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name) || [TE, TRAILER, EXPECT].contains(name))
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    /// Small, because a guest may hold a thousand bodies that it never sends.
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PLUGIN_HTTP_PIECE
    }

    fn send_request(
        &mut self,
        request: hyper::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Ended> + Send> {
        let Some(outside) = self.outside.clone() else {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        let (deadline, room) = (self.deadline, self.room.clone());
        Box::new(async move {
            let answer = outside.exchange(request, options, &deadline, &room).await?;
            Ok((answer, Box::new(std::future::ready(Ok(()))) as Box<_>))
        })
    }
}

/// Whether a request may be made.
enum Verdict {
    Allowed,
    NotAsked,
    NotGranted,
}

impl Reach {
    fn judge(&self, host: &str, port: u16) -> Verdict {
        match self.granted.iter().any(|pattern| pattern.holds(host, port)) {
            _ if !self.asked.iter().any(|pattern| pattern.holds(host, port)) => Verdict::NotAsked,
            true => Verdict::Allowed,
            false => Verdict::NotGranted,
        }
    }
}

impl Outside {
    async fn exchange(
        &self,
        request: hyper::Request<WasiBody>,
        options: Option<RequestOptions>,
        deadline: &Deadline,
        room: &Room,
    ) -> Result<hyper::Response<WasiBody>, Error> {
        if self.traffic.begin() > PLUGIN_HTTP_REQUESTS {
            self.warn(&format!("a call may make {PLUGIN_HTTP_REQUESTS} requests; the others are refused"));
            return Err(Error::ConnectionLimitReached);
        }
        let in_time = || match deadline.remaining_ms() {
            0 => Err(Error::HttpResponseTimeout),
            _ => Ok(()),
        };
        // A guest may still be at work for a moment after its time.
        in_time()?;
        let (head, body) = request.into_parts();
        let place = Place::of(&head.method, &head.uri.to_string())?;
        self.allow(&place)?;
        let left_ms = || patience(deadline);
        let body = within(&**self.clock(), left_ms(), whole(body)).await.ok_or(Error::ConnectionWriteTimeout)??;
        let (mut request, swapped) = self.prepare(&place, head.headers, body)?;

        let turn = within(&**self.clock(), left_ms(), room.at_once.acquire()).await;
        let _turn = turn.ok_or(Error::ConnectionLimitReached)?.map_err(|_| Error::ConnectionLimitReached)?;
        in_time()?;
        request.timeout_ms = left_ms().min(options.and_then(given_ms).unwrap_or(u64::MAX));
        let sending = self.traffic.send(&place.method).ok_or(Error::ConnectionTerminated)?;
        let response = match self.reach.net.send(request).await {
            Ok(response) => response,
            Err(error) => {
                if error.proves_not_sent() {
                    sending.not_sent();
                }
                self.failed(&place, &error, &swapped);
                return Err(errors::of_net(&error));
            }
        };
        let answer = self.receive(&place, response, &swapped, room)?;
        sending.answered();
        Ok(answer)
    }

    /// Tells the operator why, without the address that the client was given: its path may hold a secret, and the part of
    /// one where it is cut.
    fn failed(&self, place: &Place, error: &NetError, swapped: &Swapped) {
        let why = error.message.split_once(": ").map_or("", |(_, why)| why);
        let clean = self.reach.scrubber.scrub(why.as_bytes(), self.placeholders(), swapped);
        let clean = clean.map_or(Cow::Borrowed(why), |clean| String::from_utf8_lossy(&clean).into_owned().into());
        self.warn(&format!("{} {} failed: {clean}", place.method, place.shown));
    }

    /// Refuses what may not be reached, with the grant to paste.
    fn allow(&self, place: &Place) -> Result<(), Error> {
        let Place { method, url, host, port, .. } = place;
        let why = match self.reach.judge(host, *port) {
            // The port says that the operator meant a connection nobody else reads.
            Verdict::Allowed if url.scheme() == "http" && *port == 443 => {
                "port 443 is granted for https, and this is plain http".to_string()
            }
            Verdict::Allowed if [Method::CONNECT, Method::TRACE].contains(method) => {
                format!("{method} is not allowed")
            }
            Verdict::Allowed => return Ok(()),
            Verdict::NotAsked => {
                format!("the plugin does not ask for {host}:{port} when it is loaded, so it cannot be granted")
            }
            Verdict::NotGranted => {
                let paste = asks::http(&self.reach.plugin, &format!("{host}:{port}"));
                format!("{host}:{port} is not granted; to allow it, put {paste}")
            }
        };
        Err(self.deny(place, &why))
    }

    fn deny(&self, place: &Place, why: &str) -> Error {
        self.warn(&format!("{} {} is denied: {why}", place.method, place.shown));
        Error::HttpRequestDenied
    }

    /// The request as it leaves, with secrets in it.
    fn prepare(&self, place: &Place, given: HeaderMap, body: Bytes) -> Result<(Request, Swapped), Error> {
        let stands = self.stands();
        let mut swapped = Swapped::default();
        let guards = !self.reach.scrubber.is_idle();
        let form = Form::of(given.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()));
        let too_long = || Error::HttpRequestHeaderSectionSize(Some(PLUGIN_HTTP_HEADERS as u32));
        let (mut headers, mut bytes) = (HeaderMap::new(), 0);
        for (name, value) in &given {
            match *name {
                CONTENT_LENGTH => continue,
                // In an answer that is packed, or in a part of one, a secret could not be found.
                ACCEPT_ENCODING if guards => continue,
                RANGE | IF_RANGE if guards => {
                    let why = format!("a plugin with secrets may not ask for a part of an answer (`{name}`)");
                    return Err(self.deny(place, &why));
                }
                _ => {}
            }
            let most = PLUGIN_HTTP_HEADERS.saturating_sub(bytes);
            let real = swapped.put_header(*name == AUTHORIZATION, value.as_bytes(), &stands, most);
            let real = real.ok_or_else(too_long)?;
            let is_secret = matches!(real, Cow::Owned(_)) || *name == AUTHORIZATION;
            let mut real = HeaderValue::from_bytes(&real).map_err(|_| Error::HttpProtocolError)?;
            real.set_sensitive(is_secret);
            bytes += name.as_str().len() + real.len();
            headers.append(name.clone(), real);
        }
        if headers.len() > HTTP_HEADERS || bytes > PLUGIN_HTTP_HEADERS {
            return Err(too_long());
        }
        let url = self.real_url(place, &mut swapped)?;
        let body = match swapped.put(&body, &stands, form, PLUGIN_HTTP_BODY) {
            None => return Err(Error::HttpRequestBodySize(Some(PLUGIN_HTTP_BODY as u64))),
            Some(Cow::Borrowed(_)) => body,
            Some(Cow::Owned(real)) => real.into(),
        };
        for number in &swapped.used {
            let usable = &self.reach.secrets[*number];
            let Place { host, port, .. } = place;
            if !usable.goes_to(host, *port) {
                let why = format!("the plugin does not ask to send the secret {} to {host}:{port}", usable.name);
                return Err(self.deny(place, &why));
            }
        }
        let mut request = Request::new(place.method.clone(), url).redirects(Redirects::HandBack);
        (request.headers, request.body) = (headers, body);
        Ok((request, swapped))
    }

    /// With secrets in path and query; the place stays the one that was judged.
    fn real_url(&self, place: &Place, swapped: &mut Swapped) -> Result<Url, Error> {
        let mut url = place.url.clone();
        let stands = self.stands();
        let text = |swapped: &mut Swapped, text: &str| {
            let real = swapped.put(text.as_bytes(), &stands, Form::Percent, PLUGIN_HTTP_URL);
            let real = real.ok_or(Error::HttpRequestUriTooLong)?.into_owned();
            String::from_utf8(real).map_err(|_| Error::HttpRequestUriInvalid)
        };
        let path = text(swapped, place.url.path())?;
        url.set_path(&path);
        if let Some(query) = place.url.query() {
            url.set_query(Some(&text(swapped, query)?));
        }
        match url.as_str().len() {
            ..=PLUGIN_HTTP_URL => Ok(url),
            _ => Err(Error::HttpRequestUriTooLong),
        }
    }

    /// The answer as the guest gets it, without secrets.
    fn receive(
        &self,
        place: &Place,
        response: Response,
        swapped: &Swapped,
        room: &Room,
    ) -> Result<hyper::Response<WasiBody>, Error> {
        let scrubber = &self.reach.scrubber;
        let Response { status, headers: given, body } = response;
        let Place { method, shown, .. } = place;
        let codings = given.get_all(CONTENT_ENCODING);
        let is_packed = codings.iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        if is_packed && !scrubber.is_idle() && !body.is_empty() {
            self.warn(&format!("the answer to {method} {shown} is encoded, so that secrets cannot be found in it"));
            // Without its name, which the far side may have made of a secret.
            return Err(Error::HttpResponseContentCoding(None));
        }
        if given.keys().any(|name| scrubber.is_in_name(name.as_str())) {
            self.warn(&format!("the answer to {method} {shown} has a header whose name holds a secret"));
            return Err(Error::HttpProtocolError);
        }
        let mut headers = HeaderMap::with_capacity(given.len());
        let mut bytes = 0;
        for (name, value) in &given {
            let value = match scrubber.scrub(value.as_bytes(), self.placeholders(), swapped) {
                Some(clean) => HeaderValue::from_bytes(&clean).map_err(|_| Error::HttpProtocolError)?,
                None => value.clone(),
            };
            bytes += name.as_str().len() + value.len();
            headers.append(name.clone(), value);
        }
        if bytes > PLUGIN_HTTP_HEADERS {
            return Err(Error::HttpResponseHeaderSectionSize(Some(PLUGIN_HTTP_HEADERS as u32)));
        }
        let clean = scrubber.scrub(&body, self.placeholders(), swapped).map(Bytes::from);
        if let (Some(clean), true) = (&clean, headers.contains_key(CONTENT_LENGTH)) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(clean.len()));
        }
        let body = clean.unwrap_or(body);
        let kept = Kept::new(body, room).ok_or(Error::HttpResponseBodySize(Some(PLUGIN_HTTP_KEPT as u64)))?;
        let mut answer = hyper::Response::new(WasiBody::new(kept));
        *answer.status_mut() = hyper::StatusCode::from_u16(status).map_err(|_| Error::HttpProtocolError)?;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}

/// The longest method, in bytes. The longest one that is registered has 17.
const METHOD: usize = 32;

/// Where a request goes.
struct Place {
    method: Method,
    url: Url,
    host: String,
    port: u16,
    /// For people: without path and query, which are the guest's to fill.
    shown: String,
}

impl Place {
    fn of(method: &Method, url: &str) -> Result<Self, Error> {
        if method.as_str().len() > METHOD {
            return Err(Error::HttpRequestMethodInvalid);
        }
        if url.len() > PLUGIN_HTTP_URL {
            return Err(Error::HttpRequestUriTooLong);
        }
        let url = Url::parse(url).map_err(|_| Error::HttpRequestUriInvalid)?;
        let (host, port) = match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) if url.username().is_empty() && url.password().is_none() => {
                (host.to_string(), port)
            }
            _ => return Err(Error::HttpRequestUriInvalid),
        };
        let shown = format!("{}://{host}:{port}", url.scheme());
        Ok(Self { method: method.clone(), url, host, port, shown })
    }
}

/// A guest's own limits for an exchange, in milliseconds, if it has any for the answer.
fn given_ms(options: RequestOptions) -> Option<u64> {
    let RequestOptions { connect_timeout, first_byte_timeout, between_bytes_timeout } = options;
    let first = first_byte_timeout?;
    let all =
        connect_timeout.unwrap_or(first).saturating_add(first).saturating_add(between_bytes_timeout.unwrap_or(first));
    Some(u64::try_from(all.as_millis()).unwrap_or(u64::MAX).max(1))
}

/// The whole body of a request.
async fn whole(mut body: WasiBody) -> Result<Bytes, Error> {
    let mut whole = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(piece) = frame?.into_data() else { continue };
        if whole.len() + piece.len() > PLUGIN_HTTP_BODY {
            return Err(Error::HttpRequestBodySize(Some(PLUGIN_HTTP_BODY as u64)));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// The body of an answer, counted until it is read or forgotten.
struct Kept {
    body: Option<Bytes>,
    counted: usize,
    kept: Arc<AtomicUsize>,
}

impl Kept {
    /// None: the guest has too many answers that it has not read.
    fn new(body: Bytes, room: &Room) -> Option<Self> {
        let (counted, kept) = (body.len(), room.kept.clone());
        if kept.fetch_add(counted, SeqCst) + counted > PLUGIN_HTTP_KEPT {
            kept.fetch_sub(counted, SeqCst);
            return None;
        }
        Some(Self { body: Some(body).filter(|body| !body.is_empty()), counted, kept })
    }
}

impl Body for Kept {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.kept.fetch_sub(self.counted, SeqCst);
    }
}

#[cfg(test)]
mod tests;
