//! What happens to a request: a layer around both interfaces.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};

use super::super::World;
use super::super::counts::End;
use super::super::model;
use super::super::moltflow::{error::ApiFailure, rate};
use super::super::routes::{bare, find};
use super::super::serve::Cut;
use super::super::stop;
use super::fault::{Fault, Moment, RetryAfter, What};
use crate::base::limits;

/// What no parser takes for an answer: cut off, and no UTF-8.
const GARBAGE: &[u8] = b"{\"success\": tr\xff";

/// What a 429 says if nothing else was asked for, in milliseconds.
const USUAL_RETRY_AFTER_MS: u64 = 1_000;

/// Lets faults happen, and counts how every request ended. The sandbox's own routes are spared.
pub async fn happen(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/sandbox/") {
        return next.run(request).await;
    }
    let path = bare(request.uri().path()).to_string();
    let method = request.method().as_str();
    let route = find(method, &path);
    let of_moltflow = path.len() < request.uri().path().len();
    if of_moltflow {
        world.counts.arrived(world.now());
    }
    let (response, end) = match world.faults.of_request(method, &path) {
        Some(fault) => meet(&world, &fault, &path, request, next).await,
        None => answered(next.run(request).await),
    };
    if of_moltflow && let Some(seconds) = pause(&response) {
        world.counts.paused(world.now(), seconds.saturating_mul(1_000));
    }
    world.counts.add(route, end);
    response
}

/// The seconds a 429 names.
fn pause(response: &Response) -> Option<i64> {
    let limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
    response.headers().get(header::RETRY_AFTER).filter(|_| limited)?.to_str().ok()?.parse().ok()
}

fn answered(response: Response) -> (Response, End) {
    let end = End::Answered(response.status().as_u16());
    (response, end)
}

async fn meet(world: &World, fault: &Fault, path: &str, request: Request, next: Next) -> (Response, End) {
    if !fault.carried_out {
        delay(world, fault.delay_ms).await;
    }
    match &fault.what {
        What::Answer { status, error_code, retry_after } => {
            if fault.carried_out {
                next.run(request).await;
                delay(world, fault.delay_ms).await;
            } else {
                read_to_the_end(request).await;
            }
            answered(refusal(world, path, *status, error_code.as_deref(), *retry_after))
        }
        What::Cut(Moment::Before) => {
            read_to_the_end(request).await;
            (cut(), End::CutBefore)
        }
        What::Cut(Moment::After) => {
            next.run(request).await;
            (cut(), End::CutAfter)
        }
        What::Cut(Moment::Midway) => (half(next.run(request).await), End::CutMidway),
        What::Garbage => {
            let (mut head, _) = next.run(request).await.into_parts();
            head.headers.remove(header::CONTENT_LENGTH);
            (Response::from_parts(head, Body::from(GARBAGE)), End::Garbage)
        }
        // Duplicates are no requests; reading a fault sees to it.
        What::Delay | What::Duplicate(_) => {
            let response = next.run(request).await;
            if fault.carried_out {
                delay(world, fault.delay_ms).await;
            }
            answered(response)
        }
    }
}

/// A stop ends it early.
async fn delay(world: &World, ms: u64) {
    if ms > 0 {
        tokio::select! {
            () = stop(world.stopped.clone()) => {}
            () = world.clock.pause(ms) => {}
        }
    }
}

/// A connection that is closed on an unread body is reset, and the reset may overtake what was written before.
async fn read_to_the_end(request: Request) {
    // What is too long is not read, and nobody will miss it.
    let _ = to_bytes(request.into_body(), limits::SANDBOX_BODY).await;
}

fn cut() -> Response {
    let mut response = StatusCode::OK.into_response();
    response.extensions_mut().insert(Cut);
    response
}

/// The first half of the first piece of the answer, and then an end that is none.
fn half(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    let pieces = body.into_data_stream().take(1).map(|piece| piece.map(|piece| piece.slice(..piece.len() / 2)));
    let torn = stream::once(async {
        // In its own time, or hyper drops what it has not written yet.
        tokio::task::yield_now().await;
        Err(axum::Error::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)))
    });
    let body: stream::BoxStream<'static, Result<Bytes, axum::Error>> = pieces.chain(torn).boxed();
    Response::from_parts(head, Body::from_stream(body))
}

fn refusal(world: &World, path: &str, status: u16, code: Option<&str>, retry_after: RetryAfter) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let of_model = path.starts_with("/v1/");
    let mut response = if of_model {
        model::refusal(path, status, code)
    } else {
        ApiFailure::of_status(status, code.map(str::to_string)).into_response()
    };
    let ms = match retry_after {
        RetryAfter::None => return response,
        RetryAfter::Usual if status != StatusCode::TOO_MANY_REQUESTS => return response,
        RetryAfter::Usual => USUAL_RETRY_AFTER_MS,
        RetryAfter::Ms(ms) => ms,
    };
    let limited = !of_model && status == StatusCode::TOO_MANY_REQUESTS;
    let headers = rate::Headers::exhausted(world.api.rate.limit(), world.now(), ms);
    let list = headers.list().into_iter().filter(|_| limited);
    for (name, value) in list.chain([("retry-after", headers.seconds_left.to_string())]) {
        // Digits are always a header's value.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
