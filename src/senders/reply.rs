//! What is a reply: WhatsApp's own window of 24 hours after somebody wrote.

use std::sync::Arc;

use jiff::Timestamp;

use crate::base::{Json, Millis};

/// How long somebody who wrote may be answered at any hour, in milliseconds.
const WINDOW_MS: Millis = 24 * 60 * 60 * 1000;

/// How far MoltFlow's clock may be ahead of ours, in milliseconds.
const AHEAD_MS: Millis = 5 * 60_000;

/// Does a send from `session` to `chat` at `now` answer one of the events that its run has heard?
pub fn is_reply(heard: &[Arc<Json>], session: &str, chat: &str, now: Millis) -> bool {
    heard.iter().any(|event| {
        event["event"] == "message"
            && event["session"] == session
            && event["data"]["from"] == chat
            && said_at(event).is_some_and(|at| at <= now.saturating_add(AHEAD_MS) && at > now - WINDOW_MS)
    })
}

/// When the message of this event was written, in milliseconds: `data.timestamp` (seconds), else `timestamp`.
pub fn said_at(event: &Json) -> Option<Millis> {
    instant(&event["data"]["timestamp"]).or_else(|| instant(&event["timestamp"]))
}

fn instant(value: &Json) -> Option<Millis> {
    let seconds = match value {
        Json::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))?,
        Json::String(text) => match text.trim().parse::<i64>() {
            Ok(seconds) => seconds,
            Err(_) => return text.trim().parse::<Timestamp>().ok().map(Timestamp::as_millisecond),
        },
        _ => return None,
    };
    // Seconds of the year 5000 and more are milliseconds.
    if seconds.unsigned_abs() >= 95_000_000_000 { Some(seconds) } else { Some(seconds * 1000) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_wrote_today_is_answered() {
        const CHAT: &str = "15551234567@c.us";
        let now = 1_706_197_500_000;
        let message = |data: Json| {
            vec![Arc::new(
                json!({"event": "message", "session": "s", "timestamp": "2026-01-25T16:05:00Z", "data": data}),
            )]
        };
        for (data, reply) in [
            (json!({"from": CHAT, "timestamp": 1_706_197_500}), true),
            (json!({"from": CHAT, "timestamp": "1706197500"}), true),
            (json!({"from": CHAT, "timestamp": 1_706_197_500_000_i64}), true),
            (json!({"from": CHAT, "timestamp": 1_706_197_500 - 86_399}), true),
            (json!({"from": CHAT, "timestamp": 1_706_197_500 - 86_400}), false),
            (json!({"from": CHAT, "timestamp": 1_706_197_500 + 600}), false),
            (json!({"from": "15550000000@c.us", "timestamp": 1_706_197_500}), false),
            // Two years later: the event's own time counts where the message has none.
            (json!({"from": CHAT}), false),
        ] {
            assert_eq!(is_reply(&message(data.clone()), "s", CHAT, now), reply, "{data}");
        }
        let heard = message(json!({"from": CHAT}));
        assert_eq!(said_at(&heard[0]), Some(1_769_357_100_000));
        assert!(is_reply(&heard, "s", CHAT, 1_769_357_100_000 + 1_000));
        assert!(!is_reply(&heard, "other", CHAT, 1_769_357_100_000 + 1_000));
        assert!(!is_reply(&[Arc::new(json!({"event": "schedule"})), Arc::new(json!(null))], "s", CHAT, now));
    }
}
