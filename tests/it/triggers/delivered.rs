//! What MoltFlow's webhook brings beside messages.

use serde_json::{Value, json};

use super::runs_of;
use crate::support::{Daemon, Folder, GuideServer};

const WATCH: &str = r#"
name: watch
triggers:
  - session_status: { session: support-team, status: [failed, qr_code] }
steps:
  - { id: seen, uses: set, with: { status: "{{ event.data.status }}" } }
"#;

const WELCOME: &str = r#"
name: welcome
triggers:
  - group_join: { group: 120363012345678901@g.us, when: event.data.participant != '15550000000@c.us' }
steps:
  - { id: seen, uses: set, with: { who: "{{ event.data.participant }}" } }
"#;

fn status(status: &str, at: u32) -> Value {
    json!({"event": "session_status", "session": "support-team", "timestamp": format!("2026-01-25T16:05:{at:02}Z"), "data": {"id": 42, "status": status}})
}

fn join(group: &str, who: &str) -> Value {
    json!({"event": "group_join", "session": "support-team", "timestamp": "2026-01-25T16:05:00Z", "data": {"group": group, "participant": who}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_and_joins_start_those_that_want_them_once_each() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("watch", WATCH).workflow("welcome", WELCOME);
    let daemon = Daemon::start(&folder);
    let five = (0..5).map(|_| daemon.api().webhook(status("failed", 1).to_string(), None));
    let answers = futures::future::join_all(five).await;
    let accepted: u64 = answers.into_iter().map(|answer| answer.unwrap().body["accepted"].as_u64().unwrap()).sum();
    assert_eq!(accepted, 1);
    for (event, accepted) in [
        (status("working", 2), 0),
        (status("failed", 3), 1),
        (join("120363012345678901@g.us", "15551234567@c.us"), 1),
        (join("120363012345678901@g.us", "15551234567@c.us"), 0),
        (join("120363012345678901@g.us", "15550000000@c.us"), 0),
        (join("120363098765432109@g.us", "15551234567@c.us"), 0),
    ] {
        let answered = daemon.api().webhook(event.to_string(), None).await.unwrap();
        assert_eq!((answered.status, answered.body), (200, json!({ "accepted": accepted })), "{event}");
    }
    let runs = runs_of(&daemon, "watch", 2).await;
    assert_eq!(
        (&runs[0]["trigger"], &runs[0]["steps"]["seen"]["output"]),
        (&json!("session_status"), &json!({"status": "failed"}))
    );
    let run = runs_of(&daemon, "welcome", 1).await.remove(0);
    assert_eq!(
        (&run["trigger"], &run["steps"]["seen"]["output"]),
        (&json!("group_join"), &json!({"who": "15551234567@c.us"}))
    );
}
