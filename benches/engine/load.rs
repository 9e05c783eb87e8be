//! The load: clients that post webhooks, each on one connection that stays open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::book::Book;
use super::http::Reader;

/// How the events of a round are posted.
#[derive(Clone, Copy)]
pub struct Load {
    pub clients: usize,
    /// Events a second, evenly; None: each client posts as soon as its last webhook is answered.
    pub rate: Option<f64>,
    /// Events that may be posted and not yet sent; None: any number.
    pub window: Option<usize>,
}

/// A client that was refused (503) asks again after this time.
const PAUSE: Duration = Duration::from_millis(5);

/// Posts every event of the book; the number of times that a webhook was refused with 503.
pub async fn post(
    address: SocketAddr,
    load: Load,
    book: &Arc<Book>,
    body: impl Fn(usize) -> String + Copy + Send + 'static,
) -> io::Result<usize> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let clients: Vec<_> = (0..load.clients.min(book.len()))
        .map(|_| tokio::spawn(client(address, load, book.clone(), next.clone(), start, body)))
        .collect();
    let mut refused = 0;
    for client in clients {
        refused += client.await.map_err(io::Error::other)??;
    }
    Ok(refused)
}

async fn client(
    address: SocketAddr,
    load: Load,
    book: Arc<Book>,
    next: Arc<AtomicUsize>,
    start: Instant,
    body: impl Fn(usize) -> String,
) -> io::Result<usize> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut reader = Reader::new();
    let mut refused = 0;
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(line) = book.line(book.first() + index) else { return Ok(refused) };
        if let Some(rate) = load.rate {
            tokio::time::sleep_until(start + Duration::from_secs_f64(index as f64 / rate)).await;
        }
        if let Some(window) = load.window {
            book.until_sent((index + 1).saturating_sub(window)).await;
        }
        let body = body(book.first() + index);
        let request = format!(
            "POST /hooks/moltflow HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        book.stamp(&line.posted);
        loop {
            stream.write_all(request.as_bytes()).await?;
            let answer = reader.next(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if answer.line.contains(" 200 ") {
                book.stamp(&line.accepted);
                break;
            }
            if !answer.line.contains(" 503 ") {
                let body = String::from_utf8_lossy(answer.body);
                return Err(io::Error::other(format!("the webhook was answered {}: {body}", answer.line)));
            }
            refused += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A customer's question, as MoltFlow posts it.
pub fn question(number: usize) -> String {
    let from = 15_550_000_000 + number % 100_000;
    format!(
        "{{\"event\":\"message\",\"session\":\"support-team\",\"timestamp\":\"2026-01-25T16:05:00Z\",\"data\":{{\
         \"id\":\"3EB0F2A4B5{number:010X}\",\"from\":\"{from}@c.us\",\"body\":\"Hi, where is my order? #{number}\",\
         \"timestamp\":1769357100}}}}"
    )
}
