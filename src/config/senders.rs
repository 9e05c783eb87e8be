//! `senders:`, one policy a WhatsApp session.

use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::base::limits;
use crate::lang::diagnostic::{Diagnostics, suggestion};
use crate::lang::reader::{self, Fields, shown};
use crate::lang::yaml::{Entry, Node};
use crate::senders::{Jitter, OptOut, Pace, Policy, QuietHours, plain};

pub fn sender(entry: &Entry, found: &mut Diagnostics<'_>) -> Option<Policy> {
    let what = format!("sender `{}`", entry.key);
    if entry.key.trim().is_empty() || entry.key.contains(char::is_control) {
        found.error("bad-name", entry.key_span.clone(), format!("`{}` is no name of a session", shown(&entry.key)));
    }
    let mut fields = Fields::open(&entry.value, &what, found)?;
    let pace_entry = fields.required("pace", found);
    let daily_cap = fields.optional("daily_cap");
    let warm_up_entry = fields.optional("warm_up");
    let quiet_entry = fields.optional("quiet_hours");
    let opt_out_entry = fields.optional("opt_out");
    let zone_entry = fields.optional("timezone");
    fields.finish(found);
    let own_zone = zone_entry.and_then(|entry| zone(&entry.value, found));
    let quiet = quiet_entry.map(|entry| quiet_hours(&entry.value, own_zone.as_ref(), &what, found));
    let daily_cap = daily_cap.and_then(|entry| cap(&entry.value, found));
    let warm_up = warm_up_entry.map(|entry| warm_up(&entry.value, found)).unwrap_or_default();
    let opt_out = opt_out_entry.and_then(|entry| opt_out(&entry.value, &what, found));
    let pace = pace(&pace_entry?.value, &what, found)?;
    let quiet_hours = quiet.flatten();
    let timezone = own_zone.or_else(|| Some(quiet_hours.as_ref()?.zone().clone())).unwrap_or(TimeZone::UTC);
    Some(Policy { pace, daily_cap, warm_up, quiet_hours, opt_out, timezone })
}

fn pace(node: &Node, what: &str, found: &mut Diagnostics<'_>) -> Option<Pace> {
    let mut fields = Fields::open(node, format!("the pace of {what}"), found)?;
    let rate = fields.required("rate", found);
    let burst = fields.optional("burst");
    let jitter = fields.optional("jitter");
    fields.finish(found);
    let burst = match burst {
        Some(entry) => reader::integer(&entry.value, 1, u64::from(u32::MAX), found),
        None => Some(1),
    };
    let jitter = match jitter {
        Some(entry) => parsed::<Jitter>(&entry.value, "bad-jitter", what, found),
        None => Some(Jitter::default()),
    };
    let rate = parsed(&rate?.value, "bad-rate", what, found)?;
    Some(Pace { jitter: jitter?, ..Pace::new(rate, u32::try_from(burst?).ok()?) })
}

/// A text that says what is wrong with it itself.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    node: &Node,
    code: &'static str,
    what: &str,
    found: &mut Diagnostics<'_>,
) -> Option<T> {
    match reader::text(node, found)?.parse::<T>() {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            found.error(code, node.span.clone(), format!("{what}: {error}"));
            None
        }
    }
}

fn cap(node: &Node, found: &mut Diagnostics<'_>) -> Option<u32> {
    reader::integer(node, 1, limits::SENDER_DAILY_CAP, found).and_then(|cap| u32::try_from(cap).ok())
}

fn warm_up(node: &Node, found: &mut Diagnostics<'_>) -> Vec<u32> {
    let items = reader::list(node, found).unwrap_or_default();
    if items.len() > limits::SENDER_WARM_UP {
        let message = format!("a warm-up has at most {} days, not {}", limits::SENDER_WARM_UP, items.len());
        found.error("out-of-range", node.span.clone(), message);
        return Vec::new();
    }
    let days: Vec<_> = items.iter().filter_map(|item| cap(item, found)).collect();
    for (item, pair) in items.iter().skip(1).zip(days.windows(2)).filter(|_| days.len() == items.len()) {
        if pair[1] < pair[0] {
            let message = format!("a warm-up that falls, from {} to {}, is none", pair[0], pair[1]);
            found.warning("falling-warm-up", item.span.clone(), message);
        }
    }
    days
}

fn quiet_hours(
    node: &Node,
    own_zone: Option<&TimeZone>,
    what: &str,
    found: &mut Diagnostics<'_>,
) -> Option<QuietHours> {
    let mut fields = Fields::open(node, format!("the quiet hours of {what}"), found)?;
    let from = fields.required("from", found);
    let to = fields.required("to", found);
    let zone_entry = match own_zone {
        Some(_) => fields.optional("timezone"),
        None => fields.required("timezone", found),
    };
    fields.finish(found);
    let zone = match zone_entry {
        Some(entry) => zone(&entry.value, found),
        None => own_zone.cloned(),
    };
    let from = from.and_then(|entry| time(&entry.value, found));
    let to = to.and_then(|entry| time(&entry.value, found));
    let hours = QuietHours::new(from?, to?, zone?);
    if hours.is_none() {
        let message = "quiet hours that end when they begin are none, or all day";
        found
            .error("out-of-range", node.span.clone(), message)
            .help("leave `quiet_hours` out, or set `from` and `to` to different times");
    }
    hours
}

/// `21:00`.
fn time(node: &Node, found: &mut Diagnostics<'_>) -> Option<Time> {
    let text = reader::text(node, found)?;
    let parts = text.split_once(':').filter(|(hour, minute)| (1..=2).contains(&hour.len()) && minute.len() == 2);
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i8>().ok()).flatten();
    let time = parts.and_then(|(hour, minute)| Time::new(number(hour)?, number(minute)?, 0, 0).ok());
    if time.is_none() {
        let diagnostic = found.error("bad-time", node.span.clone(), format!("`{}` is no time of day", shown(&text)));
        diagnostic.help(match text.as_str() {
            "24:00" => "midnight is \"00:00\"",
            _ => "write hours and minutes, 00:00 to 23:59, in quotes: \"21:00\"",
        });
    }
    time
}

fn zone(node: &Node, found: &mut Diagnostics<'_>) -> Option<TimeZone> {
    let name = reader::text(node, found)?;
    let zone = TimeZone::get(&name).ok();
    if zone.is_none() {
        let message = format!("`{}` is no time zone", shown(&name));
        let names: Vec<_> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let help = suggestion(&name, "time zones", names.iter().map(String::as_str));
        found
            .error("bad-timezone", node.span.clone(), message)
            .help(help.unwrap_or_else(|| "write a name of the IANA database, such as Europe/Madrid".to_string()));
    }
    zone
}

fn opt_out(node: &Node, what: &str, found: &mut Diagnostics<'_>) -> Option<OptOut> {
    let mut fields = Fields::open(node, format!("the opt-out of {what}"), found)?;
    let words_entry = fields.required("words", found);
    let reply = fields.optional("reply");
    let start_entry = fields.optional("start_words");
    let start_reply = fields.optional("start_reply");
    fields.finish(found);
    if let (None, Some(entry)) = (start_entry, start_reply) {
        found
            .error("misplaced-key", entry.key_span.clone(), "`start_reply` answers to nothing")
            .help("add `start_words: [start]`");
    }
    let reply = reply.and_then(|entry| answer(&entry.value, found));
    let start_reply = start_reply.and_then(|entry| answer(&entry.value, found));
    let start = start_entry.map(|entry| words(&entry.value, found)).unwrap_or_default();
    let words_entry = words_entry?;
    let stop = words(&words_entry.value, found);
    if stop.is_empty() && reader::list(&words_entry.value, found).is_some_and(<[Node]>::is_empty) {
        found.error("out-of-range", words_entry.value.span.clone(), "`words` is empty").help("write [stop]");
    }
    if let (Some(both), Some(entry)) =
        (start.iter().find(|word| stop.iter().any(|s| plain(s) == plain(word))), start_entry)
    {
        let message = format!("`{}` cannot be a word for both", shown(both));
        found.error("duplicate-word", entry.value.span.clone(), message);
    }
    Some(OptOut::new(&stop, &start, reply, start_reply))
}

fn words(node: &Node, found: &mut Diagnostics<'_>) -> Vec<String> {
    let items = reader::list(node, found).unwrap_or_default();
    if items.len() > limits::SENDER_WORDS {
        let message = format!("at most {} words, not {}", limits::SENDER_WORDS, items.len());
        found.error("out-of-range", node.span.clone(), message);
    }
    let mut words = Vec::new();
    for item in items.iter().take(limits::SENDER_WORDS) {
        let Some(word) = reader::text(item, found) else { continue };
        if plain(&word).is_empty() || word.chars().count() > limits::SENDER_WORD {
            let message = format!("`{}` is no word of 1 to {} characters", shown(&word), limits::SENDER_WORD);
            found.error("bad-word", item.span.clone(), message);
            continue;
        }
        words.push(word);
    }
    words
}

/// What is sent to somebody: a text of a message.
fn answer(node: &Node, found: &mut Diagnostics<'_>) -> Option<String> {
    let text = reader::text(node, found)?;
    if text.trim().is_empty() || text.chars().count() > limits::MESSAGE_TEXT {
        let message = format!("a reply has 1 to {} characters", limits::MESSAGE_TEXT);
        found.error("out-of-range", node.span.clone(), message);
        return None;
    }
    Some(text)
}

#[cfg(test)]
mod tests;
