//! Connections. A server of our own, because a framework's cannot do what a far side does on a bad day: close a connection
//! without a word.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Response;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::stop;
use crate::base::{Millis, limits};
use crate::engine::ports::Clock;

/// How long nothing is accepted after the machine refused a connection (it has no more files, for instance), in
/// milliseconds.
const PAUSE_MS: Millis = 100;

/// An extension of a response that is not to be sent: the connection is closed instead.
#[derive(Clone, Copy, Debug)]
pub struct Cut;

/// Why hyper closes a connection: it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("cut on cue")]
struct OnCue;

/// Serves `router` until `stopped` turns true; then open requests are answered, and it returns when all connections are
/// closed. The caller bounds that wait. Dropped, it closes all of them at once.
pub async fn serve(listener: TcpListener, router: Router, clock: Arc<dyn Clock>, stopped: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(limits::SANDBOX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut stopping = std::pin::pin!(stop(stopped.clone()));
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            biased;
            () = &mut stopping => break,
            Some(_) = connections.join_next() => {}
            (accepted, place) = accepted => match accepted {
                Ok((socket, _)) => {
                    let connection = connection(socket, router.clone(), stopped.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(_) => clock.pause(PAUSE_MS.unsigned_abs()).await,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection, to its end.
async fn connection(socket: TcpStream, router: Router, stopped: watch::Receiver<bool>) {
    // Small answers must not wait for the client's next packet. A failure costs speed only.
    let _ = socket.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let answer = router.call(request);
        async move {
            match answer.await {
                Ok(response) => sent(response),
                Err(never) => match never {},
            }
        }
    });
    let mut connection = std::pin::pin!(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = stop(stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Cut on cue, or by a client that broke off or spoke no HTTP.
        tracing::debug!(%error, "a connection of the sandbox ended early");
    }
}

fn sent(response: Response<Body>) -> Result<Response<Body>, OnCue> {
    if response.extensions().get::<Cut>().is_some() { Err(OnCue) } else { Ok(response) }
}
