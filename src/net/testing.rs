//! For tests: a clock that moves when it is told to.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::base::Millis;
use crate::engine::ports::Clock;

/// Virtual time. Sleepers wake when it is advanced to their instant; randomness is a counter.
pub(crate) struct ManualClock {
    now: AtomicI64,
    random: AtomicU64,
    sleepers: Mutex<Vec<(Millis, oneshot::Sender<()>)>>,
}

impl ManualClock {
    pub(crate) fn at(now: Millis) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self { now: now.into(), random: AtomicU64::new(1), sleepers: Mutex::default() })
    }

    pub(crate) fn advance(&self, ms: Millis) {
        let now = self.now.fetch_add(ms, Ordering::SeqCst) + ms;
        let mut sleepers = self.sleepers.lock().unwrap();
        let (due, rest) = std::mem::take(&mut *sleepers).into_iter().partition(|(at, _)| *at <= now);
        *sleepers = rest;
        for (_, wake) in due {
            let _ = wake.send(());
        }
    }

    /// The earliest instant somebody sleeps until.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        let sleepers = self.sleepers.lock().unwrap();
        sleepers.iter().filter(|(_, wake)| !wake.is_closed()).map(|(at, _)| *at).min()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.now.load(Ordering::SeqCst)
    }

    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        let mut sleepers = self.sleepers.lock().unwrap();
        if at <= self.now() {
            return Box::pin(async {});
        }
        sleepers.retain(|(_, wake)| !wake.is_closed());
        sleepers.push((at, wake));
        Box::pin(async move {
            // The clock is gone with its test: then nobody is left to wake.
            let _ = woken.await;
        })
    }

    fn random(&self) -> u128 {
        u128::from(self.random.fetch_add(1, Ordering::SeqCst))
    }
}

/// What a [`Scripted`] server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Writes these bytes and keeps the connection.
    Raw(Vec<u8>),
    /// Writes these bytes and closes.
    RawClose(Vec<u8>),
    /// Reads the request, then closes without a word.
    Close,
    /// Reads the request, then says nothing.
    Silence,
}

impl Answer {
    /// A complete answer with its length. `headers` are whole lines with their ends.
    pub(crate) fn full(status: u16, headers: &str, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        Self::Raw(format!("{head}{body}").into_bytes())
    }
}

/// A raw TCP server on a free port that answers requests from a script, whatever their connection, and keeps what it read.
/// When the script is over, connections are closed as [`Answer::Close`] does.
pub(crate) struct Scripted {
    pub(crate) url: String,
    requests: std::sync::Arc<Mutex<Vec<String>>>,
    arrived: tokio::sync::watch::Receiver<usize>,
    task: tokio::task::JoinHandle<()>,
}

impl Scripted {
    pub(crate) async fn start(script: Vec<Answer>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = std::sync::Arc::new(Mutex::new(Vec::new()));
        let script = std::sync::Arc::new(Mutex::new(std::collections::VecDeque::from(script)));
        let (count, arrived) = tokio::sync::watch::channel(0);
        let kept = requests.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, script.clone(), kept.clone(), count.clone()));
            }
        });
        Self { url, requests, arrived, task }
    }

    /// Whole requests read so far, as text.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until this many requests were read.
    pub(crate) async fn arrived(&self, count: usize) {
        self.arrived.clone().wait_for(|seen| *seen >= count).await.unwrap();
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: tokio::net::TcpStream,
    script: std::sync::Arc<Mutex<std::collections::VecDeque<Answer>>>,
    kept: std::sync::Arc<Mutex<Vec<String>>>,
    count: tokio::sync::watch::Sender<usize>,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = Vec::new();
    loop {
        let request = loop {
            if let Some(length) = request_len(&buffer) {
                break buffer.drain(..length).collect::<Vec<u8>>();
            }
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk).await {
                Ok(read @ 1..) => buffer.extend_from_slice(&chunk[..read]),
                _ => return,
            }
        };
        kept.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
        count.send_modify(|count| *count += 1);
        let answer = script.lock().unwrap().pop_front().unwrap_or(Answer::Close);
        match answer {
            Answer::Raw(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Answer::RawClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Answer::Close => return,
            Answer::Silence => std::future::pending().await,
        }
    }
}

/// The length of the first complete request in `buffer`.
fn request_len(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    (buffer.len() >= head + length).then_some(head + length)
}
