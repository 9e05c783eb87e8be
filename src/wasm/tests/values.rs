//! State of plugins: staged, committed with the step, bounded, and never half done.

use super::probe::{Given, Lab, answers};
use super::*;
use crate::base::limits::{PLUGIN_STATE_BYTES, PLUGIN_STATE_KEYS, PLUGIN_STATE_VALUE};
use crate::engine::ports::{Space, Store, Write};

async fn stored(lab: &Lab, key: &str) -> Option<Json> {
    lab.store.value(Space::Plugin, key, 0).await.unwrap()
}

#[tokio::test]
async fn what_is_written_is_read_and_committed_with_the_step() {
    let lab = Lab::new(Given::keeping()).await;
    let (ended, _) = lab.call("again", "get|a\nset|a|one\nget|a\nset|b|two\ndelete|b\nget|b\nget|c\nset|d|").await;
    let Ok(Outcome::Written { output, writes, held, .. }) = ended else { panic!("{ended:?}") };
    assert_eq!(output, json!(["none", "ok", "=one", "ok", "ok", "none", "none", "ok"]));
    let write = |key: &str, value: &str| Write {
        space: Space::Plugin,
        key: key.to_string(),
        value: Some(json!(value)),
        expires_at: None,
    };
    // What is as it was is not written; all that was touched is held.
    assert_eq!(writes, [write("probe/a", "b25l"), write("probe/d", "")]);
    assert_eq!(held.iter().map(|held| held.key()).collect::<Vec<_>>(), ["probe/a", "probe/b", "probe/c", "probe/d"]);
    lab.store.put(writes).await.unwrap();
    drop(held);
    assert_eq!(lab.commit("get|a\nget|d\ndelete|a").await, ["=one", "=", "ok"]);
    assert_eq!((stored(&lab, "probe/a").await, stored(&lab, "probe/d").await), (None, Some(json!(""))));
}

#[tokio::test]
async fn a_step_that_fails_in_any_way_writes_nothing_and_lets_go() {
    let mut given = Given::keeping();
    given.grant.timeout_ms = Some(500);
    let lab = Lab::new(given).await;
    for end in ["fail|permanent|x", "fail|transient|x", "fail|later|x", "trap", "garble", "spin", "sleep|60000"] {
        let (ended, _) = lab.call("again", &format!("set|a|1\nset|b|2\n{end}")).await;
        assert!(ended.is_err(), "{end}");
        let held = lab.keys.try_hold(Space::Plugin, "probe/a").await.unwrap();
        assert!(held.is_some_and(|held| held.value.is_none()), "{end}");
    }
    assert_eq!(lab.commit("get|a\nget|b").await, ["none", "none"]);
}

#[tokio::test]
async fn nothing_is_lost_between_runs_that_count() {
    let lab = Arc::new(Lab::new(Given::keeping()).await);
    let runs = (0..4).map(|_| {
        let lab = lab.clone();
        tokio::spawn(async move {
            for _ in 0..250 {
                assert_eq!(lab.commit("count|n").await, ["ok"]);
            }
        })
    });
    for run in futures::future::join_all(runs).await {
        run.unwrap();
    }
    assert_eq!(lab.answers("get|n").await, ["=1000"]);
}

#[tokio::test]
async fn keys_are_waited_for_in_order_only() {
    let lab = Lab::new(Given::keeping()).await;
    let b = lab.keys.hold(Space::Plugin, "probe/b").await.unwrap();
    // Greater than what the call holds: it waits.
    let mut waits = Box::pin(lab.call("again", "get|a\nget|b"));
    while lab.keys.try_hold(Space::Plugin, "probe/a").await.unwrap().is_some() {
        assert!(futures::poll!(&mut waits).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(futures::poll!(&mut waits).is_pending());
    drop(b);
    assert_eq!(answers(waits.await.0), ["none", "none"]);
    // Smaller: it is told.
    let _a = lab.keys.hold(Space::Plugin, "probe/a").await.unwrap();
    let answers = lab.answers("get|b\nget|a\nget|0").await;
    assert_eq!(answers[0], "none");
    assert!(
        answers[1].starts_with("unavailable: another call holds `a`, and this one holds greater keys"),
        "{answers:?}"
    );
    assert_eq!(answers[2], "none");
}

#[tokio::test]
async fn a_key_that_is_never_free_is_not_waited_for_without_end() {
    let mut given = Given::keeping();
    given.grant.timeout_ms = Some(2_000);
    let lab = Lab::new(given).await;
    let _held = lab.keys.hold(Space::Plugin, "probe/a").await.unwrap();
    assert_eq!(lab.answers("get|a").await, ["unavailable: another call held the key for as long as this one lasts"]);
}

#[tokio::test]
async fn state_is_bounded() {
    let lab = Lab::new(Given::keeping()).await;
    let long = "k".repeat(513);
    let fill = format!("fill|a|{}\nfill|b|{}\nset|{long}|x\nget|{long}", PLUGIN_STATE_VALUE + 1, PLUGIN_STATE_VALUE);
    let large = "too large: 65536".to_string();
    assert_eq!(lab.commit(&fill).await, [large, "ok".into(), "too large: 512".into(), "too large: 512".into()]);
    let many: Vec<String> = (0..PLUGIN_STATE_KEYS + 1).map(|n| format!("get|{n:03}")).collect();
    let answers = lab.answers(&many.join("\n")).await;
    assert!(answers[..PLUGIN_STATE_KEYS].iter().all(|answer| answer == "none"), "{answers:?}");
    assert_eq!(answers[PLUGIN_STATE_KEYS], "too large: 64");
}

#[tokio::test]
async fn a_plugin_keeps_no_more_than_its_share() {
    let lab = Lab::new(Given::keeping()).await;
    let full = PLUGIN_STATE_BYTES as usize / PLUGIN_STATE_VALUE;
    let call = |from: usize, to: usize| {
        (from..to).map(|n| format!("fill|{n:04}|{PLUGIN_STATE_VALUE}")).collect::<Vec<_>>().join("\n")
    };
    for from in (0..full - 64).step_by(64) {
        assert!(lab.commit(&call(from, from + 64)).await.iter().all(|answer| answer == "ok"));
    }
    let over = format!("too large: {PLUGIN_STATE_BYTES}");
    // A few of the last do not fit, because a value counts a little more than its bytes.
    let last = lab.commit(&call(full - 64, full)).await;
    assert!(last[0] == "ok" && last[63] == over, "{last:?}");
    // What was staged by a call that failed is free again, and so is what was deleted.
    assert_eq!(lab.commit("fill|zz|65536").await, std::slice::from_ref(&over));
    assert!(lab.call("again", "delete|0000\ntrap").await.0.is_err());
    assert_eq!(lab.commit("fill|zz|65536").await, std::slice::from_ref(&over));
    // What was deleted is there until it is committed, and a commit may never come.
    let thrown_away = lab.call("again", "delete|0000").await.0;
    assert!(matches!(thrown_away, Ok(Outcome::Written { .. })), "{thrown_away:?}");
    assert_eq!(lab.commit("fill|zz|65536").await, std::slice::from_ref(&over));
    drop(thrown_away);
    assert_eq!(lab.commit("fill|zz|65536").await, std::slice::from_ref(&over));
    let key = lab.keys.hold(Space::Plugin, "probe/0001").await.unwrap();
    let mut deletes = Box::pin(lab.call("again", "delete|0000\nget|0001"));
    while lab.keys.try_hold(Space::Plugin, "probe/0000").await.unwrap().is_some() {
        assert!(futures::poll!(&mut deletes).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(lab.commit("fill|zz|65536").await, std::slice::from_ref(&over));
    drop((deletes, key));
    assert_eq!(lab.commit("delete|0000\nfill|zz|65536").await, ["ok", "ok"]);
    assert_eq!(lab.commit("fill|zzz|65536\nset|0001|small\nfill|zzz|60000").await, [over, "ok".into(), "ok".into()]);
    // Another process, or a commit that never came: the account is read from the store.
    lab.store
        .put(vec![Write { space: Space::Plugin, key: "probe/0002".into(), value: None, expires_at: None }])
        .await
        .unwrap();
    assert_eq!(lab.commit("fill|zzzz|60000").await, ["ok"]);
}

#[tokio::test]
async fn without_a_grant_there_is_no_state() {
    let lab = Lab::new(Given::default()).await;
    assert!(lab.plugin.asks.state);
    let (ended, lines) = lab.call("again", "set|a|1\nget|a").await;
    let why = "state is not granted; to allow it, put `grants: { probe: { state: true } }` in moltrun.yaml";
    let answer = format!("unavailable: {why}");
    assert_eq!(answers(ended), [answer.clone(), answer]);
    assert_eq!(lines[0], format!("warn: {why}"));
    // A guest that does not listen does not fill the log.
    let (_, lines) = lab.call("again", &vec!["get|a"; 100].join("\n")).await;
    assert_eq!(lines.len(), 16);
}
