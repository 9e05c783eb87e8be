//! What `runs show` tells a person: what is held and how to name it, and nothing that acts on the terminal.

use regex::Regex;

use crate::support::{Answer, Daemon, Folder, GuideServer, load};

const TO_EACH: &str = "
name: to-each
triggers: [{ message: { session: support-team } }]
steps:
  - id: each
    uses: moltflow.send
    for_each: { in: range(3), concurrency: 1 }
    with: { session: support-team, to: 15551234567@c.us, text: 'number {{ item }}' }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_item_is_named_and_a_customers_text_is_only_text() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("to-each", TO_EACH);
    far.script([Answer::CutAfter]);
    let daemon = Daemon::start(&folder);
    let hostile = "\u{1b}[2J\u{9b}1m\u{202e}run succeeded";
    let message = load::message("M1", "15551234567@c.us", hostile);
    assert_eq!(daemon.api().webhook(message.to_string(), None).await.unwrap().status, 200);
    let runs = daemon.api().settled(far.ledger()).await;
    let id = runs[0]["id"].as_str().unwrap();

    let shown = folder.ask(daemon.url(), ["runs", "show", id]).exits(0).stdout;
    let command = format!("moltrun runs resolve {id} --step each --item 0 sent|not-sent|skip\n");
    assert!(shown.contains(&command), "{shown}");
    assert!(shown.contains("\\u001b[2J\\u009b1m\\u202erun succeeded"), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{shown}");
    let time = Regex::new(r"created \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z by message").unwrap();
    assert!(time.is_match(&shown), "{shown}");
    let whole = folder.ask(daemon.url(), ["runs", "show", id, "--json"]).exits(0).json();
    assert_eq!(whole["event"]["data"]["body"], hostile);

    let unnamed = folder.ask(daemon.url(), ["runs", "resolve", id, "--step", "each", "sent"]).exits(2).stderr;
    assert!(unnamed.contains("step `each` is not held") && unnamed.contains("--item"), "{unnamed}");
    let other = folder.ask(daemon.url(), ["runs", "resolve", id, "--step", "each", "--item", "1", "sent"]).exits(2);
    assert!(other.stderr.contains("step `each[1]` is not held"), "{other:?}");
    folder.ask(daemon.url(), ["runs", "resolve", id, "--step", "each", "--item", "0", "sent"]).exits(0);
    let runs = daemon.api().settled(far.ledger()).await;
    assert_eq!((&runs[0]["status"], far.ledger().len()), (&"succeeded".into(), 3));
}
