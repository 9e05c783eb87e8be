//! What commits cost, for a person who changes the tables or the statements:
//! `cargo test --lib store::sqlite::measure -- --ignored --nocapture`. Figures of a debug build; what counts is their ratio
//! between two of them, and whether a large database costs more than an empty one: `FINISHED=1000000` fills it first.
//! `COUNT` is the number of messages.

use std::sync::Arc;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::SqliteStore;
use crate::base::RunId;
use crate::engine::clock::{SystemClock, stopwatch};
use crate::engine::event::{Event, RunStatus};
use crate::engine::ports::{Commit, Dedupe, NewRun, Store};
use crate::store::conformance::{commit, created_of, started, succeeded as succeeded_with};

/// One message: a run of three commits, of sizes as `workflows/support-reply.yaml` has them.
async fn message(store: &SqliteStore, number: u128) {
    let run = RunId::new(1_700_000_000_000 + number as i64 / 3, number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060));
    let output =
        |text: &str, size: usize| Arc::new(json!({ "text": text.repeat(size), "model": "small", "tokens": 7 }));
    let new = NewRun {
        id: run,
        workflow: "support-reply".into(),
        plan: "0123456789abcdef".repeat(4).into(),
        trigger: "message",
        created_at: 1_700_000_000_000,
        dedupe: Some(Dedupe {
            key: format!("support-reply/message/session/{:032x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060)),
            expires_at: Some(1_700_000_000_000 + number as i64),
        }),
        lane: None,
        parent: None,
        first: created_of(output("hello \"you\" ", 40)),
    };
    store.create_runs(vec![new]).await.unwrap();
    let succeeded = |step, size| succeeded_with(step, output("an answer \"quoted\" ", size));
    let steps = (0..4).flat_map(|step| [started(step), succeeded(step, 4)]).chain([started(5), started(6)]);
    let base = |expected, events: Vec<Event>, status| Commit { run, ..commit(0, expected, events, status) };
    store.commit(base(1, steps.collect(), RunStatus::Running)).await.unwrap();
    let end = base(11, vec![succeeded(6, 4), started(7)], RunStatus::Succeeded);
    store.commit(Commit { expires_at: Some(1_800_000_000_000 + number as i64), ..end }).await.unwrap();
}

async fn messages(store: &Arc<SqliteStore>, from: u128, count: u128) {
    let clients = (0..32).map(|client| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in (from..from + count).filter(|number| number % 32 == client) {
                message(&store, number).await;
            }
        })
    });
    futures::future::join_all(clients).await.into_iter().for_each(|client| client.unwrap());
}

/// Processor time of this process, in hundredths of a second, and bytes it has written.
fn spent() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap(), written.parse().unwrap())
}

/// Runs that have ended long ago, with keys that are still known.
async fn fill(path: &std::path::Path, count: i64) {
    // It is closed, and so checkpointed, before anything is measured.
    let mut shell = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap();
    let n = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)";
    let inserts = [
        "INSERT INTO runs SELECT printf('00%024d', i), 'support-reply', hex(zeroblob(32)), 'message', 'succeeded', 7, 9, NULL,
            12, NULL, NULL, 1700000000000 + i FROM n",
        "INSERT INTO journal (run, seq, events) SELECT printf('00%024d', i / 3), i % 3, hex(zeroblob(400)) FROM n",
        "INSERT INTO dedupe SELECT i, randomblob(16), 1700000000000 + i FROM n",
    ];
    for (insert, times) in inserts.into_iter().zip([1, 3, 1]) {
        sqlx::query(sqlx::AssertSqlSafe(format!("{n} {insert}")))
            .bind(count * times)
            .execute(&mut shell)
            .await
            .unwrap();
    }
    shell.close().await.unwrap();
}

#[test]
#[ignore = "measures; see the head of this file"]
fn what_a_message_costs() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moltrun.db");
        let open = || SqliteStore::open(&path, Arc::new(SystemClock));
        if let Ok(finished) = std::env::var("FINISHED") {
            let store = open().await.unwrap();
            store.close().await;
            drop(store);
            fill(&path, finished.parse().unwrap()).await;
        }
        let watch = stopwatch();
        let store = Arc::new(open().await.unwrap());
        println!("opened in {:?}", watch.elapsed());
        let count: u128 = std::env::var("COUNT").map_or(20_000, |count| count.parse().unwrap());
        let (watch, before) = (stopwatch(), spent());
        messages(&store, 0, count).await;
        let (took, after) = (watch.elapsed(), spent());
        println!("{count} messages in {took:?}, {:.0} a second", count as f64 / took.as_secs_f64());
        let (ms, kb) = ((after.0 - before.0) * 10, (after.1 - before.1) as f64 / 1024.0);
        let each = |sum: f64| sum / count as f64;
        println!("a message: {:.0} us of processor, {:.1} KB written", each(ms as f64 * 1000.0), each(kb));
        let size = |name: &str| std::fs::metadata(folder.path().join(name)).map_or(0, |file| file.len() / 1024);
        println!("database {} KB, log {} KB", size("moltrun.db"), size("moltrun.db-wal"));
    });
}
