//! Workflows that run other workflows: by `call`, and after a failure.

use serde_json::{Value, json};

use crate::support::{Daemon, Folder, GuideServer};

const DOUBLE: &str = r#"
name: double
inputs:
  n: number
steps:
  - { id: not_negative, uses: filter, with: { when: inputs.n >= 0 } }
  - { id: negative, uses: fail, needs: [not_negative.rejected], with: { code: negative, message: "{{ inputs.n }} is negative" } }
output: { n: "{{ inputs.n * 2 }}" }
"#;

const OUTER: &str = r#"
name: outer
inputs:
  n: number
on_failure: alarm
steps:
  - { id: once, uses: call, with: { workflow: double, inputs: { n: "{{ inputs.n }}" } } }
  - { id: twice, uses: call, with: { workflow: double, inputs: { n: "{{ steps.once.n }}" } } }
output: "{{ steps.twice.n }}"
"#;

const ALARM: &str = r#"
name: alarm
steps:
  - id: tell
    uses: moltflow.send
    with: { session: support-team, to: "+15551230000", text: "{{ event.workflow }}: {{ event.failure.code }} in {{ event.step }}" }
"#;

fn folder(far: &GuideServer) -> Folder {
    // An output is a mapping.
    let outer = OUTER.replace("output: \"{{ steps.twice.n }}\"", "output: { n: \"{{ steps.twice.n }}\" }");
    Folder::new(far.address()).workflow("double", DOUBLE).workflow("outer", &outer).workflow("alarm", ALARM)
}

fn of_workflow<'a>(runs: &'a [Value], name: &str) -> Vec<&'a Value> {
    runs.iter().filter(|run| run["workflow"] == name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_gets_the_output_or_the_failure() {
    let far = GuideServer::start();
    let folder = folder(&far);
    let daemon = Daemon::start(&folder);
    let id = daemon.api().start("outer", &json!({"n": 5})).await;
    let run = daemon.api().reaches(&id, "succeeded").await;
    assert_eq!(run["output"], json!({"n": 20}), "{run:#}");
    let runs = daemon.api().runs(None).await;
    let called = of_workflow(&runs, "double");
    assert_eq!(called.len(), 2);
    for called in called {
        assert_eq!((&called["trigger"], &called["parent"]), (&json!("call"), &json!(id)));
        let shown = daemon.api().run(called["id"].as_str().unwrap()).await;
        assert_eq!((&shown["called_by"], &shown["event"]), (&json!(id), &json!({"event": "call"})));
    }

    let id = daemon.api().start("outer", &json!({"n": -1})).await;
    let run = daemon.api().reaches(&id, "failed").await;
    let error = &run["steps"]["once"]["error"];
    assert_eq!(error["code"], "call.failed", "{run:#}");
    assert!(error["message"].as_str().unwrap().contains("-1 is negative"), "{run:#}");
    far.ledger().arrived(1).await;
    assert_eq!(far.ledger().messages()[0].text, "outer: call.failed in once");
    let runs = daemon.api().settled(far.ledger()).await;
    let alarms = of_workflow(&runs, "alarm");
    assert_eq!((alarms.len(), &alarms[0]["trigger"]), (1, &json!("failure")));
    let event = &daemon.api().run(alarms[0]["id"].as_str().unwrap()).await["event"];
    assert_eq!((&event["event"], &event["run_id"]), (&json!("failure"), &json!(id)), "{event:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_finds_what_it_calls_beside_its_file() {
    let far = GuideServer::start();
    let folder = folder(&far);
    let run = |n: &str| folder.run(["run", "workflows/outer.yaml", "--input", n, "--json"]);
    let ended = run("n=3").exits(0);
    assert_eq!(ended.json()["output"], json!({"n": 12}), "{ended:#?}");
    assert!(ended.stderr.contains("double: "), "what a called run does is told, too: {}", ended.stderr);
    // The command stays until what a failure starts is over.
    run("n=-3").exits(1);
    assert_eq!(far.ledger().messages()[0].text, "outer: call.failed in once");

    std::fs::remove_file(folder.path("workflows/double.yaml")).unwrap();
    // Nothing is begun that cannot end well.
    let ended = run("n=3").exits(2);
    assert!(ended.stderr.contains("there is no workflow `double`"), "{ended:#?}");
}
