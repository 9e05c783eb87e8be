//! Plugin steps against their schemas: what `with:` gives them, and what expressions ask of their outputs.

use std::sync::Arc;

use serde_json::json;

use super::samples::{catalog, checked, mistakes, push, source};
use super::*;
use crate::lang::{Severity, render};

/// One `crm/push` with this `with`, from line 3 on.
fn push_with(with: &str) -> String {
    let lines: String = with.lines().map(|line| format!("\n      {line}")).collect();
    format!("steps:\n  - {{ id: a, uses: crm/push, with: {{ {} }} }}", lines.trim_start())
}

const CONTACT: &str = "contact: { name: Ada, phones: [{ number: '1' }] }";

/// The mistakes of a `with` of a right contact and one more key.
fn beside_contact(more: &str) -> Vec<String> {
    let text = push_with(&format!("{CONTACT},\n{more}"));
    mistakes(&text)
}

#[test]
fn constants_are_held_against_the_whole_schema() {
    let cases: &[(&str, &[&str])] = &[
        ("mode: fast, priority: 5, tags: [a, b], note: null", &[]),
        ("mode: fsat", &["bad-value 3:13 fsat"]),
        ("mode: 1", &["bad-value 3:13 1"]),
        ("priority: 1.0", &[]),
        ("priority: 1.5", &["wrong-type 3:17 1.5"]),
        ("priority: 0", &["bad-value 3:17 0"]),
        ("priority: high", &["wrong-type 3:17 high"]),
        ("priority: null", &["wrong-type 3:17 null"]),
        ("note: 1", &["wrong-type 3:13 1"]),
        ("tags: [a, B, 3]", &["bad-value 3:17 B", "wrong-type 3:20 3"]),
        ("tags: [a, b, c, d]", &["bad-value 3:13 [a, b, c, d]"]),
        ("tags: [a, a]", &["bad-value 3:13 [a, a]"]),
        ("tgas: []", &["unknown-key 3:7 tgas"]),
        ("extra: { x_a: b, x_c: null, y: b }", &["bad-name 3:35 y"]),
        ("extra: { x_a: 1 }", &["wrong-type 3:21 1"]),
        ("via: sms", &[]),
        ("via: { kind: mail, address: a }", &[]),
        ("via: { kind: mail }", &["missing-key 3:7 via"]),
        ("via: { kind: mail, adress: a }", &["missing-key 3:7 via", "unknown-key 3:26 adress"]),
        ("via: { kind: fax, address: a }", &["bad-value 3:20 fax"]),
        ("via: [1]", &["wrong-type 3:12 [1]"]),
        ("when: { to: 1 }", &[]),
        ("when: { from: 1 }", &["missing-key 3:7 when"]),
        ("when: { from: 1, to: x }", &["wrong-type 3:28 x"]),
    ];
    for (more, expected) in cases {
        assert_eq!(beside_contact(more), *expected, "{more}");
    }
}

#[test]
fn nested_mistakes_are_found_all_at_once_where_they_are() {
    let text = push_with("contact:\n  { nmae: Ada, phones: [{ number: 1 }, { nubmer: '2' }, 3], age: x }");
    let expected = [
        "missing-key 2:38 contact",
        "unknown-key 3:11 nmae",
        "wrong-type 3:41 1",
        "missing-key 3:46 { nubmer: '2' }",
        "wrong-type 3:63 3",
        "wrong-type 3:72 x",
    ];
    assert_eq!(mistakes(&text), expected);
    assert_eq!(mistakes("steps: [{ id: a, uses: crm/push }]"), ["missing-key 1:24 crm/push"]);
    assert_eq!(mistakes(&push_with("contact: null")), ["wrong-type 2:47 null"]);
}

#[test]
fn what_a_template_gives_is_not_known() {
    for more in [
        "mode: '{{ event.a }}'",
        "mode: 'x{{ event.a }}'",
        "priority: '{{ event.a }}'",
        "tags: '{{ event.a }}'",
        "tags: ['{{ event.a }}', '{{ event.a }}', 'A{{ event.b }}']",
        "extra: { x_a: '{{ event.a }}' }",
        "via: '{{ event.a }}'",
        "via: { kind: '{{ event.a }}', address: a }",
        "via: { kind: 'ma{{ event.a }}', address: a }",
        "when: '{{ event.a }}'",
        "note: '{# nothing #}'",
    ] {
        assert_eq!(beside_contact(more), [] as [&str; 0], "{more}");
    }
    let cases: &[(&str, &[&str])] = &[
        // A text it is, whatever stands in it.
        ("priority: '1{{ event.a }}'", &["wrong-type 3:17 '1{{ event.a }}'"]),
        ("tags: 'a {{ event.a }}'", &["wrong-type 3:13 'a {{ event.a }}'"]),
        // What is around the holes is known.
        ("tags: ['{{ event.a }}', B]", &["bad-value 3:31 B"]),
        ("tags: ['{{ event.a }}', a, b, c]", &["bad-value 3:13 ['{{ event.a }}', a, b, c]"]),
        ("extra: { y: '{{ event.a }}' }", &["bad-name 3:16 y"]),
        ("via: { kind: mail, address: '{{ event.a }}', x: 1 }", &["unknown-key 3:52 x"]),
        ("via: { kind: mail, adress: '{{ event.a }}' }", &["missing-key 3:7 via", "unknown-key 3:26 adress"]),
        ("when: { from: '{{ event.a }}' }", &["missing-key 3:7 when"]),
        // Whatever kind it is, something is missing.
        ("via: { kind: '{{ event.a }}' }", &["bad-value 3:12 { kind: '{{ event.a }}' }"]),
    ];
    for (more, expected) in cases {
        assert_eq!(beside_contact(more), *expected, "{more}");
    }
    // What does not parse is told once, and nothing is known of it.
    let found = beside_contact("priority: 'x{{ event. }}'");
    assert!(matches!(&found[..], [one] if one.starts_with("bad-template")), "{found:?}");
}

#[test]
fn a_plugin_step_in_words() {
    let text = r#"steps:
  - id: a
    uses: crm/push
    with:
      contact:
        nmae: Ada
        phones: []
        age: "{{ event.a }} years"
      mode: fsat
      priority: 9
      tags: [ok, "N0"]
      extra: { y: 1 }
      via: { kind: fax }
      mood: good
  - id: b
    uses: set
    with:
      score: "{{ steps.a.scoer }}, {{ steps.a.score.points }}, {{ steps.a.matches[0].nmae }}"
      first: "{{ steps.a.seen.frist }} {{ steps.a.matches.name }}"
      error: "{{ errors.a.mesage }}"
  - id: c
    for_each: { in: steps.a.score, collect: output.scoer }
    uses: crm/push
    with: { contact: "{{ item }}" }
  - id: d
    uses: set
    with: { all: "{{ steps.c.colected }}" }
"#;
    insta::assert_snapshot!(render::human(&checked(text).diagnostics, &[source(text)], false));
}

/// Step `a` gives the output, and `b` reads it in this expression.
fn reading(expression: &str) -> Vec<String> {
    let text = push_with(CONTACT) + &format!("\n  - id: b\n    uses: set\n    if: {expression}\n");
    mistakes(&text)
}

#[test]
fn expressions_ask_for_what_there_is() {
    for right in [
        "steps.a",
        "steps.a.id == 'x'",
        "steps.a.raw.anything[0].at_all",
        "steps.a.matches[0].name",
        "steps.a.matches.0.name",
        "steps.a.matches[event.n]['name']",
        "steps.a.matches | map(attribute='nmae') | list",
        "steps.a.matches[1:] | length",
        "(steps.a.matches | first).nmae",
        "steps.a.by_field.anything.points > 1",
        "steps.a.by_field['a b'].points",
        "steps.a.by_field[event.a].points",
        "steps.a.seen.first",
        "steps.a['id']",
        "steps.a.id[0]",
        "errors.a.code and errors.a.message and errors.a.details.x",
    ] {
        assert_eq!(reading(right), [] as [&str; 0], "{right}");
    }
    let cases: &[(&str, &[&str])] = &[
        ("steps.a.scoer > 1", &["unknown-output 5:17 scoer"]),
        ("steps.a.score.points > 1", &["unknown-output 5:23 points"]),
        ("steps.a.id.length", &["unknown-output 5:20 length"]),
        ("steps.a.matches.name", &["unknown-output 5:25 name"]),
        ("steps.a.matches[0].nmae", &["unknown-output 5:28 nmae"]),
        ("steps.a.matches[event.n].nmae", &["unknown-output 5:34 nmae"]),
        ("steps.a['idd']", &["unknown-output 5:17 'idd'"]),
        ("steps.a.by_field.x.pionts", &["unknown-output 5:28 pionts"]),
        ("steps.a.is_new[0]", &["unknown-output 5:24 0"]),
        ("errors.a.mesage", &["unknown-output 5:18 mesage"]),
        ("steps.a.id and steps.a.id.x", &["unknown-output 5:35 x"]),
    ];
    for (wrong, expected) in cases {
        assert_eq!(reading(wrong), *expected, "{wrong}");
    }
}

#[test]
fn what_an_open_schema_does_not_list_is_a_warning() {
    let text = push_with(CONTACT) + "\n  - { id: b, uses: set, with: { x: '{{ steps.a.seen.frist }}' } }\n";
    let found = checked(&text);
    assert!(found.plan.is_some());
    let [warning] = &found.diagnostics[..] else { panic!("{:?}", found.diagnostics) };
    assert_eq!((warning.code, warning.severity), ("unknown-output", Severity::Warning));
    assert_eq!(warning.message, "the schema of `steps.a.seen` does not list `frist`");
    assert_eq!(warning.help.as_deref(), Some("did you mean `first`?"));
}

#[test]
fn every_place_that_reads_an_output_is_looked_at() {
    let step = "{ id: a, uses: crm/push, with: { contact: '{{ event.c }}' } }";
    for (rest, expected) in [
        ("{ id: b, uses: filter, with: { when: steps.a.x } }", "x"),
        ("{ id: b, uses: switch, with: { cases: { one: steps.a.x } } }", "x"),
        ("{ id: b, uses: set, with: { l: [{ k: 'a {{ steps.a.x }}' }] } }", "x"),
        ("{ id: b, uses: set, once: { key: '{{ steps.a.x }}', ttl: 1h } }", "x"),
        ("{ id: b, uses: set, for_each: { in: steps.a.x } }", "x"),
        ("{ id: b, uses: crm/push, for_each: { in: steps.a.matches, collect: output.x }, with: { contact: 1 } }", "x"),
        ("{ id: b, uses: wait_for, with: { when: incoming.a == steps.a.x } }", "x"),
        (
            "{ id: b, for_each: { in: steps.a.matches, collect: steps.c.x }, steps: [{ id: c, uses: crm/push, with: { contact: '{{ item }}' } }] }",
            "x",
        ),
    ] {
        let text = format!("steps:\n  - {step}\n  - {rest}\n");
        let found = mistakes(&text);
        assert!(
            found.iter().any(|one| one.starts_with("unknown-output") && one.ends_with(expected)),
            "{rest} {found:?}"
        );
    }
    let text = format!("output: {{ x: '{{{{ steps.a.x }}}}' }}\nsteps:\n  - {step}\n");
    assert_eq!(mistakes(&text), ["unknown-output 1:26 x"]);
}

#[test]
fn what_is_certainly_no_list_is_not_repeated() {
    let step = "{ id: a, uses: crm/push, with: { contact: '{{ event.c }}' } }";
    for (items, expected) in [
        ("steps.a.matches", &[][..]),
        ("steps.a.raw", &[]),
        ("steps.a.score", &["not-a-list 3:41 steps.a.score"]),
        ("steps.a.seen", &["not-a-list 3:41 steps.a.seen"]),
        ("'steps.a.matches[0].id'", &[]),
        ("'[steps.a.score]'", &[]),
    ] {
        let text = format!("steps:\n  - {step}\n  - {{ id: b, uses: set, for_each: {{ in: {items} }} }}\n");
        assert_eq!(mistakes(&text), expected, "{items}");
    }
}

/// A run is pinned to its plan; what a plugin says today is judged by the step, when it is reached.
#[test]
fn a_stored_plan_may_be_older_than_the_schemas() {
    let text = push_with(CONTACT) + "\n  - { id: b, uses: set, with: { x: '{{ steps.a.score }}' } }\n";
    let plan = checked(&text).plan.unwrap();
    let mut catalog = catalog();
    let input = crate::lang::catalog::Fields::Schema(json!({"type": "object", "required": ["token"]}));
    let output = Some(json!({"type": "object", "additionalProperties": false}));
    catalog.insert(crate::lang::StepSpec { fields: input, output, ..push() });
    let restored = Plan::restore(&plan.stored(), &catalog).unwrap();
    assert_eq!(restored.digest, plan.digest);
    let checked_today = super::check(&source(&text), std::path::Path::new("workflows"), &catalog, &Default::default());
    assert!(checked_today.plan.is_none());
    let _: Arc<Plan> = plan;
}
