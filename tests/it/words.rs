//! What a person may say to a run beside its held steps: stop, and again.

use serde_json::json;

use crate::support::{Answer, Daemon, Folder, GuideServer};

const PARKED: &str =
    "name: parked\nsteps:\n  - { id: pause, uses: wait, with: { for: 9d } }\n  - { id: after, uses: set }\n";

const CHAIN: &str = r#"
name: chain
steps:
  - { id: first, uses: state.increment, with: { key: first } }
  - id: second
    uses: moltflow.send
    with: { session: support-team, to: "+15551234567", text: "{{ steps.first.value }}" }
  - { id: third, uses: state.increment, with: { key: third } }
output: { first: "{{ steps.first.value }}", third: "{{ steps.third.value }}" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_run_begins_nothing_more() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("parked", PARKED);
    let daemon = Daemon::start(&folder);
    let id = daemon.api().start("parked", &json!({})).await;
    daemon.api().reaches(&id, "waiting").await;
    folder.ask(daemon.url(), ["runs", "cancel", &id, "--reason", "changed my mind"]).exits(0);
    let run = daemon.api().reaches(&id, "cancelled").await;
    assert_eq!(run["failure"], json!({"code": "run.cancelled", "message": "changed my mind"}), "{run:#}");
    let shown = folder.ask(daemon.url(), ["runs", "show", &id]).exits(0).stdout;
    assert!(shown.contains("run.cancelled: changed my mind"), "{shown}");
    // There is nothing left to cancel, and no such run.
    folder.ask(daemon.url(), ["runs", "cancel", &id]).exits(2);
    folder.ask(daemon.url(), ["runs", "cancel", "00000000000000000000000000"]).exits(3);
    let answered = daemon.api().post(&format!("/api/v1/runs/{id}/cancel"), &json!({})).await;
    assert_eq!((answered.status, &answered.body["code"]), (409, &json!("ended")));
    let again = daemon.api().start("parked", &json!({})).await;
    daemon.api().reaches(&again, "waiting").await;
    assert_eq!(daemon.api().post(&format!("/api/v1/runs/{again}/retry"), &json!({})).await.body["code"], "not_ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_run_goes_on_from_what_failed_or_from_a_step() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("chain", CHAIN);
    let daemon = Daemon::start(&folder);
    far.script([Answer::Refused { status: 404, error_code: "SESSION_NOT_FOUND" }]);
    let id = daemon.api().start("chain", &json!({})).await;
    daemon.api().reaches(&id, "failed").await;

    let retry = |more: &[&str]| folder.ask(daemon.url(), [&["runs", "retry", &id], more].concat());
    retry(&["--from", "nope"]).exits(3);
    retry(&[]).exits(0);
    let run = daemon.api().reaches_again(&id, "succeeded").await;
    // What had succeeded is not done again.
    assert_eq!(run["output"], json!({"first": 1, "third": 1}), "{run:#}");
    assert_eq!(far.ledger().len(), 1);
    let refused = retry(&[]).exits(2);
    assert!(refused.stderr.contains("nothing"), "{refused:#?}");

    retry(&["--from", "third"]).exits(0);
    far.ledger().arrived(1).await;
    let run = daemon.api().reaches_with(&id, |run| run["output"]["third"] == 2).await;
    assert_eq!((&run["output"]["first"], far.ledger().len()), (&json!(1), 1), "{run:#}");
}
