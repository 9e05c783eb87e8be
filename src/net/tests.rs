//! The guards and the verdicts, against real sockets.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;

use super::pool::Roots;
use super::testing::{Answer, ManualClock, Scripted};
use super::*;
use crate::base::{Secret, limits};
use crate::engine::clock::SystemClock;

/// Names with the addresses they are said to have.
struct Names(BTreeMap<&'static str, Vec<IpAddr>>);

impl Lookup for Names {
    fn lookup(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let found = self.0.get(name).cloned().ok_or_else(|| io::Error::other("no such name"));
        Box::pin(async { found })
    }
}

fn net(policy: Policy) -> Net {
    Net::new(policy, Arc::new(SystemClock))
}

/// A client that may reach `server`.
fn allowed(server: &Scripted) -> Net {
    let mut policy = Policy::default();
    policy.trust(&server.url).unwrap();
    net(policy)
}

fn get(url: impl Into<Target>) -> Request {
    Request::new(Method::GET, url)
}

fn post(url: impl Into<Target>) -> Request {
    Request::new(Method::POST, url).json(&serde_json::json!({"n": 1}))
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn what_is_private_or_no_http_is_refused() {
    let net = net(Policy::default());
    for (url, kind, word) in [
        ("http://127.0.0.1:9/", NetErrorKind::Blocked, "a loopback address"),
        ("http://2130706433:9/", NetErrorKind::Blocked, "127.0.0.1"),
        ("http://0x7f.1:9/", NetErrorKind::Blocked, "127.0.0.1"),
        ("http://[::1]:9/", NetErrorKind::Blocked, "a loopback address"),
        ("http://[::ffff:10.0.0.1]/", NetErrorKind::Blocked, "a private address"),
        ("http://169.254.169.254/latest/meta-data", NetErrorKind::Blocked, "link-local"),
        ("http://0/", NetErrorKind::Blocked, "unspecified"),
        ("http://localhost:9/", NetErrorKind::Blocked, "a loopback address"),
        ("file:///etc/passwd", NetErrorKind::Blocked, "only http and https"),
        ("ftp://example.com/", NetErrorKind::Blocked, "only http and https"),
        ("http://user:secret@example.com/", NetErrorKind::Invalid, "credentials in a URL"),
        ("example.com", NetErrorKind::Invalid, "no URL"),
        ("http://", NetErrorKind::Invalid, "no URL"),
    ] {
        let error = net.send(get(url)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{url}: {error}");
        assert!(error.to_string().contains(word), "{url}: {error}");
        assert!(error.proves_not_sent() && error.is_permanent(), "{url}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_prints_what_to_paste_and_that_works() {
    let server = Scripted::start(vec![Answer::Raw(OK.into())]).await;
    let host = server.url.strip_prefix("http://").unwrap();
    let error = net(Policy::default()).send(get(&server.url)).await.unwrap_err().to_string();
    assert!(error.contains(&format!("net: {{ allow_private: [\"{host}\"] }}")), "{error}");
    assert_eq!(server.requests().len(), 0);
    let mut policy = Policy::default();
    policy.allow_private(host).unwrap();
    assert_eq!(net(policy).send(get(&server.url)).await.unwrap().body, "ok");
}

#[tokio::test]
async fn a_name_is_judged_by_its_addresses() {
    let server = Scripted::start(vec![Answer::Raw(OK.into())]).await;
    let port = server.url.rsplit(':').next().unwrap();
    let address = |text: &str| text.parse().unwrap();
    let names = BTreeMap::from([
        ("evil.example", vec![address("127.0.0.1")]),
        ("metadata.example", vec![address("169.254.169.254"), address("fd00:ec2::254")]),
        ("mapped.example", vec![address("::ffff:127.0.0.1")]),
        ("empty.example", vec![]),
        ("friend.internal", vec![address("127.0.0.1")]),
    ]);
    let mut policy = Policy::default();
    policy.allow_private(&format!("friend.internal:{port}")).unwrap();
    let net = Net::with_lookup(policy, Arc::new(SystemClock), Arc::new(Names(names)));
    for (name, kind) in [
        ("evil.example", NetErrorKind::Blocked),
        ("EVIL.example", NetErrorKind::Blocked),
        ("metadata.example", NetErrorKind::Blocked),
        ("mapped.example", NetErrorKind::Blocked),
        ("empty.example", NetErrorKind::Dns),
        ("unknown.example", NetErrorKind::Dns),
    ] {
        let error = net.send(get(format!("http://{name}:{port}/"))).await.unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
        assert!(error.proves_not_sent());
    }
    assert_eq!(server.requests().len(), 0);
    assert_eq!(net.send(get(format!("http://friend.internal:{port}/"))).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_redirect_is_judged_again() {
    let inside = Scripted::start(vec![Answer::Raw(OK.into())]).await;
    for target in
        [format!("{}/secret", inside.url), "http://169.254.169.254/".to_string(), "file:///etc/passwd".to_string()]
    {
        let server = Scripted::start(vec![Answer::full(302, &format!("location: {target}\r\n"), "")]).await;
        let error = allowed(&server).send(get(&server.url)).await.unwrap_err();
        assert_eq!(error.kind, NetErrorKind::Blocked, "{error}");
        // The first request was answered, whatever became of the second.
        assert!(!error.proves_not_sent());
    }
    assert_eq!(inside.requests().len(), 0);
}

#[tokio::test]
async fn trust_in_a_base_url_is_not_for_whoever_points_there() {
    let inside = Scripted::start(vec![Answer::Raw(OK.into())]).await;
    let server = Scripted::start(vec![Answer::full(302, &format!("location: {}\r\n", inside.url), "")]).await;
    let mut policy = Policy::default();
    policy.trust(&inside.url).unwrap();
    policy.allow_private(server.url.strip_prefix("http://").unwrap()).unwrap();
    let error = net(policy).send(get(&server.url)).await.unwrap_err();
    assert_eq!(error.kind, NetErrorKind::Blocked, "{error}");
    assert_eq!(inside.requests().len(), 0);
}

#[tokio::test]
async fn redirects_end() {
    let script = vec![Answer::full(302, "location: /again\r\n", ""); 20];
    let server = Scripted::start(script).await;
    let error = allowed(&server).send(get(&server.url)).await.unwrap_err();
    assert_eq!(error.kind, NetErrorKind::Redirects, "{error}");
    assert_eq!(server.requests().len(), limits::REDIRECTS + 1);
}

#[tokio::test]
async fn a_post_is_never_repeated_by_a_redirect() {
    for (status, redirects, requests) in [
        (307, Redirects::Follow, vec!["POST /"]),
        (308, Redirects::Follow, vec!["POST /"]),
        (302, Redirects::Follow, vec!["POST /"]),
        (303, Redirects::Follow, vec!["POST /", "GET /there"]),
        (303, Redirects::HandBack, vec!["POST /"]),
    ] {
        let moved = Answer::full(status, "location: /there\r\n", "");
        let server = Scripted::start(vec![moved, Answer::Raw(OK.into())]).await;
        let response = allowed(&server).send(post(&server.url).redirects(redirects)).await.unwrap();
        assert_eq!(response.status, if requests.len() == 2 { 200 } else { status });
        let seen = server.requests();
        assert_eq!(seen.len(), requests.len(), "{status}");
        for (seen, expected) in seen.iter().zip(requests) {
            assert!(seen.starts_with(expected), "{seen}");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_request_is_not_repeated() {
    // On a fresh connection, and on one that has served before.
    for before in [0, 1] {
        let mut script = vec![Answer::Raw(OK.into()); before];
        script.push(Answer::Close);
        script.push(Answer::Raw(OK.into()));
        let server = Scripted::start(script).await;
        let net = allowed(&server);
        for _ in 0..before {
            net.send(post(&server.url)).await.unwrap();
        }
        let error = net.send(post(&server.url)).await.unwrap_err();
        assert_eq!(error.kind, NetErrorKind::Cut, "{error}");
        assert!(!error.proves_not_sent() && !error.is_permanent());
        assert_eq!(server.requests().len(), before + 1);
    }
}

#[tokio::test]
async fn a_connection_closed_while_idle_repeats_nothing() {
    for round in 0..30 {
        let server = Scripted::start(vec![Answer::RawClose(OK.into()), Answer::Raw(OK.into())]).await;
        let net = allowed(&server);
        net.send(post(&server.url)).await.unwrap();
        // Whether the client has noticed the close by now is a race; neither outcome may send the request twice.
        match net.send(post(&server.url)).await {
            Ok(_) => assert_eq!(server.requests().len(), 2, "{round}"),
            Err(error) => {
                assert!(!error.proves_not_sent(), "{error}");
                assert!(server.requests().len() <= 2, "{round}");
            }
        }
    }
}

#[tokio::test]
async fn silence_is_a_timeout_by_the_clock() {
    let server = Scripted::start(vec![Answer::Silence]).await;
    let mut policy = Policy::default();
    policy.trust(&server.url).unwrap();
    let clock = ManualClock::at(0);
    let net = Net::new(policy, clock.clone());
    let request = post(&server.url).timeout_ms(30_000);
    let task = tokio::spawn(async move { net.send(request).await });
    server.arrived(1).await;
    clock.advance(30_000);
    let error = task.await.unwrap().unwrap_err();
    assert_eq!((error.kind, error.status), (NetErrorKind::Timeout, None));
    assert!(error.to_string().contains("within 30.0 s"), "{error}");
    assert!(!error.proves_not_sent());
}

#[tokio::test]
async fn an_opened_answer_is_read_as_it_comes_and_a_silence_ends_it() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let server = Scripted::start(vec![Answer::Raw(format!("{head}3\r\none\r\n").into_bytes())]).await;
    let mut policy = Policy::default();
    policy.trust(&server.url).unwrap();
    let clock = ManualClock::at(0);
    let net = Net::new(policy, clock.clone());
    let mut opened = net.open(get(&server.url).timeout_ms(30_000)).await.unwrap();
    assert!(opened.is_success());
    // Long after the time that the head had.
    clock.advance(60_000);
    assert_eq!(opened.body.next().await.unwrap().unwrap(), "one");
    let mut rest = opened.body.next();
    assert!(futures::poll!(&mut rest).is_pending());
    clock.advance(30_000);
    let error = rest.await.unwrap().unwrap_err();
    assert_eq!((error.kind, error.status), (NetErrorKind::Timeout, Some(200)), "{error}");
    assert!(opened.body.next().await.is_none());

    let cut = format!("{head}3\r\none\r\n3\r\ntw");
    let whole = format!("{head}3\r\none\r\n0\r\n\r\n");
    for (answer, end) in [(cut, Some(NetErrorKind::Cut)), (whole, None)] {
        let server = Scripted::start(vec![Answer::RawClose(answer.into_bytes())]).await;
        let mut opened = allowed(&server).open(get(&server.url)).await.unwrap();
        assert_eq!(opened.body.next().await.unwrap().unwrap(), "one");
        let rest: Vec<_> = opened.body.collect().await;
        let error = rest.into_iter().find_map(Result::err).map(|error| error.kind);
        assert_eq!(error, end);
    }
    let server = Scripted::start(vec![Answer::Close]).await;
    let error = allowed(&server).open(post(&server.url)).await.unwrap_err();
    assert!(!error.proves_not_sent(), "{error}");
}

#[tokio::test]
async fn answers_are_bounded_and_complete() {
    let limit = limits::HTTP_RESPONSE;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let endless = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", chunk.repeat(limit / 0x10000 + 1));
    for (answer, kind) in [
        (format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", limit + 1), NetErrorKind::TooLarge),
        (endless, NetErrorKind::TooLarge),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_string(), NetErrorKind::Cut),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_string(), NetErrorKind::Cut),
    ] {
        let server = Scripted::start(vec![Answer::RawClose(answer.into_bytes())]).await;
        let error = allowed(&server).send(post(&server.url)).await.unwrap_err();
        assert_eq!((error.kind, error.status), (kind, Some(200)), "{error}");
        assert!(!error.proves_not_sent());
    }
    for garbage in ["SSH-2.0-OpenSSH\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nbroken header\r\n\r\n"] {
        let server = Scripted::start(vec![Answer::RawClose(garbage.into())]).await;
        let error = allowed(&server).send(post(&server.url)).await.unwrap_err();
        assert_eq!((error.kind, error.status), (NetErrorKind::Cut, None), "{error}");
    }
    let full = Answer::full(200, "", &"x".repeat(limit));
    let server = Scripted::start(vec![full]).await;
    assert_eq!(allowed(&server).send(get(&server.url)).await.unwrap().body.len(), limit);
}

/// The https address of a server that answers a handshake with plain text.
async fn speaks_no_tls() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    url
}

#[tokio::test]
async fn what_never_left_is_told_apart() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut policy = Policy::default();
    policy.trust(&format!("http://127.0.0.1:{port}")).unwrap();
    let error = net(policy).send(post(format!("http://127.0.0.1:{port}/"))).await.unwrap_err();
    assert_eq!(error.kind, NetErrorKind::Connect, "{error}");
    assert!(error.proves_not_sent() && !error.is_permanent());

    // A server that speaks no TLS: the request is not written before there is trust.
    let url = speaks_no_tls().await;
    let mut policy = Policy::default();
    policy.trust(&url).unwrap();
    let error = net(policy).send(post(&url)).await.unwrap_err();
    assert_eq!(error.kind, NetErrorKind::Tls, "{error}");
    assert!(error.proves_not_sent());
}

#[tokio::test]
async fn a_machine_without_certificate_authorities_still_speaks_http() {
    let server = Scripted::start(vec![Answer::Raw(OK.into())]).await;
    let mut policy = Policy::default();
    policy.trust(&server.url).unwrap();
    let net = Net::with_roots(policy, Arc::new(SystemClock), Arc::new(SystemLookup), Roots::Nobody);
    assert_eq!(net.send(get(&server.url)).await.unwrap().status, 200);
    // And https says what is missing.
    let url = speaks_no_tls().await;
    let mut policy = Policy::default();
    policy.trust(&url).unwrap();
    let net = Net::with_roots(policy, Arc::new(SystemClock), Arc::new(SystemLookup), Roots::Nobody);
    let error = net.send(post(&url)).await.unwrap_err();
    assert_eq!(error.kind, NetErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("install ca-certificates"), "{error}");
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let server = Scripted::start(vec![Answer::full(200, "set-cookie: secret\r\n", "a secret")]).await;
    let response = allowed(&server).send(get(&server.url)).await.unwrap();
    assert!(!format!("{response:?}").contains("secret"), "{response:?}");

    let server = Scripted::start(vec![Answer::Close]).await;
    let key = Secret::new("molt_sk_1234567890");
    let request = post(format!("{}/path?token=query-secret#fragment-secret", server.url))
        .secret_header("x-api-key", "", &key)
        .unwrap()
        .header("x-plain", "plain-secret")
        .unwrap();
    let shown = format!("{request:?}");
    let error = allowed(&server).send(request).await.unwrap_err();
    for text in [shown, error.to_string(), format!("{error:?}")] {
        assert!(text.contains("/path"), "{text}");
        assert!(!text.contains("secret") && !text.contains("molt_sk"), "{text}");
    }
    assert!(server.requests()[0].contains("molt_sk_1234567890"));
    let error = get("http://x/").secret_header("x-api-key", "", &Secret::new("molt_sk\r\nx: y")).unwrap_err();
    assert!(error.to_string().contains("x-api-key") && !error.to_string().contains("molt_sk"), "{error}");
}
