//! Runs that wait for somebody: an event, a person, the end of another run.

use serde_json::{Value, json};

use crate::support::{Answer, Daemon, Folder, GuideServer, load};

const CUSTOMER: &str = "15551234567@c.us";

const ASK: &str = r#"
name: ask
triggers:
  - message: { session: support-team, when: "'order' in event.data.body" }
steps:
  - id: answer
    uses: wait_for
    with: { when: "incoming.data.from == event.data.from and 'yes' in incoming.data.body", timeout: 1h }
  - id: reply
    uses: moltflow.send
    with: { session: support-team, to: "{{ event.data.from }}", text: "You said {{ steps.answer.data.body }}" }
"#;

const DECIDE: &str = r#"
name: decide
steps:
  - id: all
    for_each: { in: "[1, 2]", as: n, concurrency: 2, collect: steps.ask.comment }
    steps:
      - id: ask
        uses: approve
        with: { title: "Number {{ n }}?", details: { n: "{{ n }}" } }
      - { id: no, uses: set, needs: [ask.rejected], with: { n: "{{ n }}" } }
  - id: last
    uses: approve
    with: { title: "All of it?" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_answers_the_run_that_waits_for_it() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("ask", ASK);
    let daemon = Daemon::start(&folder);
    let deliver = async |daemon: &Daemon, id: &str, from: &str, body: &str| {
        let message = load::message(id, from, body).to_string();
        daemon.api().webhook(message, None).await.unwrap().body
    };
    // The text of the question says yes, too: it is no answer to itself, not even when it is delivered again.
    let question = "yes, where is my order?";
    assert_eq!(deliver(&daemon, "M1", CUSTOMER, question).await, json!({"accepted": 1}));
    daemon.api().some_run_is("waiting").await;
    assert_eq!(deliver(&daemon, "M1", CUSTOMER, question).await, json!({"accepted": 0}));
    assert_eq!(deliver(&daemon, "M2", CUSTOMER, "no").await, json!({"accepted": 0}));
    assert_eq!(deliver(&daemon, "M3", "15559999999@c.us", "yes").await, json!({"accepted": 0}));

    let id = daemon.api().runs(None).await[0]["id"].as_str().unwrap().to_string();
    let shown = folder.ask(daemon.url(), ["runs", "show", &id]).exits(0);
    assert!(shown.stdout.contains("waits for an event `message`"), "{}", shown.stdout);

    // It is a row: whoever has it goes on.
    daemon.kill();
    let daemon = Daemon::start(&folder);
    assert_eq!(deliver(&daemon, "M4", CUSTOMER, "yes please").await, json!({"accepted": 0, "delivered": 1}));
    assert_eq!(deliver(&daemon, "M4", CUSTOMER, "yes please").await, json!({"accepted": 0}));
    let run = daemon.api().reaches(&id, "succeeded").await;
    assert_eq!(run["steps"]["answer"]["output"]["data"]["id"], "M4", "{run:#}");
    assert_eq!(far.ledger().messages()[0].text, "You said yes please");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_decide_by_the_commands_that_they_are_shown() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("decide", DECIDE);
    let daemon = Daemon::start(&folder);
    let id = daemon.api().start("decide", &json!({})).await;
    daemon.api().reaches(&id, "waiting").await;

    let page = daemon.api().get("/api/v1/attention").await;
    assert_eq!((page.status, &page.body["next_cursor"]), (200, &Value::Null));
    let asked = &page.body["attention"][0];
    assert_eq!((&asked["run"], &asked["workflow"]), (&json!(id), &json!("decide")), "{}", page.body);
    let asked: Vec<Value> = asked["asked"]
        .as_array()
        .unwrap()
        .iter()
        .map(|asked| json!([asked["kind"], asked["step"], asked["items"], asked["title"], asked["details"]]))
        .collect();
    let expected = [1, 2].map(|n| json!(["approval", "ask", [n - 1], format!("Number {n}?"), {"n": n}]));
    assert_eq!(asked, expected);

    let shown = folder.ask(daemon.url(), ["runs", "show", &id]).exits(0).stdout;
    for item in 0..2 {
        let command = format!("moltrun runs approve {id} --step ask --item {item} [--reject]");
        assert!(shown.contains(&command), "{shown}");
    }
    let say = |more: &[&str]| folder.ask(daemon.url(), [&["runs", "approve", &id], more].concat());
    // Which of them?
    assert!(say(&["--step", "ask"]).exits(2).stderr.contains("--item"));
    say(&["--step", "asks", "--item", "0"]).exits(3);
    say(&["--step", "ask", "--item", "0.1"]).exits(2);
    say(&["--step", "ask", "--item", "one"]).exits(2);
    say(&["--step", "last"]).exits(2);
    say(&["--step", "ask", "--item", "0", "--by", "ana", "--comment", "fine"]).exits(0);
    say(&["--step", "ask", "--item", "0"]).exits(2);
    say(&["--step", "ask", "--item", "1", "--reject", "--comment", "not this one"]).exits(0);
    say(&["--step", "last"]).exits(0);
    let run = daemon.api().reaches(&id, "succeeded").await;
    let all = &run["steps"]["all"]["output"];
    assert_eq!(all["collected"], json!(["fine", "not this one"]), "{run:#}");
    assert_eq!(daemon.api().get("/api/v1/attention").await.body["attention"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attention_lists_what_is_held_page_by_page() {
    let far = GuideServer::start();
    let held = "name: held\ntriggers:\n  - message: {}\nsteps:\n  - id: reply\n    uses: moltflow.send\n    \
                with: { session: support-team, to: \"{{ event.data.from }}\", text: hi }\n";
    let folder = Folder::new(far.address()).workflow("held", held);
    let daemon = Daemon::start(&folder);
    far.script([Answer::CutAfter, Answer::CutAfter, Answer::CutAfter]);
    for id in ["M1", "M2", "M3"] {
        daemon.api().webhook(load::question(id).to_string(), None).await.unwrap();
    }
    daemon.api().settled(far.ledger()).await;
    let mut runs = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = daemon.api().get(&format!("/api/v1/attention?limit=2{cursor}")).await;
        runs.extend(page.body["attention"].as_array().unwrap().clone());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(runs.len(), 3, "{runs:#?}");
    assert!(runs.iter().all(|run| run["asked"][0]["kind"] == "held" && run["asked"][0]["step"] == "reply"));
    let id = runs[0]["run"].as_str().unwrap();
    folder.ask(daemon.url(), ["runs", "resolve", id, "--step", "reply", "sent"]).exits(0);
    daemon.api().reaches(id, "succeeded").await;
    assert_eq!(daemon.api().get("/api/v1/attention").await.body["attention"].as_array().unwrap().len(), 2);
    assert_eq!(daemon.api().get("/api/v1/attention?limit=1000").await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_in_the_foreground_ends_where_it_would_wait_for_somebody() {
    let far = GuideServer::start();
    let called = "name: outer\nsteps:\n  - { id: inner, uses: call, with: { workflow: decide } }\n";
    let folder = Folder::new(far.address()).workflow("ask", ASK).workflow("decide", DECIDE).workflow("outer", called);
    let event = folder.file("event.json", &load::question("M1").to_string());
    let run = |file: &str| {
        let file = format!("workflows/{file}.yaml");
        folder.run(["run", &file, "--event", event.to_str().unwrap(), "--json"]).exits(5)
    };
    for (file, said) in [
        ("ask", "waits for an event `message`"),
        ("decide", "--step ask --item 1 [--reject]"),
        ("outer", "--step ask --item 1 [--reject]"),
    ] {
        let ended = run(file);
        assert_eq!(ended.json()["status"], "waiting", "{ended:#?}");
        assert!(ended.stderr.contains(said) && ended.stderr.contains("moltrun serve"), "{ended:#?}");
    }
    let waits = &run("ask").json()["steps"]["answer"]["waits_for"];
    assert_eq!(*waits, json!({"event": "message"}));
}
