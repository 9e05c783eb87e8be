//! Streams of session events.

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;
use crate::base::limits;

/// An open stream, read as curl would.
struct Stream {
    lines: BufReader<TcpStream>,
    /// Of the head.
    head: String,
}

impl Stream {
    async fn open(sandbox: &Sandbox, session: &str, token: &str) -> Self {
        let socket = TcpStream::connect(sandbox.origin.strip_prefix("http://").unwrap()).await.unwrap();
        let mut lines = BufReader::new(socket);
        let head = format!(
            "GET /api/v2/sessions/{session}/events?token={token} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        );
        lines.write_all(head.as_bytes()).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).await.unwrap() > 0, "{head}");
        }
        Self { lines, head }
    }

    /// The next event, or None at the end.
    async fn event(&mut self) -> Option<(String, Json)> {
        let (mut name, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            if self.lines.read_line(&mut line).await.unwrap() == 0 {
                return None;
            }
            // The sizes of chunks stand between, on lines of their own.
            if let Some(event) = line.trim_end().strip_prefix("event: ") {
                name = event.to_string();
            } else if let Some(data) = line.trim_end().strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).unwrap()));
            }
        }
    }

    async fn status(&mut self) -> Json {
        let (name, data) = self.event().await.unwrap();
        assert_eq!(name, "status");
        data["status"].clone()
    }
}

fn api_key() -> String {
    Options::default().api_key.expose().to_string()
}

#[tokio::test]
async fn a_new_session_is_followed_to_its_end() {
    let (sandbox, clock) = start(Options::default()).await;
    let caller = caller(&sandbox, &clock);
    caller.ok("POST", "/sessions", Some(json!({ "name": "new" }))).await;
    let mut stream = Stream::open(&sandbox, "new", &api_key()).await;
    assert!(stream.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", stream.head);
    assert!(stream.head.contains("content-type: text/event-stream\r\n"), "{}", stream.head);
    assert_eq!(stream.status().await, "starting");
    until(|| clock.next_due() == Some(NOW + 1_000)).await;
    clock.advance(1_000);
    assert_eq!(stream.status().await, "qr_code");
    let (name, data) = stream.event().await.unwrap();
    assert_eq!(name, "qr");
    assert!(data["qr"].as_str().unwrap().starts_with("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA"), "{data}");
    until(|| clock.next_due() == Some(NOW + 3_000)).await;
    clock.advance(2_000);
    assert_eq!(stream.status().await, "working");
    sandbox.set_status("new", "failed");
    assert_eq!(stream.status().await, "failed");
    caller.ok("DELETE", "/sessions/new", None).await;
    assert_eq!(stream.event().await, None);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_and_ends_with_the_sandbox() {
    let (sandbox, clock) = start(Options::default()).await;
    let mut stream = Stream::open(&sandbox, "support-team", &api_key()).await;
    assert_eq!(stream.status().await, "working");
    until(|| clock.next_due() == Some(NOW + 15_000)).await;
    clock.advance(15_000);
    let mut line = String::new();
    while !line.starts_with(':') {
        line.clear();
        assert!(stream.lines.read_line(&mut line).await.unwrap() > 0);
    }
    sandbox.stop().await;
    let mut rest = Vec::new();
    stream.lines.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn refusals_come_as_json_before_the_stream() {
    let (sandbox, clock) = start(Options::default()).await;
    let mut caller = caller(&sandbox, &clock);
    let login = json!({ "email": Options::default().email, "password": Options::default().password.expose() });
    let token = caller.ok("POST", "/auth/login", Some(login)).await["access_token"].as_str().unwrap().to_string();
    // A header is not enough.
    assert_eq!(caller.refused("GET", "/sessions/support-team/events", None).await, (401, "UNAUTHORIZED".to_string()));
    caller.auth.1 = String::new();
    let refused = async |name: &str, token: &str| {
        caller.refused("GET", &format!("/sessions/{name}/events?token={token}"), None).await
    };
    assert_eq!(refused("support-team", "wrong").await.0, 401);
    assert_eq!(refused("support-team", "").await.0, 401);
    assert_eq!(refused("nobody", &token).await, (404, "SESSION_NOT_FOUND".to_string()));
    let mut stream = Stream::open(&sandbox, "support-team", &token).await;
    assert_eq!(stream.status().await, "working");
    clock.advance(3_600_000);
    assert_eq!(refused("support-team", &token).await.0, 401);
    // It has begun, and goes on.
    sandbox.set_status("support-team", "failed");
    assert_eq!(stream.status().await, "failed");
    let mut streams = vec![stream];
    for _ in 1..limits::SANDBOX_STREAMS {
        streams.push(Stream::open(&sandbox, "support-team", &api_key()).await);
    }
    assert_eq!(refused("support-team", &api_key()).await, (403, "PLAN_LIMIT_REACHED".to_string()));
    sandbox.stop().await;
}
