//! Who wants no more messages from a session: one entry a chat, in the store.

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::words::Said;
use crate::base::{Millis, limits};
use crate::engine::ports::{Space, Store, StoreError, Write};

/// What somebody said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// False once they came back: kept for as long as their earlier word may be delivered again.
    out: bool,
    /// When it was said, in milliseconds.
    at: Millis,
    /// None: a person entered it.
    word: Option<String>,
}

/// Somebody who opted out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OptedOut {
    pub chat: String,
    /// When, in milliseconds since 1970.
    pub at: Millis,
    /// The word that said so; None: a person entered it.
    pub word: Option<String>,
}

/// Did they opt out, and how?
pub async fn of(desk: &Desk, store: &dyn Store, chat: &str, now: Millis) -> Result<Option<OptedOut>, StoreError> {
    let Entry { out, at, word } = match read(desk, store, chat, now).await? {
        Some(entry) => entry,
        None => return Ok(None),
    };
    Ok(out.then(|| OptedOut { chat: chat.to_string(), at, word }))
}

async fn read(desk: &Desk, store: &dyn Store, chat: &str, now: Millis) -> Result<Option<Entry>, StoreError> {
    let found = store.value(Space::OptOut, &desk.key(chat), now).await?;
    let corrupt = |error| StoreError::Corrupt(format!("the opt-out of {chat} cannot be read: {error}"));
    found.map(serde_json::from_value).transpose().map_err(corrupt)
}

/// Takes down what somebody said `at`; durable when this returns. Says whether it changes anything: what they said before
/// it may come after it, and who says it twice is answered once.
pub async fn note(
    desk: &Desk,
    store: &dyn Store,
    chat: &str,
    said: Said,
    word: Option<&str>,
    at: Millis,
    now: Millis,
) -> Result<bool, StoreError> {
    let _in_turn = desk.words.lock().await;
    let out = said == Said::Stop;
    let mut news = true;
    if let Some(entry) = read(desk, store, chat, now).await? {
        if entry.at > at {
            return Ok(false);
        }
        if entry.out == out && entry.at == at {
            // This very word again: whoever took it down before may not have come to answering it.
            return Ok(true);
        }
        news = entry.out != out;
    } else if said == Said::Start {
        return Ok(false);
    }
    let entry = Entry { out, at, word: word.map(str::to_string) };
    let write = Write {
        space: Space::OptOut,
        key: desk.key(chat),
        value: serde_json::to_value(entry).ok(),
        expires_at: (!out).then(|| now + limits::DEDUPE_TTL_MS),
    };
    store.put(vec![write]).await?;
    Ok(news)
}

/// A page of those who opted out, by chat, after `after`; and where the next page begins, if there is one.
pub async fn page(
    desk: &Desk,
    store: &dyn Store,
    after: Option<&str>,
    limit: usize,
    now: Millis,
) -> Result<(Vec<OptedOut>, Option<String>), StoreError> {
    let prefix = desk.key("");
    let mut after = after.map(|chat| desk.key(chat));
    let mut found: Vec<OptedOut> = Vec::new();
    loop {
        let values = store.values(Space::OptOut, prefix.clone(), after, limits::PAGE, now).await?;
        let is_last = values.len() < limits::PAGE as usize;
        after = values.last().map(|(key, _)| key.clone());
        for (key, value) in values {
            let Ok(Entry { out: true, at, word }) = serde_json::from_value(value) else { continue };
            if found.len() == limit {
                let next = found.last().map(|last| last.chat.clone());
                return Ok((found, next));
            }
            found.push(OptedOut { chat: key[prefix.len()..].to_string(), at, word });
        }
        if is_last {
            return Ok((found, None));
        }
    }
}
