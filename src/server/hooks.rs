//! `POST /hooks/…`: answered 200 only after every run it starts is committed, and every run that waited for it has it
//! (invariant 9).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{Problem, Server};
use crate::base::Json;
use crate::base::limits;
use crate::moltflow::{self, signature};
use crate::triggers::delivered;
use crate::triggers::webhook::{self, Answer, Received, Refused, Wanted};

/// MoltFlow's own.
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
    let mut submissions = delivered::submissions(&server.live.now(), &event, &payload, server.clock.now());
    submissions.extend(server.senders.heard(&event, &payload).await?);
    let accepted = server.engine.submit(submissions).await?;
    // Whoever is answered 503 delivers again: what was accepted above is known then.
    let delivered = server.engine.deliver(&event.event, &moltflow::dedupe_key(&payload), &payload).await?;
    Ok(axum::Json(counted(accepted.iter().flatten().count(), delivered)))
}

/// Those of workflows.
pub async fn generic(
    State(server): State<Arc<Server>>,
    Path(path): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(unread)?;
    let served = server.live.now();
    let received = Received { headers: &headers, query: uri.query().unwrap_or_default(), body: &body };
    let believers = webhook::believers(&served, &path, &received, &server.secrets).map_err(refused)?;
    let delivery = received.delivery(&path, believers.signatures());
    let delivery = delivery.map_err(|error| match error {
        webhook::BadBody::NotJson(_) => Problem::bad_request("not_json", error.to_string()),
        webhook::BadBody::NotText => Problem::bad_request("unreadable_body", error.to_string()),
    })?;
    let Wanted { submissions, answer, key } = believers.wanted(&delivery, server.clock.now(), server.clock.random());
    let accepted = server.engine.submit(submissions).await?;
    let delivered = server.engine.deliver("webhook", &key, &delivery.event).await?;
    Ok(match answer {
        Some(answer) => answered(answer),
        None => axum::Json(counted(accepted.iter().flatten().count(), delivered)).into_response(),
    })
}

fn counted(accepted: usize, delivered: usize) -> Json {
    let mut answer = json!({"accepted": accepted});
    if delivered > 0 {
        answer["delivered"] = json!(delivered);
    }
    answer
}

/// Text is sent as it is, anything else as JSON.
fn answered(Answer { status, body }: Answer) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    match body {
        None => status.into_response(),
        Some(Json::String(text)) => {
            (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
        }
        Some(body) => (status, axum::Json(body)).into_response(),
    }
}

fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::Unknown => {
            Problem::new(StatusCode::NOT_FOUND, "not_found", "no workflow has a webhook at this address")
        }
        Refused::Unsigned { header } => {
            let detail = format!("{header} is not the HMAC-SHA256 of the body under the webhook's secret");
            Problem::new(StatusCode::UNAUTHORIZED, "bad_signature", detail)
        }
    }
}

fn unread(rejection: BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("the body is larger than {} bytes", limits::WEBHOOK_BODY);
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail);
    }
    Problem::bad_request("unreadable_body", rejection.body_text())
}
