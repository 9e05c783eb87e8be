//! Requests by `wasi:http`. A command is `http|METHOD|[http://]HOST:PORT|PATH|NAME=VALUE;…|BODY`, its answer
//! `STATUS NAME=VALUE;… BODY`, or `error CODE`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::wasi::clocks::monotonic_clock;
use crate::wasi::http::outgoing_handler::handle;
use crate::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use crate::wasi::io::poll::poll;
use crate::wasi::io::streams::StreamError;

/// Sends, waits, and reads all of the answer.
pub fn request(words: &[&str]) -> String {
    let future = match start(words) {
        Ok(future) => future,
        Err(error) => return error,
    };
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => read(&response),
        Some(Ok(Err(code))) => shown(&code),
        _ => "error no answer".to_string(),
    }
}

/// Sends, and does not look at what becomes of it. The request stays on its way until the call ends.
pub fn send(words: &[&str]) -> String {
    match start(words) {
        Ok(future) => {
            core::mem::forget(future);
            "sent".to_string()
        }
        Err(error) => error,
    }
}

/// Waits for the answer or for a timer of so many milliseconds: says which came first.
pub fn hurry(words: &[&str], ms: u64) -> String {
    let future = match start(words) {
        Ok(future) => future,
        Err(error) => return error,
    };
    let (answer, timer) = (future.subscribe(), monotonic_clock::subscribe_duration(ms * 1_000_000));
    match poll(&[&answer, &timer])[..] {
        [0, ..] => "answer".to_string(),
        _ => "timer".to_string(),
    }
}

/// Writes to the body of a request that is never sent, until it may write no more, and waits.
pub fn clog() {
    let request = OutgoingRequest::new(Fields::new());
    let Ok(body) = request.body() else { return };
    let Ok(stream) = body.write() else { return };
    loop {
        stream.subscribe().block();
        if stream.check_write().is_ok_and(|room| room > 0) {
            let _ = stream.write(b"more");
        }
    }
}

fn start(words: &[&str]) -> Result<FutureIncomingResponse, String> {
    let word = |at: usize| words.get(at).copied().unwrap_or("");
    let fields = Fields::new();
    for pair in word(4).split(';').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.append(name, value.as_bytes()).map_err(|error| format!("error header {name}: {error:?}"))?;
    }
    let request = OutgoingRequest::new(fields);
    let method = match word(1) {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.to_string()),
    };
    let (scheme, place) = match word(2).split_once("://") {
        Some(("http", place)) => (Scheme::Http, place),
        Some(("https", place)) => (Scheme::Https, place),
        Some((other, place)) => (Scheme::Other(other.to_string()), place),
        None => (Scheme::Http, word(2)),
    };
    let wrong = |what: &str| format!("error {what}");
    request.set_method(&method).map_err(|()| wrong("method"))?;
    request.set_scheme(Some(&scheme)).map_err(|()| wrong("scheme"))?;
    request.set_authority(Some(place)).map_err(|()| wrong("authority"))?;
    request.set_path_with_query(Some(word(3))).map_err(|()| wrong("path"))?;
    let body = request.body().map_err(|()| wrong("body"))?;
    // `xN` is a body of so many bytes.
    let bytes = match word(5).strip_prefix('x').and_then(|count| count.parse::<usize>().ok()) {
        Some(count) => alloc::vec![b'x'; count],
        None => word(5).as_bytes().to_vec(),
    };
    let future = handle(request, None).map_err(|code| shown(&code))?;
    let stream = body.write().map_err(|()| wrong("body"))?;
    for piece in bytes.chunks(4096) {
        // The host has given the request up; why is what its answer says.
        if stream.blocking_write_and_flush(piece).is_err() {
            drop(stream);
            return Ok(future);
        }
    }
    drop(stream);
    if word(6) != "unfinished" {
        let _ = OutgoingBody::finish(body, None);
    } else {
        core::mem::forget(body);
    }
    Ok(future)
}

fn read(response: &IncomingResponse) -> String {
    let headers: Vec<String> = response
        .headers()
        .entries()
        .iter()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
        .collect();
    let mut bytes = Vec::new();
    if let Ok(body) = response.consume()
        && let Ok(stream) = body.stream()
    {
        loop {
            match stream.blocking_read(65536) {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(StreamError::Closed) => break,
                Err(_) => return "error reading".to_string(),
            }
        }
    }
    let body = match bytes.len() {
        ..=100_000 => String::from_utf8_lossy(&bytes).into_owned(),
        many => format!("({many} bytes)"),
    };
    format!("{} {} {body}", response.status(), headers.join(";"))
}

fn shown(code: &ErrorCode) -> String {
    let code = match code {
        ErrorCode::HttpRequestDenied => "denied",
        ErrorCode::DestinationIpProhibited => "prohibited",
        ErrorCode::DnsError(_) => "dns",
        ErrorCode::ConnectionRefused => "refused",
        ErrorCode::ConnectionTimeout => "connect timeout",
        ErrorCode::ConnectionTerminated => "terminated",
        ErrorCode::ConnectionReadTimeout => "read timeout",
        ErrorCode::ConnectionWriteTimeout => "write timeout",
        ErrorCode::ConnectionLimitReached => "limit",
        ErrorCode::TlsProtocolError => "tls",
        ErrorCode::TlsCertificateError => "certificate",
        ErrorCode::HttpResponseTimeout => "timeout",
        ErrorCode::HttpResponseIncomplete => "incomplete",
        ErrorCode::HttpRequestBodySize(_) => "request size",
        ErrorCode::HttpResponseBodySize(_) => "response size",
        ErrorCode::HttpResponseContentCoding(_) => "coding",
        ErrorCode::HttpRequestUriInvalid => "uri",
        ErrorCode::HttpRequestUriTooLong => "uri length",
        ErrorCode::HttpRequestHeaderSectionSize(_) => "header size",
        ErrorCode::HttpProtocolError => "protocol",
        _ => "other",
    };
    format!("error {code}")
}
