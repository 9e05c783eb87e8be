//! The far side: a model and a MoltFlow API that answer at once, in this process, and write down when they were asked.
//! Everyone who is measured talks to the same one.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::book::Book;
use super::http::{Reader, number};

/// What the API key and the model's key are; nobody checks them here.
pub const KEY: &str = "bench-key";

#[derive(Clone)]
pub struct Far {
    pub address: SocketAddr,
    book: Arc<Mutex<Arc<Book>>>,
    /// Whether the model answers.
    answers: watch::Sender<bool>,
}

impl Far {
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let book = Arc::new(Mutex::new(Arc::new(Book::new(0, 0))));
        let far = Self { address: listener.local_addr()?, book, answers: watch::Sender::new(true) };
        let serving = far.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let far = serving.clone();
                tokio::spawn(async move {
                    // The daemon was stopped; its connections end as they do.
                    let _ = far.connection(stream).await;
                });
            }
        });
        Ok(far)
    }

    /// From now on arrivals are written here.
    pub fn open(&self, book: Arc<Book>) {
        *self.book.lock().unwrap_or_else(PoisonError::into_inner) = book;
    }

    /// Whether the model answers; who asks while it does not waits.
    pub fn answers(&self, answers: bool) {
        self.answers.send_replace(answers);
    }

    pub fn model_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn moltflow_url(&self) -> String {
        format!("http://{}/api/v2", self.address)
    }

    async fn connection(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = Reader::new();
        while let Some(message) = reader.next(&mut stream).await? {
            let book = self.book.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let number = number(message.body).unwrap_or(usize::MAX);
            let answer = if message.line.contains("/chat/completions") {
                if let Some(line) = book.line(number) {
                    book.stamp(&line.asked);
                }
                if !*self.answers.borrow() {
                    let _ = self.answers.subscribe().wait_for(|answers| *answers).await;
                }
                completion(number)
            } else {
                book.arrived(number);
                receipt(number)
            };
            stream.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    }
}

fn completion(number: usize) -> String {
    answered(&format!(
        "{{\"id\":\"chatcmpl-{number}\",\"object\":\"chat.completion\",\"created\":1769357100,\"model\":\"canned\",\
         \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"Your order is on its way and should \
         arrive within 2 working days. #{number}\"}},\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":30,\
         \"completion_tokens\":12,\"total_tokens\":42}}}}"
    ))
}

fn receipt(number: usize) -> String {
    answered(&format!(
        "{{\"success\":true,\"result\":{{\"key\":{{\"id\":\"3EB0{number:016X}\"}},\"timestamp\":1769357100}}}}"
    ))
}

fn answered(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
