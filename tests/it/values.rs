//! What outlives a run: values, keys of `once`, and the end of it.

use serde_json::json;

use crate::support::{Daemon, Folder, GuideServer};

const COUNT: &str = r#"
name: count
steps:
  - { id: before, uses: state.get, with: { key: seen } }
  - { id: up, uses: state.increment, with: { key: seen, by: 2 } }
  - { id: after, uses: state.get, with: { key: seen } }
  - { id: note, uses: state.set, with: { key: "note:{{ steps.up.value }}", value: { at: "{{ steps.up.value }}" } } }
  - { id: gone, uses: state.delete, with: { key: "note:{{ steps.before.value or 0 }}" } }
output: { before: "{{ steps.before.value }}", after: "{{ steps.after.value }}", gone: "{{ steps.gone.value }}" }
"#;

const ONCE: &str = r#"
name: once
inputs: { who: string }
steps:
  - id: greet
    uses: moltflow.send
    once: { key: "greeting:{{ inputs.who }}" }
    with: { session: support-team, to: "{{ inputs.who }}", text: hello }
"#;

const LATE: &str = "name: late\ntimeout: 50ms\nsteps:\n  - { id: pause, uses: wait, with: { for: 9d } }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_kept_across_runs_and_restarts() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("count", COUNT);
    let mut daemon = Daemon::start(&folder);
    for (round, gone) in [(0, json!(null)), (1, json!({"at": 2})), (2, json!({"at": 4}))] {
        let id = daemon.api().start("count", &json!({})).await;
        let run = daemon.api().reaches(&id, "succeeded").await;
        let before = if round == 0 { json!(null) } else { json!(round * 2) };
        assert_eq!(run["output"], json!({"before": before, "after": round * 2 + 2, "gone": gone}), "{run:#}");
        daemon.kill();
        daemon = Daemon::start(&folder);
    }
    // Many at once, and none is lost.
    let runs = futures::future::join_all((0..40).map(async |_| daemon.api().start("count", &json!({})).await)).await;
    let mut sums = Vec::new();
    for id in runs {
        sums.push(daemon.api().reaches(&id, "succeeded").await["steps"]["up"]["output"]["value"].as_i64().unwrap());
    }
    sums.sort_unstable();
    assert_eq!(sums, (0..40).map(|run| 8 + run * 2).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_with_once_succeeds_once_a_key() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("once", ONCE);
    let daemon = Daemon::start(&folder);
    let start = async |who: &str| daemon.api().start("once", &json!({"who": who})).await;
    let mut skipped = 0;
    for who in ["+15551230001", "+15551230002", "+15551230001", "+15551230001"] {
        let run = daemon.api().reaches(&start(who).await, "succeeded").await;
        skipped += usize::from(run["steps"]["greet"]["reason"] == "repeated");
    }
    assert_eq!((far.ledger().len(), skipped), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_takes_too_long_fails() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("late", LATE);
    let daemon = Daemon::start(&folder);
    let run = daemon.api().reaches(&daemon.api().start("late", &json!({})).await, "failed").await;
    assert_eq!(run["failure"]["code"], "run.timeout", "{run:#}");
    // In the foreground, too.
    let ended = folder.run(["run", "workflows/late.yaml"]).exits(1);
    assert!(ended.stdout.contains("run.timeout"), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_runs_are_forgotten_when_their_time_is_over() {
    let far = GuideServer::start();
    let kept = COUNT.replace("name: count", "name: kept\nretention: 30d");
    let folder = Folder::new(far.address()).workflow("count", COUNT).workflow("kept", &kept);
    let folder = folder.configure(|config| config["engine"] = json!({"retention": "1ms"}));
    let daemon = Daemon::start(&folder);
    let mut ids = Vec::new();
    for workflow in ["count", "kept", "count"] {
        let id = daemon.api().start(workflow, &json!({})).await;
        // It may be gone already.
        ids.push(id);
    }
    let left = daemon.api().runs_are(|runs| runs.len() == 1 && runs[0]["status"] == "succeeded").await;
    assert_eq!(left[0]["id"], json!(ids[1]));
    assert_eq!(daemon.api().get(&format!("/api/v1/runs/{}", ids[0])).await.status, 404);
}
