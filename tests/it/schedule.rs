//! A schedule on the real clock: each due instant once, also when the daemon is killed between two of them.

use crate::support::{Daemon, Folder, GuideServer};

/// Due every second, so that the test is soon over; each message names its instant.
const EVERY_SECOND: &str = r#"
name: every-second
triggers:
  - schedule: { cron: "* * * * * *", timezone: UTC, catch_up: all }
steps:
  - id: tell
    uses: moltflow.send
    with: { session: support-team, to: 15551230001@c.us, text: "{{ event.scheduled_at }}" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_instant_fires_once_across_kills() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("every-second", EVERY_SECOND);
    for _ in 0..3 {
        let daemon = Daemon::start(&folder);
        far.ledger().arrived(far.ledger().len() + 2).await;
        daemon.kill();
    }
    let daemon = Daemon::start(&folder);
    far.ledger().arrived(far.ledger().len() + 2).await;
    let runs = daemon.api().runs(None).await;
    daemon.kill();

    assert!(runs.iter().all(|run| run["trigger"] == "schedule"), "{runs:#?}");
    let counts = far.ledger().by_text();
    assert!(counts.values().all(|count| *count == 1), "an instant fired twice: {counts:?}");
    let instants: Vec<&String> = counts.keys().collect();
    assert!(instants.iter().all(|instant| instant.contains("T") && instant.len() >= 20), "{instants:?}");

    // `catch_up: all`: the seconds during which nothing ran were made up for. So every second from the first to the last
    // has its message, or a run that is still at work or held because a kill left its send unknown.
    let seconds = |instant: &str| instant.parse::<jiff::Timestamp>().unwrap().as_second();
    let span = seconds(instants[instants.len() - 1]) - seconds(instants[0]) + 1;
    let open = runs.iter().filter(|run| run["status"] != "succeeded").count();
    assert!(instants.len() + open >= span as usize, "{} of {span} seconds, {open} open: {instants:?}", instants.len());
    assert!(runs.iter().all(|run| run["status"] != "failed"), "{runs:#?}");
}
