//! A shop's own API, for workflows that ask it: orders and daily figures, for whoever has its token.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

pub const TOKEN: &str = "shop-token-5f1e";

/// A running shop. Cloning shares it.
#[derive(Clone)]
pub struct Shop {
    kept: Arc<Kept>,
    address: SocketAddr,
}

#[derive(Default)]
struct Kept {
    /// What is answered for an order, one after the other; the last stays.
    orders: Mutex<BTreeMap<String, VecDeque<&'static str>>>,
    asked: Mutex<Vec<String>>,
    /// Lists of customers that are cut in the middle before one is whole.
    cuts: AtomicUsize,
}

impl Shop {
    pub async fn start() -> Self {
        let kept = Arc::new(Kept::default());
        let router = Router::new()
            .route("/api/orders/{id}", get(order))
            .route("/api/figures", get(figures))
            .route("/api/customers.ndjson", get(customers))
            .with_state(kept.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { kept, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is answered for an order, each time it is asked for; the last is answered for ever.
    pub fn order_is(&self, id: &str, statuses: impl IntoIterator<Item = &'static str>) {
        self.kept.orders.lock().unwrap().insert(id.to_string(), statuses.into_iter().collect());
    }

    /// The next lists of customers end in the middle of a row, and the connection with them.
    pub fn cuts_lists(&self, count: usize) {
        self.kept.cuts.store(count, Ordering::SeqCst);
    }

    /// What was asked for, in order: ids of orders, days of figures.
    pub fn asked(&self) -> Vec<String> {
        self.kept.asked.lock().unwrap().clone()
    }
}

fn is_known(headers: &HeaderMap) -> bool {
    headers.get("authorization").is_some_and(|value| value.as_bytes() == format!("Bearer {TOKEN}").as_bytes())
}

async fn order(State(kept): State<Arc<Kept>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if !is_known(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    kept.asked.lock().unwrap().push(id.clone());
    let mut orders = kept.orders.lock().unwrap();
    let next = orders.get_mut(&id).and_then(|statuses| match statuses.len() {
        0 | 1 => statuses.front().copied(),
        _ => statuses.pop_front(),
    });
    match next {
        Some(status) => Json(json!({"id": id, "status": status})).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Five hundred customers, in pieces.
async fn customers(State(kept): State<Arc<Kept>>, headers: HeaderMap) -> Response {
    if !is_known(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    kept.asked.lock().unwrap().push("customers".to_string());
    let cut = kept.cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    let rows: String =
        (0..500).map(|row| format!("{}\n", json!({"phone": format!("+1555{row:07}"), "row": row}))).collect();
    let mut pieces: Vec<_> = rows.as_bytes().chunks(1_000).map(|piece| Ok(piece.to_vec())).collect();
    if cut {
        pieces.truncate(pieces.len() / 2);
        pieces.push(Err(std::io::Error::other("cut")));
    }
    Body::from_stream(futures::stream::iter(pieces)).into_response()
}

async fn figures(
    State(kept): State<Arc<Kept>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if !is_known(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let day = query.get("day").cloned().unwrap_or_default();
    kept.asked.lock().unwrap().push(day.clone());
    Json(json!({"day": day, "orders": 17, "revenue": "912.00"})).into_response()
}
