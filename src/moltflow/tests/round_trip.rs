//! Every call against a MoltFlow that is written from the guide alone, with both credentials.

use serde_json::json;

use super::far::{Far, Nature};
use super::*;
use crate::base::Effect;
use crate::moltflow::Refusal;
use crate::net::Method;

#[tokio::test]
async fn every_call_with_both_credentials() {
    for credentials in [key(), login()] {
        let far = Far::start(Nature::default()).await;
        let client = far.client(credentials);
        assert_eq!(client.list_sessions().await.unwrap(), []);
        let created = client.create_session("my-new-session").await.unwrap();
        assert_eq!(created.status, "starting");
        assert_eq!(client.get_session("my-new-session").await.unwrap().status, "qr_code");
        let session = client.get_session("my-new-session").await.unwrap();
        assert_eq!(
            (session.status.as_str(), session.rest["updated_at"].as_str()),
            ("working", Some("2026-01-25T15:00:15Z"))
        );
        assert_eq!(client.list_sessions().await.unwrap(), [session]);

        let sent = client.send_message("my-new-session", &to(), "Hi").await.unwrap();
        assert_eq!(sent.timestamp, Some(1_706_195_400));
        far.seen(|seen| assert_eq!(seen.messages, [json!({"chatId": "15551234567@c.us", "text": "Hi"})]));

        let groups = client.list_groups("my-new-session").await.unwrap();
        assert_eq!(
            (groups[0].name.as_str(), &groups[0].rest["participant_count"]),
            ("Team of my-new-session", &json!(12))
        );
        let monitored = client.monitor_group(&groups[0].id, &["urgent".to_string()]).await.unwrap();
        assert_eq!(client.list_monitored_groups().await.unwrap(), [monitored]);

        let webhook = client.create_webhook("https://example.com/hook", &["message"]).await.unwrap();
        let listed = client.list_webhooks().await.unwrap();
        assert_eq!(
            (&listed[0].id, listed[0].stats().succeeded, listed[0].stats().failed),
            (&webhook.id, Some(41), Some(2))
        );

        let settings = AutoReply {
            enabled: true,
            session_name: "s".to_string(),
            prompt: Some("Be kind".to_string()),
            model: None,
        };
        client.set_auto_reply(&settings).await.unwrap();
        client.train_learn_mode("my-new-session", 500).await.unwrap();
        far.seen(|seen| {
            let settings = json!({"enabled": true, "session_name": "s", "prompt": "Be kind"});
            assert_eq!(seen.settings.take(), Some(settings));
            assert_eq!(seen.trainings, [json!({"session_name": "my-new-session", "message_count": 500})]);
        });

        let body = json!({"note": "x"});
        let query = [("page".to_string(), "2".to_string())];
        for (method, effect) in [(Method::PUT, Effect::Idempotent), (Method::PATCH, Effect::AtMostOnce)] {
            let answer = client.request(method.clone(), "/extras/a b", &query, Some(&body), effect).await.unwrap();
            let expected = json!({"method": method.as_str(), "name": "a b", "query": [["page", "2"]], "body": body});
            assert_eq!((answer.status, answer.body), (200, expected));
        }

        client.delete_session("my-new-session").await.unwrap();
        let gone = client.delete_session("my-new-session").await.unwrap_err();
        assert_eq!(gone.refusal(), Some(Refusal::SessionNotFound));
    }
}
