//! Hot reload through the real program: an edit is served without a restart, what runs is not touched, a broken edit leaves
//! the last good version, and a deleted file ends its triggers.

use serde_json::{Value, json};

use crate::support::{Daemon, Folder, GuideServer, PATIENCE};

/// Sends `text`, and then waits for the pace of a message to itself: parked until the year 2100.
fn workflow(text: &str) -> String {
    format!(
        r#"
name: greet
description: {text}
triggers: [manual]
steps:
  - id: greet
    uses: moltflow.send
    with: {{ session: support-team, to: 15551230001@c.us, text: "{text}" }}
  - id: rest
    uses: wait
    with: {{ until: "2100-01-01T00:00:00Z" }}
  - id: after
    uses: set
    with: {{ said: "{text}" }}
"#
    )
}

/// Asks until `path` answers something of which `holds` is true.
async fn until(daemon: &Daemon, path: &str, holds: impl Fn(u16, &Value) -> bool) -> Value {
    let asking = async {
        loop {
            let answered = daemon.api().get(path).await;
            if holds(answered.status, &answered.body) {
                return answered.body;
            }
            tokio::task::yield_now().await;
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    asked.unwrap_or_else(|_| panic!("{path} never answered that; stderr:\n{}", daemon.stderr()))
}

async fn begin(daemon: &Daemon) -> String {
    let run = daemon.api().post("/api/v1/workflows/greet/runs", &json!({})).await;
    assert_eq!(run.status, 201, "{}", run.body);
    run.body["run_id"].as_str().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_are_served_at_once_and_running_runs_keep_their_plan() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("greet", &workflow("one"));
    let daemon = Daemon::start(&folder);
    let first = begin(&daemon).await;
    far.ledger().arrived(1).await;
    daemon.api().some_run_is("waiting").await;
    let one = daemon.api().get("/api/v1/workflows/greet").await.body;

    // As editors do: beside it, then in its place.
    folder.file("workflows/.greet.yaml.tmp", &workflow("two"));
    std::fs::rename(folder.path("workflows/.greet.yaml.tmp"), folder.path("workflows/greet.yaml")).unwrap();
    let two = until(&daemon, "/api/v1/workflows/greet", |_, body| body["description"] == "two").await;
    assert_ne!(one["digest"], two["digest"]);
    begin(&daemon).await;
    far.ledger().arrived(2).await;
    let counts = far.ledger().by_text();
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["one", "two"]);

    // Broken: the last good version is still served, and the API says so.
    folder.file("workflows/greet.yaml", "name: greet\nstepz: []\n");
    let list = until(&daemon, "/api/v1/workflows", |_, body| body["workflows"][0]["stale"] == true).await;
    assert_eq!(list["workflows"][0]["digest"], two["digest"], "{list:#}");
    assert!(list["problems"].as_array().unwrap().iter().any(|problem| problem["code"] == "unknown-key"), "{list:#}");
    begin(&daemon).await;
    far.ledger().arrived(3).await;
    assert_eq!(far.ledger().by_text()["two"], 2);
    assert_eq!(daemon.stderr().matches("last good version").count(), 1, "said once:\n{}", daemon.stderr());

    // What ran before any of this is as it was, also across a restart.
    assert_eq!(daemon.api().run(&first).await["status"], "waiting");
    folder.file("workflows/greet.yaml", &workflow("three"));
    until(&daemon, "/api/v1/workflows/greet", |_, body| body["description"] == "three" && body["stale"] == false).await;
    daemon.kill();
    let daemon = Daemon::start(&folder);
    let run = daemon.api().run(&first).await;
    assert_eq!((&run["status"], &run["steps"]["greet"]["status"]), (&json!("waiting"), &json!("succeeded")), "{run:#}");

    // Deleted, and there again.
    std::fs::remove_file(folder.path("workflows/greet.yaml")).unwrap();
    until(&daemon, "/api/v1/workflows/greet", |status, _| status == 404).await;
    assert_eq!(daemon.api().run(&first).await["status"], "waiting");
    folder.file("workflows/greet.yaml", &workflow("four"));
    until(&daemon, "/api/v1/workflows/greet", |_, body| body["description"] == "four").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_schedules_follow_the_files() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address());
    let daemon = Daemon::start(&folder);
    let message = json!({"event": "message", "session": "support-team", "timestamp": "2026-01-25T16:05:00Z",
        "data": {"id": "M1", "from": "15551234567@c.us", "body": "hello", "timestamp": 1706195400}});
    let post = async || daemon.api().webhook(message.to_string(), None).await.unwrap().body["accepted"].clone();
    assert_eq!(post().await, 0);

    let step = "steps: [{ id: s, uses: set, with: { a: 1 } }]\n";
    folder.file("workflows/hears.yaml", &format!("triggers: [{{ message: {{ session: support-team }} }}]\n{step}"));
    folder.file(
        "workflows/yearly.yaml",
        &format!("triggers: [{{ schedule: {{ cron: '@yearly', jitter: 30s }} }}]\n{step}"),
    );
    until(&daemon, "/api/v1/workflows/hears", |status, _| status == 200).await;
    assert_eq!(post().await, 1);
    assert_eq!(post().await, 0, "a redelivery");

    let listed =
        until(&daemon, "/api/v1/schedules", |_, body| body["schedules"].as_array().is_some_and(|s| !s.is_empty()))
            .await;
    let schedule = &listed["schedules"][0];
    assert_eq!((&schedule["workflow"], &schedule["cron"]), (&json!("yearly"), &json!("@yearly")), "{listed:#}");
    assert_eq!((&schedule["overlap"], &schedule["jitter_ms"]), (&json!("allow"), &json!(30_000)), "{listed:#}");
    assert!(schedule["next_at"].is_i64() && schedule["skipped"] == 0, "{listed:#}");
    let asked = folder.ask(daemon.url(), ["schedules", "--json"]).exits(0).json();
    assert_eq!(asked["schedules"], listed["schedules"], "the command shows what the API says");
    let table = folder.ask(daemon.url(), ["schedules"]).exits(0).stdout;
    assert!(table.contains("yearly") && table.contains("-01-01T00:00:00Z"), "{table}");

    folder.file(
        "workflows/yearly.yaml",
        &format!("enabled: false\ntriggers: [{{ schedule: {{ cron: '@yearly' }} }}]\n{step}"),
    );
    until(&daemon, "/api/v1/schedules", |_, body| body["schedules"] == json!([])).await;
    assert_eq!(daemon.terminate(), Some(0));
}
