//! Random histories, which both stores must answer alike, also when SQLite's is closed and opened in between.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::conformance::{commit, id, new_run, started};
use super::memory::MemoryStore;
use super::sqlite::SqliteStore;
use crate::base::Millis;
use crate::engine::clock::SystemClock;
use crate::engine::event::RunStatus;
use crate::engine::ports::{Commit, Created, Listen, Query, RunFilter, Space, Store, StoreError, Write};

/// One verb of a random history.
#[derive(Clone, Debug)]
enum Verb {
    Create {
        numbers: Vec<u128>,
        key: Option<u8>,
        at: Millis,
    },
    Commit {
        number: u128,
        expected: u64,
        status: RunStatus,
        extras: Extras,
    },
    Load {
        number: u128,
    },
    Journal {
        number: u128,
        from: u64,
        limit: u32,
    },
    Unfinished {
        after: Option<u128>,
    },
    Due {
        after: Option<(Millis, u128)>,
    },
    Listening {
        listen: u8,
        after: Option<u128>,
    },
    Listened,
    Value {
        key: u8,
        now: Millis,
    },
    Put {
        writes: Vec<(u8, Option<u8>, Option<Millis>)>,
    },
    Values {
        prefix: u8,
        after: Option<u8>,
        now: Millis,
    },
    Append {
        number: u128,
        first: u32,
        count: u32,
    },
    Rows {
        number: u128,
        from: u32,
        limit: u32,
    },
    Cursor {
        name: u8,
        at: Millis,
    },
    Runs {
        status: Option<RunStatus>,
        before: Option<u128>,
    },
    Prune {
        now: Millis,
        limit: u32,
    },
    Renew,
    /// The process ends and another one begins.
    Reopen,
}

/// What a commit may carry.
#[derive(Clone, Debug)]
struct Extras {
    events: u32,
    wake_at: Option<Millis>,
    expires_at: Option<Millis>,
    write: Option<(u8, Option<u8>, Option<Millis>)>,
    listens: Option<Vec<u8>>,
    snapshot: bool,
}

fn extras() -> impl Strategy<Value = Extras> {
    use proptest::option::of;
    let write = of((0u8..3, of(0u8..9), of(0i64..60)));
    let listens = of(proptest::collection::vec(0u8..3, 0..3));
    (1u32..4, of(0i64..60), of(0i64..60), write, listens, any::<bool>()).prop_map(
        |(events, wake_at, expires_at, write, listens, snapshot)| Extras {
            events,
            wake_at,
            expires_at,
            write,
            listens,
            snapshot,
        },
    )
}

fn verbs() -> impl Strategy<Value = Vec<Verb>> {
    use proptest::option::of;
    let number = || 0u128..6;
    let status = || proptest::sample::select(RunStatus::ALL.to_vec());
    let verb = prop_oneof![
        6 => (proptest::collection::vec(number(), 1..3), of(0u8..3), 0i64..50)
            .prop_map(|(numbers, key, at)| Verb::Create { numbers, key, at }),
        12 => (number(), 0u64..4, status(), extras())
            .prop_map(|(number, expected, status, extras)| Verb::Commit { number, expected, status, extras }),
        2 => number().prop_map(|number| Verb::Load { number }),
        2 => (number(), 0u64..9, 0u32..5).prop_map(|(number, from, limit)| Verb::Journal { number, from, limit }),
        1 => of(number()).prop_map(|after| Verb::Unfinished { after }),
        1 => of((0i64..60, number())).prop_map(|after| Verb::Due { after }),
        1 => (0u8..3, of(number())).prop_map(|(listen, after)| Verb::Listening { listen, after }),
        1 => Just(Verb::Listened),
        1 => (0u8..3, 0i64..60).prop_map(|(key, now)| Verb::Value { key, now }),
        3 => proptest::collection::vec((0u8..3, of(0u8..9), of(0i64..60)), 0..4).prop_map(|writes| Verb::Put { writes }),
        2 => (0u8..4, of(0u8..3), 0i64..60).prop_map(|(prefix, after, now)| Verb::Values { prefix, after, now }),
        3 => (number(), 0u32..8, 0u32..5).prop_map(|(number, first, count)| Verb::Append { number, first, count }),
        2 => (number(), 0u32..12, 0u32..9).prop_map(|(number, from, limit)| Verb::Rows { number, from, limit }),
        1 => (0u8..3, 0i64..60).prop_map(|(name, at)| Verb::Cursor { name, at }),
        1 => (of(status()), of(number())).prop_map(|(status, before)| Verb::Runs { status, before }),
        2 => (0i64..60, 1u32..4).prop_map(|(now, limit)| Verb::Prune { now, limit }),
        1 => Just(Verb::Renew),
        1 => Just(Verb::Reopen),
    ];
    proptest::collection::vec(verb, 1..40)
}

fn listen(number: u8) -> Listen {
    Listen { event: format!("e{}", number / 2), path: format!("p{number}"), value: "7".to_string() }
}

/// What has been created, and how long each journal is: so that commits hit as often as they miss.
#[derive(Default)]
struct Seen(std::collections::BTreeMap<u128, u64>);

/// What a verb answered, in words that both stores must share.
async fn answer(store: &dyn Store, query: &dyn Query, seen: &mut Seen, verb: &Verb) -> String {
    let kind = |error: StoreError| match error {
        StoreError::Conflict(_) => "conflict",
        StoreError::NotFound(_) => "not found",
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Corrupt(_) => "corrupt",
    };
    match verb {
        Verb::Create { numbers, key, at } => {
            let mut numbers = numbers.clone();
            // Ids are unique by construction; a second run of one id is not a history.
            numbers.retain(|number| !seen.0.contains_key(number));
            numbers.dedup();
            let key = key.map(|key| format!("key {key}"));
            let runs =
                numbers.iter().map(|number| new_run(*number, key.as_deref().map(|key| (key, Some(at + 10))), *at));
            let answers = store.create_runs(runs.collect()).await.unwrap();
            for (number, created) in numbers.iter().zip(&answers) {
                if *created == Created::New {
                    seen.0.insert(*number, 1);
                }
            }
            format!("{answers:?}")
        }
        Verb::Commit { number, expected, status, extras } => {
            let length = seen.0.get(number).copied().unwrap_or(1);
            // 0 misses.
            let expected = if *expected == 0 { length + 1 } else { length };
            let write = extras.write.map(|(key, value, expires_at)| Write {
                space: Space::State,
                key: format!("k{key}"),
                value: value.map(|value| json!(value)),
                expires_at,
            });
            let base = commit(*number, expected, (0..extras.events).map(started).collect(), *status);
            let given = Commit {
                wake_at: extras.wake_at.filter(|_| !status.is_final()),
                expires_at: extras.expires_at.filter(|_| status.is_final()),
                writes: write.into_iter().collect(),
                listens: extras.listens.as_ref().map(|listens| listens.iter().map(|number| listen(*number)).collect()),
                snapshot: extras.snapshot.then(|| json!({"at": expected})),
                ..base
            };
            let done = store.commit(given).await;
            if done.is_ok() {
                seen.0.insert(*number, expected + u64::from(extras.events));
            }
            format!("{:?}", done.map_err(kind))
        }
        Verb::Load { number } => format!("{:?}", store.load(id(*number)).await.map_err(kind)),
        Verb::Journal { number, from, limit } => {
            format!("{:?}", store.journal(id(*number), *from, *limit).await.map_err(kind))
        }
        Verb::Unfinished { after } => format!("{:?}", store.unfinished(after.map(id), 3).await),
        Verb::Due { after } => {
            format!("{:?}", store.due(after.map(|(at, number)| (at, id(number))), 3).await)
        }
        Verb::Listening { listen: number, after } => {
            format!("{:?}", store.listening(listen(*number), after.map(id), 3).await)
        }
        Verb::Listened => format!("{:?}", store.listened().await),
        Verb::Value { key, now } => format!("{:?}", store.value(Space::State, &format!("k{key}"), *now).await),
        Verb::Put { writes } => {
            let writes = writes.iter().map(|(key, value, expires_at)| Write {
                space: Space::State,
                key: format!("k{key}"),
                value: value.map(|value| json!(value)),
                expires_at: *expires_at,
            });
            format!("{:?}", store.put(writes.collect()).await)
        }
        Verb::Values { prefix, after, now } => {
            // 3 is any key.
            let prefix = if *prefix == 3 { "k".to_string() } else { format!("k{prefix}") };
            let after = after.map(|after| format!("k{after}"));
            format!("{:?}", store.values(Space::State, prefix, after, 2, *now).await)
        }
        Verb::Append { number, first, count } => {
            let rows = (*first..first + count).map(|row| json!(row)).collect();
            // Lists are of runs that exist.
            match seen.0.contains_key(number) {
                true => format!("{:?}", store.append_rows(id(*number), "l".to_string(), *first, rows).await),
                false => "skipped".to_string(),
            }
        }
        Verb::Rows { number, from, limit } => format!("{:?}", store.rows(id(*number), "l", *from, *limit).await),
        Verb::Cursor { name, at } => {
            store.set_cursors(vec![(format!("c{name}"), *at)]).await.unwrap();
            format!("{:?}", store.cursors().await)
        }
        Verb::Runs { status, before } => {
            let filter = RunFilter { status: *status, before: before.map(id), limit: 4, ..RunFilter::default() };
            format!("{:?}", query.runs(filter).await)
        }
        Verb::Prune { now, limit } => format!("{:?}", store.prune(*now, *limit).await),
        Verb::Renew => format!("{:?}", store.renew(0).await),
        Verb::Reopen => String::new(),
    }
}

proptest! {
    // Each case opens a database file; these are enough to meet every pair of verbs often.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_are_answered_alike(history in verbs()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (memory, sqlite) = runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("moltrun.db");
            let open = || SqliteStore::open(&path, Arc::new(SystemClock));
            let memory = MemoryStore::default();
            let mut sqlite = open().await.unwrap();
            let mut answers = (Vec::new(), Vec::new());
            let mut seen = (Seen::default(), Seen::default());
            for verb in history.iter().chain((0..6).map(|number| Verb::Load { number }).collect::<Vec<_>>().iter()) {
                if let Verb::Reopen = verb {
                    sqlite.close().await;
                    drop(sqlite);
                    sqlite = open().await.unwrap();
                }
                answers.0.push(answer(&memory, &memory, &mut seen.0, verb).await);
                answers.1.push(answer(&sqlite, &sqlite, &mut seen.1, verb).await);
            }
            answers
        });
        prop_assert_eq!(memory, sqlite);
    }
}
