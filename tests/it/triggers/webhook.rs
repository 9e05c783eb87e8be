//! Generic webhooks.

use serde_json::json;

use super::{answered, post, runs_of};
use crate::support::{Daemon, Folder, GuideServer, load};

const SHOP: &str = r#"
name: shop
triggers:
  - webhook:
      path: shop/paid
      secret: shop
      header: X-Shop-Signature
      dedupe: event.body.order
      when: event.body.total > 10
      respond: { status: 202, body: { order: "{{ event.body.order }}" } }
steps:
  - { id: seen, uses: set, with: { order: "{{ event.body.order }}", topic: "{{ event.headers['x-topic'] }}", page: "{{ event.query.page }}" } }
"#;

const OPEN: &str = r#"
name: open
triggers: [{ webhook: { path: open } }]
steps:
  - { id: seen, uses: set, with: { body: "{{ event.body }}" } }
"#;

fn folder(far: &GuideServer) -> Folder {
    Folder::new(far.address()).configure(|config| config["secrets"] = json!({"shop": "planted-secret"}))
}

/// As a shop sends it that got no answer in time: all at once, and again after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_comes_five_times_at_once_is_one_run() {
    let far = GuideServer::start();
    let folder = folder(&far).workflow("shop", SHOP).workflow("open", OPEN);
    let daemon = Daemon::start(&folder);
    let body = json!({"order": "A1", "total": 20}).to_string();
    let paid = |daemon: &Daemon, body: &str| {
        let request = post(daemon, "shop/paid?page=2", body.to_string()).header("content-type", "application/json");
        request.header("x-shop-signature", format!("sha256={}", load::sign("planted-secret", body)))
    };
    let five = (0..5).map(|_| answered(paid(&daemon, &body).header("x-topic", "orders/paid")));
    for (status, answer) in futures::future::join_all(five).await {
        assert_eq!((status, answer), (202, json!({"order": "A1"})));
    }
    let five = (0..5).map(|_| answered(post(&daemon, "open", "{\"n\": 1}")));
    let answers = futures::future::join_all(five).await;
    let accepted: u64 = answers.iter().map(|(_, answer)| answer["accepted"].as_u64().unwrap()).sum();
    assert_eq!((accepted, answers[0].0), (1, 200), "{answers:?}");
    let run = runs_of(&daemon, "shop", 1).await.remove(0);
    assert_eq!(run["trigger"], "webhook");
    assert_eq!(run["steps"]["seen"]["output"], json!({"order": "A1", "topic": "orders/paid", "page": "2"}));

    daemon.kill();
    let daemon = Daemon::start(&folder);
    // Another body about the same order.
    let again = json!({"order": "A1", "total": 21}).to_string();
    assert_eq!(answered(paid(&daemon, &again)).await.0, 202);
    // One that the workflow does not want: the usual answer.
    let small = json!({"order": "A2", "total": 5}).to_string();
    assert_eq!(answered(paid(&daemon, &small)).await, (200, json!({"accepted": 0})));
    assert_eq!(daemon.api().runs(None).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_known_or_readable_is_refused() {
    let far = GuideServer::start();
    let folder = folder(&far).workflow("shop", SHOP).workflow("open", OPEN);
    let daemon = Daemon::start(&folder);
    let body = json!({"order": "A1", "total": 20}).to_string();
    let good = load::sign("planted-secret", &body);
    let signed = |header: &'static str, signature: &str| {
        answered(post(&daemon, "shop/paid", body.clone()).header(header, signature))
    };
    for (header, signature) in [
        ("x-other", good.as_str()),
        ("x-webhook-signature", &good),
        ("x-shop-signature", &load::sign("other", &body)),
        ("x-shop-signature", &good[..32]),
        ("x-shop-signature", "sha256="),
    ] {
        let (status, problem) = signed(header, signature).await;
        assert_eq!((status, &problem["code"]), (401, &json!("bad_signature")), "{header}: {signature}");
    }
    for path in ["shop", "shop/paid/", "shop/Paid", "nothing", "../api/v1/runs", "open/../shop"] {
        let (status, _) = answered(post(&daemon, path, "{}")).await;
        assert!(matches!(status, 404 | 405), "{path}: {status}");
    }
    let (status, problem) = answered(post(&daemon, "open", "{half").header("content-type", "application/json")).await;
    assert_eq!((status, &problem["code"]), (400, &json!("not_json")));
    assert_eq!(answered(post(&daemon, "open", vec![0xff, 0xfe])).await.0, 400);
    // A server that answers before it has read everything may close the connection under the client's hands.
    let mut status = None;
    for _ in 0..20 {
        let sent = post(&daemon, "open", vec![b'x'; 1024 * 1024 + 1]).send().await;
        status = status.or(sent.ok().map(|answer| answer.status().as_u16()));
    }
    assert_eq!(status, Some(413));
    let get = reqwest::Client::get(&crate::support::http_client(), format!("{}/hooks/open", daemon.url()));
    assert_eq!(answered(get).await.0, 405);
    assert_eq!(daemon.api().runs(None).await.len(), 0);

    // What is taken is journaled, but for what guards something.
    let request = post(&daemon, "open?token=planted-token&n=1", "name=ann&name=bob")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", "Bearer planted-bearer")
        .header("cookie", "planted-cookie");
    assert_eq!(answered(request).await, (200, json!({"accepted": 1})));
    let run = runs_of(&daemon, "open", 1).await.remove(0);
    assert_eq!(run["steps"]["seen"]["output"], json!({"body": {"name": ["ann", "bob"]}}));
    let journal = daemon.api().get(&format!("/api/v1/runs/{}/journal", run["id"].as_str().unwrap())).await.body;
    assert!(!journal.to_string().contains("planted") && !daemon.stderr().contains("planted"), "{journal:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_follow_the_folder() {
    let far = GuideServer::start();
    let folder = folder(&far).workflow("open", OPEN);
    let daemon = Daemon::start(&folder);
    assert_eq!(answered(post(&daemon, "late", "1")).await.0, 404);
    folder.file("workflows/late.yaml", &OPEN.replace("open", "late"));
    daemon.says("served from now on workflow=late").await;
    let reached = async { while answered(post(&daemon, "late", "1")).await != (200, json!({"accepted": 0})) {} };
    assert!(tokio::time::timeout(crate::support::PATIENCE, reached).await.is_ok());
    // Another one at that path, which does not agree on who may deliver, is not served.
    folder.file(
        "workflows/other.yaml",
        &OPEN.replace("name: open", "name: other").replace("path: open", "path: open, secret: shop"),
    );
    daemon.says("the webhook `open` is also that of `open`, with no secret").await;
    assert_eq!(answered(post(&daemon, "open", "2")).await, (200, json!({"accepted": 1})));
    // And one whose secret nobody has.
    folder.file("workflows/lost.yaml", &OPEN.replace("open", "lost").replace("path: lost", "path: lost, secret: shpo"));
    daemon.says("did you mean `shop`?").await;
    assert_eq!(answered(post(&daemon, "lost", "1")).await.0, 404);
}
