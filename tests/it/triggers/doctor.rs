//! `moltrun doctor`.

use serde_json::{Value, json};

use crate::support::guide_server::{API_KEY, MODEL_KEY};
use crate::support::{Daemon, Folder, GuideServer, Reserved};

const REPLY: &str = r#"
name: reply
triggers: [{ message: { session: support-team } }]
steps:
  - { id: reply, uses: moltflow.send, with: { session: support-team, to: "{{ event.data.from }}", text: Hi } }
"#;

/// The verdicts and details of a check.
fn of(report: &Value, name: &str) -> Vec<(String, String)> {
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["check"] == name);
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_string();
    checks.map(|check| (text(check, "verdict"), format!("{} {}", text(check, "detail"), text(check, "help")))).collect()
}

fn verdict(report: &Value, name: &str) -> String {
    let found = of(report, name);
    assert_eq!(found.len(), 1, "{name}: {report:#}");
    found[0].0.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_works_is_ok_beside_a_running_daemon() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address())
        .configure(|config| {
            config["server"]["public_url"] = json!("https://bot.example.com");
            config["moltflow"]["webhook_secret"] = json!("planted-secret");
        })
        .workflow("reply", REPLY);
    let daemon = Daemon::start(&folder);
    daemon.says("the webhook is registered at MoltFlow").await;
    let checked = folder.ask(daemon.url(), ["doctor", "--json"]).exits(0);
    let report = checked.json();
    for name in [
        "configuration",
        "workflows",
        "plugins",
        "database",
        "daemon",
        "moltflow",
        "clock",
        "credentials",
        "session",
        "webhook",
    ] {
        assert_eq!(verdict(&report, name), "ok", "{name}: {report:#}");
    }
    assert!(of(&report, "database")[0].1.contains(&format!("the process {} owns it", daemon.pid())), "{report:#}");
    let shown = folder.ask(daemon.url(), ["doctor"]).exits(0);
    assert!(shown.stdout.contains("ok           session         `support-team` is working"), "{}", shown.stdout);
    for secret in [API_KEY, MODEL_KEY, "planted-secret"] {
        assert!(!checked.stdout.contains(secret) && !shown.stdout.contains(secret) && !shown.stderr.contains(secret));
    }
    // It was not disturbed.
    assert_eq!(daemon.api().ready().await.unwrap().status, 200);
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_says_what_to_do() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address())
        .workflow("reply", &REPLY.replace("session: support-team, to", "session: suport-team, to"))
        .workflow("broken", "steps: [{ id: a, uses: filtr }]");
    let report = folder.run(["doctor", "--json"]).exits(1).json();
    assert_eq!(report["verdict"], "problem");
    let sessions = of(&report, "session");
    assert_eq!(sessions.len(), 2, "{report:#}");
    assert!(
        sessions.iter().any(|(verdict, text)| verdict == "problem" && text.contains("did you mean `support-team`?"))
    );
    assert!(of(&report, "workflows")[0].1.contains("there is no step `filtr`"), "{report:#}");
    assert_eq!((verdict(&report, "webhook"), verdict(&report, "database")), ("warning".to_string(), "ok".to_string()));

    let refused = folder.configure(|config| config["moltflow"]["api_key"] = json!("molt_sk_wrong"));
    let report = refused.run(["doctor", "--json"]).exits(1).json();
    assert_eq!(verdict(&report, "credentials"), "problem");
    let nothing = refused.configure(|config| config["databse"] = json!("x"));
    let report = nothing.run(["doctor", "--json"]).exits(1).json();
    assert!(of(&report, "configuration")[0].1.contains("did you mean `database`?"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_answer_is_unreachable() {
    let down = Reserved::new();
    let folder = Folder::new(down.address()).workflow("reply", REPLY);
    let report = folder.run(["doctor", "--json"]).exits(4).json();
    assert_eq!(
        (verdict(&report, "moltflow"), verdict(&report, "workflows")),
        ("unreachable".to_string(), "ok".to_string())
    );
    assert_eq!(of(&report, "session").len(), 0);
}
