//! Rows that come over real sockets.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::json;

use super::super::credentials::{Credential, Keyring, Proof};
use super::super::http::Web;
use super::DataRead;
use crate::base::{Json, Secret};
use crate::engine::clock::SystemClock;
use crate::engine::ports::{Outcome, Rows, Step, StepError};
use crate::net::testing::{Answer, Scripted};
use crate::net::{Net, Policy};
use crate::steps::testing::call;

fn step(server: &Scripted) -> DataRead {
    let clock = Arc::new(SystemClock);
    let host = server.url.strip_prefix("http://").unwrap();
    let mut policy = Policy::default();
    policy.allow_private(host).unwrap();
    let credential = Credential { proof: Proof::Bearer(Secret::new("token-123")), allow: vec![host.parse().unwrap()] };
    let credentials = Arc::new(Keyring([("crm".to_string(), credential)].into()));
    let web = Web { net: Arc::new(Net::new(policy, clock.clone())), credentials, clock };
    DataRead::new(std::path::PathBuf::from("workflows"), web)
}

/// The rows, and why there are no more.
async fn rows(server: &Scripted, path: &str, mut input: Json) -> (Vec<Json>, Option<String>) {
    input["url"] = json!(format!("{}{path}", server.url));
    let kind_of = |error: StepError| match error {
        StepError::Permanent(failure) => format!("permanent {}", failure.code),
        StepError::Transient(failure) => format!("transient {}", failure.code),
        StepError::Later { failure, .. } => format!("later {}", failure.code),
        StepError::Unknown(failure) => format!("unknown {}", failure.code),
    };
    let mut stream = match step(server).run(call(input)).await {
        Ok(Outcome::Rows(Rows(stream))) => stream,
        Ok(other) => panic!("{other:?}"),
        Err(error) => return (Vec::new(), Some(kind_of(error))),
    };
    let mut found = Vec::new();
    while let Some(row) = stream.next().await {
        match row {
            Ok(row) => found.push(row),
            Err(error) => return (found, Some(kind_of(error))),
        }
    }
    (found, None)
}

/// In pieces of three bytes, with or without an end.
fn chunked(kind: &str, body: &str, ends: bool) -> Answer {
    let mut wire = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(3) {
        wire += &format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece));
    }
    if ends {
        wire += "0\r\n\r\n";
        return Answer::Raw(wire.into_bytes());
    }
    Answer::RawClose(wire.into_bytes())
}

#[tokio::test]
async fn rows_are_read_in_every_format() {
    let expected = vec![json!({"name": "Ana"}), json!({"name": "Bo"})];
    for (path, kind, body) in [
        ("/people.csv?secret=1", "text/plain", "name\nAna\nBo\n"),
        ("/people", "text/csv; charset=utf-8", "name\r\nAna\r\nBo"),
        ("/people", "application/x-ndjson", "{\"name\": \"Ana\"}\n{\"name\": \"Bo\"}"),
        ("/people.json", "text/plain", "[{\"name\": \"Ana\"}, {\"name\": \"Bo\"}]"),
        ("/people", "application/json", "[{\"name\": \"Ana\"}, {\"name\": \"Bo\"}]"),
    ] {
        let server = Scripted::start(vec![chunked(kind, body, true)]).await;
        let input = json!({"auth": "crm", "headers": {"X-Page": "all"}});
        assert_eq!(rows(&server, path, input).await, (expected.clone(), None), "{path} {kind}");
        let request = server.requests()[0].clone();
        assert!(request.contains("authorization: Bearer token-123") && request.contains("x-page: all"), "{request}");
    }
}

#[tokio::test]
async fn a_row_does_not_repeat_the_credential() {
    for (kind, body, expected) in [
        ("text/csv", "name,seen\nAna,Bearer token-123\n", json!({"name": "Ana", "seen": "Bearer [redacted]"})),
        ("application/x-ndjson", "[{\"a\": \"token-123!\"}, 123]\n", json!([{"a": "[redacted]!"}, 123])),
    ] {
        let server = Scripted::start(vec![chunked(kind, body, true)]).await;
        assert_eq!(rows(&server, "/x", json!({"auth": "crm"})).await, (vec![expected], None), "{kind}");
    }
}

#[tokio::test]
async fn a_cut_list_is_no_short_list() {
    for (kind, body) in [
        ("text/csv", "name\nAna\nBo\n"),
        ("application/x-ndjson", "{\"name\": \"Ana\"}\n"),
        ("application/json", "[{\"name\": \"Ana\"}"),
    ] {
        let server = Scripted::start(vec![chunked(kind, body, false), chunked(kind, body, false)]).await;
        let (found, error) = rows(&server, "/x", json!({})).await;
        assert!(found.len() <= 2);
        assert_eq!(error.as_deref(), Some("transient http.cut"), "{kind}");
        // The next attempt starts anew.
        assert_eq!(rows(&server, "/x", json!({})).await.1.as_deref(), Some("transient http.cut"));
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_refusal_is_judged_like_any_other() {
    for (answer, expected) in [
        (Answer::full(404, "", "gone"), "permanent http.status_404"),
        (Answer::full(503, "retry-after: 5\r\n", ""), "later http.status_503"),
        (Answer::full(500, "", ""), "transient http.status_500"),
        (Answer::Close, "transient http.cut"),
        (Answer::full(200, "content-type: text/html\r\n", "<p>"), "permanent data.format"),
        (Answer::full(200, "content-type: text/csv\r\n", "a,b\n1\n"), "permanent data.malformed"),
    ] {
        let server = Scripted::start(vec![answer]).await;
        assert_eq!(rows(&server, "/x", json!({})).await, (Vec::new(), Some(expected.to_string())));
    }
    let server = Scripted::start(vec![]).await;
    let both = json!({"path": "a.csv"});
    assert_eq!(rows(&server, "/x", both).await.1.as_deref(), Some("permanent data.invalid"));
    assert_eq!(
        rows(&server, "/x", json!({"auth": "crn"})).await.1.as_deref(),
        Some("permanent http.unknown_credential")
    );
}

#[tokio::test]
async fn nobody_reads_on_when_nobody_wants_rows() {
    let server = Scripted::start(vec![chunked("application/x-ndjson", &"1\n".repeat(100_000), true)]).await;
    let input = json!({"url": format!("{}/x", server.url)});
    let Ok(Outcome::Rows(Rows(mut stream))) = step(&server).run(call(input)).await else { panic!() };
    assert_eq!(stream.next().await, Some(Ok(json!(1))));
    // Dropped in the middle: the test ends only if the reading thread does.
    drop(stream);
}

#[tokio::test]
async fn a_file_names_one_source() {
    let server = Scripted::start(vec![]).await;
    let mut catalog = crate::lang::Catalog::default();
    catalog.insert(step(&server).spec().clone());
    for (with, code) in [("format: csv", "missing-key"), ("path: a.csv, url: 'https://x.example'", "conflicting-keys")]
    {
        let text = format!("steps:\n  - {{id: a, uses: data.read, with: {{{with}}}}}\n");
        let source = crate::lang::Source { path: "t.yaml".into(), text };
        let checked =
            crate::plan::check(&source, std::path::Path::new("."), &catalog, &crate::base::json::JsonMap::new());
        let codes: Vec<_> = checked.diagnostics.iter().map(|one| one.code.to_string()).collect();
        assert_eq!(codes, [code], "{with}");
    }
}
