//! A catalog and workflows for tests; the real catalog belongs to a later layer.

use std::path::Path;

use proptest::prelude::*;
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
        output: None,
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
    let wait = Fields::Known(vec![field("for", FieldKind::Pause, false), field("until", FieldKind::Until, false)]);
    add("wait", Effect::Pure, ok(), wait);
    add("fail", Effect::Pure, fixed(&[]), Fields::Known(vec![field("message", FieldKind::Text, true)]));
    let wait_for = Fields::Known(vec![
        field("event", FieldKind::Text, false),
        field("when", FieldKind::Incoming, false),
        field("timeout", FieldKind::Pause, false),
    ]);
    add("wait_for", Effect::Pure, fixed(&["ok", "timeout"]), wait_for);
    let approve = Fields::Known(vec![field("title", FieldKind::Text, true), field("timeout", FieldKind::Pause, false)]);
    add("approve", Effect::Pure, fixed(&["ok", "rejected", "timeout"]), approve);
    let call =
        Fields::Known(vec![field("workflow", FieldKind::Workflow, true), field("inputs", FieldKind::Any, false)]);
    add("call", Effect::Pure, ok(), call);
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
    catalog.insert(push());
    catalog.insert_broken_plugin("crm-sync", "it is for interface 2.0.0, this host has 1.0.0");
    catalog
}

/// A plugin step whose schemas say much.
pub(super) fn push() -> StepSpec {
    let input = json!({
        "type": "object", "required": ["contact"], "additionalProperties": false,
        "properties": {
            "contact": {"$ref": "#/$defs/contact"},
            "tags": {"type": "array", "maxItems": 3, "uniqueItems": true, "items": {"type": "string", "pattern": "^[a-z]+$"}},
            "mode": {"enum": ["fast", "exact"], "description": "how carefully doubles are looked for"},
            "priority": {"type": "integer", "minimum": 1, "maximum": 5},
            "extra": {"type": "object", "propertyNames": {"pattern": "^x_"}, "additionalProperties": {"type": ["string", "null"]}},
            "via": {"oneOf": [
                {"type": "object", "properties": {"kind": {"const": "mail"}, "address": {"type": "string"}},
                    "required": ["kind", "address"], "additionalProperties": false},
                {"type": "object", "properties": {"kind": {"const": "chat"}, "session": {"type": "string"}},
                    "required": ["kind", "session"], "additionalProperties": false},
                {"type": "string", "title": "the name of a channel"}]},
            "note": {"type": ["string", "null"]},
            "when": {"type": "object", "properties": {"from": {"type": "integer"}, "to": {"type": "integer"}},
                "if": {"required": ["from"]}, "then": {"required": ["to"]}},
        },
        "$defs": {"contact": {
            "type": "object", "required": ["name", "phones"], "additionalProperties": false,
            "properties": {
                "name": {"type": "string", "minLength": 2, "description": "as it is shown"},
                "phones": {"type": "array", "minItems": 1, "items": {
                    "type": "object", "required": ["number"], "properties": {"number": {"type": "string"}}}},
                "age": {"type": "integer"},
            }}},
    });
    let output = json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "id": {"type": "string"},
            "score": {"type": "integer"},
            "is_new": {"type": "boolean"},
            "matches": {"type": "array", "items": {"type": "object", "additionalProperties": false,
                "properties": {"id": {"type": "string"}, "name": {"type": "string"}}}},
            "by_field": {"type": "object", "additionalProperties": {"$ref": "#/$defs/score"}},
            "raw": {},
            "seen": {"type": "object", "properties": {"first": {"type": "string"}, "last": {"type": "string"}}},
        },
        "$defs": {"score": {"type": "object", "additionalProperties": false, "properties": {"points": {"type": "number"}}}},
    });
    let ports = Ports::Fixed(["ok", "duplicate"].map(str::to_string).to_vec());
    StepSpec { output: Some(output), ..spec("crm/push", Effect::Pure, ports, Fields::Schema(input)) }
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

/// A workflow of blocks within blocks, with everything that is about a whole run.
pub(super) const BROADCAST: &str = r#"
name: team-broadcast
triggers: [manual]
concurrency: { key: "{{ event.session }}-{{ vars.oncall }}", limit: 2, overflow: skip }
timeout: 1h
on_failure: alarm
retention: 30d
defaults: { timeout: 20s, retry: { attempts: 2 } }
output: { sent: "{{ steps.each_team.succeeded }}", list: [1, "{{ steps.report }}"] }
steps:
  - id: teams
    uses: set
    with: { a: 1 }
  - id: each_team
    name: 'Every "team"'
    if: event.session != ""
    for_each: { in: steps.teams, as: team, concurrency: 2, collect: "[team, steps.summary]" }
    steps:
      - id: members
        uses: ai.prompt
        with: { prompt: "Who is in {{ team }}?" }
      - id: each_member
        for_each: { in: steps.members.list, as: member, on_item_error: stop }
        steps:
          - id: fit
            uses: filter
            with: { when: member.phone != "" }
          - id: hello
            uses: moltflow.send
            with: { session: "{{ event.session }}", to: "{{ member.phone }}", text: "{{ team }} {{ index }} {{ steps.members.text }} {{ steps.teams.a }}" }
          - id: answer
            uses: wait_for
            with:
              when: incoming.data.from == steps.hello.to and event.session == incoming.session and 'ok' in incoming.data.body
              timeout: 6h
          - id: late
            needs: [answer.timeout]
            uses: set
      - id: summary
        uses: set
        with: { done: "{{ steps.each_member.total }}" }
  - id: single
    needs: [each_team, each_team.error]
    join: any
    if: event.session != ""
    for_each: { in: "[1, 2]" }
    uses: set
    with: { n: "{{ item }}", a: "{{ steps.teams.a }}" }
    once: { key: "single:{{ item }}", ttl: 1h }
  - id: report
    needs: [each_team]
    uses: set
"#;

/// A step of a random workflow: what it needs and reads of those before it, and the steps of its block.
#[derive(Clone, Debug)]
struct Draft {
    filter: bool,
    repeated: bool,
    needs: Vec<(prop::sample::Index, bool)>,
    reads: Option<prop::sample::Index>,
    any: bool,
    steps: Vec<Draft>,
}

/// The `steps:` of any workflow that is right but for edges that cannot all be taken.
pub(super) fn any_steps() -> impl Strategy<Value = String> {
    let leaf = (any::<bool>(), any::<bool>(), drafted(Just(Vec::new()).boxed()))
        .prop_map(|(filter, repeated, draft)| Draft { filter, repeated, ..draft });
    // One level less than the bound: a leaf may repeat itself.
    let depth = limits::FOR_EACH_DEPTH as u32 - 1;
    let step = leaf.prop_recursive(depth, 24, 4, |inner| drafted(prop::collection::vec(inner, 1..4).boxed()));
    prop::collection::vec(step, 1..6).prop_map(|drafts| {
        let mut text = String::new();
        write_steps(&drafts, 0, &mut Written::default(), &mut text);
        text
    })
}

fn drafted(steps: BoxedStrategy<Vec<Draft>>) -> impl Strategy<Value = Draft> {
    let needs = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..3);
    let reads = prop::option::of(any::<prop::sample::Index>());
    (needs, reads, any::<bool>(), steps).prop_map(|(needs, reads, any, steps)| Draft {
        filter: false,
        repeated: false,
        needs,
        reads,
        any,
        steps,
    })
}

#[derive(Default)]
struct Written {
    /// Steps so far, which makes their ids.
    count: usize,
    /// What the next step may read: the id of a step of each block around it.
    outer: Vec<String>,
}

fn write_steps(drafts: &[Draft], depth: usize, written: &mut Written, text: &mut String) {
    use std::fmt::Write;
    let pad = "    ".repeat(depth + 1);
    // Of this block: id, and whether it has the port `rejected`.
    let mut before: Vec<(String, bool)> = Vec::new();
    for draft in drafts {
        let id = format!("s{}", written.count);
        written.count += 1;
        let _ = write!(text, "{pad}- id: {id}\n{pad}  join: {}\n", if draft.any { "any" } else { "all" });
        let mut needs: Vec<String> = Vec::new();
        if !before.is_empty() {
            for (from, rejected) in &draft.needs {
                let (from, filter) = from.get(&before);
                let port = if *rejected && *filter { ".rejected" } else { "" };
                needs.push(format!("{from}{port}"));
            }
        }
        needs.sort();
        needs.dedup();
        let _ = writeln!(text, "{pad}  needs: [{}]", needs.join(", "));
        // What it needs, and what is around it, it may read.
        let mut readable: Vec<String> = needs.iter().map(|need| need.replace(".rejected", "")).collect();
        readable.extend(written.outer.iter().cloned());
        let read = draft.reads.filter(|_| !readable.is_empty()).map(|index| index.get(&readable).clone());
        let read = read.map_or("1".to_string(), |id| format!("steps.{id}"));
        let each = format!("{pad}  for_each: {{ in: \"[{read}]\", as: i{depth}");
        if draft.steps.is_empty() {
            if draft.repeated {
                let _ = writeln!(text, "{each}, collect: output }}");
            }
            let _ = match draft.filter {
                true => writeln!(text, "{pad}  uses: filter\n{pad}  with: {{ when: \"{read}\" }}"),
                false => writeln!(text, "{pad}  uses: set\n{pad}  with: {{ x: \"{{{{ {read} }}}}\" }}"),
            };
        } else {
            let inner = written.count;
            let _ = writeln!(text, "{each}, collect: steps.s{inner} }}\n{pad}  steps:");
            let outer = needs.first().map(|need| need.replace(".rejected", ""));
            written.outer.extend(outer.clone());
            write_steps(&draft.steps, depth + 1, written, text);
            if outer.is_some() {
                written.outer.pop();
            }
        }
        before.push((id, draft.filter && !draft.repeated && draft.steps.is_empty()));
    }
}
