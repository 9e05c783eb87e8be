//! The stream of a session's events.

use serde_json::json;

use super::runs_of;
use crate::support::{Daemon, Folder, GuideServer};

const LISTEN: &str = r#"
name: listen
triggers: [{ session_events: { session: support-team, when: event.data.status == 'working' } }]
steps:
  - { id: seen, uses: set, with: { event: "{{ event.event }}", session: "{{ event.session }}", status: "{{ event.data.status }}" } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_starts_runs() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("listen", LISTEN);
    let daemon = Daemon::start(&folder);
    // That far side tells the guide's whole story with every stream, and hangs up: its statuses are news once.
    daemon.says("the far side ended the stream").await;
    let run = runs_of(&daemon, "listen", 1).await.remove(0);
    assert_eq!(run["trigger"], "session_events");
    let seen = json!({"event": "session_status", "session": "support-team", "status": "working"});
    assert_eq!(run["steps"]["seen"]["output"], seen);
    // The key goes in the query of that one address, and nowhere else.
    assert!(!daemon.stderr().contains(crate::support::guide_server::API_KEY), "{}", daemon.stderr());
    assert_eq!(daemon.terminate(), Some(0));
}
