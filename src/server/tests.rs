//! What is asked of the server itself.

use axum::http::StatusCode;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use crate::engine::clock::SystemClock;
use crate::engine::ports::{RunRow, StoreError};
use crate::engine::run::{Parts, StepSet, Steps};
use crate::store::memory::MemoryStore;
use crate::triggers::live::Served;
use crate::triggers::schedule;

/// A store whose writer is gone.
struct Gone;

impl Query for Gone {
    fn writable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn runs(&self, _: RunFilter) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        async { Err(StoreError::Unavailable("the writer has stopped".to_string())) }.boxed()
    }
}

async fn server(query: Option<Arc<dyn Query>>) -> Arc<Server> {
    let store = Arc::new(MemoryStore::default());
    let clock = Arc::new(SystemClock);
    let live = Live::new(Served::default());
    let parts = Parts {
        store: store.clone(),
        clock: clock.clone(),
        steps: Steps::new(StepSet::default()),
        observers: Vec::new(),
        workflows: Arc::new(live.clone()),
        retention_ms: None,
        workers: 1,
        workers_per_workflow: 1,
        queue: 100,
        recover: true,
    };
    let engine = Engine::start(parts).await.unwrap();
    let (schedules, _task) = schedule::start(&live, engine.clone(), store.clone(), clock.clone()).await.unwrap();
    Arc::new(Server {
        engine,
        query: query.unwrap_or(store),
        clock: clock.clone(),
        live,
        schedules,
        senders: Arc::new(Senders::new(std::collections::BTreeMap::new(), None, clock)),
        plugins: tokio::sync::watch::channel(Arc::default()).1,
        metrics: Arc::default(),
        token: None,
        webhook_secret: None,
        secrets: Secrets::new(),
    })
}

async fn readiness(server: &Arc<Server>) -> StatusCode {
    ready(State(server.clone())).await.into_response().status()
}

#[tokio::test]
async fn ready_means_that_a_webhook_would_be_accepted() {
    let alive = server(None).await;
    assert_eq!(readiness(&alive).await, StatusCode::OK);
    alive.engine.stop().await;
    assert_eq!(readiness(&alive).await, StatusCode::SERVICE_UNAVAILABLE);
    let gone = server(Some(Arc::new(Gone))).await;
    assert_eq!(readiness(&gone).await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn moltflow_s_webhook_is_where_it_may_be_registered() {
    let server = Arc::into_inner(server(None).await).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_close, closing) = watch::channel(false);
    let bounds = Bounds { connections: 2, head_ms: 3_600_000, body_ms: 3_600_000 };
    tokio::spawn(serve(listener, router(server), Arc::new(SystemClock), bounds, closing));
    let body = r#"{"event": "message", "session": "s", "data": {"id": "m", "from": "15551234567@c.us"}}"#;
    for (path, status) in [("/hooks/moltflow", 200), ("/hooks/moltflow/", 200), ("/hooks/moltflow/x", 404)] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}", body.len());
        socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
}
