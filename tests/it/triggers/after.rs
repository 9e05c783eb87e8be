//! Workflows that begin after others.

use serde_json::json;

use super::{answered, post, runs_of};
use crate::support::{Daemon, Folder, GuideServer};

const IMPORT: &str = r#"
name: import
triggers: [{ webhook: { path: import } }]
steps:
  - { id: good, uses: filter, with: { when: "event.body.n > 0" } }
  - { id: bad, uses: fail, needs: [good.rejected], with: { code: too_small, message: "{{ event.body.n }} is too small" } }
  - { id: note, uses: set, needs: [good], with: { n: "{{ event.body.n }}" } }
output: { n: "{{ event.body.n }}" }
"#;

const REPORT: &str = r#"
name: report
triggers: [{ workflow: { name: import } }]
steps:
  - { id: told, uses: set, with: { status: "{{ event.status }}", output: "{{ event.output }}", error: "{{ event.error }}", of: "{{ event.workflow }}" } }
"#;

const ALARM: &str = r#"
name: alarm
triggers: [{ workflow: { name: import, status: failed } }]
steps:
  - { id: told, uses: set, with: { code: "{{ event.error.code }}" } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_starts_what_waits_for_it() {
    let far = GuideServer::start();
    let folder =
        Folder::new(far.address()).workflow("import", IMPORT).workflow("report", REPORT).workflow("alarm", ALARM);
    let daemon = Daemon::start(&folder);
    for n in [5, -1] {
        let (status, _) = answered(post(&daemon, "import", json!({ "n": n }).to_string())).await;
        assert_eq!(status, 200);
    }
    let reports = runs_of(&daemon, "report", 2).await;
    let told: Vec<_> = reports.iter().map(|run| run["steps"]["told"]["output"].clone()).collect();
    assert!(
        told.contains(&json!({"status": "succeeded", "output": {"n": 5}, "error": null, "of": "import"})),
        "{told:?}"
    );
    assert!(reports.iter().all(|run| run["trigger"] == "workflow"), "{reports:#?}");
    let alarm = runs_of(&daemon, "alarm", 1).await.remove(0);
    assert_eq!(alarm["steps"]["told"]["output"], json!({"code": "too_small"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_is_refused_before_it_turns() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address())
        .workflow("import", &IMPORT.replace("webhook: { path: import }", "workflow: { name: report }"))
        .workflow("report", REPORT);
    let checked = folder.run(["validate"]);
    assert_eq!(checked.code, Some(2), "{checked:#?}");
    let drawn = format!("{}{}", checked.stdout, checked.stderr);
    assert!(drawn.contains("these workflows start each other in a circle: import → report → import"), "{drawn}");
}
