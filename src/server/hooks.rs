//! `POST /hooks/moltflow`: answered 200 only after every run it starts is committed, and every run that waited for it has it
//! (invariant 9).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use serde_json::json;

use super::{Problem, Server};
use crate::base::Json;
use crate::base::limits;
use crate::moltflow::{self, signature};
use crate::triggers::message;

pub async fn moltflow(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<axum::Json<Json>, Problem> {
    let body = body.map_err(unread)?;
    if let Some(secret) = &server.webhook_secret {
        let given = headers.get(signature::HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !signature::verify(secret, &body, given) {
            let detail = "X-Webhook-Signature is not the HMAC-SHA256 of the body under `moltflow.webhook_secret`";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "bad_signature", detail));
        }
    }
    let payload: Json = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request("not_json", format!("the body is no JSON: {error}")))?;
    let event =
        moltflow::Event::parse(&payload).map_err(|error| Problem::bad_request("not_an_event", error.to_string()))?;
    let payload = Arc::new(payload);
    let submissions = message::submissions(&server.live.now(), &event, &payload, server.clock.now());
    let accepted = server.engine.submit(submissions).await?;
    // Whoever is answered 503 delivers again: what was accepted above is known then.
    let delivered = server.engine.deliver(&event.event, &moltflow::dedupe_key(&payload), &payload).await?;
    let mut answer = json!({"accepted": accepted.iter().flatten().count()});
    if delivered > 0 {
        answer["delivered"] = json!(delivered);
    }
    Ok(axum::Json(answer))
}

fn unread(rejection: BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("the body is larger than {} bytes", limits::WEBHOOK_BODY);
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail);
    }
    Problem::bad_request("unreadable_body", rejection.body_text())
}
