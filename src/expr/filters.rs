//! Filters of our own: phone numbers, dates, JSON, regular expressions, a hash. What language.md calls "beyond MiniJinja's own".

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, State};
use sha2::{Digest, Sha256};

use super::guard::{bounded, charge, refused, spend};
use super::regexes::compiled;
use super::value::{ROOT, Root, to_json, whole};
use crate::base::chat_id::{self, ChatId};
use crate::base::hex::hex;
use crate::base::phone::Region;

/// The filters of this file.
pub(super) const NAMES: &[&str] = &[
    "chat_id",
    "phone",
    "date",
    "relative_day",
    "tojson",
    "fromjson",
    "regex_match",
    "regex_find",
    "regex_replace",
    "hash",
];

pub(super) fn install(env: &mut Environment<'static>) {
    env.add_filter("chat_id", to_chat_id);
    env.add_filter("phone", to_phone);
    env.add_filter("date", date);
    env.add_filter("relative_day", relative_day);
    env.add_filter("tojson", tojson);
    env.add_filter("fromjson", fromjson);
    env.add_filter("regex_match", regex_match);
    env.add_filter("regex_find", regex_find);
    env.add_filter("regex_replace", regex_replace);
    env.add_filter("hash", hash);
}

/// The chat of a chat id or a phone number; one without country code is meant in `region`.
fn to_chat_id(value: &Value, region: Option<&str>) -> Result<String, Error> {
    chat(value, region).map(|chat| chat.as_str().to_string())
}

/// A phone number, or a contact's chat id, in the form of E.164; one without country code is meant in `region`.
fn to_phone(value: &Value, region: Option<&str>) -> Result<String, Error> {
    let chat = chat(value, region)?;
    chat.phone().ok_or_else(|| refused(format!("`{chat}` is a group, which has no phone number")))
}

fn chat(value: &Value, region: Option<&str>) -> Result<ChatId, Error> {
    let region = match region {
        Some(name) => Some(Region::parse(name).map_err(|error| refused(error.to_string()))?),
        None => None,
    };
    let text = match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default().to_string(),
        ValueKind::Number if value.is_integer() => value.to_string(),
        kind => return Err(refused(format!("a {kind} is no phone number; give a text"))),
    };
    chat_id::parse_in(&text, region).map_err(|error| refused(error.to_string()))
}

/// An instant: milliseconds since 1970, or RFC 3339 text.
fn instant(value: &Value) -> Result<Timestamp, Error> {
    let found = match value.kind() {
        ValueKind::Number if value.is_integer() => value.as_i64().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        ValueKind::Number => {
            f64::try_from(value.clone()).ok().and_then(|ms| Timestamp::from_millisecond(ms as i64).ok())
        }
        ValueKind::String => value.as_str().and_then(|text| text.trim().parse().ok()),
        _ => None,
    };
    found.ok_or_else(|| {
        let shown = super::env::shown(&value.to_string());
        refused(format!("`{shown}` is no instant; give milliseconds since 1970, or text such as 2026-03-29T10:00:00Z"))
    })
}

fn zoned(at: Timestamp, timezone: Option<&str>) -> Result<Zoned, Error> {
    let name = timezone.unwrap_or("UTC");
    let zone = TimeZone::get(name).map_err(|_| {
        refused(format!("`{}` is no time zone; write one such as Europe/Madrid", super::env::shown(name)))
    })?;
    Ok(at.to_zoned(zone))
}

/// The instant as `format` (strftime) shows it in `timezone` (default UTC).
fn date(value: &Value, format: &str, timezone: Option<&str>) -> Result<String, Error> {
    // Each directive gives a few characters and jiff caps padding at 255, so the format bounds the text.
    if format.len() > 1024 {
        return Err(refused("the format of `date` is longer than 1024 bytes".to_string()));
    }
    jiff::fmt::strtime::format(format, &zoned(instant(value)?, timezone)?)
        .map_err(|error| refused(format!("`{}` is no date format: {error}", super::env::shown(format))))
}

/// `today`, `tomorrow`, `yesterday`, a weekday's name within the next six days, else the date.
fn relative_day(state: &State, value: &Value, timezone: Option<&str>) -> Result<String, Error> {
    let root = state.lookup(ROOT);
    let now = root.as_ref().and_then(|root| root.downcast_object_ref::<Root>()).map_or(0, Root::now);
    let day = zoned(instant(value)?, timezone)?.date();
    let today = zoned(instant(&Value::from(now))?, timezone)?.date();
    let apart = today.until((jiff::Unit::Day, day)).map_or(i32::MAX, |span| span.get_days());
    Ok(match apart {
        0 => "today".to_string(),
        1 => "tomorrow".to_string(),
        -1 => "yesterday".to_string(),
        2..=6 => day.strftime("%A").to_string(),
        _ => day.to_string(),
    })
}

/// Compact JSON text, with `<` and `&` left as they are; `indent=true` spreads it over lines.
fn tojson(state: &State, value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    let indent = kwargs.get::<Option<bool>>("indent")?.unwrap_or(false);
    kwargs.assert_all_used()?;
    let json = to_json(value).map_err(refused)?;
    let text = if indent { format!("{json:#}") } else { json.to_string() };
    charge(state, &[Value::from(text.as_str())])?;
    Ok(text)
}

fn fromjson(state: &State, text: &str) -> Result<Value, Error> {
    bounded(text)?;
    charge(state, &[Value::from(text)])?;
    let json = serde_json::from_str(text).map_err(|error| refused(format!("the text is no JSON: {error}")))?;
    Ok(whole(&Arc::new(json)))
}

/// Text a regular expression searches for 1 unit of work; other filters read eight times as much for it.
const SEARCHED_BYTES: u64 = 8;

/// Is the pattern found anywhere in the text? `^` and `$` anchor it.
fn regex_match(state: &State, text: &str, pattern: &str) -> Result<bool, Error> {
    spend(state, text.len() as u64 / SEARCHED_BYTES)?;
    Ok(compiled(pattern)?.is_match(text))
}

/// The first match, or its group of this number; null when there is none.
fn regex_find(state: &State, text: &str, pattern: &str, group: Option<usize>) -> Result<Value, Error> {
    spend(state, text.len() as u64 / SEARCHED_BYTES)?;
    let regex = compiled(pattern)?;
    let found = regex.captures(text).and_then(|captures| captures.get(group.unwrap_or(0)));
    Ok(found.map_or(Value::from(()), |found| Value::from(found.as_str())))
}

/// Every match replaced; `$1` and `$name` stand for groups.
fn regex_replace(state: &State, text: &str, pattern: &str, to: &str) -> Result<String, Error> {
    spend(state, text.len() as u64 / SEARCHED_BYTES)?;
    let regex = compiled(pattern)?;
    let mut out = String::new();
    let mut done = 0;
    for captures in regex.captures_iter(text) {
        // Group 0 is the match itself and always there.
        let Some(found) = captures.get(0) else { continue };
        out.push_str(&text[done..found.start()]);
        captures.expand(to, &mut out);
        done = found.end();
        bounded(&out)?;
    }
    out.push_str(&text[done..]);
    bounded(&out)?;
    Ok(out)
}

/// SHA-256 in hex, of a text's bytes or of any other value's compact JSON.
fn hash(state: &State, value: &Value) -> Result<String, Error> {
    charge(state, std::slice::from_ref(value))?;
    let digest = match value.as_str() {
        Some(text) => Sha256::digest(text.as_bytes()),
        None => Sha256::digest(to_json(value).map_err(refused)?.to_string().as_bytes()),
    };
    Ok(hex(&digest))
}
