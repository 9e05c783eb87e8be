//! What guests of tests cannot see or cannot bring about.

use super::*;
use crate::base::Secret;
use crate::base::limits::HTTP_RESPONSE;
use crate::engine::ports::{Keys, LogLevel, StepLog};
use crate::store::memory::MemoryStore;
use crate::wasm::imports::Accounts;
use crate::wasm::{Asks, Grant, HostPattern, Services};

const TOKEN: &str = "s3cr3t-of-the-shop";
const PLACE: &str = "http://far.example:80/";

/// The world of a call that may send [`TOKEN`] to [`PLACE`], and its log.
fn outside() -> (Outside, StepLog) {
    let mut services = Services::none();
    services.secrets.insert("TOKEN".to_string(), Secret::new(TOKEN));
    let hosts = vec!["far.example:80".to_string()];
    let asks = Asks { hosts: hosts.clone(), secrets: vec![("TOKEN".to_string(), hosts)], ..Asks::default() };
    let grant = Grant {
        http: vec![HostPattern::granted("far.example:80").unwrap()],
        secrets: ["TOKEN".to_string()].into(),
        ..Grant::default()
    };
    let reach = Reach::new("probe", &asks, &grant, &services, &Accounts::default());
    let keys = Keys::new(Arc::new(MemoryStore::default()), services.clock.clone());
    let log = StepLog::default();
    (Outside::new(Arc::new(reach), "run".to_string(), "step".to_string(), log.clone(), keys), log)
}

fn room() -> Room {
    Room { at_once: Arc::new(Semaphore::new(1)), kept: Arc::default() }
}

/// What the guest gets of an answer with these headers and a body.
fn received(headers: &[(&str, &str)]) -> (Result<hyper::Response<WasiBody>, Error>, String) {
    let (outside, log) = outside();
    let mut given = HeaderMap::new();
    for (name, value) in headers {
        given.append(name.parse::<hyper::header::HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let response = Response { status: 200, headers: given, body: Bytes::from_static(b"body") };
    let place = Place::of(&Method::GET, PLACE).unwrap();
    let answer = outside.receive(&place, response, &Swapped::default(), &room());
    (answer, log.take().into_iter().map(|line| line.text).collect())
}

#[test]
fn an_error_about_an_answer_repeats_nothing_of_it() {
    for headers in [
        &[("content-encoding", TOKEN)][..],
        &[("content-encoding", "identity"), ("content-encoding", TOKEN)],
        &[("content-encoding", "identity"), ("content-encoding", "gzip")],
    ] {
        let (answer, line) = received(headers);
        assert!(matches!(answer, Err(Error::HttpResponseContentCoding(None))), "{headers:?}: {answer:?}");
        assert!(line.contains("is encoded") && !line.contains(TOKEN), "{line}");
    }
    for name in [TOKEN.to_string(), format!("x-{TOKEN}-a"), crate::base::hex::hex(TOKEN.as_bytes())] {
        let (answer, line) = received(&[(&name, "1")]);
        assert!(matches!(answer, Err(Error::HttpProtocolError)), "{name}: {answer:?}");
        assert!(line.contains("a header whose name holds a secret") && !line.contains(&name), "{line}");
    }
    let (answer, line) = received(&[("content-encoding", "Identity"), ("x-echo", TOKEN)]);
    let headers = answer.unwrap().headers().clone();
    assert!(headers["x-echo"].to_str().unwrap().starts_with("moltrun_secret_") && line.is_empty());
}

#[tokio::test]
async fn after_its_time_or_its_end_a_call_sends_nothing() {
    let post = || {
        let body = WasiBody::new(Kept { body: None, counted: 0, kept: Arc::default() });
        hyper::Request::post(PLACE).body(body).unwrap()
    };
    let (late, _) = outside();
    let answer = late.exchange(post(), None, &Deadline::after(0), &room()).await;
    assert!(matches!(answer, Err(Error::HttpResponseTimeout)), "{answer:?}");
    assert!(!late.traffic.acted());

    let (ended, log) = outside();
    ended.close();
    let answer = ended.exchange(post(), None, &Deadline::after(60_000), &room()).await;
    assert!(matches!(answer, Err(Error::ConnectionTerminated)), "{answer:?}");
    assert!(!ended.traffic.acted() && log.take().is_empty());
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    let ((outside, _), room, place) = (outside(), room(), Place::of(&Method::GET, PLACE).unwrap());
    let body = Bytes::from(vec![b'y'; HTTP_RESPONSE]);
    let answer = || {
        let response = Response { status: 200, headers: HeaderMap::new(), body: body.clone() };
        outside.receive(&place, response, &Swapped::default(), &room)
    };
    let mut held: Vec<_> = (0..PLUGIN_HTTP_KEPT / HTTP_RESPONSE).map(|_| answer().unwrap()).collect();
    assert_eq!(held.len(), 4);
    for _ in 0..2 {
        // One that is refused takes nothing.
        let error = answer().err();
        assert!(matches!(error, Some(Error::HttpResponseBodySize(Some(_)))), "{error:?}");
    }
    held.pop();
    held.push(answer().unwrap());
    assert!(answer().is_err());
}

#[test]
fn methods_and_lines_are_bounded() {
    for (length, good) in [(METHOD, true), (METHOD + 1, false), (100_000, false)] {
        let method = Method::from_bytes(&vec![b'M'; length]).unwrap();
        assert_eq!(Place::of(&method, PLACE).is_ok(), good, "{length}");
    }
    let (outside, log) = outside();
    outside.warn(&format!("a\nb{}", "x".repeat(100_000)));
    let lines = log.take();
    assert!(lines[0].text.starts_with("a bx") && lines[0].text.len() < 5_000 && lines[0].level == LogLevel::Warn);
}
