//! Sessions that reply by themselves, and learn mode.

use serde_json::json;

use super::*;

fn settings(enabled: bool) -> Json {
    json!({ "enabled": enabled, "session_name": "support-team", "prompt": "You are a helpful customer support assistant.", "model": "gpt-4o-mini" })
}

#[tokio::test]
async fn a_session_replies_while_it_is_told_to_and_works() {
    let (sandbox, clock) = start(Options::default()).await;
    let (api, control) = (caller(&sandbox, &clock), controller(&sandbox, &clock));
    let write = |from: &str| sandbox.inbound("support-team", from, "Where is my order?").unwrap();
    write("15551234567@c.us");
    assert_eq!(sandbox.ledger().len(), 0);
    let answer = api.ok("POST", "/ai/auto-reply/settings", Some(settings(true))).await;
    let mut wanted = settings(true);
    wanted["updated_at"] = json!("2026-01-25T15:00:00Z");
    assert_eq!(answer, wanted);
    for from in ["15551234567@c.us", "120363012345678901@g.us"] {
        write(from);
        let reply = sandbox.ledger().pop().unwrap();
        assert_eq!((reply.chat_id.as_str(), reply.session.as_str(), reply.auto_reply), (from, "support-team", true));
        assert!(reply.text.starts_with("Your order is on its way"), "{}", reply.text);
    }
    // Another session does not, and a request to send is no reply.
    sandbox.inbound("sales-bot", "15551234567@c.us", "Where is my order?").unwrap();
    api.ok("POST", "/sessions/support-team/messages", Some(text("x"))).await;
    let ledger = control.ok("GET", "/ledger?after=1", None).await;
    assert_eq!(
        (ledger["messages"][0]["auto_reply"].clone(), ledger["messages"][1].get("auto_reply")),
        (json!(true), None)
    );
    assert_eq!(ledger["total"], 3);
    sandbox.set_status("support-team", "failed");
    write("15551234567@c.us");
    sandbox.set_status("support-team", "working");
    api.ok("POST", "/ai/auto-reply/settings", Some(settings(false))).await;
    write("15551234567@c.us");
    assert_eq!(sandbox.ledger().len(), 3);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_deleted_session_replies_no_more_when_it_is_made_anew() {
    let (sandbox, clock) = start(Options::default()).await;
    let api = caller(&sandbox, &clock);
    api.ok("POST", "/ai/auto-reply/settings", Some(settings(true))).await;
    api.ok("DELETE", "/sessions/support-team", None).await;
    api.ok("POST", "/sessions", Some(json!({ "name": "support-team" }))).await;
    sandbox.set_status("support-team", "working");
    sandbox.inbound("support-team", "15551234567@c.us", "Hello").unwrap();
    assert_eq!(sandbox.ledger().len(), 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn learn_mode_begins_a_training() {
    let (sandbox, clock) = start(Options::default()).await;
    let api = caller(&sandbox, &clock);
    let ask = json!({ "session_name": "support-team", "message_count": 500 });
    for id in [1, 2] {
        let job = json!({ "id": id, "session_name": "support-team", "message_count": 500, "status": "training", "created_at": "2026-01-25T15:00:00Z" });
        assert_eq!(api.ok("POST", "/ai/learn-mode/train", Some(ask.clone())).await, job);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn what_cannot_be_set_or_trained() {
    let (sandbox, clock) = start(Options::default()).await;
    let api = caller(&sandbox, &clock);
    let (reply, train) = ("/ai/auto-reply/settings", "/ai/learn-mode/train");
    for (path, body, status, code) in [
        (reply, json!({ "enabled": true, "session_name": "nobody", "prompt": "x" }), 404, "SESSION_NOT_FOUND"),
        (reply, json!({ "enabled": true, "session_name": "support-team", "prompt": " " }), 400, "VALIDATION_ERROR"),
        (reply, json!({ "enabled": "yes", "session_name": "support-team" }), 400, "VALIDATION_ERROR"),
        (reply, json!({ "session_name": "support-team" }), 400, "VALIDATION_ERROR"),
        (
            reply,
            json!({ "enabled": false, "session_name": "support-team", "model": "m".repeat(101) }),
            400,
            "VALIDATION_ERROR",
        ),
        (train, json!({ "session_name": "nobody", "message_count": 1 }), 404, "SESSION_NOT_FOUND"),
        (train, json!({ "session_name": "support-team", "message_count": 0 }), 400, "VALIDATION_ERROR"),
        (train, json!({ "session_name": "support-team" }), 400, "VALIDATION_ERROR"),
    ] {
        let answer = api.refused("POST", path, Some(body.clone())).await;
        assert_eq!((answer.0, answer.1.as_str()), (status, code), "{body}");
    }
    sandbox.stop().await;
}
