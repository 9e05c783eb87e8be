//! What becomes of one message when its send goes wrong: `docs/outcomes.md`, line by line.

use serde_json::{Value, json};

use crate::support::guide_server::{EMAIL, PASSWORD};
use crate::support::{Answer, Daemon, Folder, GuideServer, Reserved, load};

/// One send and nothing else; `{extra}` is more keys of the step.
const SEND: &str = r#"
name: send
triggers:
  - message: {}
steps:
  - id: reply
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ event.data.from }}", text: "Re: {{ event.data.id }}" }
{extra}
"#;

fn send_with(extra: &str) -> String {
    SEND.replace("{extra}", extra)
}

/// One message through [`SEND`]: the run as the API shows it, once it has settled.
async fn one_message(far: &GuideServer, folder: &Folder) -> (Daemon, Value) {
    let daemon = Daemon::start(folder);
    let answered = daemon.api().webhook(load::question("M1").to_string(), None).await.unwrap();
    assert_eq!((answered.status, answered.body), (200, json!({"accepted": 1})));
    let runs = daemon.api().settled(far.ledger()).await;
    assert_eq!(runs.len(), 1);
    let run = daemon.api().run(runs[0]["id"].as_str().unwrap()).await;
    (daemon, run)
}

struct Case {
    name: &'static str,
    far: Vec<Answer>,
    step: &'static str,
    /// Of the run, and of its one step.
    status: [&'static str; 2],
    /// Of the step's error.
    code: Option<&'static str>,
    /// Requests to send that the far side saw, and messages it took.
    seen: [usize; 2],
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_the_far_side_has_its_outcome() {
    let retry = "    retry: { attempts: 3, initial: 10ms }";
    let held = ["attention", "held"];
    let sent = ["succeeded", "succeeded"];
    let failed = ["failed", "failed"];
    let refused = |status, error_code| vec![Answer::Refused { status, error_code }];
    let cases = [
        Case { name: "taken", far: vec![], step: "", status: sent, code: None, seen: [1, 1] },
        // The sender cannot tell these two apart, and neither may be sent again.
        Case { name: "cut after", far: vec![Answer::CutAfter], step: "", status: held, code: None, seen: [1, 1] },
        Case { name: "cut before", far: vec![Answer::CutBefore], step: "", status: held, code: None, seen: [1, 0] },
        Case {
            name: "a retry is for failures, not for unknown outcomes",
            far: vec![Answer::CutAfter],
            step: retry,
            status: held,
            code: None,
            seen: [1, 1],
        },
        Case { name: "garbage 200", far: vec![Answer::Garbage], step: "", status: held, code: None, seen: [1, 1] },
        Case {
            name: "a server error proves nothing",
            far: refused(500, "INTERNAL"),
            step: retry,
            status: held,
            code: None,
            seen: [1, 0],
        },
        Case {
            name: "resend: at least once",
            far: vec![Answer::CutAfter],
            step: "    on_unknown: resend",
            status: sent,
            code: None,
            seen: [2, 2],
        },
        Case {
            name: "skip: at most once",
            far: vec![Answer::CutAfter],
            step: "    on_unknown: skip",
            status: ["succeeded", "skipped"],
            code: None,
            seen: [1, 1],
        },
        Case {
            // The far side refuses again whoever comes too early, so two requests prove that the pause was kept.
            name: "429 waits and costs no attempt",
            far: vec![Answer::RateLimited { retry_after_s: 1 }],
            step: "",
            status: sent,
            code: None,
            seen: [2, 1],
        },
        Case {
            name: "403",
            far: refused(403, "PLAN_LIMIT_REACHED"),
            step: retry,
            status: failed,
            code: Some("moltflow.plan_limit_reached"),
            seen: [1, 0],
        },
        Case {
            name: "404",
            far: refused(404, "SESSION_NOT_FOUND"),
            step: "",
            status: failed,
            code: Some("moltflow.session_not_found"),
            seen: [1, 0],
        },
    ];
    for case in cases {
        let far = GuideServer::start();
        let folder = Folder::new(far.address()).workflow("send", &send_with(case.step));
        far.script(case.far);
        let (daemon, run) = one_message(&far, &folder).await;

        let reply = &run["steps"]["reply"];
        assert_eq!([&run["status"], &reply["status"]], case.status, "{}: {run:#}", case.name);
        if let Some(code) = case.code {
            let shown = folder.ask(daemon.url(), ["runs", "show", run["id"].as_str().unwrap(), "--json"]).exits(0);
            assert_eq!(shown.json()["steps"]["reply"]["error"]["code"], code, "{}", case.name);
        }
        assert_eq!([far.send_requests(), far.ledger().len()], case.seen, "{}: requests, messages", case.name);
        if case.status == held {
            assert!(reply["error"]["message"].is_string(), "{}: a person must read why: {run:#}", case.name);
            // A restart is no decision.
            daemon.kill();
            let daemon = Daemon::start(&folder);
            let runs = daemon.api().settled(far.ledger()).await;
            assert_eq!((runs.len(), &runs[0]["status"]), (1, &json!("attention")), "{}", case.name);
            assert_eq!(far.send_requests(), case.seen[0], "{}: sent again after a restart", case.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_resolves_what_is_held() {
    for (outcome, messages) in [("sent", 1), ("not-sent", 2)] {
        let far = GuideServer::start();
        let folder = Folder::new(far.address()).workflow("send", &send_with(""));
        far.script([Answer::CutAfter]);
        let (daemon, run) = one_message(&far, &folder).await;
        assert_eq!(run["status"], "attention");

        let id = run["id"].as_str().unwrap();
        folder.ask(daemon.url(), ["runs", "resolve", id, "--step", "reply", outcome]).exits(0);
        far.ledger().arrived(messages).await;
        let runs = daemon.api().settled(far.ledger()).await;
        assert_eq!(runs[0]["status"], "succeeded", "{outcome}");
        assert_eq!(far.ledger().len(), messages, "{outcome}");
    }
}

/// `not-sent` begins a new attempt, and while that is at work there is nothing left to resolve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_word_does_not_send_again() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("send", &send_with(""));
    far.script([Answer::CutAfter]);
    let (daemon, run) = one_message(&far, &folder).await;
    let id = run["id"].as_str().unwrap();

    far.hold_answers_after(1);
    let resolve = format!("/api/v1/runs/{id}/resolve");
    let word = json!({"step": "reply", "outcome": "not_sent"});
    let words = futures::future::join_all((0..8).map(|_| daemon.api().post(&resolve, &word))).await;
    let taken: Vec<u16> = words.iter().map(|answered| answered.status).filter(|status| *status == 204).collect();
    assert_eq!(taken.len(), 1, "{:?}", words.iter().map(|answered| answered.status).collect::<Vec<_>>());
    far.ledger().arrived(2).await;
    assert_eq!(daemon.api().run(id).await["steps"]["reply"]["status"], "running");
    folder.ask(daemon.url(), ["runs", "resolve", id, "--step", "reply", "skip"]).exits(2);

    far.release_answers();
    let runs = daemon.api().settled(far.ledger()).await;
    assert_eq!((&runs[0]["status"], far.send_requests()), (&json!("succeeded"), 2));
}

/// The attempt that a person asked for fails like any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_may_be_lost_again() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("send", &send_with(""));
    far.script([Answer::CutAfter, Answer::CutAfter]);
    let (daemon, run) = one_message(&far, &folder).await;
    let id = run["id"].as_str().unwrap();
    folder.ask(daemon.url(), ["runs", "resolve", id, "--step", "reply", "not-sent"]).exits(0);
    far.ledger().arrived(2).await;
    daemon.api().settled(far.ledger()).await;
    let run = daemon.api().run(id).await;
    assert_eq!([&run["status"], &run["steps"]["reply"]["status"]], ["attention", "held"], "{run:#}");
    assert_eq!(run["steps"]["reply"]["attempts"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_dies_while_the_far_side_is_silent_holds_the_message() {
    for (step, status, messages) in
        [("", "attention", 1), ("    on_unknown: skip", "succeeded", 1), ("    on_unknown: resend", "succeeded", 2)]
    {
        let far = GuideServer::start();
        let folder = Folder::new(far.address()).workflow("send", &send_with(step));
        far.hold_answers_after(0);
        let daemon = Daemon::start(&folder);
        daemon.api().webhook(load::question("M1").to_string(), None).await.unwrap();
        far.ledger().arrived(1).await;
        daemon.kill();
        far.release_answers();

        let daemon = Daemon::start(&folder);
        let runs = daemon.api().settled(far.ledger()).await;
        assert_eq!((&runs[0]["status"], far.ledger().len()), (&json!(status), messages), "step keys: {step:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_is_a_failure_that_may_be_retried() {
    let reserved = Reserved::new();
    let retry = "    retry: { attempts: 100, initial: 50ms, factor: 1, jitter: false }";
    let folder = Folder::new(reserved.address()).workflow("send", &send_with(retry));
    let daemon = Daemon::start(&folder);
    daemon.api().webhook(load::question("M1").to_string(), None).await.unwrap();
    daemon.api().some_run_is("waiting").await;

    let far = reserved.open();
    far.ledger().arrived(1).await;
    let runs = daemon.api().settled(far.ledger()).await;
    assert_eq!((&runs[0]["status"], far.ledger().len()), (&json!("succeeded"), 1));

    // Without `retry` it fails at once: nothing was done, so nobody has to decide.
    let nobody = Reserved::new();
    let folder = Folder::new(nobody.address()).workflow("send", &send_with(""));
    let (_daemon, run) = one_message(&far, &folder).await;
    assert_eq!([&run["status"], &run["steps"]["reply"]["status"]], ["failed", "failed"], "{run:#}");
    assert!(run["steps"]["reply"]["error"]["code"].is_string(), "{run:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_fails_is_asked_again_and_its_reply_sent_once() {
    let far = GuideServer::start();
    let workflow = load::ANSWER_EACH
        .replace("    uses: ai.prompt", "    uses: ai.prompt\n    retry: { attempts: 3, initial: 10ms }");
    let folder = Folder::new(far.address()).workflow("answer-each", &workflow);
    far.model_fails_with([500, 503]);
    let (_daemon, run) = one_message(&far, &folder).await;
    assert_eq!(run["status"], "succeeded", "{run:#}");
    assert_eq!(run["steps"]["answer"]["attempts"], 3, "{run:#}");
    assert_eq!((far.model_calls(), far.ledger().len()), (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_password_it_logs_in_once_and_refreshes_what_expired() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address())
        .configure(|config| {
            config["moltflow"] =
                json!({"base_url": config["moltflow"]["base_url"], "email": EMAIL, "password": PASSWORD});
        })
        .workflow("send", &send_with(""));
    let daemon = Daemon::start(&folder);
    let posted = load::post_all(daemon.api().clone(), load::ids(20), 4).await;
    assert!(posted.iter().all(|post| post.status == Some(200)));
    far.ledger().arrived(20).await;
    assert_eq!(far.authentications(), (1, 0), "(logins, refreshes): one login serves all callers");

    daemon.api().settled(far.ledger()).await;
    far.revoke_tokens();
    daemon.api().webhook(load::question("later").to_string(), None).await.unwrap();
    let runs = daemon.api().settled(far.ledger()).await;
    assert!(runs.iter().all(|run| run["status"] == "succeeded"), "{runs:#?}");
    assert_eq!((far.authentications(), far.ledger().len()), ((1, 1), 21), "((logins, refreshes), messages)");
}
