//! Monitored groups: keywords, and who joins.

use serde_json::json;

use super::*;
use crate::moltflow::Event;
use crate::net::testing::{Answer, Scripted};

const GROUP: &str = "120363012345678901@g.us";

/// A webhook for all events, and a monitored group.
async fn monitored() -> (Sandbox, Arc<ManualClock>, Scripted) {
    let (sandbox, clock) = start(Options::default()).await;
    let api = caller(&sandbox, &clock);
    let receiver = Scripted::start(vec![Answer::full(200, "", ""); 9]).await;
    let events = json!(["message", "session_status", "group_join"]);
    api.ok("POST", "/webhooks", Some(json!({ "url": receiver.url, "events": events }))).await;
    let keywords = json!(["urgent", "help", "bug", "down"]);
    api.ok("POST", "/groups", Some(json!({ "wa_group_id": GROUP, "keywords": keywords }))).await;
    (sandbox, clock, receiver)
}

/// The event of the delivery with this place, from 1.
async fn event(receiver: &Scripted, place: usize) -> Json {
    receiver.arrived(place).await;
    serde_json::from_str(receiver.requests()[place - 1].split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn a_keyword_in_a_monitored_group_is_flagged() {
    let (sandbox, clock, receiver) = monitored().await;
    let control = controller(&sandbox, &clock);
    let other = "120363098765432109@g.us";
    for (place, (from, body, matched)) in [
        (GROUP, "URGENT: the server is down!", json!(["urgent", "down"])),
        (GROUP, "all is well", Json::Null),
        (GROUP, "a helpful countdown", Json::Null),
        (other, "urgent", Json::Null),
        ("15551234567@c.us", "urgent", Json::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let mut message = json!({ "session": "support-team", "from": from, "body": body });
        if from == GROUP {
            message["participant"] = json!("+1 555 123 4567");
        }
        let answer = control.ok("POST", "/messages", Some(message)).await;
        let event = event(&receiver, place + 1).await;
        let mut data = json!({ "id": answer["id"], "from": from, "body": body, "timestamp": NOW / 1_000 });
        if from == GROUP {
            data["participant"] = json!("15551234567@c.us");
        }
        if !matched.is_null() {
            data["matched_keywords"] = matched;
        }
        assert_eq!(event["data"], data);
        assert_eq!(Event::parse(&event).unwrap().is_from_group(), from.ends_with("@g.us"));
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn who_joins_a_monitored_group_is_announced() {
    let (sandbox, clock, receiver) = monitored().await;
    let control = controller(&sandbox, &clock);
    let join = |group: &str| json!({ "session": "support-team", "group": group, "participant": "15551234567@c.us" });
    // Not monitored: nobody is told.
    assert_eq!(control.ok("POST", "/joins", Some(join("120363098765432109@g.us"))).await["deliveries"], 0);
    assert_eq!(control.ok("POST", "/joins", Some(join(GROUP))).await["deliveries"], 1);
    assert_eq!(
        event(&receiver, 1).await,
        json!({
            "event": "group_join",
            "session": "support-team",
            "timestamp": "2026-01-25T15:00:00Z",
            "data": { "group": GROUP, "participant": "15551234567@c.us", "timestamp": NOW / 1_000 }
        })
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn what_nobody_could_have_done() {
    let (sandbox, clock, _) = monitored().await;
    let control = controller(&sandbox, &clock);
    for (path, body, status) in [
        ("/joins", json!({ "session": "nobody", "group": GROUP, "participant": "15551234567@c.us" }), 404),
        ("/joins", json!({ "session": "support-team", "group": "15551234567@c.us", "participant": GROUP }), 400),
        ("/joins", json!({ "session": "support-team", "group": "x", "participant": "15551234567@c.us" }), 400),
        ("/joins", json!({ "session": "support-team", "group": GROUP }), 400),
        (
            "/messages",
            json!({ "session": "support-team", "from": "15551234567@c.us", "participant": "15551234567@c.us", "body": "x" }),
            400,
        ),
        ("/messages", json!({ "session": "support-team", "from": GROUP, "participant": GROUP, "body": "x" }), 400),
    ] {
        assert_eq!(control.refused("POST", path, Some(body.clone())).await.0, status, "{body}");
    }
    sandbox.stop().await;
}
