//! Secrets: used without sight, and never anywhere else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::hostile::Lines;
use super::probe::{Given, Lab, answers, host};
use super::*;
use crate::net::testing::{Answer, Scripted};
use crate::wasm::HostPattern;

const TOKEN: &str = "s3cr3t/of \"the\" shop+";

async fn shop(script: Vec<Answer>) -> (Scripted, Lab) {
    let far = Scripted::start(script).await;
    let lab = Lab::new(Given::reaching(&far).with_secret("TOKEN", TOKEN)).await;
    (far, lab)
}

#[tokio::test]
async fn a_placeholder_becomes_the_secret_on_its_way_out() {
    let (far, lab) = shop(vec![Answer::full(200, "", "ok"); 3]).await;
    let place = host(&far);
    let script = format!(
        "secret|TOKEN
http|POST|{place}|/bot{{TOKEN}}/x?k={{TOKEN}}&l=1|authorization=Bearer {{TOKEN}};content-type=application/json|[\"{{TOKEN}}\"]
http|POST|{place}|/|authorization=Basic {{TOKEN:basic}};content-type=application/x-www-form-urlencoded;content-length=51|key={{TOKEN}}
http|POST|{place}|/||{{TOKEN}} {{TOKEN}}"
    );
    let answers = lab.answers(&script).await;
    assert!(answers[1..].iter().all(|answer| answer.starts_with("200 ")), "{answers:?}");
    let requests = far.requests();
    let encoded = "s3cr3t%2Fof%20%22the%22%20shop%2B";
    assert!(requests[0].starts_with(&format!("POST /bot{encoded}/x?k={encoded}&l=1 HTTP/1.1\r\n")), "{}", requests[0]);
    assert!(requests[0].contains(&format!("authorization: Bearer {TOKEN}\r\n")), "{}", requests[0]);
    assert!(requests[0].ends_with(r#"["s3cr3t/of \"the\" shop+"]"#), "{}", requests[0]);
    let basic = STANDARD.encode(format!("user:{TOKEN}"));
    assert!(requests[1].contains(&format!("authorization: Basic {basic}\r\n")), "{}", requests[1]);
    assert!(requests[1].ends_with(&format!("\r\n\r\nkey={encoded}")), "{}", requests[1]);
    assert!(requests[2].ends_with(&format!("\r\n\r\n{TOKEN} {TOKEN}")), "{}", requests[2]);
    // Another text in each call.
    let again = lab.answers("secret|TOKEN").await;
    assert!(again[0].starts_with("moltrun_secret_") && again[0] != answers[0]);
}

#[tokio::test]
async fn an_echo_is_put_back_and_nothing_is_logged() {
    let json = serde_json::to_string(TOKEN).unwrap();
    let basic = STANDARD.encode(format!("user:{TOKEN}"));
    let echo = format!("raw {TOKEN} json {json} url s3cr3t%2Fof%20%22the%22%20shop%2B basic {basic}");
    let header = format!("x-echo: {TOKEN}\r\nlocation: /?t=s3cr3t%2Fof+%22the%22+shop%2B\r\n");
    let (far, lab) = shop(vec![Answer::full(200, &header, &echo), Answer::full(200, "", &echo)]).await;
    let place = host(&far);
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    let _here = tracing::subscriber::set_default(subscriber);
    // The far side has it from the first call and repeats it in the second one, which never asked for a placeholder.
    let first =
        format!("secret|TOKEN\nhttp|GET|{place}|/{{TOKEN}}|authorization=Basic {{TOKEN:basic}}|\nlog|{{TOKEN}}");
    let second = format!("http|GET|{place}|/||");
    for (script, at) in [(first, 1), (second, 0)] {
        let (ended, kept) = lab.call("again", &script).await;
        let answers = answers(ended);
        assert!(answers[at].starts_with("200 ") && answers[at].matches("moltrun_secret_").count() >= 3, "{answers:?}");
        for text in answers.iter().chain(&kept) {
            for form in [TOKEN, "s3cr3t", "czNjcjN0", &basic, "the%22", "shop+"] {
                assert!(!text.contains(form), "{form}: {text}");
            }
        }
    }
    let logged = lines.text();
    assert!(logged.contains("moltrun_secret_") && !logged.contains("s3cr3t"), "{logged}");
}

#[tokio::test]
async fn who_may_not_have_a_secret_does_not_get_it() {
    let far = Scripted::start(vec![]).await;
    let mut given =
        Given::reaching(&far).with_secret("TOKEN", TOKEN).with_secret("SHORT", "12345").with_secret("GONE", "");
    given.secrets.retain(|(name, _)| *name != "GONE");
    given.asks += "secret OTHER\n";
    given.secrets.push(("UNASKED", "unasked-for-secret"));
    given.grant.secrets.insert("UNASKED".to_string());
    let lab = Lab::new(given).await;
    let (ended, lines) =
        lab.call("again", "secret|OTHER\nsecret|UNASKED\nsecret|GONE\nsecret|SHORT\nhmac|OTHER|a").await;
    assert_eq!(
        answers(ended),
        [
            "denied",
            "denied",
            "unavailable: the configuration has no secret GONE",
            "unavailable: the secret SHORT is shorter than 6 bytes, so it could not be kept out of answers",
            "denied",
        ]
    );
    let other = "warn: the secret OTHER is not granted; to allow it, put `grants: { probe: { secrets: [OTHER] } }` in moltrun.yaml";
    let unasked = "warn: the secret UNASKED is denied, because the plugin does not ask for it when it is loaded";
    assert_eq!(lines, [other, unasked, other]);
}

#[tokio::test]
async fn a_secret_goes_nowhere_but_where_it_may() {
    let (home, other) = (Scripted::start(vec![]).await, Scripted::start(vec![Answer::full(200, "", "ok")]).await);
    let mut given = Given::reaching(&home).with_secret("TOKEN", TOKEN);
    let elsewhere = host(&other);
    given.asks += &format!("host {elsewhere}\n");
    given.grant.http.push(HostPattern::granted(&elsewhere).unwrap());
    given.open.push(elsewhere.clone());
    let lab = Lab::new(given).await;
    for (path, headers, body) in [
        ("/{TOKEN}", "", ""),
        ("/?a={TOKEN}", "", ""),
        ("/", "x-key={TOKEN}", ""),
        ("/", "authorization=Basic {TOKEN:basic}", ""),
        ("/", "", "{TOKEN}"),
    ] {
        let script = format!("secret|TOKEN\nhttp|POST|{elsewhere}|{path}|{headers}|{body}");
        let (ended, lines) = lab.call("again", &script).await;
        assert_eq!(answers(ended)[1], "error denied");
        let why = format!("the plugin does not ask to send the secret TOKEN to {elsewhere}");
        assert!(lines.len() == 1 && lines[0].ends_with(&why), "{lines:?}");
    }
    assert!(other.requests().is_empty() && home.requests().is_empty());
    // Without the secret it is any other request.
    assert_eq!(lab.answers(&format!("http|POST|{elsewhere}|/||a")).await, ["200 content-length=2 ok"]);
}

/// Packed, or in parts, it could not be found.
#[tokio::test]
async fn answers_are_asked_for_whole_and_plain() {
    let packed = "content-encoding: gzip\r\n";
    let (far, lab) = shop(vec![Answer::full(200, "", "a"), Answer::full(200, packed, "b")]).await;
    let place = host(&far);
    let script =
        format!("http|GET|{place}|/|accept-encoding=gzip|\nhttp|GET|{place}|/||\nhttp|GET|{place}|/|range=bytes=0-3|");
    let answers = lab.answers(&script).await;
    assert_eq!(answers, ["200 content-length=1 a", "error coding", "error denied"]);
    assert!(!far.requests()[0].contains("gzip") && far.requests().len() == 2);
    // Who has no secret may have both.
    let (far, lab) = probe::lab(vec![Answer::full(206, packed, "b")]).await;
    let script = format!("http|GET|{}|/|accept-encoding=gzip;range=bytes=0-3|", host(&far));
    assert_eq!(lab.answers(&script).await, ["206 content-length=1;content-encoding=gzip b"]);
    assert!(
        far.requests()[0].contains("accept-encoding: gzip\r\n") && far.requests()[0].contains("range: bytes=0-3\r\n")
    );
}

/// The first value of two says nothing of the other, and a secret in the name of a header stays there.
#[tokio::test]
async fn headers_of_answers_hide_nothing() {
    let far = Scripted::start(vec![
        Answer::full(200, "content-encoding: identity\r\ncontent-encoding: gzip\r\n", "a"),
        Answer::full(200, "x-token-of-the-shop: 1\r\n", "b"),
        Answer::full(200, "content-encoding: identity\r\n", "c"),
    ])
    .await;
    let lab = Lab::new(Given::reaching(&far).with_secret("TOKEN", "Token-of-the-Shop")).await;
    let script = vec![format!("http|GET|{}|/||", host(&far)); 3].join("\n");
    let (ended, lines) = lab.call("again", &script).await;
    assert_eq!(answers(ended), ["error coding", "error protocol", "200 content-length=1;content-encoding=identity c"]);
    assert!(lines.len() == 2 && lines[1].ends_with("has a header whose name holds a secret"), "{lines:?}");
}

#[tokio::test]
async fn a_request_that_secrets_make_too_long_is_not_built() {
    let long: &'static str = "x".repeat(crate::base::limits::PLUGIN_SECRET).leak();
    let far = Scripted::start(vec![Answer::full(200, "", "a")]).await;
    let lab = Lab::new(Given::reaching(&far).with_secret("TOKEN", long)).await;
    let place = host(&far);
    let much = "{TOKEN}".repeat(129);
    for (request, expected) in [
        (format!("/||{much}"), "error request size"),
        ("/{TOKEN}{TOKEN}||".to_string(), "error uri length"),
        ("/{TOKEN}?{TOKEN}||".to_string(), "error uri length"),
        ("/|x-a={TOKEN}{TOKEN};x-b={TOKEN}{TOKEN}|".to_string(), "error header size"),
        ("/{TOKEN}|x-a={TOKEN}|{TOKEN}".to_string(), "200 content-length=1 a"),
    ] {
        let answers = lab.answers(&format!("secret|TOKEN\nhttp|POST|{place}|{request}")).await;
        assert_eq!(answers[1], expected, "{request}");
    }
    assert_eq!(far.requests().len(), 1);
}

/// The third test case of RFC 4231 has a key of bytes; this is its second.
#[tokio::test]
async fn an_hmac_is_made_with_the_secret() {
    let far = Scripted::start(vec![]).await;
    let lab = Lab::new(Given::reaching(&far).with_secret("KEY", "Jefe-Jefe")).await;
    let answers = lab.answers("hmac|KEY|what do ya want for nothing?").await;
    let mac = {
        use hmac::{Hmac, KeyInit, Mac};
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe-Jefe").unwrap();
        mac.update(b"what do ya want for nothing?");
        hex(&mac.finalize().into_bytes())
    };
    assert_eq!(answers, [mac]);
}
