//! The bundled plugins as the components they are: what they promise, through the host. Their own tests know more of their
//! rules (`plugins/build.sh --test`).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::probe::host;
use super::*;
use crate::base::{Effect, Secret};
use crate::engine::clock::SystemClock;
use crate::engine::ports::LogLevel;
use crate::lang::catalog::Ports;
use crate::net::testing::{Answer, Scripted};
use crate::net::{Net, Policy};
use crate::wasm::HostPattern;
use crate::wasm::bundled::BUNDLED;

#[test]
fn what_is_bundled_is_what_was_built() {
    let sums = include_str!("../../../plugins/dist/SHA256SUMS");
    let mut expected: Vec<String> =
        BUNDLED.iter().map(|(name, bytes)| format!("{}  {name}.wasm", sha256(bytes))).collect();
    // The engine of the step `script` is built with them and is no plugin.
    expected.extend(sums.lines().filter(|line| line.ends_with("  script.wasm")).map(str::to_string));
    expected.sort_by(|a, b| a.split_once("  ").map(|(_, name)| name).cmp(&b.split_once("  ").map(|(_, name)| name)));
    assert_eq!(sums.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn each_plugin_offers_its_steps() {
    let plugins = load(PluginsConfig::default()).await;
    assert!(plugins.broken.is_empty(), "{:?}", plugins.broken);
    let mut offered: Vec<(String, String, Effect)> = plugins
        .steps()
        .map(|step| {
            let spec = step.spec();
            let Ports::Fixed(ports) = &spec.ports else { panic!("{} has ports of another kind", spec.name) };
            (spec.name.clone(), ports.join(" "), spec.effect)
        })
        .collect();
    offered.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("crm-webhook/post", "ok", Effect::AtMostOnce),
        ("keyword-score/score", "ok", Effect::Pure),
        ("lead-score/score", "ok hot warm cold", Effect::Pure),
        ("phone-tools/chat_id", "ok", Effect::Pure),
        ("phone-tools/clean_list", "ok none", Effect::Pure),
        ("phone-tools/parse", "ok bad", Effect::Pure),
        ("text-guard/check", "ok flagged", Effect::Pure),
        ("text-guard/redact", "ok", Effect::Pure),
    ];
    assert_eq!(offered, expected.map(|(name, ports, effect)| (name.to_string(), ports.to_string(), effect)));
    let connectors: Vec<_> = plugins.loaded.iter().filter(|plugin| plugin.asks.is_connector).collect();
    assert_eq!(connectors.iter().map(|plugin| &*plugin.name).collect::<Vec<_>>(), ["crm-webhook"]);
    assert!(!connectors[0].asks.state, "it imports no more than it uses");
}

async fn outcome(name: &str, input: Json) -> (String, Json) {
    let plugins = load(PluginsConfig::default()).await;
    match step(&plugins, name).run(call(input)).await {
        Ok(Outcome::Done { port, output, .. }) => (port.to_string(), output),
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn phone_tools_reads_numbers() {
    let (port, output) = outcome("phone-tools/parse", json!({"phone": "030 1234567", "region": "DE"})).await;
    assert_eq!((&*port, &output["e164"], &output["national"]), ("ok", &json!("+49301234567"), &json!("0301234567")));
    let (port, output) = outcome("phone-tools/parse", json!({"phone": "nobody"})).await;
    assert_eq!((&*port, &output["reason"]), ("bad", &json!("holds more than a phone number")));
    let (port, output) = outcome("phone-tools/chat_id", json!({"phone": 15_551_234_567_u64, "region": "US"})).await;
    assert_eq!((&*port, output), ("ok", json!({"chat_id": "15551234567@c.us"})));
    let phones = json!(["+34 612 34 56 78", "612 34 56 78", "?"]);
    let (port, output) = outcome("phone-tools/clean_list", json!({"phones": phones, "region": "ES"})).await;
    let counts = json!({"total": 3, "valid": 1, "invalid": 1, "duplicates": 1});
    assert_eq!((&*port, &output["counts"]), ("ok", &counts));
}

/// The plugin reads numbers as the senders do: by the same files, with another regex.
#[tokio::test]
async fn phone_tools_and_the_host_agree() {
    use crate::base::phone::{Region, parse};

    let places: Vec<&str> = Region::known().iter().step_by(7).copied().collect();
    let spellings =
        ["+1 (650) 555-1234", "0049 30 1234567", "8 (800) 555-35-35", "06 1234 5678", "011 15-2345-6789", "12"];
    let plugins = load(PluginsConfig::default()).await;
    let clean = step(&plugins, "phone-tools/clean_list");
    for place in places {
        let found = clean.run(call(json!({"phones": spellings, "region": place}))).await;
        let Ok(Outcome::Done { output, .. }) = found else { panic!("{place}: {found:?}") };
        let read = |text: &&str| parse(text, Region::parse(place).ok()).map(|phone| phone.e164()).ok();
        let mut expected: Vec<String> = spellings.iter().filter_map(read).collect();
        expected.sort();
        expected.dedup();
        let mut found: Vec<&str> =
            output["valid"].as_array().unwrap().iter().map(|one| one["e164"].as_str().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{place}");
    }
}

#[tokio::test]
async fn text_guard_finds_and_redacts() {
    let text = "Hi Zoë 😀, write to ana@shop.example or pay 4111 1111 1111 1111";
    let (port, output) = outcome("text-guard/check", json!({"text": text})).await;
    assert_eq!((&*port, &output["kinds"]), ("flagged", &json!({"email": 1, "card": 1})));
    let email = json!({"kind": "email", "what": "email", "start": 19, "end": 35, "sample": "a***@shop.example"});
    assert_eq!(output["findings"][0], email);
    let (port, output) = outcome("text-guard/redact", json!({"text": text, "kinds": ["card"]})).await;
    assert_eq!(port, "ok");
    assert_eq!(output["text"], "Hi Zoë 😀, write to ana@shop.example or pay [card]");
    let (_, output) = outcome("text-guard/redact", json!({"text": "💳4111111111111111 📞+34612345678"})).await;
    assert_eq!(output["text"], "💳[card] 📞[phone]");
    // More than half of what an output may be, of characters that JSON escapes.
    let (port, output) = outcome("text-guard/redact", json!({"text": "\"\n".repeat(200_000)})).await;
    assert_eq!((&*port, output["text"].as_str().map(str::len)), ("ok", Some(400_000)));
    let (port, _) = outcome("text-guard/check", json!({"text": "See you on Friday at 10:30!"})).await;
    assert_eq!(port, "ok");
    // As much as an input may be, of what a careless search would take the square of.
    for piece in ["a@", "AKIA-"] {
        let long = piece.repeat(500_000 / piece.len());
        let (port, output) = outcome("text-guard/redact", json!({"text": long})).await;
        assert_eq!((&*port, output["text"].as_str().map(str::len)), ("ok", Some(500_000)));
    }
}

#[tokio::test]
async fn lead_score_grades_with_reasons() {
    let rules = json!([
        {"field": "employees", "at_least": 10, "weight": 40},
        {"field": "country", "one_of": ["ES", "PT"], "weight": 35, "because": "our market"},
        {"field": "phone", "weight": 5},
    ]);
    let (port, output) =
        outcome("lead-score/score", json!({"lead": {"employees": 40, "country": "es"}, "rules": rules})).await;
    let expected = json!({
        "score": 75, "grade": "hot",
        "reasons": [{"reason": "employees is at least 10", "weight": 40}, {"reason": "our market", "weight": 35}],
        "missed": [{"reason": "phone is there", "weight": 5}],
    });
    assert_eq!((&*port, output), ("hot", expected));
    let (port, _) = outcome("lead-score/score", json!({"lead": {"employees": 40}, "rules": rules})).await;
    assert_eq!(port, "warm");
    let plugins = load(PluginsConfig::default()).await;
    let input = json!({"lead": {}, "rules": rules, "hot": 1, "warm": 2});
    let failure = permanent(step(&plugins, "lead-score/score").run(call(input)).await);
    assert_eq!(&*failure.code, "plugin.lead-score.bad_input");
    assert_eq!(failure.message, "`warm` (2) must be less than `hot` (1)");
}

/// The component, asking for the port of a far side instead of its longest one: it asks for usual ports alone, and those
/// of tests are chance.
fn crm_webhook(port: &str) -> Vec<u8> {
    const LONGEST: &[u8] = b"*:10443";
    let (_, bytes) = BUNDLED.iter().find(|(name, _)| *name == "crm-webhook").expect("it is bundled with the others");
    let mut bytes = bytes.to_vec();
    let at = bytes.windows(LONGEST.len()).position(|window| window == LONGEST).expect("it asks for this port");
    bytes[at..at + LONGEST.len()].copy_from_slice(format!("*:{port:0>5}").as_bytes());
    bytes
}

async fn post(answer: Answer) -> (Result<Outcome, StepError>, Vec<String>, Vec<String>) {
    let far = Scripted::start(vec![answer]).await;
    let place = host(&far);
    let (_, port) = place.rsplit_once(':').unwrap();
    let folder = Folder::new().file("crm-webhook", &crm_webhook(port));
    let mut policy = Policy::default();
    policy.allow_private(&place).unwrap();
    let clock: Arc<dyn crate::engine::ports::Clock> = Arc::new(SystemClock);
    let net = Arc::new(Net::new(policy, clock.clone()));
    let named = [("CRM_WEBHOOK_TOKEN", "t0ken-of-the-crm"), ("CRM_WEBHOOK_KEY", "key-of-the-crm")];
    let secrets = named.map(|(name, value)| (name.to_string(), Secret::new(value)));
    let grant = Grant {
        http: vec![HostPattern::granted(&place).unwrap()],
        secrets: named.map(|(name, _)| name.to_string()).into(),
        ..Grant::default()
    };
    let config = PluginsConfig { grants: [("crm-webhook".to_string(), grant)].into(), ..folder.config() };
    let services = Services { net, secrets: secrets.into(), clock };
    let origin = Origin::File(folder.0.path().join("crm-webhook.wasm"));
    let plugin = Host::new(config, services).load("crm-webhook", origin).await.unwrap();
    let input = json!({"url": format!("{}/in?a=b", far.url), "event": "lead.hot", "data": {"score": 9}});
    let call = call(input);
    let log = call.log.clone();
    let ended = plugin.steps[0].run(call).await;
    let lines = log.take().into_iter().filter(|line| line.level != LogLevel::Debug).map(|line| line.text).collect();
    (ended, far.requests(), lines)
}

#[tokio::test]
async fn crm_webhook_posts_with_token_signature_and_key() {
    let (ended, requests, lines) =
        post(Answer::full(202, "content-type: application/json\r\n", r#"{"ok":true}"#)).await;
    let output = match ended {
        Ok(Outcome::Done { output, .. } | Outcome::Written { output, .. }) => output,
        other => panic!("{other:?}, {lines:?}"),
    };
    let id = output["event_id"].as_str().unwrap().to_string();
    assert_eq!(output, json!({"status": 202, "body": {"ok": true}, "cut": false, "event_id": id}));
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /in?a=b HTTP/1.1"), "{head}");
    let event: Json = serde_json::from_str(body).unwrap();
    let expected = json!({"id": id, "event": "lead.hot", "data": {"score": 9}});
    assert_eq!(event, expected);
    let mac = Hmac::<Sha256>::new_from_slice(b"key-of-the-crm").unwrap().chain_update(body).finalize();
    let signature = hex(&mac.into_bytes());
    for line in [
        "authorization: Bearer t0ken-of-the-crm".to_string(),
        format!("idempotency-key: {id}"),
        format!("x-webhook-signature: sha256={signature}"),
        "content-type: application/json".to_string(),
    ] {
        assert!(head.to_lowercase().contains(&line.to_lowercase()), "{line}: {head}");
    }
}

#[tokio::test]
async fn crm_webhook_fails_as_its_answers_say() {
    let (ended, ..) = post(Answer::full(400, "", "no such field")).await;
    let failure = permanent(ended);
    assert_eq!(
        (&*failure.code, &*failure.message),
        ("plugin.crm-webhook.status_400", "the answer is 400: no such field")
    );
    let (ended, ..) = post(Answer::full(429, "retry-after: 30\r\n", "")).await;
    assert!(matches!(ended, Err(StepError::Later { after_ms: 30_000, .. })), "{ended:?}");
    let (ended, ..) = post(Answer::full(302, "location: /x\r\n", "")).await;
    assert_eq!(&*permanent(ended).code, "plugin.crm-webhook.status_302");
    for lost in [
        Answer::Close,
        Answer::full(502, "", ""),
        Answer::full(503, "", ""),
        Answer::full(503, "retry-after: 30\r\n", ""),
        Answer::full(303, "location: /x\r\n", ""),
    ] {
        let (ended, requests, lines) = post(lost).await;
        assert!(matches!(ended, Err(StepError::Unknown(_))), "{ended:?} {lines:?}");
        assert_eq!(requests.len(), 1);
    }
}
