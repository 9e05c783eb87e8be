//! The `webhook` trigger.

use crate::base::limits;
use crate::lang::diagnostic::Diagnostics;
use crate::lang::reader::{self, Fields};
use crate::lang::workflow::{Hook, Respond, Trigger};
use crate::lang::yaml::{Entry, Node};

/// Where a signature is looked for when the file does not say: MoltFlow's own header.
const HEADER: &str = "x-webhook-signature";

/// The path of MoltFlow's own webhook, which is not a workflow's.
const RESERVED: &str = "moltflow";

pub(super) fn read(node: &Node, found: &mut Diagnostics<'_>) -> Option<Trigger> {
    let mut fields = Fields::open(node, "a `webhook` trigger", found)?;
    let path = fields.required("path", found);
    // Left blank it would have everybody believed, which nobody says that way.
    let secret = fields.present("secret").and_then(|entry| {
        let form = "name of a secret; write the name of a key of `secrets:` in moltrun.yaml, never the secret itself";
        reader::name(&entry.value, is_secret_name, form, found)
    });
    let header = fields.optional("header").map(|entry| header(entry, found));
    let dedupe = fields.optional("dedupe").and_then(|entry| reader::expression(&entry.value, found));
    let when = fields.optional("when").and_then(|entry| reader::expression(&entry.value, found));
    let respond = fields.optional("respond").and_then(|entry| respond(entry, found));
    fields.finish(found);
    let path = read_path(path?, found)?;
    let header = header.unwrap_or_else(|| Some(HEADER.to_string()))?;
    Some(Trigger::Webhook(Hook { path, secret, header, dedupe, when, respond }))
}

/// A letter, then letters, digits, - and _.
fn is_secret_name(text: &str) -> bool {
    text.len() <= limits::SECRET_NAME
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Segments of `[a-z0-9-_]`, the first one not [`RESERVED`].
fn read_path(entry: &Entry, found: &mut Diagnostics<'_>) -> Option<String> {
    let text = reader::text(&entry.value, found)?;
    let segment = |segment: &str| {
        !segment.is_empty()
            && segment.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    let span = entry.value.span.clone();
    if text.len() > limits::HOOK_PATH || !text.split('/').all(segment) {
        found
            .error("bad-path", span, format!("`{}` is no path of a webhook", reader::shown(&text)))
            .help(path_help(&text));
        return None;
    }
    if text.split('/').next() == Some(RESERVED) {
        found.error("reserved-path", span, "`moltflow` is the path of MoltFlow's own webhook").help(
            "choose another path; MoltFlow's events start workflows by `message`, `session_status` and `group_join`",
        );
        return None;
    }
    Some(text)
}

fn path_help(text: &str) -> String {
    let bare = text.trim_matches('/').trim_start_matches("hooks/");
    if bare != text && !bare.is_empty() {
        return format!("write what comes after /hooks/ alone: `{}`", reader::shown(bare));
    }
    "write a-z, 0-9, - and _, parts separated by /, such as `shop/orders`".to_string()
}

/// A header's name, in lower case. One that carries other credentials is taken as well: it is redacted alike.
fn header(entry: &Entry, found: &mut Diagnostics<'_>) -> Option<String> {
    let text = reader::text(&entry.value, found)?;
    let good = !text.is_empty()
        && text.len() <= limits::KEY
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !good {
        let message = format!("`{}` is no name of a header", reader::shown(&text));
        found.error("bad-header", entry.value.span.clone(), message).help("such as X-Webhook-Signature");
    }
    good.then(|| text.to_ascii_lowercase())
}

fn respond(entry: &Entry, found: &mut Diagnostics<'_>) -> Option<Respond> {
    let mut fields = Fields::open(&entry.value, "`respond`", found)?;
    let status = fields.optional("status");
    let body = fields.present("body");
    fields.finish(found);
    let status = match status {
        Some(entry) => reader::integer(&entry.value, 200, 299, found)? as u16,
        None => 200,
    };
    if let (204 | 205, Some(body)) = (status, body) {
        found
            .error("misplaced-key", body.key_span.clone(), format!("an answer of status {status} has no body"))
            .help("leave out `body`, or answer 200");
        return None;
    }
    Some(Respond { status, body: body.map(|entry| entry.value.to_json()) })
}

#[cfg(test)]
mod tests {
    use super::super::samples::triggers;
    use super::*;
    use serde_json::json;

    fn hook(fields: &str) -> Hook {
        let (mut found, mistakes) = triggers(&format!("webhook: {{ {fields} }}"));
        assert!(mistakes.is_empty(), "{fields}: {mistakes:?}");
        match found.remove(0) {
            Trigger::Webhook(hook) => hook,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_said_is_small_and_not_stored() {
        let plain = hook("path: shop/new-order_2");
        assert_eq!(
            serde_json::to_value(Trigger::Webhook(plain)).unwrap(),
            json!({"on": "webhook", "path": "shop/new-order_2", "header": "x-webhook-signature"})
        );
        let full = hook(
            "path: a, secret: shop, header: X-Shop-Hmac, dedupe: event.body.id, respond: { status: 201, body: { ok: true } }",
        );
        assert_eq!((full.header.as_str(), full.dedupe.as_deref()), ("x-shop-hmac", Some("event.body.id")));
        assert_eq!(full.respond, Some(Respond { status: 201, body: Some(json!({"ok": true})) }));
        assert_eq!(hook("path: a, dedupe: false").dedupe.as_deref(), Some("false"));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (fields, expected) in [
            ("secret: shop", "a `webhook` trigger needs `path`"),
            ("path: /hooks/shop", "(write what comes after /hooks/ alone: `shop`)"),
            ("path: Shop", "`Shop` is no path of a webhook (write a-z, 0-9"),
            ("path: a//b", "is no path of a webhook"),
            ("path: a/../b", "is no path of a webhook"),
            ("path: moltflow", "`moltflow` is the path of MoltFlow's own webhook"),
            ("path: moltflow/x", "`moltflow` is the path of MoltFlow's own webhook"),
            ("path: a, secret: '${SHOP_SECRET}'", "never the secret itself"),
            ("path: a, secret: ", "expected text, found nothing"),
            ("path: a, header: 'X Y'", "`X Y` is no name of a header"),
            ("path: a, respond: { status: 404 }", "`404` is no whole number from 200 to 299"),
            ("path: a, respond: { status: 204, body: x }", "an answer of status 204 has no body"),
            ("path: a, respnd: {}", "has no key `respnd` (did you mean `respond`?)"),
        ] {
            let (_, mistakes) = triggers(&format!("webhook: {{ {fields} }}"));
            assert!(mistakes.len() == 1 && mistakes[0].contains(expected), "{fields}: {mistakes:?}");
        }
    }
}
