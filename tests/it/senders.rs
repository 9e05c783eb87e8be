//! Sender policies of a real daemon: a cap across a kill, a word that opts out, a session that goes and comes back.

use serde_json::{Value, json};

use crate::support::{Answer, Daemon, Folder, GuideServer, load};

const CUSTOMER: &str = "15551234567@c.us";

const HELLO: &str = r#"
name: hello
inputs: { text: { type: string } }
triggers:
  - manual: {}
steps:
  - id: send
    uses: moltflow.send
    with: { session: support-team, to: 15551234567@c.us, text: "{{ inputs.text }}" }
"#;

/// A zone in which it is about noon now: no test runs into a new day.
fn at_noon() -> String {
    let hour = jiff::Timestamp::now().as_second().rem_euclid(86_400) / 3_600;
    match hour - 12 {
        0 => "UTC".to_string(),
        west @ 1.. => format!("Etc/GMT+{west}"),
        east => format!("Etc/GMT-{}", -east),
    }
}

fn folder(far: &GuideServer, mut policy: Value) -> Folder {
    policy["pace"] = json!({"rate": "100/s", "burst": 10});
    policy["timezone"] = json!(at_noon());
    let folder = Folder::new(far.address()).workflow("hello", HELLO);
    folder.configure(|config| config["senders"] = json!({"support-team": policy}))
}

async fn say(daemon: &Daemon, text: &str) -> String {
    daemon.api().start("hello", &json!({"text": text})).await
}

async fn sender(daemon: &Daemon) -> Value {
    daemon.api().get("/api/v1/senders").await.body["senders"][0].clone()
}

/// Waits until this step is skipped or done, and says its error's code.
async fn code(daemon: &Daemon, run: &str) -> Value {
    daemon.api().reaches(run, "succeeded").await["steps"]["send"]["error"]["code"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_holds_across_a_kill() {
    let far = GuideServer::start();
    let folder = folder(&far, json!({"daily_cap": 3}));
    let daemon = Daemon::start(&folder);
    let mut waiting = Vec::new();
    for text in ["a", "b", "c"] {
        let run = say(&daemon, text).await;
        daemon.api().reaches(&run, "succeeded").await;
    }
    for text in ["d", "e"] {
        let run = say(&daemon, text).await;
        daemon.api().reaches(&run, "waiting").await;
        waiting.push(run);
    }
    daemon.kill();

    let daemon = Daemon::start(&folder);
    let run = say(&daemon, "f").await;
    daemon.api().reaches(&run, "waiting").await;
    waiting.push(run);
    assert_eq!(far.ledger().len(), 3);
    let shown = sender(&daemon).await;
    assert_eq!((&shown["today"]["sent"], &shown["today"]["cap"]), (&json!(3), &json!(3)), "{shown:#}");
    assert_eq!(shown["waiting"]["by_reason"], json!({"sender.daily_cap": 3}), "{shown:#}");
    let lines = folder.ask(daemon.url(), ["senders"]).exits(0).stdout;
    assert!(lines.contains("3 of 3") && lines.contains("3 sender.daily_cap") && lines.contains(&waiting[0]), "{lines}");

    // One that is cancelled waits no longer.
    folder.ask(daemon.url(), ["runs", "cancel", &waiting[0]]).exits(0);
    daemon.api().reaches(&waiting[0], "cancelled").await;
    assert_eq!(sender(&daemon).await["waiting"]["total"], 2);
    daemon.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_the_word_is_told_once_and_left_alone() {
    let far = GuideServer::start();
    let words = json!({"words": ["stop"], "reply": "You are unsubscribed.", "start_words": ["start"]});
    let folder = folder(&far, json!({"opt_out": words}));
    let daemon = Daemon::start(&folder);
    let hear = async |id: &str, body: &str| {
        let message = load::message(id, CUSTOMER, body).to_string();
        daemon.api().webhook(message, None).await.unwrap().body["accepted"].as_u64().unwrap()
    };
    // The same delivery five times, in parallel.
    let five = [(); 5].map(|()| hear("M1", "STOP."));
    let accepted: u64 = futures::future::join_all(five).await.into_iter().sum();
    assert_eq!(accepted, 1);
    far.ledger().arrived(1).await;
    let run = say(&daemon, "a broadcast").await;
    assert_eq!(code(&daemon, &run).await, json!("sender.opted_out"));
    let listed = folder.ask(daemon.url(), ["senders", "opt-outs", "support-team"]).exits(0).stdout;
    assert!(listed.contains(CUSTOMER) && listed.contains("stop"), "{listed}");
    // It outlives the process, and only their own word (or a person) ends it.
    daemon.kill();
    let daemon = Daemon::start(&folder);
    let run = say(&daemon, "another").await;
    assert_eq!(code(&daemon, &run).await, json!("sender.opted_out"));
    folder.ask(daemon.url(), ["senders", "opt-in", "support-team", "+1 555 123 4567"]).exits(0);
    let run = say(&daemon, "a third").await;
    daemon.api().reaches(&run, "succeeded").await;
    let texts: Vec<_> = far.ledger().messages().into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["You are unsubscribed.", "a third"]);
    folder.ask(daemon.url(), ["senders", "opt-out", "nobody", CUSTOMER]).exits(3);
    daemon.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_comes_back_sends_what_waited_once() {
    let far = GuideServer::start();
    let folder = folder(&far, json!({}));
    let daemon = Daemon::start(&folder);
    let status = async |status: &str| {
        far.session_is("support-team", status);
        let event = json!({
            "event": "session_status", "session": "support-team", "timestamp": "2026-01-25T16:05:00Z",
            "data": {"status": status},
        });
        assert_eq!(daemon.api().webhook(event.to_string(), None).await.unwrap().status, 200);
    };
    status("failed").await;
    let mut runs = Vec::new();
    for text in ["a", "b", "c"] {
        let run = say(&daemon, text).await;
        daemon.api().reaches(&run, "waiting").await;
        runs.push(run);
    }
    let shown = sender(&daemon).await;
    assert_eq!((&shown["status"], far.ledger().len()), (&json!("failed"), 0), "{shown:#}");
    assert_eq!(shown["waiting"]["by_reason"], json!({"sender.session_not_working": 3}), "{shown:#}");
    status("working").await;
    for run in &runs {
        daemon.api().reaches(run, "succeeded").await;
    }
    // Nobody told of this: the refusal does, in words that only the status explains.
    far.session_is("support-team", "qr_code");
    far.script([Answer::Refused { status: 409, error_code: "SOMETHING_ELSE" }]);
    let run = say(&daemon, "d").await;
    daemon.api().reaches(&run, "waiting").await;
    assert_eq!(sender(&daemon).await["waiting"]["by_reason"], json!({"sender.session_not_working": 1}));
    far.session_is("support-team", "working");
    daemon.api().reaches(&run, "succeeded").await;
    let mut texts: Vec<_> = far.ledger().messages().into_iter().map(|message| message.text).collect();
    texts.sort();
    assert_eq!(texts, ["a", "b", "c", "d"]);
    daemon.kill();
}

/// Whoever says it again is not told again, and a foreground run knows who is out, though its journal is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_opted_out_is_told_once_and_gets_nothing_from_a_run_in_the_foreground_either() {
    let far = GuideServer::start();
    let folder = folder(
        &far,
        json!({"opt_out": {"words": ["stop"], "reply": "You are out.", "start_words": ["start"], "start_reply": "Welcome."}}),
    );
    let daemon = Daemon::start(&folder);
    for (number, word) in ["start", "stop", "stop", "Stop!"].iter().enumerate() {
        let mut message = load::message(&format!("W{number}"), CUSTOMER, word);
        message["data"]["timestamp"] = json!(1_706_197_500 + number);
        assert_eq!(daemon.api().webhook(message.to_string(), None).await.unwrap().status, 200);
    }
    daemon.api().settled(far.ledger()).await;
    let texts: Vec<_> = far.ledger().messages().into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["You are out."]);
    let run = folder.run(["run", "workflows/hello.yaml", "--input", "text=hi", "--json"]).exits(0).json();
    assert_eq!(run["steps"]["send"]["error"]["code"], "sender.opted_out", "{run:#}");
    assert_eq!(far.ledger().len(), 1);
}
