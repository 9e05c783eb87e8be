//! SIGTERM, as `contract.md` has it: no new events, steps at work may end within the grace period, the rest is journaled,
//! exit 0. Unlike a kill it leaves nothing to a person.

use serde_json::json;
use tokio::sync::watch;

use crate::support::{Answer, Api, Daemon, Fleet, Folder, GuideServer, PATIENCE, load};

const RESTARTS: usize = 10;

/// New messages in one life.
const NEW: usize = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_restarts_under_load_hold_nothing_lose_nothing_and_repeat_nothing() {
    let far = GuideServer::start();
    let folder = Fleet::folder(far.address());
    let mut fleet = Fleet::default();
    for life in 0..RESTARTS {
        far.model_fails_with([503]);
        far.script([Answer::RateLimited { retry_after_s: 0 }]);
        let daemon = Daemon::start(&folder);
        let before = far.ledger().len();
        let (count, mut taken) = watch::channel(0);
        let posting = fleet.post(daemon.api(), NEW, count);
        match life % 3 {
            0 => drop(taken.wait_for(|count| *count > life).await.unwrap()),
            1 => far.ledger().arrived(before + 3 * life).await,
            // At once: the first webhooks are on their way, and what the last life left is being taken up.
            _ => {}
        }
        assert_eq!(daemon.terminate(), Some(0), "life {life}");
        fleet.posted(posting).await;
    }
    let daemon = Daemon::start(&folder);
    fleet.finish(daemon.api()).await;
    let account = fleet.account(daemon.api(), &far).await;
    assert_eq!(account.held, 0, "an orderly stop is no reason to ask a person: {account:?}");
    assert_eq!(account.messages, RESTARTS * NEW);
}

/// One send and a step after it, with the far side silent: the send is at work as long as the test wants it to be.
async fn one_send_at_work(far: &GuideServer, folder: &Folder) -> Daemon {
    far.hold_answers_after(0);
    let daemon = Daemon::start(folder);
    let answered = daemon.api().webhook(load::question("M1").to_string(), None).await.unwrap();
    assert_eq!((answered.status, answered.body), (200, json!({"accepted": 1})));
    far.ledger().arrived(1).await;
    daemon
}

const SEND_TWICE: &str = r#"
triggers:
  - message: {}
steps:
  - id: first
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ event.data.from }}", text: "first" }
  - id: second
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ event.data.from }}", text: "second" }
"#;

/// Posts until the daemon takes no more: it answers 503, or nobody answers. What it still accepts stays accepted.
async fn until_it_takes_no_more(api: &Api) -> usize {
    let mut accepted = 0;
    loop {
        let body = load::message(&format!("late-{accepted}"), "15551234567@c.us", "Hi");
        match api.webhook(body.to_string(), None).await {
            Ok(answered) if answered.status == 200 => accepted += 1,
            Ok(answered) => {
                assert_eq!(answered.status, 503, "{answered:?}");
                assert!(answered.retry_after.is_some(), "a 503 says when to come again");
                return accepted;
            }
            Err(_) => return accepted,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_takes_no_new_events_and_lets_a_send_at_work_end() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("send-twice", SEND_TWICE);
    let daemon = one_send_at_work(&far, &folder).await;
    daemon.signal("TERM");
    daemon.says("stopping").await;
    let late = until_it_takes_no_more(daemon.api()).await;
    // It is still there, for the send is.
    far.release_answers();
    assert_eq!(daemon.ended(), Some(0));
    let sent = far.ledger().by_text();
    assert_eq!(sent["first"], 1, "{sent:?}");

    let daemon = Daemon::start(&folder);
    let runs = daemon.api().settled(far.ledger()).await;
    assert!(runs.iter().all(|run| run["status"] == "succeeded"), "{runs:#?}");
    let sent = far.ledger().by_text();
    assert_eq!((runs.len(), sent["first"], sent["second"]), (1 + late, 1 + late, 1 + late), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_grace_is_over_a_send_at_work_is_cut_off_and_held() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address())
        .configure(|config| config["engine"] = json!({"grace": "100ms"}))
        .workflow("send-twice", SEND_TWICE);
    let daemon = one_send_at_work(&far, &folder).await;
    assert_eq!(daemon.terminate(), Some(0));
    far.release_answers();
    let daemon = Daemon::start(&folder);
    let runs = daemon.api().settled(far.ledger()).await;
    assert_eq!((runs.len(), &runs[0]["status"], far.ledger().len()), (1, &json!("attention"), 1));
}

/// Whoever asks twice does not want to wait for the grace period.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let far = GuideServer::start();
        // Longer than the test waits for anything.
        let folder = Folder::new(far.address())
            .configure(|config| config["engine"] = json!({"grace": "1h"}))
            .workflow("send-twice", SEND_TWICE);
        let daemon = one_send_at_work(&far, &folder).await;
        daemon.signal(first);
        daemon.says("stopping").await;
        daemon.signal(second);
        assert_eq!(daemon.ended(), Some(130), "{first}, {second}");
        far.release_answers();
        let daemon = Daemon::start(&folder);
        let runs = daemon.api().settled(far.ledger()).await;
        assert_eq!((runs.len(), &runs[0]["status"], far.ledger().len()), (1, &json!("attention"), 1));
    }
}

/// The same in the foreground, where people press Ctrl-C until it helps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_in_the_foreground_is_ended_by_asking_again() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address())
        .configure(|config| config["engine"] = json!({"grace": "1h"}))
        .workflow("send-once", &SEND_TWICE.replace("{{ event.data.from }}", "15551234567@c.us"));
    far.hold_answers_after(0);
    let event = folder.file("event.json", &load::question("M1").to_string());
    let mut command = folder.command(["run", "workflows/send-once.yaml", "--event"]);
    let mut child = command.arg(event).spawn().unwrap();
    far.ledger().arrived(1).await;
    let ended = async {
        loop {
            if let Some(ended) = child.try_wait().unwrap() {
                return ended;
            }
            // Two that come together are one, so it is asked until it has understood.
            let asked = std::process::Command::new("sh").arg("-c").arg(format!("kill -INT {}", child.id())).status();
            assert!(asked.unwrap().success());
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("a second Ctrl-C did not end it");
    assert_eq!(ended.code(), Some(130));
}
