//! Components that are dropped into the plugins folder while the real daemon runs: loaded, replaced, broken, removed; and what
//! their steps write for people.

use serde_json::{Value, json};

use crate::support::guest::Guest;
use crate::support::{Daemon, Folder, GuideServer, PATIENCE};

const USES: &str = "
name: uses
triggers: [manual]
steps:
  - { id: act, uses: crm/act }
  - { id: after, uses: set, with: { version: '{{ steps.act.version }}' } }
";

fn folder(far: &GuideServer) -> Folder {
    let folder = Folder::new(far.address());
    std::fs::create_dir(folder.path("plugins")).unwrap();
    folder
}

/// As `cp` does it.
fn put(folder: &Folder, name: &str, bytes: &[u8]) {
    std::fs::write(folder.path(format!("plugins/{name}.wasm")), bytes).unwrap();
}

/// What the API says at `path` once this holds of it.
async fn until(daemon: &Daemon, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let answered = daemon.api().get(path).await;
            if holds(&answered.body) {
                return answered.body;
            }
            tokio::task::yield_now().await;
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    asked.unwrap_or_else(|_| panic!("{path} never answered that; stderr:\n{}", daemon.stderr()))
}

/// The plugin once this holds of it, or null while there is none.
async fn plugin(daemon: &Daemon, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let of = |body: &Value| {
        let found = body["plugins"].as_array().and_then(|all| all.iter().find(|plugin| plugin["name"] == name));
        found.cloned().unwrap_or(Value::Null)
    };
    of(&until(daemon, "/api/v1/plugins", |body| holds(&of(body))).await)
}

/// What `uses` hands on now.
async fn answers(daemon: &Daemon) -> Value {
    let run = daemon.api().start("uses", &json!({})).await;
    daemon.api().reaches(&run, "succeeded").await["steps"]["after"]["output"]["version"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_used_as_soon_as_it_is_there_and_as_long_as_it_works() {
    let far = GuideServer::start();
    let folder = folder(&far).workflow("uses", USES);
    let daemon = Daemon::start(&folder);
    assert_eq!(daemon.api().get("/api/v1/workflows/uses").await.status, 404, "there is no such step yet");
    let bundled = plugin(&daemon, "keyword-score", |plugin| !plugin.is_null()).await;
    assert_eq!((&bundled["origin"], &bundled["status"]), (&json!("bundled"), &json!("ok")), "{bundled:#}");

    // It comes, and the workflow that waits for it is served.
    let one = Guest { version: "1.0.0", answer: r#"{"version": 1}"#, host: "api.crm.example:443", ..Guest::default() };
    put(&folder, "crm", &one.component());
    let shown = plugin(&daemon, "crm", |plugin| !plugin.is_null()).await;
    assert_eq!(
        (&shown["status"], &shown["origin"], &shown["version"]),
        (&json!("ok"), &json!("file"), &json!("1.0.0"))
    );
    assert_eq!(
        shown["steps"],
        json!([{"name": "crm/act", "summary": "a step of a test", "effect": "pure", "ports": ["ok"]}])
    );
    assert_eq!(
        (&shown["asks"]["http"], &shown["grant"]["http"]),
        (&json!(["api.crm.example:443"]), &json!([])),
        "{shown:#}"
    );
    assert_eq!(shown["not_granted"].as_array().map(Vec::len), Some(1), "{shown:#}");
    assert_eq!((&shown["size"], shown["sha256"].as_str().unwrap().len()), (&json!(one.component().len()), 64));
    until(&daemon, "/api/v1/workflows/uses", |body| body["stale"] == false).await;
    assert_eq!(answers(&daemon).await, 1);

    // Another version.
    put(&folder, "crm", &Guest { version: "2.0.0", answer: r#"{"version": 2}"#, ..Guest::default() }.component());
    plugin(&daemon, "crm", |plugin| plugin["version"] == "2.0.0").await;
    assert_eq!(answers(&daemon).await, 2);

    // A broken one: the last good version stays, and the reason is said once.
    put(&folder, "crm", b"no component");
    let broken = plugin(&daemon, "crm", |plugin| plugin["status"] == "stale").await;
    assert_eq!(
        (&broken["version"], &broken["reason"]),
        (&json!("2.0.0"), &json!("the file is not WebAssembly")),
        "{broken:#}"
    );
    let listed = daemon.api().get("/api/v1/workflows").await.body;
    let problem = &listed["problems"][0];
    assert!(problem["code"] == "plugin" && problem["file"].as_str().unwrap().ends_with("crm.wasm"), "{listed:#}");
    assert_eq!((answers(&daemon).await, daemon.stderr().matches("the file is not WebAssembly").count()), (json!(2), 1));
    let doctor = folder.ask(daemon.url(), ["doctor"]).stdout;
    assert!(doctor.contains("`crm` cannot be loaded: the file is not WebAssembly"), "{doctor}");

    // One that no longer has the step: the workflow stays as it was, with the step as it was, and says so.
    put(&folder, "crm", &Guest { version: "3.0.0", step: "other", ..Guest::default() }.component());
    plugin(&daemon, "crm", |plugin| plugin["version"] == "3.0.0" && plugin["status"] == "ok").await;
    until(&daemon, "/api/v1/workflows/uses", |body| body["stale"] == true).await;
    let listed = daemon.api().get("/api/v1/workflows").await.body;
    assert_eq!(listed["problems"][0]["code"], "unknown-step-type", "{listed:#}");
    assert_eq!(answers(&daemon).await, 2);

    put(&folder, "crm", &Guest { version: "4.0.0", answer: r#"{"version": 4}"#, ..Guest::default() }.component());
    until(&daemon, "/api/v1/workflows/uses", |body| body["stale"] == false).await;
    assert_eq!(answers(&daemon).await, 4);

    // Removed: who uses it already goes on, and the checker says that it is gone.
    std::fs::remove_file(folder.path("plugins/crm.wasm")).unwrap();
    let gone = plugin(&daemon, "crm", |plugin| plugin["status"] == "stale").await;
    assert_eq!(gone["reason"], "its file was removed", "{gone:#}");
    until(&daemon, "/api/v1/workflows/uses", |body| body["stale"] == true).await;
    assert_eq!(answers(&daemon).await, 4);
    assert_eq!(daemon.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_takes_the_place_of_a_bundled_plugin_until_it_goes() {
    let far = GuideServer::start();
    let folder = folder(&far);
    let daemon = Daemon::start(&folder);
    put(&folder, "keyword-score", &Guest::default().component());
    plugin(&daemon, "keyword-score", |plugin| plugin["origin"] == "file").await;
    std::fs::remove_file(folder.path("plugins/keyword-score.wasm")).unwrap();
    let bundled = plugin(&daemon, "keyword-score", |plugin| plugin["origin"] == "bundled").await;
    assert_eq!(bundled["status"], "ok", "{bundled:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_writes_and_why_it_fails_is_shown() {
    const EACH: &str = "
name: each
triggers: [manual]
steps:
  - { id: tells, uses: tells/act }
  - { id: all, uses: tells/act, for_each: { in: range(40), concurrency: 1 } }
  - { id: fails, uses: fails/act }
  - { id: handled, uses: set, needs: [fails.error], with: { left: '{{ errors.fails.details.left }}' } }
";
    let far = GuideServer::start();
    let folder = folder(&far).workflow("each", EACH);
    put(&folder, "tells", &Guest { line: "looking\nfor it", ..Guest::default() }.component());
    put(&folder, "fails", &Guest { answer: "", line: "not found", ..Guest::default() }.component());
    let daemon = Daemon::start(&folder);
    let run = daemon.api().start("each", &json!({})).await;
    let report = daemon.api().reaches(&run, "succeeded").await;
    let steps = &report["steps"];
    let line = &steps["tells"]["log"][0];
    assert_eq!(
        (&line["level"], &line["step"], &line["attempt"]),
        (&json!("info"), &json!("tells"), &json!(1)),
        "{report:#}"
    );
    assert!(line["text"].as_str().unwrap().starts_with("looking"), "{line:#}");
    assert_eq!((&steps["all"]["log_lines"], steps["all"]["log"].as_array().unwrap().len()), (&json!(40), 8));
    assert_eq!(
        (&steps["fails"]["error"]["details"], &steps["handled"]["output"]),
        (&json!({"left": 3}), &json!({"left": 3}))
    );

    let shown = folder.ask(daemon.url(), ["runs", "show", &run]).exits(0).stdout;
    let hint = format!("(32 earlier lines: moltrun runs log {run} --step all)");
    for expected in [hint.as_str(), "all[39]  info   looking", "info   not found", r#"details {"left":3}"#] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    let all = folder.ask(daemon.url(), ["runs", "log", &run]).exits(0).stdout;
    assert_eq!((all.lines().count(), all.matches("not found").count()), (42, 1), "{all}");
    let one = folder.ask(daemon.url(), ["runs", "log", &run, "--step", "all", "--json"]).exits(0).stdout;
    let items = one.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["items"][0].as_u64());
    assert_eq!(items.collect::<Vec<_>>(), (0..40).map(Some).collect::<Vec<_>>());
    folder.ask(daemon.url(), ["runs", "log", &run, "--step", "nobody"]).exits(3);
    let watched = folder.ask(daemon.url(), ["runs", "watch", &run]).exits(0).stderr;
    assert!(watched.contains("· all  (32 lines more)") && watched.contains("· fails  info   not found"), "{watched}");
    assert_eq!(daemon.terminate(), Some(0));

    let file = folder.path("workflows/each.yaml");
    let ran = folder.run(["run".as_ref(), file.as_os_str()]).exits(0).stderr;
    assert_eq!((ran.matches("· all[").count(), ran.matches("· fails").count()), (40, 1), "{ran}");
}
