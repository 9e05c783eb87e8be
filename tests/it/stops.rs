//! An orderly stop in the middle of sends: what is answered is known, what was not begun is not held, nothing goes out twice.

use serde_json::json;

use crate::support::{Daemon, Folder, GuideServer};

const ITEMS: usize = 60;

/// Several sends at a time, of one run, started by a schedule that will not fire again.
fn broadcast() -> String {
    let items: Vec<usize> = (0..ITEMS).collect();
    format!(
        r#"
name: broadcast
triggers: [manual]
vars: {{ items: {items:?} }}
steps:
  - id: message
    uses: moltflow.send
    for_each: {{ in: vars.items, concurrency: 4 }}
    with: {{ session: support-team, to: 15551230001@c.us, text: "number {{{{ item }}}}" }}
"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_a_broadcast_holds_nothing_and_repeats_nothing() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("broadcast", &broadcast());
    let daemon = Daemon::start(&folder);
    let run = daemon.api().post("/api/v1/workflows/broadcast/runs", &json!({})).await;
    assert_eq!(run.status, 201, "{}", run.body);

    let mut daemon = daemon;
    for stopped_at in [3, 17, 41] {
        far.ledger().arrived(stopped_at).await;
        assert_eq!(daemon.terminate(), Some(0));
        daemon = Daemon::start(&folder);
    }
    let runs = daemon.api().settled(far.ledger()).await;
    assert_eq!(runs[0]["status"], "succeeded", "{runs:#?}");
    let counts = far.ledger().by_text();
    assert_eq!((far.ledger().len(), counts.len()), (ITEMS, ITEMS), "{counts:?}");
}
