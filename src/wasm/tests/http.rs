//! Requests of connectors: who may be reached, what becomes of failures, and bounds.

use super::probe::{Given, Lab, answers, host, lab, patient};
use super::*;
use crate::base::limits::{HTTP_RESPONSE, PLUGIN_HTTP_BODY, PLUGIN_HTTP_REQUESTS};
use crate::net::testing::{Answer, Scripted};
use crate::wasm::HostPattern;

fn granted(hosts: &[&str]) -> Grant {
    Grant { http: hosts.iter().map(|host| HostPattern::granted(host).unwrap()).collect(), ..patient() }
}

#[tokio::test]
async fn a_request_goes_out_and_its_answer_comes_in() {
    let (far, lab) = lab(vec![Answer::full(201, "x-a: 1\r\nx-a: 2\r\n", "welcome")]).await;
    let place = host(&far);
    let script = format!("http|POST|{place}|/a%20b?q=1|x-mine=yes;content-type=text/plain|hello");
    let answer = &lab.answers(&script).await[0];
    assert_eq!(answer, "201 content-length=7;x-a=1;x-a=2 welcome");
    let request = &far.requests()[0];
    assert!(request.starts_with("POST /a%20b?q=1 HTTP/1.1\r\n") && request.ends_with("\r\n\r\nhello"), "{request}");
    for line in
        ["x-mine: yes\r\n", "content-type: text/plain\r\n", "content-length: 5\r\n", &format!("host: {place}\r\n")]
    {
        assert!(request.contains(line), "{line}: {request}");
    }
    assert!(lab.plugin.asks.is_connector && lab.plugin.asks.hosts == [place]);
}

#[tokio::test]
async fn what_is_not_asked_for_or_not_granted_is_denied() {
    let far = Scripted::start(vec![]).await;
    let place = host(&far);
    let asks = "host a.example:80\nhost b.example:443\nhost *.c.example:80\n".to_string();
    let grant = granted(&["b.example", "d.example:80", "x.c.example:80"]);
    let lab = Lab::new(Given { asks, grant, open: vec![place.clone()], ..Given::default() }).await;
    for (method, to, line) in [
        (
            "GET",
            "a.example".to_string(),
            r#"GET http://a.example:80 is denied: a.example:80 is not granted; to allow it, put `grants: { probe: { http: ["a.example:80"] } }` in moltrun.yaml"#,
        ),
        ("GET", "d.example".to_string(), "GET http://d.example:80 is denied: the plugin does not ask for d.example:80"),
        ("POST", "y.c.example".to_string(), "POST http://y.c.example:80 is denied: y.c.example:80 is not granted"),
        ("GET", "c.example".to_string(), "GET http://c.example:80 is denied: the plugin does not ask for"),
        ("GET", place, "is denied: the plugin does not ask for 127.0.0.1"),
        ("GET", "b.example:443".to_string(), "GET http://b.example:443 is denied: port 443 is granted for https"),
        ("CONNECT", "https://b.example".to_string(), "CONNECT https://b.example:443 is denied: CONNECT is not allowed"),
        ("TRACE", "https://b.example".to_string(), "TRACE https://b.example:443 is denied: TRACE is not allowed"),
    ] {
        let (ended, lines) = lab.call("again", &format!("http|{method}|{to}|/secret/path?q||")).await;
        assert_eq!(answers(ended), ["error denied"], "{to}");
        assert!(lines.len() == 1 && lines[0].starts_with("warn: ") && lines[0].contains(line), "{to}: {lines:?}");
        assert!(!lines[0].contains("path"), "{lines:?}");
    }
    assert!(far.requests().is_empty());
}

#[tokio::test]
async fn private_addresses_are_blocked_whatever_the_grant_says() {
    let far = Scripted::start(vec![]).await;
    let port = host(&far).rsplit_once(':').unwrap().1.to_string();
    let places = [
        format!("127.0.0.1:{port}"),
        format!("name.example:{port}"),
        "169.254.169.254:80".to_string(),
        format!("[::1]:{port}"),
    ];
    let asks = places.iter().map(|place| format!("host {place}\n")).collect();
    let grant = granted(&places.each_ref().map(String::as_str));
    let lab = Lab::new(Given { asks, grant, ..Given::default() }).await;
    for place in &places {
        let (ended, lines) = lab.call("again", &format!("http|GET|{place}|/||")).await;
        assert_eq!(answers(ended), ["error prohibited"], "{place}");
        assert!(lines[0].contains(&format!("allow_private: [\"{place}\"]")), "{lines:?}");
    }
    assert!(far.requests().is_empty());
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let other = Scripted::start(vec![]).await;
    let location = format!("location: {}/x\r\n", other.url);
    let redirects = [301, 302, 303, 307, 308].map(|status| Answer::full(status, &location, ""));
    let (far, lab) = lab(redirects.to_vec()).await;
    let script = vec![format!("http|GET|{}|/||", host(&far)); 5].join("\n");
    for (answer, status) in lab.answers(&script).await.iter().zip([301, 302, 303, 307, 308]) {
        assert!(answer.starts_with(&format!("{status} ")) && answer.contains(&other.url), "{answer}");
    }
    assert!(other.requests().is_empty() && far.requests().len() == 5);
}

#[tokio::test]
async fn failures_have_their_names() {
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    let (far, lab) = lab(vec![
        Answer::RawClose(head(10)),
        Answer::Raw(head(HTTP_RESPONSE + 1)),
        Answer::Close,
        Answer::RawClose(b"nonsense\r\n\r\n".to_vec()),
    ])
    .await;
    let script = vec![format!("http|GET|{}|/||", host(&far)); 4].join("\n");
    let answers = lab.answers(&script).await;
    assert_eq!(answers, ["error incomplete", "error response size", "error terminated", "error terminated"]);

    let gone = host(&Scripted::start(vec![]).await);
    let asks = format!("host {gone}\nhost nowhere.invalid:80\n");
    let grant = granted(&[&gone, "nowhere.invalid:80"]);
    let lab =
        Lab::new(Given { asks, grant, open: vec![gone.clone(), "nowhere.invalid:80".into()], ..Given::default() })
            .await;
    let script = format!(
        "http|GET|https://{gone}|/||\nhttp|GET|nowhere.invalid|/||\nhttp|GET|ftp://{gone}|/||\nhttp|GET|u:p@{gone}|/||"
    );
    let answers = lab.answers(&script).await;
    assert_eq!(answers[1..], ["error dns", "error protocol", "error uri"]);
    assert!(["error refused", "error tls"].contains(&answers[0].as_str()), "{answers:?}");
}

#[tokio::test]
async fn requests_are_bounded() {
    let (far, lab) = lab(vec![Answer::full(200, "", "a")]).await;
    let place = host(&far);
    let long = "x".repeat(16 * 1024);
    for (command, expected) in [
        (format!("http|POST|{place}|/||x{}", PLUGIN_HTTP_BODY + 1), "error request size"),
        (format!("http|GET|{place}|/{long}||"), "error uri length"),
        (format!("http|GET|{place}|/|{}|", "x-a=b;".repeat(65)), "error header size"),
        (format!("http|GET|{place}|/|host=evil.example|"), "error header host: HeaderError::Forbidden"),
        (format!("http|GET|{place}|/|connection=close|"), "error header connection: HeaderError::Forbidden"),
        (format!("http|GET|{place}|/|te=trailers|"), "error header te: HeaderError::Forbidden"),
    ] {
        assert_eq!(lab.answers(&command).await, [expected], "{}", &command[..40]);
    }
    assert!(far.requests().is_empty());
    let whole = format!("http|POST|{place}|/|content-length={PLUGIN_HTTP_BODY}|x{PLUGIN_HTTP_BODY}");
    assert_eq!(lab.answers(&whole).await, ["200 content-length=1 a"]);
}

#[tokio::test]
async fn a_call_makes_so_many_requests_and_no_more() {
    let count = PLUGIN_HTTP_REQUESTS as usize;
    let (far, lab) = lab(vec![Answer::full(200, "", "a"); count + 1]).await;
    let script = vec![format!("http|GET|{}|/||", host(&far)); count + 1].join("\n");
    let (ended, lines) = lab.call("again", &script).await;
    let answers = answers(ended);
    assert!(answers[..count].iter().all(|answer| answer.starts_with("200 ")), "{answers:?}");
    assert_eq!((answers[count].as_str(), far.requests().len()), ("error limit", count));
    assert_eq!(lines, ["warn: a call may make 32 requests; the others are refused"]);
}

#[tokio::test]
async fn the_largest_answers_arrive_and_make_room_when_they_are_read() {
    let body = "y".repeat(HTTP_RESPONSE);
    let (far, lab) = lab(vec![Answer::full(200, "", &body); 6]).await;
    let script = vec![format!("http|GET|{}|/||", host(&far)); 6].join("\n");
    for answer in lab.answers(&script).await {
        assert_eq!(answer, format!("200 content-length={HTTP_RESPONSE} ({HTTP_RESPONSE} bytes)"));
    }
}

#[tokio::test]
async fn a_guest_waits_for_answers_and_for_timers() {
    let (far, lab) = lab(vec![Answer::Silence, Answer::full(200, "", "a")]).await;
    let place = host(&far);
    let script = format!("hurry|GET|{place}|/|||10\nhurry|GET|{place}|/|||60000");
    assert_eq!(lab.answers(&script).await, ["timer", "answer"]);
}

#[tokio::test]
async fn whoever_waits_is_ended_with_its_call() {
    let far = Scripted::start(vec![Answer::Silence]).await;
    let mut given = Given::reaching(&far);
    given.grant.timeout_ms = Some(2_000);
    let lab = Lab::new(given).await;
    // A far side that says nothing leaves the guest time to say so.
    assert_eq!(lab.answers(&format!("http|GET|{}|/||", host(&far))).await, ["error timeout"]);
    // A body that is never finished is never sent.
    assert_eq!(lab.answers(&format!("http|POST|{}|/||a|unfinished", host(&far))).await, ["error write timeout"]);
    for script in ["clog", "sleep|3600000"] {
        let failure = permanent(lab.call("again", script).await.0);
        assert!(failure.message.ends_with("took longer than 2.0 s"), "{script}: {}", failure.message);
    }
    assert_eq!(far.requests().len(), 1);
}

#[tokio::test]
async fn while_a_plugin_describes_itself_nothing_is_granted() {
    let far = Scripted::start(vec![]).await;
    let mut given = Given::reaching(&far);
    given.asks += &format!("reach {}\n", host(&far));
    let reason = Lab::load(given).await.err().unwrap();
    assert!(reason.starts_with("it asks for the host `error denied`, which"), "{reason}");
    let reason = Lab::load(Given { asks: "clog now\n".into(), ..Given::default() }).await.err().unwrap();
    assert_eq!(reason, "asked what it offers, it took longer than 1.0 s");
    assert!(far.requests().is_empty());
}

#[tokio::test]
async fn a_pure_step_of_a_connector_only_computes() {
    let far = Scripted::start(vec![]).await;
    let mut given = Given::reaching(&far).with_secret("TOKEN", "token-of-the-shop");
    given.grant.state = true;
    let lab = Lab::new(given).await;
    let script =
        format!("http|GET|{}|/||\nsecret|TOKEN\nhmac|TOKEN|a\nget|k\nset|k|1\nsleep|3600000\nnow\nrandom", host(&far));
    let first = answers(lab.call("pure", &script).await.0);
    assert_eq!(first[..3], ["error denied", "denied", "denied"]);
    assert!(first[3..5].iter().all(|answer| answer.starts_with("unavailable: the step says `pure`")), "{first:?}");
    assert_eq!(first[6], "1700000000");
    assert_eq!(answers(lab.call("pure", &script).await.0), first);
    // One that may act has a real clock and real chance.
    let acting = lab.answers("now\nrandom").await;
    assert_ne!(acting[0], "1700000000");
    assert_ne!(lab.answers("now\nrandom").await[1], acting[1]);
    assert!(far.requests().is_empty());
}
