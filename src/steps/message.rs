//! The message that the `with:` of `moltflow.send` describes: what is sent, and what a plan shows.

use super::{permanent, text};
use crate::base::phone::Region;
use crate::base::{Json, limits};
use crate::engine::ports::StepError;
use crate::moltflow::{ChatId, chat_id};

/// A message that may be sent.
pub struct Message {
    pub session: String,
    pub to: ChatId,
    pub text: String,
}

/// Reads `with:`; what is no message is a permanent failure. `region` is where numbers without a country code are meant,
/// unless `with.region` says so.
pub fn message(input: &Json, region: Option<Region>) -> Result<Message, StepError> {
    let invalid = |message: String| permanent("moltflow.invalid", message);
    let session = text(input, "session").unwrap_or_default();
    let region = match text(input, "region") {
        Some(name) => Some(Region::parse(&name).map_err(|error| invalid(format!("with.region: {error}")))?),
        None => region,
    };
    let to = chat_id::parse_in(&text(input, "to").unwrap_or_default(), region)
        .map_err(|error| invalid(format!("with.to: {error}")))?;
    let text = text(input, "text").unwrap_or_default();
    if session.trim().is_empty() {
        return Err(invalid("with.session is empty; name the session that sends".to_string()));
    }
    if text.trim().is_empty() {
        return Err(invalid("with.text is empty; WhatsApp sends no empty messages".to_string()));
    }
    if text.chars().count() > limits::MESSAGE_TEXT {
        let limit = limits::MESSAGE_TEXT;
        return Err(invalid(format!("with.text is longer than the {limit} characters of a WhatsApp message")));
    }
    Ok(Message { session, to, text })
}
