//! What webhooks tell the senders: words by which people opt out and in again.

use std::sync::Arc;

use serde_json::json;

use super::house::{Set, open};
use super::line::{ms, pace};
use crate::base::Json;
use crate::engine::ports::Clock;
use crate::moltflow::Event;
use crate::senders::{OptOut, Policy, Said, Senders};
use crate::store::memory::MemoryStore;

const CHAT: &str = "15551234567@c.us";

fn policy() -> Policy {
    let words = OptOut::new(&["stop".to_string()], &["start".to_string()], Some("You are out.".to_string()), None);
    Policy { opt_out: Some(words), ..Policy::paced(pace("1/s", 1, "0s..0s")) }
}

/// `body` from `from`, said `s` seconds after noon.
fn message(id: &str, from: &str, body: &str, s: i64) -> Arc<Json> {
    let at = ms("2026-01-10T12:00:00Z") / 1000 + s;
    Arc::new(json!({
        "event": "message", "session": "s", "timestamp": "2026-01-10T12:00:00Z",
        "data": {"id": id, "from": from, "body": body, "timestamp": at},
    }))
}

async fn hear(senders: &Senders, payload: &Arc<Json>) {
    senders.heard(&Event::parse(payload).unwrap(), payload).await.unwrap();
}

#[tokio::test]
async fn the_latest_word_counts_whatever_order_they_come_in() {
    let (store, clock) = (Arc::new(MemoryStore::default()), Set::at(ms("2026-01-10T12:01:00Z")));
    let senders = open(policy(), None, &store, &clock).await;
    let stop = message("A", CHAT, " Stop!", 0);
    hear(&senders, &message("0", CHAT, "please stop", 0)).await;
    hear(&senders, &message("1", "120363012345678901@g.us", "stop", 0)).await;
    assert_eq!(senders.opted_out("s", CHAT).await.unwrap(), None);
    assert_eq!(senders.opted_out("s", "120363012345678901@g.us").await.unwrap(), None);
    hear(&senders, &stop).await;
    let out = senders.opted_out("s", CHAT).await.unwrap().unwrap();
    assert_eq!((out.word.as_deref(), out.at), (Some("stop"), ms("2026-01-10T12:00:00Z")));
    // Another process; and another session knows nothing of it.
    let senders = open(policy(), None, &store, &clock).await;
    assert!(senders.opted_out("s", CHAT).await.unwrap().is_some());
    assert!(senders.opted_out("other", CHAT).await.unwrap().is_none());
    hear(&senders, &message("B", CHAT, "START", 10)).await;
    assert_eq!(senders.opted_out("s", CHAT).await.unwrap(), None);
    // The first word is delivered again.
    hear(&senders, &stop).await;
    assert_eq!(senders.opted_out("s", CHAT).await.unwrap(), None);
    assert_eq!(senders.view().await.unwrap()[0].opted_out, 0);
    hear(&senders, &message("C", CHAT, "stop", 20)).await;
    assert_eq!(senders.view().await.unwrap()[0].opted_out, 1);
    // Said again later, the later word is the latest, and a START of between changes nothing.
    hear(&senders, &message("E", CHAT, "stop", 40)).await;
    hear(&senders, &message("D", CHAT, "start", 30)).await;
    assert_eq!(senders.view().await.unwrap()[0].opted_out, 1);
}

#[tokio::test]
async fn people_enter_it_by_hand_and_read_it_in_pages() {
    let (store, clock) = (Arc::new(MemoryStore::default()), Set::at(ms("2026-01-10T12:01:00Z")));
    let senders = open(policy(), None, &store, &clock).await;
    for number in 0..7 {
        assert!(senders.enter("s", &format!("1555000000{number}@c.us"), Said::Stop).await.unwrap().is_some());
    }
    clock.pass(1_000);
    senders.enter("s", "15550000003@c.us", Said::Start).await.unwrap();
    assert!(senders.enter("nobody", CHAT, Said::Stop).await.unwrap().is_none());
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let (page, next) = senders.opted_out_page("s", cursor.as_deref(), 2).await.unwrap().unwrap();
        assert!(page.len() <= 2);
        seen.extend(page.into_iter().map(|one| one.chat.as_bytes()[10] - b'0'));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [0, 1, 2, 4, 5, 6]);
    assert_eq!(senders.opted_out("s", "15550000000@c.us").await.unwrap().unwrap().word, None);
    assert_eq!(clock.now(), ms("2026-01-10T12:01:01Z"));
}

#[test]
fn the_notice_is_a_workflow_that_no_file_can_name() {
    let mut registry = crate::steps::Registry::default();
    registry.catalog.insert(crate::steps::moltflow_send::spec());
    let plan = crate::senders::notice::plan(&registry.catalog).unwrap();
    assert_eq!((&*plan.name, plan.workflow.name.as_str()), (crate::senders::NOTICE, crate::senders::NOTICE));
    assert!(!crate::lang::is_workflow_name(&plan.name));
    // A run of it goes on after a restart.
    let restored = crate::plan::Plan::restore(&plan.stored(), &registry.catalog).unwrap();
    assert_eq!(restored.digest, plan.digest);
}
