//! Triggers of what happens to sessions and groups.

use crate::lang::diagnostic::Diagnostics;
use crate::lang::reader::{self, Fields};
use crate::lang::workflow::Trigger;
use crate::lang::yaml::{Node, Value};

/// The statuses of a session, as the API guide lists them.
const STATUSES: [(&str, &str); 4] =
    [("starting", "starting"), ("qr_code", "qr_code"), ("working", "working"), ("failed", "failed")];

pub(super) fn status(node: &Node, found: &mut Diagnostics<'_>) -> Option<Trigger> {
    let mut fields = Fields::open(node, "a `session_status` trigger", found)?;
    let session = fields.optional("session").and_then(|entry| reader::text(&entry.value, found));
    let status = fields.optional("status").map(|entry| words(&entry.value, &STATUSES, found));
    let when = fields.optional("when").and_then(|entry| reader::expression(&entry.value, found));
    fields.finish(found);
    let status = status.unwrap_or_default().into_iter().map(str::to_string).collect();
    Some(Trigger::SessionStatus { session, status, when })
}

pub(super) fn group_join(node: &Node, found: &mut Diagnostics<'_>) -> Option<Trigger> {
    let mut fields = Fields::open(node, "a `group_join` trigger", found)?;
    let session = fields.optional("session").and_then(|entry| reader::text(&entry.value, found));
    let group = fields.optional("group").and_then(|entry| {
        let text = reader::text(&entry.value, found)?;
        if is_group(&text) {
            return Some(text);
        }
        let message = format!("`{}` is no group id", reader::shown(&text));
        found
            .error("bad-group", entry.value.span.clone(), message)
            .help("a group's chat id ends in @g.us, such as 120363012345678901@g.us");
        None
    });
    let when = fields.optional("when").and_then(|entry| reader::expression(&entry.value, found));
    fields.finish(found);
    Some(Trigger::GroupJoin { session, group, when })
}

pub(super) fn events(node: &Node, found: &mut Diagnostics<'_>) -> Option<Trigger> {
    let mut fields = Fields::open(node, "a `session_events` trigger", found)?;
    let session = fields.required("session", found);
    let when = fields.optional("when").and_then(|entry| reader::expression(&entry.value, found));
    fields.finish(found);
    let session = session?;
    let name = reader::text(&session.value, found)?;
    if name.trim().is_empty() {
        found
            .error("bad-name", session.value.span.clone(), "a session has a name")
            .help("name the session whose events are to be listened to");
        return None;
    }
    Some(Trigger::SessionEvents { session: name, when })
}

/// One word, or a list of them.
pub(super) fn words<T: Copy>(node: &Node, known: &[(&'static str, T)], found: &mut Diagnostics<'_>) -> Vec<T> {
    match &node.value {
        Value::List(items) => items.iter().filter_map(|item| reader::word(item, known, found)).collect(),
        _ => reader::word(node, known, found).into_iter().collect(),
    }
}

/// Digits, in older groups with those of a creation time after a hyphen.
fn is_group(text: &str) -> bool {
    text.strip_suffix("@g.us").is_some_and(|id| {
        id.starts_with(|c: char| c.is_ascii_digit()) && id.bytes().all(|b| b.is_ascii_digit() || b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::triggers;
    use crate::lang::workflow::Trigger;

    #[test]
    fn statuses_are_one_word_or_a_list() {
        for (fields, expected) in [
            ("session: s", vec![]),
            ("status: failed", vec!["failed"]),
            ("status: [failed, qr_code]", vec!["failed", "qr_code"]),
        ] {
            let (found, mistakes) = triggers(&format!("session_status: {{ {fields} }}"));
            let [Trigger::SessionStatus { status, .. }] = &found[..] else { panic!("{found:?}") };
            assert_eq!((status.iter().map(String::as_str).collect::<Vec<_>>(), mistakes.len()), (expected, 0));
        }
    }

    #[test]
    fn mistakes_name_what_was_meant() {
        for (text, expected) in [
            ("session_status: { status: workng }", "`workng` is none of its values (did you mean `working`?)"),
            ("session_status: { status: [failed, workin] }", "(did you mean `working`?)"),
            ("session_status: { sesion: s }", "has no key `sesion` (did you mean `session`?)"),
            ("group_join: { group: 15551234567@c.us }", "is no group id (a group's chat id ends in @g.us"),
            ("group_join: { group: '@g.us' }", "is no group id"),
            ("session_events: {}", "a `session_events` trigger needs `session`"),
            ("session_events: { session: ' ' }", "a session has a name"),
            ("session_statu: {}", "there is no trigger `session_statu` (did you mean `session_status`?)"),
        ] {
            let (_, mistakes) = triggers(text);
            assert!(mistakes.len() == 1 && mistakes[0].contains(expected), "{text}: {mistakes:?}");
        }
        let (found, mistakes) = triggers("group_join: { session: s, group: 120363012345678901@g.us, when: true }");
        assert!(mistakes.is_empty() && found[0].when() == Some("true"), "{found:?}");
    }
}
