//! The steps that are one call of the MoltFlow API each: what they are given goes to the endpoint, what the API answers is
//! their output. `moltflow.send`, `moltflow.wait_session` and `moltflow.request` do more and have files of their own.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::json;

use super::moltflow_request::{self, MoltflowRequest};
use super::moltflow_wait_session::{self, MoltflowWaitSession};
use super::{field, permanent, text};
use crate::base::json::kind;
use crate::base::{Effect, Json};
use crate::engine::ports::{Clock, Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::{Field, FieldKind};
use crate::moltflow::{ApiError, AutoReply, MoltFlow, Refusal, chat_id};

/// One of them.
pub struct MoltflowCall {
    spec: StepSpec,
    verb: Verb,
    moltflow: Arc<MoltFlow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    ListSessions,
    CreateSession,
    GetSession,
    DeleteSession,
    ListGroups,
    MonitorGroup,
    ListMonitoredGroups,
    CreateWebhook,
    ListWebhooks,
    SetAutoReply,
    TrainLearnMode,
}

/// What they all fail with when an input is none that the API could take.
const INVALID: &str = "moltflow.invalid";

/// Every step of the API but `moltflow.send`.
pub fn all(moltflow: &Arc<MoltFlow>, clock: &Arc<dyn Clock>) -> Vec<Arc<dyn Step>> {
    let one = |verb: Verb| -> Arc<dyn Step> {
        Arc::new(MoltflowCall { spec: verb.spec(), verb, moltflow: moltflow.clone() })
    };
    let mut steps: Vec<_> = Verb::ALL.into_iter().map(one).collect();
    steps.push(Arc::new(MoltflowWaitSession::new(moltflow.clone(), clock.clone())));
    steps.push(Arc::new(MoltflowRequest::new(moltflow.clone())));
    steps
}

/// The same, for the catalog. Output of those that are one call: as the API answers.
pub fn specs() -> Vec<StepSpec> {
    let calls = Verb::ALL.into_iter().map(Verb::spec);
    calls.chain([moltflow_wait_session::spec(), moltflow_request::spec()]).collect()
}

impl Step for MoltflowCall {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        Box::pin(async move { self.verb.call(&self.moltflow, &call).await.map(Outcome::ok) })
    }
}

impl Verb {
    const ALL: [Self; 11] = [
        Self::ListSessions,
        Self::CreateSession,
        Self::GetSession,
        Self::DeleteSession,
        Self::ListGroups,
        Self::MonitorGroup,
        Self::ListMonitoredGroups,
        Self::CreateWebhook,
        Self::ListWebhooks,
        Self::SetAutoReply,
        Self::TrainLearnMode,
    ];

    fn spec(self) -> StepSpec {
        use Effect::{AtMostOnce, Idempotent};
        let word = |name, summary| field(name, FieldKind::Text, true, summary);
        let any = |name, summary| field(name, FieldKind::Any, true, summary);
        let name = || word("name", "the session's name");
        let (uses, summary, effect, fields): (_, _, _, Vec<Field>) = match self {
            Self::ListSessions => ("list_sessions", "every session of the account", Idempotent, vec![]),
            Self::CreateSession => ("create_session", "begins a new session", AtMostOnce, vec![name()]),
            Self::GetSession => ("get_session", "a session and its status", Idempotent, vec![name()]),
            // What is gone is gone, however often it is said.
            Self::DeleteSession => ("delete_session", "ends a session", Idempotent, vec![name()]),
            Self::ListGroups => {
                let session = word("session", "the session whose groups are listed");
                ("list_groups", "the WhatsApp groups of a session's account", Idempotent, vec![session])
            }
            Self::MonitorGroup => {
                let group = word("group", "the group's chat id, such as 120363012345678901@g.us");
                let fields = vec![group, any("keywords", "a list of words to watch for")];
                ("monitor_group", "has a group watched for keywords", AtMostOnce, fields)
            }
            Self::ListMonitoredGroups => ("list_monitored_groups", "the groups that are watched", Idempotent, vec![]),
            Self::CreateWebhook => {
                let events = any("events", "a list of `message`, `session_status`, `group_join`");
                let fields = vec![word("url", "where events are delivered"), events];
                ("create_webhook", "registers a webhook", AtMostOnce, fields)
            }
            Self::ListWebhooks => ("list_webhooks", "every webhook with its delivery stats", Idempotent, vec![]),
            Self::SetAutoReply => {
                let fields = vec![
                    word("session_name", "the session that answers"),
                    field("enabled", FieldKind::Any, false, "true or false; default: true"),
                    field("prompt", FieldKind::Text, false, "what the API's own AI is told to be"),
                    field("model", FieldKind::Text, false, "the model it asks"),
                ];
                // The same settings twice are the same settings.
                ("set_auto_reply", "sets what the API's own AI answers in a session", Idempotent, fields)
            }
            Self::TrainLearnMode => {
                let count = field("message_count", FieldKind::Number, true, "how many of the latest messages");
                let fields = vec![word("session_name", "the session it learns from"), count];
                ("train_learn_mode", "begins a training on a session's messages; costs credits", AtMostOnce, fields)
            }
        };
        super::spec(&format!("moltflow.{uses}"), summary, effect, fields)
    }

    async fn call(self, moltflow: &MoltFlow, call: &StepCall) -> Result<Json, StepError> {
        let input = &call.input;
        match self {
            Self::ListSessions => shown(&moltflow.list_sessions().await?),
            Self::CreateSession => shown(&moltflow.create_session(&word(input, "name")?).await?),
            Self::GetSession => shown(&moltflow.get_session(&word(input, "name")?).await?),
            Self::DeleteSession => {
                let name = word(input, "name")?;
                match moltflow.delete_session(&name).await {
                    // The attempt before this one may have done it, and its answer been lost.
                    Err(error) if call.attempt > 1 && error.refusal() == Some(Refusal::SessionNotFound) => {
                        Ok(json!({ "message": format!("session `{name}` is gone") }))
                    }
                    answer => Ok(answer?),
                }
            }
            Self::ListGroups => shown(&moltflow.list_groups(&word(input, "session")?).await?),
            Self::MonitorGroup => {
                let group = word(input, "group")?;
                let id = chat_id::parse(&group).ok().filter(|id| id.is_group()).ok_or_else(|| {
                    let message = "with.group is no group; write its chat id, such as 120363012345678901@g.us";
                    permanent(INVALID, message)
                })?;
                shown(&moltflow.monitor_group(id.as_str(), &words(input, "keywords")?).await?)
            }
            Self::ListMonitoredGroups => shown(&moltflow.list_monitored_groups().await?),
            Self::CreateWebhook => {
                let events = words(input, "events")?;
                let events: Vec<&str> = events.iter().map(String::as_str).collect();
                shown(&moltflow.create_webhook(&word(input, "url")?, &events).await?)
            }
            Self::ListWebhooks => shown(&moltflow.list_webhooks().await?),
            Self::SetAutoReply => {
                let enabled = match input.get("enabled") {
                    None | Some(Json::Null) => true,
                    Some(Json::Bool(enabled)) => *enabled,
                    Some(other) => {
                        let message = format!("with.enabled must be true or false, not {}", kind(other));
                        return Err(permanent(INVALID, message));
                    }
                };
                let settings = AutoReply {
                    enabled,
                    session_name: word(input, "session_name")?,
                    prompt: text(input, "prompt"),
                    model: text(input, "model"),
                };
                Ok(moltflow.set_auto_reply(&settings).await?)
            }
            Self::TrainLearnMode => {
                let count = input.get("message_count").and_then(Json::as_u64).filter(|count| *count > 0);
                let count =
                    count.ok_or_else(|| permanent(INVALID, "with.message_count must be a whole number from 1"))?;
                Ok(moltflow.train_learn_mode(&word(input, "session_name")?, count).await?)
            }
        }
    }
}

/// A model as the API answered it.
fn shown<T: Serialize>(model: &T) -> Result<Json, StepError> {
    let unreadable = |error: serde_json::Error| ApiError::Invalid(error.to_string());
    Ok(serde_json::to_value(model).map_err(unreadable)?)
}

/// A text that must be there.
pub(super) fn word(input: &Json, name: &str) -> Result<String, StepError> {
    let given = text(input, name).filter(|word| !word.trim().is_empty());
    given.ok_or_else(|| permanent(INVALID, format!("with.{name} is empty")))
}

/// A list of texts that must be there; one text is a list of one.
fn words(input: &Json, name: &str) -> Result<Vec<String>, StepError> {
    let wrong = || permanent(INVALID, format!("with.{name} must be a list of texts"));
    match input.get(name) {
        Some(Json::String(one)) => Ok(vec![one.clone()]),
        Some(Json::Array(list)) => {
            list.iter().map(|word| word.as_str().map(str::to_string).ok_or_else(wrong)).collect()
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests;
