//! A catalog and workflows for tests; the real catalog belongs to a later layer.

use std::path::Path;

use serde_json::json;

use super::{Checked, check};
use crate::base::json::JsonMap;
use crate::base::{Effect, limits};
use crate::lang::catalog::{Field, FieldKind, Fields, Ports, StepSpec};
use crate::lang::{Catalog, Source};

fn field(name: &'static str, kind: FieldKind, required: bool) -> Field {
    Field { name, kind, required, summary: "" }
}

fn spec(name: &str, effect: Effect, ports: Ports, fields: Fields) -> StepSpec {
    StepSpec {
        name: name.to_string(),
        summary: String::new(),
        effect,
        ports,
        fields,
        timeout_ms: limits::STEP_TIMEOUT_MS,
    }
}

pub(super) fn catalog() -> Catalog {
    let fixed = |ports: &[&str]| Ports::Fixed(ports.iter().map(|port| port.to_string()).collect());
    let ok = || fixed(&["ok"]);
    let mut catalog = Catalog::default();
    let mut add = |name: &str, effect, ports, fields| catalog.insert(spec(name, effect, ports, fields));
    let when = Fields::Known(vec![field("when", FieldKind::Condition, true)]);
    add("filter", Effect::Pure, fixed(&["ok", "rejected"]), when);
    let cases = Fields::Known(vec![field("cases", FieldKind::Conditions, true)]);
    add("switch", Effect::Pure, Ports::KeysOf("cases"), cases);
    add("set", Effect::Pure, ok(), Fields::Any);
    let wait = Fields::Known(vec![field("for", FieldKind::Duration, true)]);
    add("wait", Effect::Pure, ok(), wait);
    let send = ["session", "to", "text"].map(|name| field(name, FieldKind::Text, true));
    add("moltflow.send", Effect::AtMostOnce, ok(), Fields::Known(send.to_vec()));
    let prompt = Fields::Known(vec![
        field("prompt", FieldKind::Text, true),
        field("system", FieldKind::Text, false),
        field("temperature", FieldKind::Number, false),
    ]);
    add("ai.prompt", Effect::Idempotent, ok(), prompt);
    let http = Fields::Known(vec![
        field("method", FieldKind::OneOf(&["GET", "POST"]), true),
        field("url", FieldKind::Text, true),
        field("json", FieldKind::Any, false),
    ]);
    add("http", Effect::AtMostOnce, ok(), http);
    let schema = json!({"type": "object", "required": ["text"], "additionalProperties": false, "properties": {
        "text": {"type": "string"}, "keywords": {"type": "array"}, "mode": {"enum": ["fast", "exact"]}}});
    add("keyword-score/score", Effect::Pure, ok(), Fields::Schema(schema));
    catalog.insert_broken_plugin("crm-sync", "it is for interface 2.0.0, this host has 1.0.0");
    catalog
}

pub(super) fn source(text: &str) -> Source {
    Source { path: "workflows/sample.yaml".to_string(), text: text.to_string() }
}

/// Checks `text` as `workflows/sample.yaml`, with `vars: { oncall }` of the configuration.
pub(super) fn checked(text: &str) -> Checked {
    let mut vars = JsonMap::new();
    vars.insert("oncall".to_string(), json!("15551234567@c.us"));
    check(&source(text), Path::new("workflows"), &catalog(), &vars)
}

/// `code line:column word` of everything that is wrong with `text`.
pub(super) fn mistakes(text: &str) -> Vec<String> {
    let diagnostics = checked(text).diagnostics;
    let line = |d: &crate::lang::Diagnostic| {
        let word: String = text[d.span.clone()].chars().take(40).map(|c| if c == '\n' { ' ' } else { c }).collect();
        format!("{} {}:{} {word}", d.code, d.line, d.column)
    };
    diagnostics.iter().map(line).collect()
}

/// The first workflow of the language's description, without what this foundation has not.
pub(super) const SUPPORT: &str = r#"
name: support-reply
description: Answer questions with AI; hand over what is urgent.
triggers:
  - message: { session: support-team, when: "event.data.body != ''" }
  - schedule: { cron: "0 9 * * 1", timezone: Europe/Madrid, catch_up: last }
  - manual
inputs: { note: { type: string, default: "" } }
vars: { greeting: Hello }
defaults: { timeout: 20s, retry: { attempts: 2 } }
steps:
  - id: question
    uses: filter
    with: { when: "'?' in event.data.body" }
  - id: intent
    uses: keyword-score/score
    with: { text: "{{ event.data.body }}", keywords: [urgent, down, refund] }
  - id: route
    uses: switch
    with:
      cases:
        urgent: steps.intent.score >= 2
        late: now() > 0
  - id: page
    name: 'Page "on call"'
    needs: [route.urgent]
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ vars.oncall }}", text: "Urgent: {{ event.data.body }} {{ inputs.note }}" }
    on_unknown: resend
  - id: answer
    needs: [route.else]
    uses: ai.prompt
    with: { system: You are helpful., prompt: "{{ vars.greeting }} {{ event.data.body }}", temperature: 0.2 }
    retry: { attempts: 3 }
    timeout: 45s
  - id: reply
    if: steps.answer.text != ""
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ event.data.from }}", text: "{{ steps.answer.text }}" }
  - id: sorry
    needs: [answer.error]
    uses: set
    with: { why: "{{ errors.answer.message }}", list: [1, "{{ steps.intent }}"] }
  - id: each
    needs: [reply, page]
    join: any
    uses: set
    for_each: { in: "['a', 'b']", as: word, concurrency: 4, on_item_error: stop, collect: output.w }
    with: { w: "{{ word }}{{ index }}" }
"#;
