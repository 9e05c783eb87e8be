//! The steps of the MoltFlow API in workflows, through the real program, against a server written from the guide.

use serde_json::{Value, json};

use crate::support::{Daemon, Folder, GuideServer};

const ALL: &str = r#"
name: all
triggers: [manual]
steps:
  - { id: created, uses: moltflow.create_session, with: { name: my-new-session } }
  - { id: listed, uses: moltflow.list_sessions }
  - { id: got, uses: moltflow.get_session, with: { name: "{{ steps.created.name }}" } }
  - { id: waited, uses: moltflow.wait_session, with: { name: support-team, timeout: 1m } }
  - { id: groups, uses: moltflow.list_groups, with: { session: support-team } }
  - { id: monitored, uses: moltflow.monitor_group, with: { group: "{{ steps.groups[0].id }}", keywords: [urgent, help] } }
  - { id: watched, uses: moltflow.list_monitored_groups }
  - { id: hook, uses: moltflow.create_webhook, with: { url: "https://example.com/hook", events: [message] } }
  - { id: hooks, uses: moltflow.list_webhooks }
  - { id: auto, uses: moltflow.set_auto_reply, with: { session_name: support-team, prompt: Be kind., model: gpt-4o-mini } }
  - { id: learn, uses: moltflow.train_learn_mode, with: { session_name: support-team, message_count: 500 } }
  - { id: asked, uses: moltflow.request, with: { method: POST, path: /groups, json: { wa_group_id: "1@g.us", keywords: [] } } }
  - { id: sent, uses: moltflow.send, with: { session: support-team, to: (650) 555-1234, text: "{{ '650 555 1234' | phone('US') }}" } }
  - { id: gone, uses: moltflow.delete_session, with: { name: my-new-session } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_hands_on_what_the_api_answers() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).configure(|config| config["moltflow"]["region"] = json!("US"));
    let folder = folder.workflow("all", ALL);
    let run = folder.run(["run", "workflows/all.yaml", "--json"]).exits(0).json();
    let output = |step: &str| run["steps"][step]["output"].clone();
    assert_eq!(output("created")["status"], "starting");
    assert_eq!(output("listed")[1]["name"], "my-new-session");
    assert_eq!(output("got")["created_at"], "2026-01-25T15:00:00Z");
    assert_eq!(output("waited")["status"], "working");
    assert_eq!(output("groups")[0]["participant_count"], 12);
    assert_eq!(output("monitored")["keywords"], json!(["urgent", "help"]));
    assert_eq!(output("watched"), json!([output("monitored")]));
    assert_eq!(output("hooks")[0]["id"], output("hook")["id"]);
    assert_eq!(
        output("auto"),
        json!({"enabled": true, "session_name": "support-team", "prompt": "Be kind.", "model": "gpt-4o-mini"})
    );
    assert_eq!(output("learn")["message_count"], 500);
    assert_eq!(
        output("asked"),
        json!({"status": 200, "body": {"id": 6, "wa_group_id": "1@g.us", "keywords": [], "created_at": "2026-01-25T15:30:00Z"}})
    );
    assert_eq!(output("gone")["message"], "Session deleted successfully");
    let sent = &far.ledger().messages()[0];
    assert_eq!((sent.to.as_str(), sent.text.as_str()), ("16505551234@c.us", "+16505551234"));
}

const ONBOARD: &str = r#"
name: onboard
triggers: [manual]
steps:
  - { id: created, uses: moltflow.create_session, with: { name: new-one } }
  - { id: working, uses: moltflow.wait_session, with: { name: new-one, timeout: 10m } }
  - { id: hello, uses: moltflow.send, with: { session: new-one, to: "+1 555 123 4567", text: Hello } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_for_a_session_goes_on_after_a_kill() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("onboard", ONBOARD);
    let daemon = Daemon::start(&folder);
    let id = daemon.api().start("onboard", &json!({})).await;
    daemon.api().reaches(&id, "waiting").await;
    daemon.kill();
    far.session_is("new-one", "working");
    let daemon = Daemon::start(&folder);
    let run: Value = daemon.api().reaches(&id, "succeeded").await;
    assert_eq!(run["steps"]["working"]["output"]["status"], "working", "{run:#}");
    assert_eq!(far.ledger().messages()[0].to, "15551234567@c.us");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_failed_ends_the_wait() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("onboard", ONBOARD);
    let daemon = Daemon::start(&folder);
    let id = daemon.api().start("onboard", &json!({})).await;
    daemon.api().reaches(&id, "waiting").await;
    far.session_is("new-one", "failed");
    let run = daemon.api().reaches(&id, "failed").await;
    assert_eq!(run["steps"]["working"]["error"]["code"], "wait_session.failed", "{run:#}");
    assert!(far.ledger().messages().is_empty());
}

#[test]
fn a_recipient_that_cannot_be_one_is_found_when_the_file_is_checked() {
    let folder =
        Folder::new("127.0.0.1:9".parse().unwrap()).workflow("bad", &ALL.replace("(650) 555-1234", "(650) 555-12"));
    let found = folder.run(["validate", "--format", "json"]).exits(2).json();
    assert_eq!((&found[0]["code"], &found[0]["line"]), (&json!("bad-recipient"), &json!(17)), "{found:#}");
    assert!(found[0]["help"].as_str().unwrap().contains("`moltflow.region`"), "{found:#}");
}
