//! Recipients that are constants: what cannot be a chat or a phone number is a mistake of the file. Those that a template
//! gives are read when they are known.

use serde_json::Value as Json;

use super::analyse::{Part, Problems};
use super::layout::Slot;
use crate::base::chat_id;
use crate::base::phone::Region;
use crate::expr::Tree;
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;

const BAD_REGION: &str = "bad-region";
const BAD_RECIPIENT: &str = "bad-recipient";

/// What this finds; it depends on the configuration.
pub(super) const CODES: [&str; 2] = [BAD_REGION, BAD_RECIPIENT];

/// Checks the recipient and the region of a step that has such fields. `default` is the region of the configuration.
pub(super) fn check(spec: &StepSpec, slot: &Slot<'_>, default: Option<Region>, problems: &mut Problems) {
    let given = |kind| {
        let field = spec.field(kind)?;
        Some((field.name, constant(slot.step.with.get(field.name)?)))
    };
    let region = match given(FieldKind::Region) {
        None => Some(default),
        // Known only when the step runs.
        Some((_, None)) => None,
        Some((name, Some(text))) => match Region::parse(&text) {
            Ok(region) => Some(Some(region)),
            Err(error) => {
                let help = "leave it out where every number has its country code";
                let path = slot.at(&["with", name]);
                problems.add(BAD_REGION, &path, Part::Value, error.to_string()).help = Some(help.to_string());
                None
            }
        },
    };
    let Some((name, Some(text))) = given(FieldKind::Recipient) else { return };
    // A chat id needs no region.
    if region.is_none() && !text.contains('@') {
        return;
    }
    let region = region.flatten();
    if let Err(error) = chat_id::parse_in(&text, region) {
        let help = if region.is_some() {
            "write a chat id, a number of the region, or a number with its country code: +1 650 555 1234".to_string()
        } else {
            let kind = FieldKind::Region;
            let own = spec.field(kind).map(|field| format!("`with.{}`", field.name)).unwrap_or_default();
            format!("write the number with its country code (+1 650 555 1234), or set {own} or `moltflow.region`")
        };
        problems.add(BAD_RECIPIENT, &slot.at(&["with", name]), Part::Value, error.to_string()).help = Some(help);
    }
}

/// The text of a value that no run can change; None for a template, and for what is no text and reported as such.
fn constant(value: &Json) -> Option<String> {
    match Tree::compile(value, &mut Vec::new()) {
        Tree::Constant(Json::String(text)) => Some(text),
        Tree::Constant(Json::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::check;
    use super::super::samples::{catalog, source};
    use super::*;
    use crate::base::json::JsonMap;
    use crate::base::{Effect, limits};
    use crate::lang::catalog::{Field, Fields, Ports};

    /// `code line:column message (help)` of what is wrong with a workflow of these steps.
    fn mistakes(steps: &str, region: Option<&str>) -> Vec<String> {
        let mut catalog = catalog();
        let field = |name, kind, required| Field { name, kind, required, summary: "" };
        catalog.insert(StepSpec {
            name: "moltflow.send".to_string(),
            summary: String::new(),
            effect: Effect::AtMostOnce,
            ports: Ports::Fixed(vec!["ok".to_string()]),
            fields: Fields::Known(vec![
                field("session", FieldKind::Text, true),
                field("to", FieldKind::Recipient, true),
                field("region", FieldKind::Region, false),
                field("text", FieldKind::Text, true),
            ]),
            output: None,
            timeout_ms: limits::STEP_TIMEOUT_MS,
        });
        catalog.region = region.map(|region| Region::parse(region).unwrap());
        let text = format!("triggers: [manual]\nsteps:\n{steps}");
        let checked = check(&source(&text), Path::new("workflows"), &catalog, &JsonMap::new());
        let line = |d: &crate::lang::Diagnostic| {
            let help = d.help.as_deref().unwrap_or_default();
            format!("{} {}:{} {} ({help})", d.code, d.line, d.column, d.message)
        };
        checked.diagnostics.iter().map(line).collect()
    }

    fn send(with: &str) -> String {
        format!("  - {{ id: a, uses: moltflow.send, with: {{ session: s, text: x, {with} }} }}\n")
    }

    #[test]
    fn what_can_be_a_chat_passes() {
        for (with, region) in [
            ("to: 15551234567@c.us", None),
            ("to: 120363012345678901@g.us", None),
            ("to: '+1 (650) 555-1234'", None),
            ("to: (650) 555-1234", Some("US")),
            ("to: 6505551234", Some("US")),
            ("to: (650) 555-1234, region: us", Some("DE")),
            ("to: '{{ event.phone }}'", None),
            ("to: '+{{ event.phone }}'", None),
            ("to: 030 1234567, region: '{{ event.country }}'", None),
        ] {
            assert_eq!(mistakes(&send(with), region), [""; 0], "{with}");
        }
    }

    #[test]
    fn what_cannot_be_one_is_a_mistake_with_a_place() {
        for (with, region, expected) in [
            ("to: (650) 555-1234", None, "bad-recipient 3:68 `(650) 555-1234` is a number without its country code"),
            ("to: 6505551234", None, "set `with.region` or `moltflow.region`)"),
            ("to: 555-1234", Some("US"), "has not as many digits as a phone number of +1 (US)"),
            ("to: 15551234567@cus", None, "is neither a contact (@c.us) nor a group (@g.us)"),
            ("to: 12@c.us, region: '{{ event.country }}'", None, "bad-recipient 3:68"),
            ("to: alice", Some("US"), "`alice` is no chat"),
            ("to: '+1 650 555 1234', region: UK", None, "bad-region 3:95 `UK` is no region"),
        ] {
            let found = mistakes(&send(with), region);
            assert!(found.len() == 1 && found[0].contains(expected), "{with}: {found:?}");
        }
    }

    #[test]
    fn blocks_are_looked_into() {
        let one =
            "  - { id: b, uses: moltflow.send, for_each: { in: '[1]' }, with: { session: s, text: x, to: bob } }\n";
        let inner = send("to: bob").replace("  - ", "      - ");
        let block = format!("  - id: c\n    for_each: {{ in: '[1]' }}\n    steps:\n{inner}");
        let found = mistakes(&format!("{one}{block}"), None);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("bad-recipient 3:93") && found[1].starts_with("bad-recipient 7:72"), "{found:?}");
    }
}
