//! Webhooks under load: every accepted one becomes one run and one message, and bad ones are turned away.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::load::{self, ANSWER_EACH};
use crate::support::{Api, Daemon, Folder, GuideServer};

const MESSAGES: usize = 1000;
const CLIENTS: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_webhooks_are_a_thousand_sends() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let daemon = Daemon::start(&folder);

    let posted = load::post_all(daemon.api().clone(), load::ids(MESSAGES), CLIENTS).await;
    for post in &posted {
        assert_eq!((post.status, &post.body), (Some(200), &json!({"accepted": 1})), "{}", post.id);
    }

    let runs = daemon.api().settled(far.ledger()).await;
    assert_eq!(runs.len(), MESSAGES);
    for run in &runs {
        assert_eq!((&run["status"], &run["workflow"]), (&json!("succeeded"), &json!("answer-each")), "{run}");
        assert_eq!(run["trigger"], "message", "{run}");
        assert!(!run["created_at"].is_null() && !run["finished_at"].is_null(), "{run}");
    }
    let messages = far.ledger().messages();
    let answered: BTreeSet<&str> = messages.iter().map(|message| load::id_of(&message.text)).collect();
    assert_eq!((messages.len(), answered.len()), (MESSAGES, MESSAGES), "a message was lost or sent twice");
    for message in &messages {
        assert_eq!((&*message.session, &*message.to), ("support-team", "15551234567@c.us"));
        assert!(message.text.ends_with(": You asked: Hi, where is my order?"), "{}", message.text);
    }
}

/// A client that hangs up gets no answer, so it will deliver again; but what was committed by then is a run like any other
/// and must not lie in the database until somebody restarts the daemon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_leaves_no_run_behind() {
    use tokio::io::AsyncWriteExt;

    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let daemon = Daemon::start(&folder);
    let address = daemon.url().trim_start_matches("http://");
    for group in load::ids(640).chunks(64) {
        let mut streams = Vec::new();
        for id in group {
            let body = load::question(id).to_string();
            let head =
                format!("POST /hooks/moltflow HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n", body.len());
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all((head + &body).as_bytes()).await.unwrap();
            streams.push(stream);
        }
        // All at once, so that some are in the middle of their commit.
        drop(streams);
    }
    // One that stays says that the daemon is past the others' requests.
    let last = load::post_all(daemon.api().clone(), vec!["last".to_string()], 1).await;
    assert_eq!(last[0].status, Some(200));
    let runs = daemon.api().settled(far.ledger()).await;
    assert!(runs.iter().all(|run| run["status"] == "succeeded"), "{runs:#?}");
    assert_eq!(far.ledger().len(), runs.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_committed_before_its_webhook_is_answered() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    // The model is silent, so no message can leave before the kill: what is sent later comes from the database alone.
    far.model_answers(false);

    let daemon = Daemon::start(&folder);
    let posted = load::post_all(daemon.api().clone(), load::ids(20), 1).await;
    daemon.kill();
    for post in &posted {
        assert_eq!((post.status, &post.body), (Some(200), &json!({"accepted": 1})));
    }
    assert_eq!(far.ledger().len(), 0);

    far.model_answers(true);
    let daemon = Daemon::start(&folder);
    let runs = daemon.api().settled(far.ledger()).await;
    assert_eq!(runs.len(), posted.len());
    assert!(runs.iter().all(|run| run["status"] == "succeeded"), "{runs:#?}");
    let sent: BTreeSet<String> =
        far.ledger().messages().iter().map(|message| load::id_of(&message.text).to_string()).collect();
    assert_eq!(sent, posted.into_iter().map(|post| post.id).collect());
    assert_eq!(far.ledger().len(), sent.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redelivered_webhook_is_one_run() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let daemon = Daemon::start(&folder);

    let posted = load::post_all(daemon.api().clone(), vec!["3EB0F2A4B5C6D7E8F9".to_string(); 5], 5).await;
    assert!(posted.iter().all(|post| post.status == Some(200)), "{posted:#?}");
    let accepted: i64 = posted.iter().filter_map(|post| post.body["accepted"].as_i64()).sum();
    assert_eq!(accepted, 1, "{posted:#?}");
    assert_eq!(daemon.api().settled(far.ledger()).await.len(), 1);

    // Still known after a restart, and after its run has ended.
    daemon.kill();
    let daemon = Daemon::start(&folder);
    let again = daemon.api().webhook(load::question("3EB0F2A4B5C6D7E8F9").to_string(), None).await.unwrap();
    assert_eq!((again.status, again.body), (200, json!({"accepted": 0})));
    assert_eq!(daemon.api().settled(far.ledger()).await.len(), 1);
    assert_eq!(far.ledger().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_secret_only_signed_webhooks_are_taken() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address())
        .configure(|config| config["moltflow"]["webhook_secret"] = json!("whsec_1"))
        .workflow("answer-each", ANSWER_EACH);
    let daemon = Daemon::start(&folder);
    let body = load::question("M1").to_string();

    let good = load::sign("whsec_1", &body);
    for (what, signature) in [
        ("none", None),
        ("another secret's", Some(load::sign("whsec_2", &body))),
        ("another body's", Some(load::sign("whsec_1", &load::question("M2").to_string()))),
        ("half of the right one", Some(good[..32].to_string())),
        ("not hex", Some("signature".to_string())),
    ] {
        let answered = daemon.api().webhook(body.clone(), signature).await.unwrap();
        assert_eq!(answered.status, 401, "signature: {what}");
    }
    assert_eq!(daemon.api().runs(None).await.len(), 0);

    let answered = daemon.api().webhook(body, Some(good)).await.unwrap();
    assert_eq!((answered.status, answered.body), (200, json!({"accepted": 1})));
    far.ledger().arrived(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_webhook_is_refused_and_what_nobody_waits_for_is_none() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let daemon = Daemon::start(&folder);
    let api = daemon.api();

    for not_json in ["", "event=message", "{\"event\": \"message\"", "\u{feff}"] {
        let answered = api.webhook(not_json, None).await.unwrap();
        assert_eq!(answered.status, 400, "{not_json:?}");
        assert!(answered.body["code"].is_string(), "a problem has a stable code: {}", answered.body);
    }

    let mut huge = load::question("M1");
    huge["data"]["body"] = json!("?".repeat(1024 * 1024));
    // A server that answers before it has read everything may close the connection under the client's hands: then the
    // client sees no answer, as HTTP allows, and asks again.
    let strangers = Api::new(daemon.url());
    let mut status = None;
    for _ in 0..20 {
        status = status.or(strangers.webhook(huge.to_string(), None).await.ok().map(|answered| answered.status));
    }
    assert_eq!(status, Some(413));

    let mut elsewhere = load::question("M1");
    elsewhere["session"] = json!("sales-bot");
    let status = json!({
        "event": "session_status", "session": "support-team", "timestamp": "2026-01-25T16:05:00Z",
        "data": {"status": "working"},
    });
    for nobody_waits in [elsewhere, status] {
        let answered = api.webhook(nobody_waits.to_string(), None).await.unwrap();
        assert_eq!((answered.status, answered.body), (200, json!({"accepted": 0})), "{nobody_waits}");
    }
    assert_eq!(api.runs(None).await.len(), 0);

    // A filtered message is a run that ends well and sends nothing.
    let statement = load::message("M2", "15551234567@c.us", "Thank you.");
    let answered = api.webhook(statement.to_string(), None).await.unwrap();
    assert_eq!((answered.status, answered.body), (200, json!({"accepted": 1})));
    let runs = api.settled(far.ledger()).await;
    assert_eq!((runs.len(), &runs[0]["status"]), (1, &json!("succeeded")));
    assert_eq!((far.ledger().len(), far.model_calls()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_only_local_names_reach_the_api() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let daemon = Daemon::start(&folder);
    for (host, status) in [("evil.example:8787", 403), ("localhost:1", 200), ("[::1]", 200)] {
        assert_eq!(daemon.api().status_as(host, "/api/v1/runs").await, status, "{host}");
        assert_eq!(daemon.api().status_as(host, "/healthz").await, 200, "{host}");
    }
}
