//! `moltrun plan`: what a broadcast would do, with nothing sent and nothing written.

use serde_json::{Value, json};

use crate::support::{Daemon, Folder, GuideServer};

const WEEKLY: &str = r#"
name: weekly
triggers:
  - schedule: { cron: "0 9 * * 1" }
  - manual
inputs:
  greeting: { type: string, default: Hello }
steps:
  - { id: people, uses: data.read, with: { path: people.csv } }
  - id: all
    for_each: { in: steps.people, concurrency: 4 }
    steps:
      - id: draft
        uses: ai.prompt
        with: { prompt: "Greet {{ item.name }}" }
      - id: message
        uses: moltflow.send
        with: { session: support-team, to: "{{ item.phone }}", text: "{{ inputs.greeting }} {{ item.name }}! {{ steps.draft.text }}" }
        once: { key: "weekly:{{ item.phone }}" }
      - { id: pause, uses: wait, with: { for: 1h } }
  - { id: ask, uses: approve, with: { title: All well? } }
  - id: summary
    uses: moltflow.send
    with: { session: owner-phone, to: 15550001111@c.us, text: "{{ steps.all.succeeded }} of {{ steps.all.total }}" }
"#;

fn folder(far: &GuideServer, rows: &str) -> Folder {
    let folder = Folder::new(far.address()).workflow("weekly", WEEKLY);
    folder.file("workflows/people.csv", &format!("phone,name\n{rows}"));
    folder
}

fn plan(folder: &Folder, more: &[&str]) -> Value {
    let args = ["plan", "workflows/weekly.yaml", "--json"].iter().chain(more);
    folder.run(args).exits(0).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_says_who_gets_what_and_sends_nothing() {
    let far = GuideServer::start();
    let rows = "+15551230001,Ana\n+15551230002,Bela\nnobody,Chidi\n+15551230001,Ana again\n+15551230003,Dora\n";
    let folder = folder(&far, rows);
    let plan = plan(&folder, &["--input", "greeting=Hi"]);
    assert_eq!((&plan["recipients"], &plan["messages"], &plan["status"]), (&json!(5), &json!(4), &json!("succeeded")));
    assert_eq!(plan["excluded"]["duplicate"], 1, "{plan:#}");
    assert_eq!(plan["excluded"].as_object().unwrap().len(), 2, "{plan:#}");
    assert_eq!(plan["examples"][0]["item"], 2, "{plan:#}");
    let samples = plan["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 3);
    assert!(samples.iter().any(|sample| {
        sample["to"] == "15551230001@c.us"
            && sample["text"] == "Hi Ana! ‹written by the model when it is sent›"
            && sample["session"] == "support-team"
    }));
    let assumed: Vec<_> = plan["assumed"].as_array().unwrap().iter().map(|assumed| &assumed["step"]).collect();
    assert_eq!(assumed, ["ask", "pause"]);
    assert_eq!((&plan["looked_up"], &plan["ends_at"]), (&json!(false), &Value::Null));
    assert_eq!((far.send_requests(), far.model_calls()), (0, 0));
    assert!(!folder.path("moltrun.db").exists(), "a plan makes no database");

    let shown = folder.run(["plan", "workflows/weekly.yaml"]).exits(0).stdout;
    for line in
        ["recipients  5", "excluded    2", "duplicate", "Nothing was sent", "nothing paces support-team", "no database"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_knows_what_earlier_runs_sent_while_the_daemon_runs() {
    let far = GuideServer::start();
    let rows = "+15551230001,Ana\n+15551230002,Bela\n";
    let folder = folder(&far, rows);
    folder.file(
        "workflows/once.yaml",
        r#"
name: once
triggers: [manual]
steps:
  - id: message
    uses: moltflow.send
    with: { session: support-team, to: "+15551230001", text: hello }
    once: { key: "weekly:+15551230001" }
"#,
    );
    let daemon = Daemon::start(&folder);
    let id = daemon.api().start("once", &json!({})).await;
    daemon.api().reaches(&id, "succeeded").await;
    let seen = plan(&folder, &[]);
    assert_eq!((&seen["excluded"], &seen["messages"]), (&json!({"once": 1}), &json!(2)), "{seen:#}");
    assert_eq!(seen["looked_up"], true);
    assert_eq!(far.ledger().len(), 1);
    // Nothing was written: the other one is as free as before, and the daemon goes on.
    assert_eq!(plan(&folder, &[])["excluded"], json!({"once": 1}));
    let id = daemon.api().start("once", &json!({})).await;
    daemon.api().reaches(&id, "succeeded").await;
    assert_eq!(daemon.terminate(), Some(0));
    // A database at rest is only looked at, too.
    assert_eq!(plan(&folder, &[])["excluded"], json!({"once": 1}));
    drop(Daemon::start(&folder));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_fails_says_why() {
    let far = GuideServer::start();
    let folder = folder(&far, "");
    std::fs::remove_file(folder.path("workflows/people.csv")).unwrap();
    let failed = folder.run(["plan", "workflows/weekly.yaml", "--json"]).exits(1).json();
    assert_eq!((&failed["status"], &failed["failure"]["code"]), (&json!("failed"), &json!("data.unreadable")));
    folder.file("workflows/people.csv", "phone,name\nnobody,Ana\n");
    let failed = folder.run(["plan", "workflows/weekly.yaml", "--json"]).exits(1).json();
    assert_eq!(failed["failure"]["code"], "for_each.all_failed", "{failed:#}");
    assert_eq!((&failed["recipients"], &failed["messages"]), (&json!(1), &json!(0)), "{failed:#}");
    folder.run(["plan", "workflows/none.yaml"]).exits(2);
    folder.run(["plan", "workflows/weekly.yaml", "--input", "greetin=Hi"]).exits(2);
    folder.file("workflows/weekly.yaml", "name: weekly\nsteps: [{id: a, uses: moltflow.snd}]");
    folder.run(["plan", "workflows/weekly.yaml"]).exits(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_knows_the_sender() {
    let far = GuideServer::start();
    let folder = folder(&far, "+15551230001,Ana\n+15551230002,Bela\n+15551230003,Chidi\n").configure(|config| {
        config["senders"] = json!({
            "support-team": {"pace": {"rate": "1/min", "burst": 1}, "opt_out": {"words": ["stop"]}},
        });
    });
    let daemon = Daemon::start(&folder);
    folder.ask(daemon.url(), ["senders", "opt-out", "support-team", "+15551230002"]).exits(0);
    let plan = plan(&folder, &[]);
    assert_eq!(plan["excluded"], json!({"sender.opted_out": 1}), "{plan:#}");
    let sender = |name: &str| {
        let senders = plan["senders"].as_array().unwrap();
        senders.iter().find(|sender| sender["session"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(sender("support-team")["messages"], 2);
    assert!(sender("support-team")["ends_at"].is_i64(), "{plan:#}");
    // Nothing paces the owner's phone, so nobody knows when all have left.
    assert_eq!((&sender("owner-phone")["ends_at"], &plan["ends_at"]), (&Value::Null, &Value::Null));
    assert_eq!(far.send_requests(), 0);
}
