//! The example workflows about sessions: the watchdog and the onboarding.

use serde_json::json;

use crate::examples::{ONCALL, folder, sent, shortened};
use crate::support::{Daemon, GuideServer};

fn status(session: &str, status: &str, at: &str) -> String {
    json!({"event": "session_status", "session": session, "timestamp": at, "data": {"status": status}}).to_string()
}

/// `workflows/session-watchdog.yaml`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watchdog_alerts_by_another_session_when_one_stays_down() {
    // Down for good, back before anybody looks, and the session that alerts itself.
    for (session, later, alerts) in
        [("support-team", "failed", 1), ("support-team", "working", 0), ("sales-bot", "failed", 0)]
    {
        let far = GuideServer::start();
        far.session_is("sales-bot", "working");
        let folder = shortened(&far, "session-watchdog", &[("for: 2m", "for: 1ms")]);
        let daemon = Daemon::start(&folder);
        far.session_is(session, later);
        let told = status(session, "failed", "2026-01-25T16:05:00Z");
        assert_eq!(daemon.api().webhook(told, None).await.unwrap().status, 200);
        // Scanning is not done by itself: `working` starts nothing.
        let back = daemon.api().webhook(status(session, "working", "2026-01-25T16:06:00Z"), None).await.unwrap();
        assert_eq!(back.body, json!({"accepted": 0}));
        daemon.api().settled(far.ledger()).await;
        let expected = (ONCALL.to_string(), "Session support-team is failed since 2026-01-25T16:05:00Z.".to_string());
        assert_eq!(sent(&far), vec![expected; alerts], "{session} {later}");
        assert!(far.ledger().messages().iter().all(|message| message.session == "sales-bot"));
    }
}

/// `workflows/session-onboarding.yaml`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn onboarding_shows_the_code_and_says_hello_once_it_is_scanned() {
    let far = GuideServer::start();
    let folder = folder(&far);
    let daemon = Daemon::start(&folder);
    let inputs = json!({"name": "reception", "owner": "+15551230000"});
    let id = daemon.api().start("session-onboarding", &inputs).await;
    daemon.api().reaches(&id, "waiting").await;
    far.session_is("reception", "qr_code");
    let shown = daemon.api().reaches_with(&id, |run| run["steps"]["code"]["status"] == "succeeded").await;
    assert!(shown["steps"]["code"]["output"]["qr"].as_str().unwrap().starts_with("data:image/png"), "{shown:#}");
    // A restart while somebody looks for the phone.
    drop(daemon);
    far.session_is("reception", "working");
    let daemon = Daemon::start(&folder);
    let run = daemon.api().reaches(&id, "succeeded").await;
    assert_eq!(run["steps"]["not_scanned"]["status"], "skipped", "{run:#}");
    assert_eq!(sent(&far), [(ONCALL.to_string(), "reception is connected.".to_string())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn onboarding_fails_with_what_to_do_when_nobody_scans() {
    let far = GuideServer::start();
    let folder = shortened(&far, "session-onboarding", &[("timeout: 30m", "timeout: 1s")]);
    let daemon = Daemon::start(&folder);
    let id = daemon.api().start("session-onboarding", &json!({"name": "reception", "owner": "+15551230000"})).await;
    daemon.api().reaches(&id, "waiting").await;
    far.session_is("reception", "qr_code");
    let run = daemon.api().reaches(&id, "failed").await;
    let why = run["steps"]["not_scanned"]["error"]["message"].as_str().unwrap();
    assert!(why.ends_with("delete the session and start again") && why.contains("qr_code"), "{run:#}");
    assert_eq!(sent(&far), []);
}
