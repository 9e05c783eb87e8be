//! The endpoints of the guide, one call each. All of them fail with an [`ApiError`] that says what it proves: of a call that
//! creates or sends, only [`ApiError::Unknown`] leaves open whether it was carried out.

use serde_json::json;

use super::client::{any, read};
use super::error::Kind;
use super::{ApiError, AutoReply, ChatId, Group, MoltFlow, MonitoredGroup, Sent, Session, Webhook};
use crate::base::Json;
use crate::net::Method;

impl MoltFlow {
    /// `GET /sessions`: every session of the account.
    pub async fn list_sessions(&self) -> Result<Vec<Session>, ApiError> {
        read(&self.call(Method::GET, &["sessions"], None, Kind::Read).await?, Kind::Read)
    }

    /// `POST /sessions`: a new session, which is `starting`, then waits for its code to be scanned (`qr_code`), then is
    /// `working`.
    pub async fn create_session(&self, name: &str) -> Result<Session, ApiError> {
        let body = json!({ "name": name, "status": "starting" });
        read(&self.call(Method::POST, &["sessions"], Some(&body), Kind::Write).await?, Kind::Write)
    }

    /// `GET /sessions/{name}`. Refused with `SESSION_NOT_FOUND` if there is none.
    pub async fn get_session(&self, name: &str) -> Result<Session, ApiError> {
        read(&self.call(Method::GET, &["sessions", name], None, Kind::Read).await?, Kind::Read)
    }

    /// `DELETE /sessions/{name}`: the API's confirmation. May be repeated: the second one is `SESSION_NOT_FOUND`.
    pub async fn delete_session(&self, name: &str) -> Result<Json, ApiError> {
        self.call(Method::DELETE, &["sessions", name], None, Kind::Read).await.map(|response| any(&response))
    }

    /// `POST /sessions/{name}/messages`: sends a text to a contact or a group. An error other than
    /// [`ApiError::Unknown`] proves that nothing was sent.
    pub async fn send_message(&self, session: &str, chat: &ChatId, text: &str) -> Result<Sent, ApiError> {
        let body = json!({ "chatId": chat.as_str(), "text": text });
        let response = self.call(Method::POST, &["sessions", session, "messages"], Some(&body), Kind::Write).await?;
        response.json().as_ref().and_then(Sent::read).ok_or_else(|| {
            let message = format!("MoltFlow answered {} without a message id at result.key.id", response.status);
            ApiError::lost(Kind::Write, "moltflow.bad_answer", message)
        })
    }

    /// `GET /sessions/{name}/groups`: the WhatsApp groups that the session's account is a member of.
    pub async fn list_groups(&self, session: &str) -> Result<Vec<Group>, ApiError> {
        read(&self.call(Method::GET, &["sessions", session, "groups"], None, Kind::Read).await?, Kind::Read)
    }

    /// `POST /groups`: has the group watched for `keywords`, which webhooks then tell of.
    pub async fn monitor_group(&self, wa_group_id: &str, keywords: &[String]) -> Result<MonitoredGroup, ApiError> {
        let body = json!({ "wa_group_id": wa_group_id, "keywords": keywords });
        read(&self.call(Method::POST, &["groups"], Some(&body), Kind::Write).await?, Kind::Write)
    }

    /// `GET /groups`: the groups that are watched.
    pub async fn list_monitored_groups(&self) -> Result<Vec<MonitoredGroup>, ApiError> {
        read(&self.call(Method::GET, &["groups"], None, Kind::Read).await?, Kind::Read)
    }

    /// `POST /webhooks`: registers `url` for `events` (`message`, `session_status`, `group_join`).
    pub async fn create_webhook(&self, url: &str, events: &[&str]) -> Result<Webhook, ApiError> {
        let body = json!({ "url": url, "events": events });
        read(&self.call(Method::POST, &["webhooks"], Some(&body), Kind::Write).await?, Kind::Write)
    }

    /// `GET /webhooks`: every webhook with its delivery stats ([`Webhook::stats`]).
    pub async fn list_webhooks(&self) -> Result<Vec<Webhook>, ApiError> {
        read(&self.call(Method::GET, &["webhooks"], None, Kind::Read).await?, Kind::Read)
    }

    /// `POST /ai/auto-reply/settings`: what the API's own AI answers in a session. Saying it again changes nothing, so
    /// that it may be repeated. The guide shows no answer: whatever comes.
    pub async fn set_auto_reply(&self, settings: &AutoReply) -> Result<Json, ApiError> {
        let body = json!(settings);
        let response = self.call(Method::POST, &["ai", "auto-reply", "settings"], Some(&body), Kind::Read).await?;
        Ok(any(&response))
    }

    /// `POST /ai/learn-mode/train`: begins a training on the session's latest `message_count` messages, which costs
    /// credits. The guide shows no answer: whatever comes.
    pub async fn train_learn_mode(&self, session: &str, message_count: u64) -> Result<Json, ApiError> {
        let body = json!({ "session_name": session, "message_count": message_count });
        let response = self.call(Method::POST, &["ai", "learn-mode", "train"], Some(&body), Kind::Write).await?;
        Ok(any(&response))
    }
}
