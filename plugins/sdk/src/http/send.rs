//! The exchange itself, over `wasi:http`.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Fate, HttpError, Request, Response};
use crate::Context;
use crate::guest::bindings::wasi::http::outgoing_handler;
use crate::guest::bindings::wasi::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use crate::guest::bindings::wasi::io::streams::StreamError;

/// Left of a call after a request has run into its end: time to say so.
const SPARE_MS: u64 = 200;

/// Whether this call has sent a request that may have changed something. An instance makes one call.
static HAS_ACTED: AtomicBool = AtomicBool::new(false);

/// Bytes that `blocking-write-and-flush` takes at once.
const CHUNK: usize = 4096;

pub(crate) fn has_acted() -> bool {
    HAS_ACTED.load(Ordering::Relaxed)
}

pub(super) fn send(request: &Request, context: &Context) -> Result<Response, HttpError> {
    let result = exchange(request, context);
    if request.acts() && !result.as_ref().is_err_and(HttpError::proves_not_sent) {
        HAS_ACTED.store(true, Ordering::Relaxed);
    }
    result
}

fn exchange(request: &Request, context: &Context) -> Result<Response, HttpError> {
    let options = options(request, context);
    let outgoing = outgoing(request)?;
    let body = outgoing.body().map_err(|()| internal("the body cannot be taken twice"))?;
    let pending = outgoing_handler::handle(outgoing, Some(options)).map_err(failed)?;
    // While it is sent, because the host buffers little. An error here is no reason to give up: the answer says why.
    let _ = write(body, &request.body);
    let answer = loop {
        if let Some(answer) = pending.get() {
            break answer;
        }
        pending.subscribe().block();
    };
    let answer = answer.map_err(|()| internal("the answer was taken before"))?.map_err(failed)?;
    read(answer, request)
}

fn outgoing(request: &Request) -> Result<OutgoingRequest, HttpError> {
    let refused = |what: String| HttpError::new(Fate::Refused, "bad_request", what);
    let target = request.target().map_err(refused)?;
    let mut headers: Vec<(String, Vec<u8>)> =
        request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone().into_bytes())).collect();
    if !request.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&request.method.as_str()) {
        headers.push(("content-length".to_string(), request.body.len().to_string().into_bytes()));
    }
    let headers = Fields::from_list(&headers).map_err(|e| refused(format!("the headers are refused: {e}")))?;
    let outgoing = OutgoingRequest::new(headers);
    let method = match request.method.as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_string()),
    };
    let scheme = if target.is_https { Scheme::Https } else { Scheme::Http };
    outgoing
        .set_method(&method)
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(target.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(&target.path)))
        .map_err(|()| refused("the host takes no such URL or method".to_string()))?;
    Ok(outgoing)
}

fn options(request: &Request, context: &Context) -> RequestOptions {
    let left_ms = context.remaining_ms().saturating_sub(SPARE_MS).max(1);
    let wanted_ms = request.timeout.map_or(left_ms, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(left_ms));
    let timeout_ns = Some(wanted_ms.clamp(1, left_ms).saturating_mul(1_000_000));
    let options = RequestOptions::new();
    // A host without one of them bounds the call as a whole.
    let _ = options.set_connect_timeout(timeout_ns);
    let _ = options.set_first_byte_timeout(timeout_ns);
    let _ = options.set_between_bytes_timeout(timeout_ns);
    options
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), ()> {
    let stream = body.write()?;
    for chunk in bytes.chunks(CHUNK) {
        stream.blocking_write_and_flush(chunk).map_err(|_| ())?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|_| ())
}

fn read(answer: IncomingResponse, request: &Request) -> Result<Response, HttpError> {
    let status = answer.status();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let headers =
        answer.headers().entries().into_iter().map(|(name, value)| (name.to_lowercase(), text(value))).collect();
    let body = answer.consume().map_err(|()| internal("the body was taken before"))?;
    let (bytes, is_cut) = read_body(&body, request.max_body_bytes).map_err(|lost| {
        let message = format!("the answer ({status}) was cut off: {}", lost.message);
        HttpError::new(Fate::Unknown, lost.code, message)
    })?;
    Ok(Response { method: request.method.clone(), status, headers, body: bytes, is_cut })
}

fn read_body(body: &IncomingBody, most: usize) -> Result<(Vec<u8>, bool), HttpError> {
    let stream = body.stream().map_err(|()| internal("the body was taken before"))?;
    let mut bytes = Vec::new();
    loop {
        // One more than wanted tells whether there is more.
        let wanted = (most + 1 - bytes.len()).min(64 << 10) as u64;
        match stream.blocking_read(wanted) {
            Ok(read) => bytes.extend(read),
            Err(StreamError::Closed) => return Ok((bytes, false)),
            Err(StreamError::LastOperationFailed(error)) => {
                let code = crate::guest::bindings::wasi::http::types::http_error_code(&error);
                return Err(code.map_or_else(|| internal(&error.to_debug_string()), failed));
            }
        }
        if bytes.len() > most {
            bytes.truncate(most);
            return Ok((bytes, true));
        }
    }
}

fn internal(what: &str) -> HttpError {
    HttpError::new(Fate::Unknown, "internal_error", what)
}

/// What a code of `wasi:http` says about the request.
fn failed(code: ErrorCode) -> HttpError {
    use ErrorCode as E;
    use Fate::{NotSent, Refused, Unknown};

    let (fate, name, message) = match &code {
        E::HttpRequestDenied => {
            (Refused, "request_denied", "the host is not granted; name it under `http:` of the plugin's grant")
        }
        E::DestinationIpProhibited => {
            (Refused, "address_prohibited", "the address is private, which plugins do not reach")
        }
        E::HttpRequestLengthRequired
        | E::HttpRequestMethodInvalid
        | E::HttpRequestUriInvalid
        | E::HttpRequestUriTooLong
        | E::HttpRequestHeaderSectionSize(_)
        | E::HttpRequestHeaderSize(_)
        | E::HttpRequestTrailerSectionSize(_)
        | E::HttpRequestTrailerSize(_) => (Refused, "bad_request", "the request is refused"),
        E::HttpRequestBodySize(_) => (Refused, "bad_request", "the body is larger than allowed"),
        E::DnsTimeout => (NotSent, "dns_timeout", "the name was not resolved in time"),
        E::DnsError(_) | E::DestinationNotFound => (NotSent, "dns_error", "the name has no address"),
        E::DestinationUnavailable | E::DestinationIpUnroutable => {
            (NotSent, "unreachable", "the address is not reached")
        }
        E::ConnectionRefused => (NotSent, "connection_refused", "the connection was refused"),
        E::ConnectionTimeout => (NotSent, "connection_timeout", "the connection was not made in time"),
        E::ConnectionLimitReached => (NotSent, "connection_limit", "there are too many connections"),
        E::TlsCertificateError => (NotSent, "tls_certificate", "the certificate of the far side is not trusted"),
        E::HttpResponseBodySize(_) => {
            (Unknown, "answer_too_large", "the answer is larger than allowed; the request was carried out")
        }
        E::HttpResponseTimeout | E::ConnectionReadTimeout => (Unknown, "answer_timeout", "there was no answer in time"),
        E::ConnectionTerminated => (Unknown, "connection_lost", "the connection was lost before the answer"),
        // A TLS alert too may come after the request was sent.
        _ => (Unknown, "http_error", "the exchange failed"),
    };
    HttpError::new(fate, name, format!("{message} ({code})"))
}
