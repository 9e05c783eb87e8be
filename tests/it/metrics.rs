//! `GET /metrics`: what a monitoring system reads.

use crate::support::{Daemon, Folder, GuideServer, http_client, load};

async fn metrics(daemon: &Daemon) -> (u16, String) {
    let answer = http_client().get(format!("{}/metrics", daemon.url())).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_and_steps_are_counted_by_how_they_ended() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow(
        "ask",
        "triggers: [message]
steps:
  - {id: question, uses: filter, with: {when: \"'?' in event.data.body\"}}
  - {id: reply, uses: moltflow.send, with: {session: '{{ event.session }}', to: '{{ event.data.from }}', text: Soon.}}
",
    );
    let daemon = Daemon::start(&folder);
    for (id, body) in [("A", "When?"), ("B", "Where?"), ("C", "Thanks.")] {
        let message = load::message(id, "15551234567@c.us", body);
        daemon.api().webhook(message.to_string(), None).await.unwrap();
    }
    daemon.api().settled(far.ledger()).await;
    let (status, text) = metrics(&daemon).await;
    assert_eq!(status, 200);
    for line in [
        r#"moltrun_runs_ended_total{workflow="ask",status="succeeded"} 3"#,
        r#"moltrun_steps_ended_total{workflow="ask",uses="filter",result="succeeded"} 3"#,
        r#"moltrun_steps_ended_total{workflow="ask",uses="moltflow.send",result="succeeded"} 2"#,
        "moltrun_runs_at_work 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.contains("# TYPE moltrun_runs_ended_total counter"), "{text}");

    let guarded = folder.configure(|config| config["server"]["token"] = "s3cret-token".into());
    drop(daemon);
    assert_eq!(metrics(&Daemon::start(&guarded)).await.0, 401);
}
