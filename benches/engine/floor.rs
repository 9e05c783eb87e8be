//! The floor: what the same job costs when nothing is kept. A bare axum and reqwest handler in a process of its own: it reads
//! the webhook, asks the model, sends the message, and answers.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};

use super::far::KEY;

struct Floor {
    client: reqwest::Client,
    far: SocketAddr,
}

/// Serves until it is killed.
pub async fn serve(far: SocketAddr) -> std::io::Result<()> {
    let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).tls_certs_only([]).build();
    let client = client.map_err(std::io::Error::other)?;
    let app = Router::new().route("/hooks/moltflow", post(hook)).with_state(Arc::new(Floor { client, far }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}

async fn hook(State(floor): State<Arc<Floor>>, body: Bytes) -> Result<&'static str, StatusCode> {
    let event: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    floor.answer(&event).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok("{\"accepted\":1}")
}

impl Floor {
    async fn answer(&self, event: &Value) -> reqwest::Result<()> {
        let question = event["data"]["body"].as_str().unwrap_or_default();
        if !question.contains('?') {
            return Ok(());
        }
        let ask = json!({
            "model": "canned",
            "messages": [{"role": "system", "content": "You answer customers."}, {"role": "user", "content": question}],
        });
        let ask = self.client.post(format!("http://{}/v1/chat/completions", self.far)).bearer_auth(KEY).json(&ask);
        let answer: Value = ask.send().await?.error_for_status()?.json().await?;
        let text = &answer["choices"][0]["message"]["content"];
        let session = event["session"].as_str().unwrap_or_default();
        let message = json!({"chatId": event["data"]["from"], "text": text});
        let send = self.client.post(format!("http://{}/api/v2/sessions/{session}/messages", self.far));
        let sent = send.header("x-api-key", KEY).json(&message).send().await?.error_for_status()?;
        let _: Value = sent.json().await?;
        Ok(())
    }
}
