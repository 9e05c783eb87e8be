//! Requests as they leave, answers as they are judged, over real sockets.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::super::credentials::{Credential, Keyring, Proof};
use super::{Http, Web};
use crate::base::json::JsonMap;
use crate::base::{Effect, Json, Secret, limits};
use crate::engine::clock::SystemClock;
use crate::engine::ports::{Outcome, Step, StepError};
use crate::lang::{Catalog, Source};
use crate::net::testing::{Answer, Scripted};
use crate::net::{Net, Policy};
use crate::plan::check;
use crate::steps::testing::call;

const TOKEN: &str = "token-of-the-crm";

/// A step that may reach `server`, with the credential `crm` for it and `other` for nobody near.
fn step(server: &Scripted) -> Http {
    let clock = Arc::new(SystemClock);
    let host = server.url.strip_prefix("http://").unwrap();
    let mut policy = Policy::default();
    policy.allow_private(host).unwrap();
    let credential = |proof, host: &str| Credential { proof, allow: vec![host.parse().unwrap()] };
    let basic = Proof::Basic { user: "ana".to_string(), password: Secret::new(TOKEN) };
    let header = Proof::Header { name: "x-key".to_string(), value: Secret::new(TOKEN) };
    let credentials = Keyring(
        [
            ("crm".to_string(), credential(Proof::Bearer(Secret::new(TOKEN)), host)),
            ("basic".to_string(), credential(basic, host)),
            ("header".to_string(), credential(header, host)),
            ("other".to_string(), credential(Proof::Bearer(Secret::new(TOKEN)), "api.example.com")),
        ]
        .into(),
    );
    Http::new(Web { net: Arc::new(Net::new(policy, clock.clone())), credentials: Arc::new(credentials), clock })
}

fn with_url(server: &Scripted, mut input: Json) -> Json {
    let path = input["url"].as_str().unwrap_or("/").to_string();
    input["url"] = json!(format!("{}{path}", server.url));
    input
}

fn kind_of(error: &StepError) -> (String, String) {
    let (word, failure) = match error {
        StepError::Permanent(failure) => ("permanent", failure),
        StepError::Transient(failure) => ("transient", failure),
        StepError::Later { failure, .. } => ("later", failure),
        StepError::Unknown(failure) => ("unknown", failure),
    };
    assert!(!failure.message.contains(TOKEN), "{}", failure.message);
    (format!("{word} {}", failure.code), failure.message.clone())
}

#[tokio::test]
async fn a_request_leaves_as_it_was_asked_for() {
    for (input, expected) in [
        (
            json!({"url": "/a?x=1", "query": {"q": "a b&c", "tag": ["x", 2], "no": null, "yes": true}}),
            &["GET /a?x=1&q=a+b%26c&tag=x&tag=2&yes=true HTTP/1.1"][..],
        ),
        (
            json!({"method": "POST", "json": {"n": 1}, "headers": {"X-Trace": 7}}),
            &["POST / HTTP/1.1", "content-type: application/json", "x-trace: 7", "\r\n\r\n{\"n\":1}"],
        ),
        (
            json!({"method": "POST", "form": {"a": "ü&=", "b": [1, 2]}}),
            &["content-type: application/x-www-form-urlencoded", "\r\n\r\na=%C3%BC%26%3D&b=1&b=2"],
        ),
        (
            json!({"method": "PUT", "body": "hello", "headers": {"content-type": "text/csv"}}),
            &["PUT / HTTP/1.1", "content-type: text/csv\r\n", "\r\n\r\nhello"],
        ),
        (json!({"auth": "crm"}), &["authorization: Bearer token-of-the-crm"]),
        (json!({"auth": "basic"}), &["authorization: Basic YW5hOnRva2VuLW9mLXRoZS1jcm0="]),
        (json!({"auth": "header"}), &["x-key: token-of-the-crm"]),
        (
            json!({"method": "POST", "json": {}, "idempotency": true}),
            &["idempotency-key: 00000000000000000000000000.s\r\n"],
        ),
    ] {
        let server = Scripted::start(vec![Answer::full(200, "", "ok")]).await;
        step(&server).run(call(with_url(&server, input.clone()))).await.unwrap();
        let request = &server.requests()[0];
        for part in expected {
            let part = part.replace("00000000000000000000000000", &crate::base::RunId::new(0, 0).to_string());
            assert!(request.contains(&part), "{input}: {part} is not in {request}");
        }
    }
}

#[tokio::test]
async fn an_answer_is_what_it_says_it_is() {
    let json = "content-type: application/problem+json; charset=utf-8\r\n";
    for (status, headers, body, expect, expected) in [
        (200, json, r#"{"a": [1]}"#, json!(null), json!({"a": [1]})),
        (200, json, "{", json!(null), json!("{")),
        (201, "", r#"{"a": 1}"#, json!(null), json!(r#"{"a": 1}"#)),
        (204, "", "", json!(null), json!(null)),
        (404, "", "gone", json!([200, 404]), json!("gone")),
        (500, "", "x", json!(500), json!("x")),
        (200, "", "you sent token-of-the-crm", json!(null), json!("you sent [redacted]")),
    ] {
        let headers = format!("{headers}x-a: 1\r\nX-A: 2\r\nset-cookie: session=1\r\n");
        let server = Scripted::start(vec![Answer::full(status, &headers, body)]).await;
        let input = with_url(&server, json!({"expect": expect, "auth": "crm"}));
        let Outcome::Done { output, .. } = step(&server).run(call(input)).await.unwrap() else { panic!() };
        assert_eq!((&output["status"], &output["body"]), (&json!(status), &expected));
        assert_eq!((&output["headers"]["x-a"], output["headers"].get("set-cookie")), (&json!("1, 2"), None));
    }
    let binary = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xff\xfe\xfb".to_vec();
    let server = Scripted::start(vec![Answer::Raw(binary)]).await;
    let Outcome::Done { output, .. } = step(&server).run(call(with_url(&server, json!({})))).await.unwrap() else {
        panic!()
    };
    assert_eq!((&output["body"], &output["base64"]), (&json!(null), &json!("//77")));
}

#[tokio::test]
async fn what_failed_says_whether_it_was_done() {
    let large = "x".repeat(limits::STEP_OUTPUT + 1);
    let full = |status, headers: &str, body: &str| Answer::full(status, headers, body);
    for (answer, read, written) in [
        (full(404, "", "no token-of-the-crm"), "permanent http.status_404", "permanent http.status_404"),
        (full(409, "", ""), "permanent http.status_409", "permanent http.status_409"),
        (full(302, "location: /b\r\n", ""), "transient http.cut", "permanent http.status_302"),
        (full(303, "location: /b\r\n", ""), "transient http.cut", "unknown http.cut"),
        (full(408, "", ""), "transient http.status_408", "transient http.status_408"),
        (full(429, "", ""), "transient http.status_429", "transient http.status_429"),
        (full(429, "retry-after: 3\r\n", ""), "later http.status_429", "later http.status_429"),
        (full(503, "retry-after: 3\r\n", ""), "later http.status_503", "unknown http.status_503"),
        (full(503, "", ""), "transient http.status_503", "unknown http.status_503"),
        (full(500, "", ""), "transient http.status_500", "unknown http.status_500"),
        (Answer::Close, "transient http.cut", "unknown http.cut"),
        (full(200, "", &large), "permanent http.too_large", "permanent http.too_large"),
        (
            Answer::RawClose(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".to_vec()),
            "permanent http.too_large",
            "unknown http.too_large",
        ),
    ] {
        for (method, expected) in [("GET", read), ("DELETE", read), ("POST", written), ("PATCH", written)] {
            // Of a DELETE a redirect is handed back.
            if method == "DELETE" && expected == "transient http.cut" && !matches!(answer, Answer::Close) {
                continue;
            }
            let server = Scripted::start(vec![answer.clone()]).await;
            let input = with_url(&server, json!({"method": method, "auth": "crm"}));
            let (found, message) = kind_of(&step(&server).run(call(input)).await.unwrap_err());
            assert_eq!(found, expected, "{method}: {message}");
        }
    }
    // With the key a repetition is recognised, so that nothing is unknown.
    let server = Scripted::start(vec![Answer::Close]).await;
    let input = with_url(&server, json!({"method": "POST", "idempotency": true}));
    assert_eq!(kind_of(&step(&server).run(call(input)).await.unwrap_err()).0, "transient http.cut");
}

#[tokio::test]
async fn the_answer_of_a_redirect_proves_nothing_about_the_request() {
    let full = |status, headers: &str| Answer::full(status, headers, "");
    let cut = |status: u16| Answer::RawClose(format!("HTTP/1.1 {status} No\r\ncontent-length: 9\r\n\r\n").into_bytes());
    for (answer, read, written) in [
        (full(429, "retry-after: 3\r\n"), "later http.status_429", "unknown http.status_429"),
        (full(429, ""), "transient http.status_429", "unknown http.status_429"),
        (full(408, ""), "transient http.status_408", "unknown http.status_408"),
        (full(404, ""), "permanent http.status_404", "unknown http.status_404"),
        (full(500, ""), "transient http.status_500", "unknown http.status_500"),
        (cut(429), "later http.cut", "unknown http.cut"),
        (cut(404), "permanent http.cut", "unknown http.cut"),
    ] {
        for (method, expected) in [("GET", read), ("POST", written), ("PATCH", written)] {
            let server = Scripted::start(vec![full(303, "location: /orders/1\r\n"), answer.clone()]).await;
            let input = with_url(&server, json!({"method": method}));
            let (found, message) = kind_of(&step(&server).run(call(input)).await.unwrap_err());
            assert_eq!(found, expected, "{method}: {message}");
            assert_eq!(server.requests().len(), 2);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_not() {
    let server = Scripted::start(vec![]).await;
    for (input, code, word) in [
        (json!({"method": "BREW"}), "http.invalid", "none of GET"),
        (json!({"json": {}, "body": "x", "method": "POST"}), "http.invalid", "one of"),
        (json!({"body": "x"}), "http.invalid", "no body"),
        (json!({"body": {}, "method": "POST"}), "http.invalid", "use `json`"),
        (json!({"form": [1], "method": "POST"}), "http.invalid", "with.form is a list"),
        (json!({"query": {"a": {}}}), "http.invalid", "with.query.a holds a mapping"),
        (json!({"headers": {"Host": "x"}}), "http.invalid", "`Host` is set by"),
        (json!({"headers": {"x": "a\r\nb: c"}}), "http.invalid", "header `x`"),
        (json!({"headers": {"a b": "c"}}), "http.invalid", "no header name"),
        (json!({"expect": 99}), "http.invalid", "with.expect"),
        (json!({"auth": "crn"}), "http.unknown_credential", "did you mean `crm`?"),
        (json!({"auth": "other"}), "http.credential_refused", "api.example.com"),
        (json!({"auth": "crm", "headers": {"Authorization": "x"}}), "http.invalid", "both set `authorization`"),
    ] {
        let (found, message) = kind_of(&step(&server).run(call(with_url(&server, input))).await.unwrap_err());
        assert_eq!(found, format!("permanent {code}"), "{message}");
        assert!(message.contains(word), "{message}");
    }
    let outside = json!({"url": "http://169.254.169.254/latest?token=token-of-the-crm"});
    assert_eq!(kind_of(&step(&server).run(call(outside)).await.unwrap_err()).0, "permanent http.blocked");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_credential_does_not_follow_a_redirect_to_another_host() {
    let other = Scripted::start(vec![Answer::full(200, "", "ok")]).await;
    let server = Scripted::start(vec![Answer::full(302, &format!("location: {}/b\r\n", other.url), "")]).await;
    let http = step(&server);
    // The other one is private, so that it is not reached at all.
    let error = http.run(call(with_url(&server, json!({"auth": "header"})))).await.unwrap_err();
    assert_eq!(kind_of(&error).0, "permanent http.blocked");
    let mut policy = Policy::default();
    for one in [&server, &other] {
        policy.allow_private(one.url.strip_prefix("http://").unwrap()).unwrap();
    }
    let server2 = Scripted::start(vec![Answer::full(302, &format!("location: {}/b\r\n", other.url), "")]).await;
    policy.allow_private(server2.url.strip_prefix("http://").unwrap()).unwrap();
    let Http { web, spec } = step(&server2);
    let net = Arc::new(Net::new(policy, web.clock.clone()));
    let http = Http { spec, web: Web { net, ..web } };
    http.run(call(with_url(&server2, json!({"auth": "header"})))).await.unwrap();
    assert!(server2.requests()[0].contains(TOKEN) && !other.requests()[0].contains(TOKEN));
}

#[test]
fn the_method_decides_what_a_crash_means() {
    let mut catalog = Catalog::default();
    catalog.insert(super::spec());
    let plan = |with: &str| {
        let text = format!("steps:\n  - {{id: a, uses: http, with: {{url: 'https://x.example/', {with}}}}}\n");
        check(&Source { path: "t.yaml".into(), text }, Path::new("."), &catalog, &JsonMap::new())
    };
    for (with, effect) in [
        ("", Effect::Idempotent),
        ("method: GET", Effect::Idempotent),
        ("method: PUT", Effect::Idempotent),
        ("method: DELETE", Effect::Idempotent),
        ("method: POST", Effect::AtMostOnce),
        ("method: PATCH", Effect::AtMostOnce),
        ("method: '{{ event.method }}'", Effect::AtMostOnce),
        ("method: POST, idempotency: true", Effect::Idempotent),
        ("idempotency: true, method: POST", Effect::Idempotent),
        ("idempotency: false, method: POST", Effect::AtMostOnce),
    ] {
        let checked = plan(with);
        let plan = checked.plan.unwrap_or_else(|| panic!("{with}: {:?}", checked.diagnostics));
        assert_eq!(plan.steps[0].effect, effect, "{with}");
    }
    for (with, code) in [
        ("method: post", "bad-value"),
        ("method: POST, json: {}, form: {}", "conflicting-keys"),
        ("method: POST, idempotency: '{{ event.x }}'", "wrong-type"),
        ("metod: GET", "unknown-key"),
    ] {
        let codes: Vec<_> = plan(with).diagnostics.iter().map(|one| one.code.to_string()).collect();
        assert_eq!(codes, [code], "{with}");
    }
}
