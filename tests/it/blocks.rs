//! `for_each` over a long file: streamed, counted, the same after a restart.

use std::fmt::Write;

use serde_json::json;

use crate::support::{Daemon, Folder, GuideServer};

const EACH: &str = r#"
name: each
steps:
  - { id: rows, uses: data.read, with: { path: rows.csv } }
  - id: all
    for_each: { in: steps.rows, as: row, concurrency: 20 }
    steps:
      - { id: wanted, uses: filter, with: { when: row.wanted == 'yes' } }
      - { id: even, uses: fail, needs: [wanted.rejected], if: row.number | int % 1000 == 0, with: { message: "{{ row.number }}" } }
      - { id: label, uses: set, needs: [wanted], with: { text: "{{ row.number }}: {{ row.text }}" } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_rows_are_walked_and_counted() {
    const ROWS: usize = 20_000;
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("each", EACH);
    let mut csv = "number,wanted,text\n".to_string();
    for number in 1..=ROWS {
        let wanted = if number % 2 == 0 { "no" } else { "yes" };
        writeln!(csv, "{number},{wanted},\"a text that is as long as a short message, number {number}\"").unwrap();
    }
    folder.file("workflows/rows.csv", &csv);
    let daemon = Daemon::start(&folder);
    let id = daemon.api().start("each", &json!({})).await;
    let run = daemon.api().reaches(&id, "succeeded").await;
    assert_eq!(run["steps"]["rows"]["output"], json!({"rows": ROWS}));
    let output = &run["steps"]["all"]["output"];
    let counts = ["total", "succeeded", "failed", "skipped", "unknown"].map(|count| output[count].as_u64().unwrap());
    // Each 1,000th fails; of the others every item did something, if only to be rejected.
    assert_eq!(counts, [ROWS as u64, ROWS as u64 - 20, 20, 0, 0], "{output:#}");
    assert_eq!(output["failures"][0], json!({"item": 999, "code": "failed", "message": "1000"}), "{output:#}");
    let page = daemon.api().get(&format!("/api/v1/runs/{id}/journal?from=1000&limit=3")).await;
    assert_eq!((page.body["events"].as_array().unwrap().len(), &page.body["next"]), (3, &json!(1003)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_broken_far_down_says_where() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("each", EACH);
    let csv = format!("number,wanted,text\n{}broken\n", "1,yes,x\n".repeat(100_000));
    folder.file("workflows/rows.csv", &csv);
    let ended = folder.run(["run", "workflows/each.yaml", "--json"]).exits(1);
    let error = &ended.json()["steps"]["rows"]["error"];
    assert_eq!(error["code"], "data.malformed");
    assert!(error["message"].as_str().unwrap().contains("rows.csv: line 100002"), "{error}");
}
