//! The whole front end, from text to findings or a plan.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::samples::{BROADCAST, SUPPORT, catalog, checked, mistakes, source};
use super::*;
use crate::expr::{Item, Scope};
use crate::lang::{Catalog, render};

fn plan(text: &str) -> Arc<Plan> {
    let checked = checked(text);
    let problems = render::human(&checked.diagnostics, &[source(text)], false);
    checked.plan.unwrap_or_else(|| panic!("{problems}"))
}

const SEVEN: &str = r#"name: seven
triggers:
  - schedule: { cron: "0 25 * * *" }
steps:
  - id: ask
    uses: ai.promt
    with: { prompt: "{{ event.data.body }}" }
  - id: route
    uses: switch
    with:
      cases: { urgent: "'🙂' in event.data.body" }
    retries: 3
  - id: page
    needs: [route.urgnet]
    uses: moltflow.send
    with: { session: s, to: "1", text: "🙂 {{ steps.later.text }}" }
  - id: a
    needs: [b]
    uses: set
  - id: b
    needs: [a]
    uses: set
  - id: later
    needs: []
    uses: ai.prompt
    with:
      prompt: "{{ event.data.body | }}"
"#;

#[test]
fn seven_mistakes_in_one_pass() {
    let found = checked(SEVEN);
    assert!(found.plan.is_none());
    assert_eq!(found.diagnostics.len(), 7);
    insta::assert_snapshot!(render::human(&found.diagnostics, &[source(SEVEN)], false));
}

#[test]
fn a_good_workflow_is_a_plan() {
    let plan = plan(SUPPORT);
    let by_id = |id: &str| plan.steps.iter().find(|step| &*step.id == id).unwrap();
    let edge = |from, port: &str| Edge { from, port: port.to_string() };
    assert_eq!(by_id("intent").needs, [edge(0, "ok")]);
    assert_eq!(by_id("page").needs, [edge(2, "urgent")]);
    assert_eq!(by_id("route").dependents, [3, 4]);
    assert_eq!(by_id("answer").dependents, [5, 6]);
    assert!(by_id("answer").handles_error && !by_id("route").handles_error);
    assert_eq!((by_id("answer").timeout_ms, by_id("page").timeout_ms), (45_000, 20_000));
    assert_eq!((by_id("answer").retry.attempts, by_id("page").retry.attempts), (3, 2));
    assert_eq!(by_id("sorry").reads, [1, 4]);
    assert_eq!(by_id("each").reads, [] as [usize; 0]);
    assert_eq!(by_id("page").effect, Effect::AtMostOnce);
    assert_eq!(plan.triggers.len(), 3);
    assert!(plan.triggers[0].when.is_some());
    assert_eq!(plan.vars["greeting"], "Hello");
    assert_eq!(plan.vars["oncall"], "15551234567@c.us");
    assert_eq!(*plan.default_inputs, json!({"note": ""}));
    for (place, step) in plan.order.iter().enumerate() {
        let before = &plan.order[..place];
        assert!(plan.steps[*step].needs.iter().all(|need| before.contains(&need.from)));
    }
}

#[test]
fn with_renders_each_field_in_its_way() {
    let plan = plan(SUPPORT);
    let mut scope = Scope {
        event: Arc::new(json!({"session": "s", "data": {"body": "Is it down?", "from": "1@c.us"}})),
        inputs: Arc::new(json!({"note": "!"})),
        vars: plan.vars.clone(),
        ..Scope::default()
    };
    let step = |index: usize, scope: &Scope| plan.steps[index].with.render(scope);
    assert_eq!(step(0, &scope), Ok(json!({"when": true})));
    assert_eq!(step(3, &scope), Ok(json!({"session": "s", "to": "15551234567@c.us", "text": "Urgent: Is it down? !"})));
    let missing = step(2, &scope).unwrap_err().message;
    assert!(missing.starts_with("with.cases: urgent: `steps.intent.score >= 2`: undefined"), "{missing}");
    scope.steps.insert("intent".into(), Arc::new(json!({"score": 2})));
    // The second case would be true as well; the first one wins.
    scope.now = 1;
    assert_eq!(step(2, &scope), Ok(json!({"cases": "urgent"})));
    scope.steps.insert("intent".into(), Arc::new(json!({"score": 0})));
    assert_eq!(step(2, &scope), Ok(json!({"cases": "late"})));
    scope.now = 0;
    assert_eq!(step(2, &scope), Ok(json!({"cases": null})));
    scope.errors.insert("answer".into(), Arc::new(json!({"code": "c", "message": "m"})));
    assert_eq!(step(6, &scope), Ok(json!({"why": "m", "list": [1, {"score": 0}]})));
    scope.items.push(Item { name: "word".into(), value: Arc::new(json!("a")), index: 1 });
    assert_eq!(step(8, &scope), Ok(json!({"w": "a1"})));
}

#[test]
fn stored_restored_stored() {
    let plan = plan(SUPPORT);
    let text = plan.stored().to_string();
    let restored = Plan::restore(&serde_json::from_str(&text).unwrap(), &catalog()).unwrap();
    assert_eq!(restored.stored().to_string(), text);
    assert_eq!(restored.digest, plan.digest);
    assert_eq!(restored.workflow, plan.workflow);
    assert_eq!(restored.order, plan.order);
    assert_eq!(plan.digest.len(), 64);
}

#[test]
fn a_stored_plan_says_what_today_lacks() {
    let stored = plan("steps: [{ id: a, uses: set }]").stored();
    let error = Plan::restore(&stored, &Catalog::default()).unwrap_err().to_string();
    assert_eq!(error, "the stored plan cannot be run any more: steps.0.uses: there is no step `set`");
    for broken in [json!(null), json!({"version": 9}), json!({"version": 1, "workflow": {"name": 1}})] {
        assert!(Plan::restore(&broken, &catalog()).is_err());
    }
}

#[test]
fn the_digest_is_that_of_the_content() {
    let one = plan("steps: [{ id: a, uses: set, with: { x: 1, y: 2 } }]");
    let same = plan("# a note\nsteps:\n  - uses: set\n    id: a\n    with: { x: 1, y: 2 }\n");
    let other = plan("steps: [{ id: a, uses: set, with: { x: 1, y: 3 } }]");
    assert_eq!(one.digest, same.digest);
    assert_ne!(one.digest, other.digest);
}

#[test]
fn pictures() {
    let plan = plan(SUPPORT);
    insta::assert_snapshot!("mermaid", plan.mermaid());
    insta::assert_snapshot!("dot", plan.dot());
}

/// Steps `a` (switch on x), then what is given.
fn after_switch(rest: &str) -> String {
    format!("steps:\n  - {{ id: a, uses: switch, with: {{ cases: {{ x: 'true', y: 'true' }} }} }}\n{rest}")
}

#[test]
fn each_mistake_has_its_place() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["no-steps 1:1 "]),
        ("steps: []", &["no-steps 1:8 []"]),
        ("name: x", &["no-steps 1:1 name"]),
        ("[1, 2]", &["wrong-type 1:1 [1, 2]"]),
        ("steps: [{ id: a, uses: set }]\nname: Bad Name", &["bad-name 2:7 Bad Name"]),
        ("steps: [{ id: a, uses: set }]\ndescription: 5", &["wrong-type 2:14 5"]),
        ("steps: [{ id: A, uses: set }]", &["bad-name 1:15 A"]),
        ("steps: [{ uses: set }]", &["missing-key 1:11 uses"]),
        ("steps: [{ id: a }]", &["missing-key 1:11 id"]),
        ("steps: [7, { id: b, uses: set }]", &["wrong-type 1:9 7"]),
        ("steps: [{ id: a, uses: set }, { id: a, uses: set }]", &["duplicate-id 1:37 a"]),
        ("steps: [{ id: a, uses: crm-sync/push }]", &["broken-plugin 1:24 crm-sync/push"]),
        ("steps: [{ id: a, uses: set, uses: set }]", &["duplicate-key 1:29 uses"]),
        ("triggers: [mesage]\nsteps: [{ id: a, uses: set }]", &["unknown-trigger 1:12 mesage"]),
        ("triggers: [{ message: { form: any } }]\nsteps: [{ id: a, uses: set }]", &["unknown-key 1:25 form"]),
        (
            "triggers: [{ message: { when: steps.a.x and event.y and nope } }]\nsteps: [{ id: a, uses: set }]",
            &["unknown-reference 1:31 steps.a.x", "unknown-reference 1:57 nope"],
        ),
        (
            "triggers: [{ schedule: { cron: '@daily', timezone: Europe/Madird } }]\nsteps: [{ id: a, uses: set }]",
            &["unknown-timezone 1:52 Europe/Madird"],
        ),
        ("triggers: [{ schedule: {} }]\nsteps: [{ id: a, uses: set }]", &["missing-key 1:24 {}"]),
        // Needs and ports.
        ("steps: [{ id: a, uses: set, needs: [b] }]", &["unknown-step 1:37 b"]),
        ("steps: [{ id: a, uses: set, needs: [a] }]", &["cycle 1:37 a"]),
        ("steps: [{ id: a, uses: set, needs: ['a b'] }]", &["bad-name 1:37 'a b'"]),
        ("steps: [{ id: a, uses: set }, { id: b, uses: set, needs: [a, a] }]", &["duplicate-need 1:62 a"]),
        ("steps: [{ id: a, uses: set }, { id: b, uses: set, needs: [a.rejected] }]", &["unknown-port 1:59 a.rejected"]),
        // No port of an unknown step is wrong, and nothing else follows from it.
        ("steps: [{ id: a, uses: sett }, { id: b, uses: set, needs: [a.x] }]", &["unknown-step-type 1:24 sett"]),
        (
            "steps: [{ id: a, uses: set, needs: [c] }, { id: b, uses: set, with: { x: '{{ steps.z }}' } }]",
            &["unknown-step 1:37 c", "unknown-reference 1:78 steps.z"],
        ),
        (
            "steps: [{ id: a, uses: set }, { id: b, needs: [c], uses: set, with: { x: '{{ steps.a }}' } }]",
            &["unknown-step 1:48 c"],
        ),
        // References.
        (
            "steps: [{ id: a, uses: set }, { id: b, needs: [], uses: set, with: { x: '{{ steps.a }}' } }]",
            &["not-upstream 1:77 steps.a"],
        ),
        ("steps: [{ id: a, uses: set, with: { x: '{{ steps.a.y }}' } }]", &["not-upstream 1:44 steps.a.y"]),
        (
            "steps: [{ id: a, uses: set }, { id: b, uses: set, with: { x: '{{ steps[event.x] }} {{ steps | tojson }}' } }]",
            &["dynamic-reference 1:66 steps", "dynamic-reference 1:87 steps"],
        ),
        (
            "steps: [{ id: a, uses: set, with: { x: '{{ vars.oncal }} {{ vars | tojson }} {{ inputs.n }}' } }]",
            &["unknown-reference 1:44 vars.oncal", "unknown-reference 1:81 inputs.n"],
        ),
        (
            "steps: [{ id: a, uses: set, with: { x: '{{ item }} {{ run.i }}' } }]",
            &["unknown-reference 1:44 item", "unknown-reference 1:55 run.i"],
        ),
        (
            "steps: [{ id: a, uses: set, for_each: { in: item }, with: { x: '{{ item }} {{ output }}' } }]",
            &["unknown-reference 1:45 item", "unknown-reference 1:79 output"],
        ),
        ("steps: [{ id: a, uses: set, for_each: { in: event.x, as: steps } }]", &["shadowed-name 1:58 steps"]),
        (
            "steps: [{ id: a, uses: set, for_each: { concurrency: 0 } }]",
            &["missing-key 1:41 concurrency", "out-of-range 1:54 0"],
        ),
        (
            "steps: [{ id: a, uses: filter, for_each: { in: event.x }, with: { when: item } }, { id: b, needs: [a.rejected], uses: set }]",
            &["unknown-port 1:100 a.rejected"],
        ),
        // Fields.
        ("steps: [{ id: a, uses: filter, with: { wen: x } }]", &["missing-key 1:24 filter", "unknown-key 1:40 wen"]),
        ("steps: [{ id: a, uses: filter, with: { when: '{{ event.x }}' } }]", &["bad-expression 1:47 {{ event.x }}"]),
        ("steps: [{ id: a, uses: filter, with: { when: 1 + } }]", &["bad-expression 1:48 +"]),
        ("steps: [{ id: a, uses: filter, with: { when: event.x | uper } }]", &["bad-expression 1:56 uper"]),
        ("steps: [{ id: a, uses: switch }]", &["missing-key 1:24 switch"]),
        ("steps: [{ id: a, uses: switch, with: { cases: {} } }]", &["no-cases 1:47 {}"]),
        (
            "steps: [{ id: a, uses: switch, with: { cases: { else: true, A: true } } }]",
            &["bad-name 1:49 else", "bad-name 1:61 A"],
        ),
        ("steps: [{ id: a, uses: wait, with: { for: 5 parsecs } }]", &["bad-duration 1:43 5 parsecs"]),
        ("steps: [{ id: a, uses: wait, with: { for: 5 } }]", &["wrong-type 1:43 5"]),
        (
            "steps: [{ id: a, uses: http, with: { method: GTE, url: [] } }]",
            &["bad-value 1:46 GTE", "wrong-type 1:56 []"],
        ),
        ("steps: [{ id: a, uses: ai.prompt, with: { prompt: p, temperature: hot } }]", &["wrong-type 1:67 hot"]),
        (
            "steps: [{ id: a, uses: keyword-score/score, with: { keywords: x, mode: slow, txt: y } }]",
            &[
                "missing-key 1:24 keyword-score/score",
                "wrong-type 1:63 x",
                "bad-value 1:72 slow",
                "unknown-key 1:78 txt",
            ],
        ),
        (
            "steps: [{ id: a, uses: set, retry: { attempts: 0, factor: 0.5 }, timeout: 0s, join: some }]",
            &["out-of-range 1:48 0", "out-of-range 1:59 0.5", "out-of-range 1:75 0s", "bad-value 1:85 some"],
        ),
        (
            "steps: [{ id: a, uses: set, with: { x: '{{ 1 | nope }}', y: ['{{'], z: '{% set q = 1 %}' } }]",
            &["bad-template 1:48 nope", "bad-template 1:63 {{", "bad-template 1:76 set q = 1"],
        ),
        (
            "inputs: { n: { type: number, default: x }, m: strin }\nsteps: [{ id: a, uses: set }]",
            &["wrong-type 1:39 x", "bad-value 1:47 strin"],
        ),
        (
            "inputs: { n: { type: number }, m: { type: string, default: x } }\ntriggers: [manual, message: {}]\nsteps: [{ id: a, uses: set }]",
            &["input-without-default 1:11 n"],
        ),
        (
            "inputs: { n: { type: number } }\ntriggers: [schedule: { cron: '@daily' }]\nsteps: [{ id: a, uses: set }]",
            &["input-without-default 1:11 n"],
        ),
        ("inputs: { n: { type: number } }\ntriggers: [manual]\nsteps: [{ id: a, uses: set }]", &[]),
    ];
    let wrong = cases.iter().filter(|(text, expected)| mistakes(text) != *expected);
    let wrong: Vec<_> = wrong.map(|(text, expected)| (text, mistakes(text), expected)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn common_slips_come_with_what_to_write() {
    for (text, help) in [
        ("steps: [{ id: a, uses: set, timeout: 30 }]", "write 30s"),
        ("steps: { a: { uses: set } }", "begin each item with `- `, on a line of its own"),
        ("triggers: { message: {} }\nsteps: [{ id: a, uses: set }]", "begin each item with `- `, on a line of its own"),
        ("steps: [{ id: a, uses: set, if: event.data.body = 5 }]", "write `==` to compare"),
        ("steps: [{ id: a, uses: set, with: { x: ${{ event.x }} } }]", "quote it: '${…}'"),
        ("steps: [{ id: a, uses: set, needs: [${A}] }]", "quote it: '${…}'"),
    ] {
        let found = checked(text).diagnostics;
        let helps: Vec<_> = found.iter().filter_map(|one| one.help.as_deref()).collect();
        assert!(helps.contains(&help), "{text}: {found:#?}");
    }
}

#[test]
fn what_can_never_run_is_found() {
    let step = "  - { id: b, uses: set }";
    assert_eq!(mistakes(&after_switch(step)), ["missing-needs 3:11 b"]);
    let both = "  - { id: b, uses: set, needs: [a.x, a.y] }";
    assert_eq!(mistakes(&after_switch(both)), ["never-runs 3:32 [a.x, a.y]"]);
    let error = "  - { id: b, uses: set, needs: [a.x, a.error] }";
    assert_eq!(mistakes(&after_switch(error)), ["never-runs 3:32 [a.x, a.error]"]);
    let any = "  - { id: b, uses: set, needs: [a.x, a.else], join: any }";
    assert_eq!(mistakes(&after_switch(any)), [] as [&str; 0]);
    // Through other steps, and said once.
    let far = "  - { id: b, uses: set, needs: [a.x] }\n  - { id: c, uses: set }\n  - { id: d, uses: set, needs: [c, a.y] }\n  - { id: e, uses: set }";
    assert_eq!(mistakes(&after_switch(far)), ["never-runs 5:32 [c, a.y]"]);
    // A join of either branch proves neither.
    let diamond = "  - { id: b, uses: set, needs: [a.x] }\n  - { id: c, uses: set, needs: [a.y] }\n  - { id: d, uses: set, needs: [b, c], join: any }\n  - { id: e, uses: set, needs: [d, a.x] }";
    assert_eq!(mistakes(&after_switch(diamond)), [] as [&str; 0]);
    let every = "  - { id: b, uses: set, needs: [a.x] }\n  - { id: d, uses: set, needs: [b, a.x], join: any }\n  - { id: e, uses: set, needs: [d, a.y] }";
    assert_eq!(mistakes(&after_switch(every)), ["never-runs 5:32 [d, a.y]"]);
}

#[test]
fn cycles_are_drawn() {
    let text = "steps:\n  - { id: a, uses: set, needs: [c] }\n  - { id: b, uses: set }\n  - { id: c, uses: set }\n";
    let found = checked(text).diagnostics;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "these steps need each other in a circle: a → b → c → a");
    assert_eq!((found[0].line, found[0].column), (2, 33));
    let found = checked("steps: [{ id: a, uses: set, needs: [a] }]").diagnostics;
    assert_eq!(found[0].message, "these steps need each other in a circle: a → a");
}

#[test]
fn expressions_in_blocks_and_quotes_are_found_in_the_file() {
    for text in [
        "steps:\n  - id: a\n    uses: ai.prompt\n    with:\n      prompt: |\n        Hello\n          {{ event.x }} é🙂\n        bye {{ vars.oncal }}\n",
        "steps:\r\n  - id: a\r\n    uses: ai.prompt\r\n    with:\r\n      prompt: \"x \\\"q\\\" {{ vars.oncal }}\"\r\n",
        "steps:\n  - id: a\n    uses: ai.prompt\n    with:\n      prompt: >-\n        folded\n        text {{ vars.oncal\n        }} \n",
    ] {
        let found = checked(text).diagnostics;
        assert_eq!(found.len(), 1, "{text} {found:?}");
        assert_eq!(&text[found[0].span.clone()], "vars.oncal", "{text}");
    }
}

#[test]
fn too_many_steps() {
    let mut text = String::from("steps:\n");
    for index in 0..=crate::base::limits::WORKFLOW_STEPS {
        text.push_str(&format!("  - {{ id: s{index}, uses: set }}\n"));
    }
    assert_eq!(mistakes(&text), ["too-many-steps 502:5 { id: s500, uses: set }"]);
}

/// What a mutation may put anywhere.
const SPLICES: &[&str] = &[
    "",
    " ",
    "\n",
    "\t",
    "{",
    "}",
    "[",
    "]",
    "{{",
    "}}",
    "{%",
    ":",
    ": ",
    "- ",
    "'",
    "\"",
    "&a ",
    "*a",
    "|\n",
    ">\n",
    "#",
    "!!str ",
    "---\n",
    "...",
    "<<: ",
    "~",
    "null",
    "true",
    "1e999",
    "🙂",
    "\u{0}",
    "\u{feff}",
    "steps",
    "needs: [a]",
    "for_each: { in: '[1]' }",
    "steps:\n",
    "incoming",
    "route.else",
    "\r",
    "? ",
    "%YAML 1.1\n",
    "0x",
    "\u{85}",
    "\u{2028}",
];

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        render::human(&checked(&text).diagnostics, &[source(&text)], false);
    }

    #[test]
    fn no_mutated_workflow_panics(
        start in prop::sample::select(vec![SUPPORT, BROADCAST]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, prop::sample::select(SPLICES)), 1..6)
    ) {
        let mut text = start.to_string();
        for (at, cut, splice) in edits {
            let at = at.index(text.len() + 1);
            let start = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let end = (start + cut).min(text.len());
            let end = (end..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            text.replace_range(start..end, splice);
        }
        let checked = checked(&text);
        prop_assert_eq!(checked.plan.is_none(), checked.diagnostics.iter().any(|d| d.severity == crate::lang::Severity::Error));
        render::human(&checked.diagnostics, &[source(&text)], false);
        render::github(&checked.diagnostics);
        if let Some(plan) = checked.plan {
            let stored = plan.stored();
            let restored = Plan::restore(&stored, &catalog()).unwrap();
            prop_assert_eq!(restored.stored(), stored);
        }
    }
}
