//! Connections: a bounded number of them, and a bounded time for what a client has to do, so that slow and idle clients
//! cannot keep the daemon from the others.
//!
//! Half a head, and a connection that nothing is asked on, are closed; half a body is answered 408. Not bounded: how long a
//! client takes to read its answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Problem;
use crate::base::{Millis, limits};
use crate::engine::ports::Clock;

/// How long nothing is accepted after the machine refused a connection (it has no more files, for instance), in
/// milliseconds: by then some have been closed.
const PAUSE_MS: Millis = 500;

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once; others wait to be accepted.
    pub connections: u32,
    /// For a request's head, from the moment the last answer is sent: also how long a connection may be idle, in milliseconds.
    pub head_ms: u64,
    /// For a request's body, in milliseconds.
    pub body_ms: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: limits::CONNECTIONS, head_ms: limits::REQUEST_HEAD_MS, body_ms: limits::REQUEST_BODY_MS }
    }
}

/// Serves `router` on `listener` until `closing` turns true; then open requests are answered, and it returns when all
/// connections are closed. The caller bounds that wait.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    clock: Arc<dyn Clock>,
    bounds: Bounds,
    closing: watch::Receiver<bool>,
) {
    let bound = BodyBound { clock: clock.clone(), ms: bounds.body_ms };
    let router = router.layer(from_fn_with_state(bound, body_in_time));
    let mut http = http1::Builder::new();
    // hyper measures this one by itself: it ends reads inside of hyper, where no clock of ours can be handed in.
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_millis(bounds.head_ms));
    let room = Arc::new(Semaphore::new(bounds.connections as usize));
    let mut closed = std::pin::pin!(closed(closing.clone()));
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = &mut closed => break,
            accepted = accepted => accepted,
        };
        match (accepted, place) {
            (Ok((socket, _)), Ok(place)) => {
                tokio::spawn(connection(http.clone(), socket, router.clone(), closing.clone(), place));
            }
            // The client's failure, not ours.
            (Err(error), _) if is_of_one_client(&error) => {}
            (Err(error), _) => {
                tracing::warn!(%error, retry_in_ms = PAUSE_MS, "no connection can be accepted");
                tokio::select! {
                    () = &mut closed => break,
                    () = clock.sleep_until(clock.now() + PAUSE_MS) => {}
                }
            }
            // Nobody closes the semaphore.
            (_, Err(_)) => break,
        }
    }
    drop(listener);
    // Every connection holds a place until it is closed.
    let _ = room.acquire_many(bounds.connections).await;
}

/// Ends when `closing` is true, or when nobody is left to say so.
async fn closed(mut closing: watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One connection, to its end.
async fn connection(
    http: http1::Builder,
    socket: TcpStream,
    router: Router,
    closing: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    // Small answers must not wait for more of them (Nagle). A failure costs speed only.
    let _ = socket.set_nodelay(true);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = closed(closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A client that was too slow, broke off or spoke no HTTP.
        tracing::debug!(%error, "a connection ended early");
    }
}

#[derive(Clone)]
struct BodyBound {
    clock: Arc<dyn Clock>,
    ms: u64,
}

/// Gives the body its time; what is late is answered 408, whatever the handler made of half a body.
async fn body_in_time(State(bound): State<BodyBound>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let late = Arc::new(AtomicBool::new(false));
    let ms = bound.ms;
    let request = request.map(|body| Body::new(Timed { body, bound, deadline: None, late: late.clone() }));
    let response = next.run(request).await;
    if late.load(Ordering::Relaxed) {
        let detail = format!("the request's body took longer than {} s", ms.div_ceil(1_000));
        return Problem::new(StatusCode::REQUEST_TIMEOUT, "slow_body", detail).into_response();
    }
    response
}

/// A body that must end in time. Its clock runs from the first moment that it is waited for: most bodies come with their
/// head and are never waited for.
struct Timed {
    body: Body,
    bound: BodyBound,
    deadline: Option<BoxFuture<'static, ()>>,
    late: Arc<AtomicBool>,
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let this = &mut *self;
        if this.late.load(Ordering::Relaxed) {
            return Poll::Ready(None);
        }
        let deadline = this.deadline.get_or_insert_with(|| {
            this.bound.clock.sleep_until(this.bound.clock.now().saturating_add_unsigned(this.bound.ms))
        });
        match deadline.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                this.late.store(true, Ordering::Relaxed);
                // Never cut short as if it were whole: a late body ends with an error.
                Poll::Ready(Some(Err(axum::Error::new(io::Error::from(io::ErrorKind::TimedOut)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::clock::SystemClock;
    use axum::routing::{get, post};
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    /// Longer than any test may take.
    const NEVER_MS: u64 = 3_600_000;
    const FAST: &[u8] = b"GET /fast HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

    async fn start(bounds: Bounds) -> (SocketAddr, watch::Sender<bool>, JoinHandle<()>) {
        let router = Router::new().route("/fast", get(async || "fast")).route("/echo", post(async |text: String| text));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (close, closing) = watch::channel(false);
        let server = tokio::spawn(serve(listener, router, Arc::new(SystemClock), bounds, closing));
        (address, close, server)
    }

    async fn open(address: SocketAddr, sends: &[u8]) -> TcpStream {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(sends).await.unwrap();
        socket
    }

    /// What comes until the server closes.
    async fn rest(mut socket: TcpStream) -> String {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = socket.read_to_end(&mut rest).await;
        String::from_utf8(rest).unwrap()
    }

    #[tokio::test]
    async fn half_a_head_keeps_nobody_out_for_long() {
        let bounds = Bounds { connections: 2, head_ms: 50, body_ms: NEVER_MS };
        let (address, _close, _server) = start(bounds).await;
        let mut slow = Vec::new();
        for sends in ["", "G", "GET /fast HTTP/1.1\r\n", "GET /fast HTTP/1.1\r\nhost: a\r\n"] {
            slow.push(open(address, sends.as_bytes()).await);
        }
        // Idle after an answer.
        slow.push(open(address, b"GET /fast HTTP/1.1\r\nhost: a\r\n\r\n").await);
        assert!(rest(open(address, FAST).await).await.ends_with("fast"));
        for socket in slow {
            rest(socket).await;
        }
    }

    #[tokio::test]
    async fn below_the_cap_a_slow_client_costs_the_others_nothing() {
        let bounds = Bounds { connections: 3, head_ms: NEVER_MS, body_ms: NEVER_MS };
        let (address, _close, _server) = start(bounds).await;
        let _head = open(address, b"GET /fast HT").await;
        let _body = open(address, b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf").await;
        for _ in 0..5 {
            assert!(rest(open(address, FAST).await).await.ends_with("fast"));
        }
    }

    #[tokio::test]
    async fn half_a_body_is_answered_408_and_a_whole_one_is_read() {
        let bounds = Bounds { connections: 4, head_ms: NEVER_MS, body_ms: 50 };
        let (address, _close, _server) = start(bounds).await;
        for half in ["content-length: 9\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
            let sends = format!("POST /echo HTTP/1.1\r\nhost: a\r\n{half}");
            let answer = rest(open(address, sends.as_bytes()).await).await;
            assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("slow_body"), "{answer}");
        }
        let bounds = Bounds { body_ms: NEVER_MS, ..bounds };
        let (address, _close, _server) = start(bounds).await;
        let whole = b"POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nwhole";
        assert!(rest(open(address, whole).await).await.ends_with("whole"));
    }

    #[tokio::test]
    async fn a_stop_closes_idle_connections_and_answers_open_requests() {
        let bounds = Bounds { connections: 8, head_ms: NEVER_MS, body_ms: NEVER_MS };
        let (address, close, server) = start(bounds).await;
        let mut idle = open(address, b"GET /fast HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut answer = [0; 15];
        idle.read_exact(&mut answer).await.unwrap();
        let mut asking =
            open(address, b"POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n").await;
        // The handler has begun to read when this comes.
        asking.read_exact(&mut [0; 25]).await.unwrap();
        close.send_replace(true);
        rest(idle).await;
        asking.write_all(b"whole").await.unwrap();
        assert!(rest(asking).await.ends_with("whole"));
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
