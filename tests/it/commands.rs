//! The command line as scripts rely on it: exit codes, JSON on stdout, one daemon a database, an orderly end.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::folder::Finished;
use crate::support::load::{self, ANSWER_EACH};
use crate::support::{Answer, Daemon, Folder, GuideServer, Reserved, repository};

/// `moltrun run` of the workflow `answer-each` on one question.
fn run_once(folder: &Folder) -> Finished {
    let event = folder.file("event.json", &load::question("M1").to_string());
    let args = ["run", "workflows/answer-each.yaml", "--event", event.to_str().unwrap(), "--json"];
    folder.run(args)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_prints_one_document_and_exits_as_the_run_ended() {
    let cases: [(Option<Answer>, i32, &str); 3] = [
        (None, 0, "succeeded"),
        (Some(Answer::Refused { status: 404, error_code: "SESSION_NOT_FOUND" }), 1, "failed"),
        (Some(Answer::CutAfter), 5, "attention"),
    ];
    for (answer, code, status) in cases {
        let far = GuideServer::start();
        let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
        far.script(answer);
        let run = run_once(&folder).exits(code).json();
        let documented = ["run_id", "workflow", "status", "steps", "output", "duration_ms"].into();
        assert!(keys(&run).is_superset(&documented), "{run:#}");
        assert_eq!((&run["status"], &run["workflow"]), (&json!(status), &json!("answer-each")));
        assert_eq!(run["run_id"].as_str().map(str::len), Some(26));
        assert!(run["duration_ms"].is_u64(), "{run:#}");
        for step in ["question", "answer", "reply"] {
            let documented = ["status", "port", "output", "error", "attempts"].into();
            assert!(keys(&run["steps"][step]).is_superset(&documented), "{step}: {run:#}");
        }
        let answer = &run["steps"]["answer"];
        assert_eq!([&answer["port"], &answer["attempts"], &answer["error"]], [&json!("ok"), &json!(1), &Value::Null]);
        assert_eq!(answer["output"]["text"], "You asked: Hi, where is my order?");
        if status == "succeeded" {
            let reply = &run["steps"]["reply"]["output"];
            assert_eq!(*reply, json!({"message_id": "3EB000000000000000", "timestamp": 1706195400}));
        } else {
            assert!(run["steps"]["reply"]["error"]["code"].is_string(), "{run:#}");
            assert!(run["steps"]["reply"]["error"]["message"].is_string(), "{run:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_may_come_from_stdin() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let event = folder.file("event.json", &load::question("M1").to_string());
    let mut command = folder.command(["run", "workflows/answer-each.yaml", "--event", "-", "--json"]);
    command.stdin(std::fs::File::open(event).unwrap());
    let run = crate::support::folder::finish(&mut command).exits(0).json();
    assert_eq!((&run["status"], far.ledger().len()), (&json!("succeeded"), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_input_exits_2_and_touches_nothing() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    folder.file("wrong.yaml", "name: wrong\nsteps:\n  - { id: a, uses: filtr }\n");
    folder.file("broken.json", "{\"event\":");
    for args in [
        vec!["no-such-command"],
        vec!["run"],
        vec!["run", "wrong.yaml"],
        vec!["run", "workflows/answer-each.yaml", "--event", "broken.json"],
        vec!["graph", "wrong.yaml"],
        vec!["validate", "wrong.yaml"],
        vec!["validate", "--format", "xml", "workflows"],
    ] {
        let finished = folder.run(&args).exits(2);
        assert!(!(finished.stdout + &finished.stderr).is_empty(), "{args:?} says nothing");
    }
    assert_eq!(far.ledger().len(), 0);

    let no_such_variable = json!({"base_url": "http://127.0.0.1:1", "api_key": "${NOT_SET_ANYWHERE}"});
    for (key, value, named) in [
        ("databse", json!("x.db"), "database"),
        ("moltflow", no_such_variable, "NOT_SET_ANYWHERE"),
        // Open to the world without a token.
        ("server", json!({"listen": "0.0.0.0:0"}), "token"),
    ] {
        let folder = Folder::new(far.address()).configure(|config| config[key] = value);
        let finished = folder.run(["serve"]).exits(2);
        assert!(!finished.stdout.contains("listening on"), "{key}: {finished:#?}");
        assert!(finished.stderr.contains(named), "{key}: it must say {named}: {finished:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_listed_and_shown_by_the_daemon() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let daemon = Daemon::start(&folder);
    let posted = load::post_all(daemon.api().clone(), load::ids(7), 2).await;
    assert!(posted.iter().all(|post| post.status == Some(200)));
    daemon.api().settled(far.ledger()).await;

    let page = folder.ask(daemon.url(), ["runs", "list", "--limit", "5", "--json"]).exits(0).json();
    assert_eq!(keys(&page), ["runs", "next_cursor"].into());
    let cursor = page["next_cursor"].as_str().expect("there are more than five");
    let rest = folder.ask(daemon.url(), ["runs", "list", "--cursor", cursor, "--json"]).exits(0).json();
    assert_eq!(rest["next_cursor"], Value::Null);
    let runs: Vec<&Value> = [&page, &rest].iter().flat_map(|page| page["runs"].as_array().unwrap()).collect();
    let ids: BTreeSet<&str> = runs.iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!((runs.len(), ids.len()), (7, 7));
    for run in &runs {
        let documented = ["id", "workflow", "status", "trigger", "created_at", "finished_at"].into();
        assert!(keys(run).is_superset(&documented), "{run}");
    }

    let none = folder.ask(daemon.url(), ["runs", "list", "--status", "failed", "--json"]).exits(0).json();
    assert_eq!(none, json!({"runs": [], "next_cursor": null}));
    let none = folder.ask(daemon.url(), ["runs", "list", "--workflow", "another", "--json"]).exits(0).json();
    assert_eq!(none["runs"], json!([]));
    folder.ask(daemon.url(), ["runs", "list", "--status", "finished"]).exits(2);

    let id = runs[0]["id"].as_str().unwrap();
    let shown = folder.ask(daemon.url(), ["runs", "show", id, "--json"]).exits(0).json();
    assert_eq!((&shown["id"], &shown["status"]), (&json!(id), &json!("succeeded")));
    assert_eq!(shown["steps"]["reply"]["status"], "succeeded", "{shown:#}");
    assert_eq!(shown["event"]["event"], "message", "{shown:#}");
    assert_eq!(shown, daemon.api().run(id).await, "the command shows what the API says");

    let unknown = "00000000000000000000000000";
    folder.ask(daemon.url(), ["runs", "show", unknown]).exits(3);
    let problem = daemon.api().get(&format!("/api/v1/runs/{unknown}")).await;
    assert_eq!(problem.status, 404);
    assert!(problem.body["code"].is_string(), "{}", problem.body);

    // People get a table, and every id in it can be pasted.
    let table = folder.ask(daemon.url(), ["runs", "list"]).exits(0).stdout;
    assert!(ids.iter().all(|id| table.contains(id)), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_not_there_exits_4() {
    let nobody = Reserved::new();
    let folder = Folder::new(nobody.address());
    let url = format!("http://{}", nobody.address());
    for args in [["runs", "list"], ["runs", "show"]] {
        let mut args = args.to_vec();
        args.extend((args[1] == "show").then_some("00000000000000000000000000"));
        let finished = folder.ask(&url, &args).exits(4);
        assert!(finished.stderr.contains(&nobody.address().to_string()), "it must name the address: {finished:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_token_the_api_is_closed_and_the_hooks_are_open() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address())
        .configure(|config| config["server"]["token"] = json!("s3cret-token"))
        .workflow("answer-each", ANSWER_EACH);
    let daemon = Daemon::start(&folder);
    assert_eq!(daemon.api().get("/api/v1/runs").await.status, 401);
    assert_eq!(daemon.api().webhook(load::question("M1").to_string(), None).await.unwrap().status, 200);
    far.ledger().arrived(1).await;
    // The command reads the token from the same file.
    let listed = folder.ask(daemon.url(), ["runs", "list", "--json"]).exits(0).json();
    assert_eq!(listed["runs"].as_array().map(Vec::len), Some(1));
    assert!(!daemon.stderr().contains("s3cret-token"), "a secret is in the log");
}

#[test]
fn a_graph_is_printed_for_people_and_tools() {
    let folder = Folder::new(Reserved::new().address());
    let file = repository("workflows/support-reply.yaml");
    for (format, begins, edge) in [("mermaid", "flowchart", "-->"), ("dot", "digraph", "->")] {
        let graph = folder.run(["graph", file.to_str().unwrap(), "--format", format]).exits(0).stdout;
        assert!(graph.starts_with(begins), "{format}: {graph}");
        for step in ["question", "intent", "route", "page", "answer", "reply"] {
            assert!(graph.contains(step), "{format} has no {step}: {graph}");
        }
        assert!(graph.matches(edge).count() >= 5, "{format}: {graph}");
        for port in ["urgent", "else"] {
            assert!(graph.contains(port), "{format} does not name port {port}: {graph}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_database_has_one_daemon() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let first = Daemon::start(&folder);
    let second = folder.run(["serve"]);
    assert!(second.code.is_some_and(|code| code != 0), "{second:#?}");
    assert!(second.stderr.contains(&first.pid().to_string()), "it must name the first one's pid: {second:#?}");
    assert!(!second.stdout.contains("listening on"), "{second:#?}");
    // The first one never noticed.
    let answered = first.api().webhook(load::question("M1").to_string(), None).await.unwrap();
    assert_eq!(answered.status, 200);
    far.ledger().arrived(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_the_daemon_in_order_and_nothing_is_lost() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let idle = Daemon::start(&folder);
    assert_eq!(idle.terminate(), Some(0), "an idle daemon");

    // A step that is idempotent may be left where it is; a restart runs it again.
    far.model_answers(false);
    let busy = Daemon::start(&folder);
    let posted = load::post_all(busy.api().clone(), load::ids(10), 2).await;
    assert!(posted.iter().all(|post| post.status == Some(200)));
    assert_eq!(busy.terminate(), Some(0), "a busy daemon");
    far.model_answers(true);

    let daemon = Daemon::start(&folder);
    let runs = daemon.api().settled(far.ledger()).await;
    assert!(runs.len() == 10 && runs.iter().all(|run| run["status"] == "succeeded"), "{runs:#?}");
    assert_eq!(far.ledger().len(), 10);
}
