//! Blocks, places, and what only an engine with parked runs has: from text to findings or a plan.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::samples::{BROADCAST, any_steps, catalog, checked, mistakes, source};
use super::*;
use crate::lang::workflow::StepDef;
use crate::lang::{Catalog, render};

fn plan(text: &str) -> Arc<Plan> {
    let checked = checked(text);
    let problems = render::human(&checked.diagnostics, &[source(text)], false);
    checked.plan.unwrap_or_else(|| panic!("{problems}"))
}

fn number(plan: &Plan, id: &str) -> usize {
    plan.steps.iter().position(|step| &*step.id == id).unwrap()
}

#[test]
fn steps_are_numbered_block_by_block() {
    let plan = plan(BROADCAST);
    let ids: Vec<_> = plan.steps.iter().map(|step| (&*step.id, &*step.uses, step.block)).collect();
    assert_eq!(
        ids,
        [
            ("teams", "set", 0),
            ("each_team", "for_each", 0),
            ("single", "for_each", 0),
            ("report", "set", 0),
            ("members", "ai.prompt", 1),
            ("each_member", "for_each", 1),
            ("summary", "set", 1),
            ("single", "set", 2),
            ("fit", "filter", 3),
            ("hello", "moltflow.send", 3),
            ("answer", "wait_for", 3),
            ("late", "set", 3),
        ]
    );
    let block = |first, len, chain: &[usize]| Block { first, len, chain: chain.to_vec() };
    assert_eq!(plan.blocks, [block(0, 4, &[]), block(4, 3, &[1]), block(7, 1, &[2]), block(8, 4, &[1, 5])]);
    let place = |step| plan.order.iter().position(|other| *other == step).unwrap();
    assert!(place(1) < place(4) && place(5) < place(8));
}

#[test]
fn a_container_has_what_is_about_the_whole() {
    let plan = plan(BROADCAST);
    let step = |id: &str| &plan.steps[number(&plan, id)];
    let (outer, inner) = (step("each_team"), step("each_member"));
    let edge = |from, port: &str| Edge { from, port: port.to_string() };
    assert_eq!((outer.effect, &outer.needs, &outer.dependents), (Effect::Pure, &vec![edge(0, "ok")], &vec![2, 3]));
    assert!(outer.handles_error && outer.condition.is_some() && !inner.handles_error);
    assert!(outer.once.is_none() && outer.retry == Retry::default());
    let each = outer.for_each.as_ref().unwrap();
    assert_eq!((each.block, &*each.name, each.concurrency, each.source), (1, "team", 2, Some(0)));
    assert_eq!(inner.for_each.as_ref().unwrap().source, None);
    // `collect` reads within, and so do the defaults reach within.
    assert_eq!((&outer.reads[..], &inner.reads[..]), (&[0, 6][..], &[4][..]));
    assert_eq!((step("hello").retry.attempts, step("members").timeout_ms), (2, 20_000));
    // A step that is repeated has what it does, and no place in the graph.
    let (single, repeated) = (&plan.steps[2], &plan.steps[7]);
    assert_eq!((single.join, repeated.join, &repeated.needs), (Join::Any, Join::All, &vec![]));
    assert!(single.condition.is_some() && repeated.condition.is_none());
    assert_eq!((single.once.is_some(), repeated.once.as_ref().unwrap().ttl_ms), (false, Some(3_600_000)));
    assert_eq!(repeated.reads, [0]);
    assert_eq!(step("hello").needs, [edge(8, "ok")]);
    assert_eq!(step("hello").reads, [0, 4]);
    assert!(step("fit").needs.is_empty());
}

#[test]
fn a_wait_for_knows_what_it_demands() {
    let plan = plan(BROADCAST);
    let answer = &plan.steps[number(&plan, "answer")];
    assert!(answer.deferred.is_some());
    let pairs: Vec<_> = answer.correlate.iter().map(|(path, expr)| (path.as_str(), expr.source())).collect();
    assert_eq!(pairs, [("data.from", "steps.hello.to"), ("session", "event.session")]);
    assert_eq!(answer.reads, [9]);
    let rendered = answer.with.render(&crate::expr::Scope::default()).unwrap();
    assert_eq!(rendered, json!({"timeout": "6h"}));
}

#[test]
fn the_workflow_has_what_is_about_its_runs() {
    let plan = plan(BROADCAST);
    let concurrency = plan.concurrency.as_ref().unwrap();
    assert_eq!((concurrency.limit, concurrency.overflow), (2, Overflow::Skip));
    assert_eq!((plan.timeout_ms, plan.retention_ms), (Some(3_600_000), Some(30 * 86_400_000)));
    assert_eq!(plan.on_failure.as_deref(), Some("alarm"));
    let output = plan.output.as_ref().unwrap();
    assert_eq!(output.reads, [1, 3]);
    let short = super::samples::checked("concurrency: { key: all }\nsteps: [{ id: a, uses: set }]").plan.unwrap();
    let concurrency = short.concurrency.as_ref().unwrap();
    assert_eq!((concurrency.limit, concurrency.overflow), (1, Overflow::Queue));
}

#[test]
fn the_source_is_a_whole_output_and_nothing_else() {
    for (items, source) in [
        ("steps.a", Some(0)),
        (" steps.a ", Some(0)),
        ("steps.a.rows", None),
        ("(steps.a)", None),
        ("steps.a[0]", None),
        ("steps.a | list", None),
        ("[steps.a]", None),
        ("errors.a", None),
        ("event.rows", None),
        ("event", None),
    ] {
        let text = format!("steps: [{{ id: a, uses: set }}, {{ id: b, uses: set, for_each: {{ in: '{items}' }} }}]");
        assert_eq!(plan(&text).steps[1].for_each.as_ref().unwrap().source, source, "{items}");
    }
}

#[test]
fn blocks_survive_being_stored() {
    let plan = plan(BROADCAST);
    let text = plan.stored().to_string();
    let restored = Plan::restore(&serde_json::from_str(&text).unwrap(), &catalog()).unwrap();
    assert_eq!((restored.stored().to_string(), &restored.digest, &restored.blocks), (text, &plan.digest, &plan.blocks));
}

#[test]
fn an_earlier_form_is_restored_unless_its_numbers_were_others() {
    let earlier = |steps: serde_json::Value| {
        let workflow = json!({"name": "w", "enabled": true, "folder": "/", "triggers": [], "vars": {}, "inputs": [], "steps": steps});
        json!({"version": 1, "workflow": workflow})
    };
    let step = json!({"id": "a", "uses": "set", "with": {}, "join": "all", "on_unknown": "hold"});
    let stored = earlier(json!([step]));
    let plan = Plan::restore(&stored, &catalog()).unwrap();
    assert_eq!(plan.steps.len(), 1);
    // Under the name it was saved by.
    let other = Plan::restore(&json!({"version": 2, "workflow": stored["workflow"]}), &catalog()).unwrap();
    assert_ne!(plan.digest, other.digest);
    let mut each = step;
    each["for_each"] = json!({"in": "[1]", "as": "item", "concurrency": 1, "on_item_error": "continue"});
    let error = Plan::restore(&earlier(json!([each])), &catalog()).unwrap_err().to_string();
    let reason = "its step `a` has a `for_each`, which an earlier version journaled otherwise";
    assert_eq!(error, format!("the stored plan cannot be run any more: {reason}"));
    let block =
        json!({"id": "a", "uses": StepDef::BLOCK, "with": {}, "steps": [{"id": "b", "uses": "set", "with": {}}]});
    let mut headless = earlier(json!([block]));
    headless["version"] = json!(2);
    assert!(Plan::restore(&headless, &Catalog::default()).is_err());
}

#[test]
fn pictures_of_blocks() {
    let plan = plan(BROADCAST);
    insta::assert_snapshot!("blocks_mermaid", plan.mermaid());
    insta::assert_snapshot!("blocks_dot", plan.dot());
}

/// A block `each` of these steps over `[1]`, then others.
fn block(inner: &str, rest: &str) -> String {
    format!(
        "steps:\n  - {{ id: a, uses: set }}\n  - {{ id: each, for_each: {{ in: '[1]' }}, steps: [{inner}] }}\n{rest}"
    )
}

#[test]
fn each_mistake_of_a_block_has_its_place() {
    let cases: &[(&str, &[&str])] = &[
        // Keys.
        ("steps: [{ id: a, steps: [{ id: b, uses: set }] }]", &["missing-key 1:18 steps"]),
        ("steps: [{ id: a, for_each: { in: '[1]' }, steps: [] }]", &["no-steps 1:50 []"]),
        ("steps: [{ id: a, for_each: { in: '[1]' }, steps: }]", &["no-steps 1:43 steps"]),
        ("steps: [{ id: a, for_each: { in: '[1]' }, steps: 5 }]", &["wrong-type 1:50 5"]),
        (
            "steps: [{ id: a, for_each: { in: '[1]' }, steps: [{ id: b, uses: set }], uses: set, with: {}, retry: {}, timeout: 1s, on_unknown: skip, once: { key: k } }]",
            &[
                "misplaced-key 1:74 uses",
                "misplaced-key 1:85 with",
                "misplaced-key 1:95 retry",
                "misplaced-key 1:106 timeout",
                "misplaced-key 1:119 on_unknown",
                "misplaced-key 1:137 once",
            ],
        ),
        (
            "steps: [{ id: a, uses: set, once: { ttl: 0s, kee: x } }]",
            &["missing-key 1:37 ttl", "out-of-range 1:42 0s", "unknown-key 1:46 kee"],
        ),
        ("steps: [{ id: a, uses: set, once: { key: '{{ nope }}' } }]", &["unknown-reference 1:46 nope"]),
        ("steps: [{ id: a, uses: set, once: { key: '{{' } }]", &["bad-template 1:43 {{"]),
        ("steps: [{ id: a, uses: for_each, for_each: { in: '[1]' } }]", &["unknown-step-type 1:24 for_each"]),
        // Ids are those of the whole workflow.
        (&block("{ id: a, uses: set }", ""), &["duplicate-id 3:56 a"]),
        (&block("{ id: each, uses: set }", ""), &["duplicate-id 3:56 each"]),
        (&block("{ id: b, uses: set }", "  - { id: b, uses: set }"), &["duplicate-id 3:56 b"]),
        (&block("{ id: b, uses: sett }", ""), &["unknown-step-type 3:65 sett"]),
        // Needs stay within a block.
        (&block("{ id: b, uses: set, needs: [a] }", ""), &["other-block 3:78 a"]),
        (&block("{ id: b, uses: set, needs: [each] }", ""), &["other-block 3:78 each"]),
        (&block("{ id: b, uses: set }", "  - { id: c, uses: set, needs: [b] }"), &["other-block 4:33 b"]),
        (&block("{ id: b, uses: set, needs: [nope] }", ""), &["unknown-step 3:78 nope"]),
        (&block("{ id: b, uses: set, needs: [c] }, { id: c, uses: set }", ""), &["cycle 3:78 c"]),
        (
            &block(
                "{ id: b, uses: filter, with: { when: 'true' } }, { id: c, uses: set, needs: [b.ok, b.rejected] }",
                "",
            ),
            &["never-runs 3:126 [b.ok, b.rejected]"],
        ),
        (
            &block("{ id: b, uses: filter, with: { when: 'true' } }, { id: c, uses: set, needs: [b.rejectd] }", ""),
            &["unknown-port 3:127 b.rejectd"],
        ),
        (
            &block("{ id: b, uses: set }", "  - { id: c, uses: set, needs: [each.rejected] }"),
            &["unknown-port 4:33 each.rejected"],
        ),
        // References look outwards.
        (
            &block(
                "{ id: b, uses: set, with: { x: '{{ steps.a }}' } }, { id: c, uses: set, with: { x: '{{ steps.b }} {{ item }} {{ index }}' } }",
                "",
            ),
            &[],
        ),
        (
            &block("{ id: b, uses: set, with: { x: '{{ steps.each.total }}' } }", ""),
            &["not-upstream 3:85 steps.each.total"],
        ),
        (
            &block("{ id: b, uses: set, with: { x: '{{ steps.c }}' } }", "  - { id: c, uses: set }"),
            &["not-upstream 3:85 steps.c"],
        ),
        (
            &block(
                "{ id: b, uses: set }",
                "  - { id: c, uses: set, with: { x: '{{ steps.b }} {{ steps.each.total }}' } }",
            ),
            &["not-upstream 4:40 steps.b"],
        ),
        (&block("{ id: b, uses: set, with: { x: '{{ errors.b }}' } }", ""), &["not-upstream 3:85 errors.b"]),
        (
            &block("{ id: b, uses: set }", "  - { id: c, uses: set, with: { x: '{{ item }}' } }"),
            &["unknown-reference 4:40 item"],
        ),
        // A step before which nothing is known.
        (
            "steps: [{ id: a, uses: set }, { id: b, needs: [c], for_each: { in: '[1]' }, steps: [{ id: d, uses: set, with: { x: '{{ steps.a }}' } }] }]",
            &["unknown-step 1:48 c"],
        ),
        // Lists.
        (
            &block("{ id: b, uses: set }", "  - { id: c, uses: set, for_each: { in: steps.each } }"),
            &["not-a-list 4:41 steps.each"],
        ),
        (&block("{ id: b, uses: set }", "  - { id: c, uses: set, for_each: { in: steps.each.collected } }"), &[]),
        // Names of items.
        (&block("{ id: b, uses: set, for_each: { in: '[1]' } }", ""), &["shadowed-name 3:80 { in: '[1]' }"]),
        (
            &block(
                "{ id: b, uses: set, for_each: { in: 'item', as: inner }, with: { x: '{{ item }}{{ inner }}' } }",
                "",
            ),
            &[],
        ),
        (&block("{ id: b, uses: set, for_each: { in: 'inner', as: inner } }", ""), &["unknown-reference 3:87 inner"]),
        // `collect`.
        ("steps: [{ id: a, uses: set, for_each: { in: '[1]', collect: 'steps.a' } }]", &["not-upstream 1:62 steps.a"]),
        (
            "steps: [{ id: a, for_each: { in: '[1]', collect: 'steps.b.x and errors.b and item and output' }, steps: [{ id: b, uses: set }] }]",
            &["unknown-reference 1:87 output"],
        ),
        (
            "steps: [{ id: a, for_each: { in: '[1]', collect: 'steps.c' }, steps: [{ id: b, for_each: { in: '[1]', as: x }, steps: [{ id: c, uses: set }] }] }]",
            &["not-upstream 1:51 steps.c"],
        ),
        (
            "steps: [{ id: a, for_each: { in: '[1]', collect: 'steps.a and steps.c' }, steps: [{ id: b, uses: set }] }, { id: c, uses: set }]",
            &["not-upstream 1:51 steps.a", "not-upstream 1:63 steps.c"],
        ),
        (
            "steps: [{ id: z, uses: set }, { id: a, for_each: { in: '[1]', collect: 'steps.z and steps.b' }, steps: [{ id: b, uses: set }] }]",
            &[],
        ),
    ];
    let wrong = cases.iter().filter(|(text, expected)| mistakes(text) != *expected);
    let wrong: Vec<_> = wrong.map(|(text, expected)| (text, mistakes(text), expected)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_mistake_of_a_run_s_keys_has_its_place() {
    let one = "steps: [{ id: a, uses: set }]";
    let cases: &[(&str, &[&str])] = &[
        ("concurrency: {}", &["missing-key 1:14 {}"]),
        ("concurrency: x", &["wrong-type 1:14 x"]),
        (
            "concurrency: { key: x, limit: 0, overflow: wait, kee: 1 }",
            &["out-of-range 1:31 0", "bad-value 1:44 wait", "unknown-key 1:50 kee"],
        ),
        (
            "concurrency: { key: '{{ steps.a }} {{ run.id }} {{ inputs.x }} {{ event.x }} {{ vars.oncall }} {{ now() }} {{ item }}' }",
            &[
                "unknown-reference 1:25 steps.a",
                "unknown-reference 1:39 run.id",
                "unknown-reference 1:52 inputs.x",
                "unknown-reference 1:111 item",
            ],
        ),
        ("concurrency: { key: '{{ event. }}' }", &["bad-template 1:30 ."]),
        ("timeout: 0s", &["out-of-range 1:10 0s"]),
        ("timeout: 5", &["wrong-type 1:10 5"]),
        ("retention: soon", &["bad-duration 1:12 soon"]),
        ("on_failure: My Workflow", &["bad-name 1:13 My Workflow"]),
        ("output: [1]", &["wrong-type 1:9 [1]"]),
        (
            "output: { x: '{{ steps.b }}', y: ['{{ steps.a.z }}', '{{ 1 | nope }}'], z: '{{ item }}' }",
            &["unknown-reference 1:18 steps.b", "bad-template 1:62 nope", "unknown-reference 1:80 item"],
        ),
    ];
    let wrong = cases.iter().map(|(keys, expected)| (*keys, mistakes(&format!("{keys}\n{one}")), *expected));
    let wrong: Vec<_> = wrong.filter(|(_, found, expected)| found != expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let inner = block("{ id: b, uses: set }", "output: { x: '{{ steps.b }} {{ steps.each }}' }");
    assert_eq!(mistakes(&inner), ["not-upstream 4:18 steps.b"]);
}

#[test]
fn each_mistake_of_a_parked_step_has_its_place() {
    let cases: &[(&str, &[&str])] = &[
        ("{ id: a, uses: wait }", &["missing-key 1:24 wait"]),
        ("{ id: a, uses: wait, with: { for: 1s, until: 5 } }", &["conflicting-keys 1:47 until"]),
        ("{ id: a, uses: wait, with: { for: '{{ event.x }}', until: } }", &[]),
        ("{ id: a, uses: wait, with: { until: tomorrow } }", &["bad-time 1:45 tomorrow"]),
        ("{ id: a, uses: wait, with: { until: 1.5 } }", &["bad-time 1:45 1.5"]),
        ("{ id: a, uses: wait, with: { until: [] } }", &["wrong-type 1:45 []"]),
        ("{ id: a, uses: wait, with: { until: '2026-03-01T09:00:00+01:00' } }", &[]),
        ("{ id: a, uses: wait, with: { until: '{{ event.at }}' } }", &[]),
        ("{ id: a, uses: wait, with: { for: 1s }, timeout: 5s }", &["misplaced-key 1:49 timeout"]),
        ("{ id: a, uses: approve, with: { title: t }, timeout: 5s }", &["misplaced-key 1:53 timeout"]),
        ("{ id: a, uses: call, with: { workflow: w }, timeout: 5s }", &["misplaced-key 1:53 timeout"]),
        ("{ id: a, uses: wait_for, for_each: { in: '[1]' }, timeout: 5s }", &["misplaced-key 1:59 timeout"]),
        ("{ id: a, uses: call, with: { workflow: My Workflow } }", &["bad-name 1:48 My Workflow"]),
        ("{ id: a, uses: call, with: { workflow: 5 } }", &["wrong-type 1:48 5"]),
        ("{ id: a, uses: wait_for, with: { when: incoming.x == event.y and incoming } }", &[]),
        ("{ id: a, uses: wait_for, with: { when: '{{ incoming.x }}' } }", &["bad-expression 1:49 {{ incoming.x }}"]),
        ("{ id: a, uses: wait_for, with: { when: [1] } }", &["wrong-type 1:48 [1]"]),
        (
            "{ id: a, uses: wait_for, with: { event: '{{ incoming.x }}', when: nope } }",
            &["unknown-reference 1:53 incoming.x", "unknown-reference 1:75 nope"],
        ),
        ("{ id: a, uses: wait_for, with: { event: webhook } }", &["any-webhook 1:49 webhook"]),
        ("{ id: a, uses: wait_for, with: { event: webhook, when: } }", &["any-webhook 1:49 webhook"]),
        (
            "{ id: a, uses: wait_for, with: { event: webhook, when: incoming.body.path == event.path } }",
            &["any-webhook 1:49 webhook"],
        ),
        ("{ id: a, uses: wait_for, with: { event: webhook, when: [1] } }", &["wrong-type 1:64 [1]"]),
        ("{ id: a, uses: wait_for, with: { event: webhook, when: incoming.path == 'shop' and incoming.body } }", &[]),
        ("{ id: a, uses: set, if: incoming.x }", &["unknown-reference 1:33 incoming.x"]),
        (
            "{ id: a, uses: wait_for, for_each: { in: incoming.x, as: incoming } }",
            &["unknown-reference 1:50 incoming.x", "shadowed-name 1:66 incoming"],
        ),
        // Ports.
        ("{ id: a, uses: wait_for, with: { timeout: 1h } }, { id: b, uses: set, needs: [a.timeout] }", &[]),
        ("{ id: a, uses: wait_for }, { id: b, uses: set, needs: [a.timeout] }", &["unknown-port 1:64 a.timeout"]),
        (
            "{ id: a, uses: approve, with: { title: t, timeout: } }, { id: b, uses: set, needs: [a.rejected, a.timeout], join: any }",
            &["unknown-port 1:105 a.timeout"],
        ),
        (
            "{ id: a, uses: approve, with: { title: t } }, { id: b, uses: set, needs: [a, a.rejected] }",
            &["never-runs 1:82 [a, a.rejected]"],
        ),
        ("{ id: a, uses: fail, with: { message: m } }, { id: b, uses: set }", &["missing-needs 1:60 b"]),
        ("{ id: a, uses: fail, with: { message: m } }, { id: b, uses: set, needs: [a.error] }", &[]),
    ];
    let wrong = cases.iter().map(|(steps, expected)| (*steps, mistakes(&format!("steps: [{steps}]")), *expected));
    let wrong: Vec<_> = wrong.filter(|(_, found, expected)| found != expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_mistake_comes_with_what_to_do() {
    let text = include_str!("block_mistakes.yaml");
    insta::assert_snapshot!("block_mistakes", render::human(&checked(text).diagnostics, &[source(text)], false));
}

#[test]
fn a_default_timeout_is_not_meant_for_steps_that_park() {
    let plan =
        plan("defaults: { timeout: 5s }\nsteps: [{ id: a, uses: wait, with: { for: 1h } }, { id: b, uses: set }]");
    assert_eq!(plan.steps[1].timeout_ms, 5_000);
}

#[test]
fn blocks_have_a_depth_and_share_the_bound_of_steps() {
    let nested = |depth: usize| {
        (0..depth).fold("{ id: last, uses: set }".to_string(), |inner, level| {
            format!("{{ id: s{level}, for_each: {{ in: '[1]', as: i{level} }}, steps: [{inner}] }}")
        })
    };
    let depth = crate::base::limits::FOR_EACH_DEPTH;
    assert_eq!(mistakes(&format!("steps: [{}]", nested(depth))), [""; 0]);
    let codes = |text: &str| checked(text).diagnostics.into_iter().map(|d| d.code).collect::<Vec<_>>();
    assert_eq!(codes(&format!("steps: [{}]", nested(depth + 1))), ["too-deep"]);
    // A `for_each` on one step is one level as well.
    let single =
        format!("steps: [{}]", nested(depth).replace("uses: set", "uses: set, for_each: { in: '[1]', as: x }"));
    assert_eq!(codes(&single), ["too-deep"]);
    let half = crate::base::limits::WORKFLOW_STEPS / 2;
    let list =
        |prefix: &str| (0..half).map(|n| format!("{{ id: {prefix}{n}, uses: set }}")).collect::<Vec<_>>().join(", ");
    let text = format!("steps: [{{ id: each, for_each: {{ in: '[1]' }}, steps: [{}] }}, {}]", list("a"), list("b"));
    assert_eq!(codes(&text), ["too-many-steps"]);
}

/// What every plan keeps to, whatever it was made of.
fn consistent(plan: &Plan) -> Result<(), TestCaseError> {
    let mut next = 0;
    for (number, block) in plan.blocks.iter().enumerate() {
        prop_assert_eq!(block.first, next);
        next += block.len;
        prop_assert!(plan.steps[block.first..next].iter().all(|step| step.block == number));
        let around = block.chain.split_last();
        prop_assert_eq!(around.is_none(), number == 0);
        if let Some((container, outer)) = around {
            prop_assert_eq!(plan.steps[*container].for_each.as_ref().map(|each| each.block), Some(number));
            prop_assert_eq!(outer, &plan.blocks[plan.steps[*container].block].chain[..]);
            prop_assert!(block.chain.len() <= crate::base::limits::FOR_EACH_DEPTH);
        }
    }
    prop_assert_eq!(next, plan.steps.len());
    prop_assert_eq!(plan.order.len(), plan.steps.len());
    for (place, number) in plan.order.iter().enumerate() {
        let before = &plan.order[..place];
        let step = &plan.steps[*number];
        let chain = &plan.blocks[step.block].chain;
        prop_assert!(chain.iter().all(|container| before.contains(container)));
        for need in &step.needs {
            prop_assert!(before.contains(&need.from) && plan.steps[need.from].block == step.block);
            prop_assert!(plan.steps[need.from].dependents.contains(number));
        }
        let own = step.for_each.as_ref().map(|each| each.block);
        for read in &step.reads {
            let block = plan.steps[*read].block;
            let outer = chain.iter().any(|container| plan.steps[*container].block == block);
            prop_assert!(block == step.block || outer || Some(block) == own);
            prop_assert!(Some(block) == own || before.contains(read));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_nesting_gives_a_consistent_plan(steps in any_steps()) {
        let text = format!("steps:\n{steps}");
        let checked = checked(&text);
        // What the generator draws is good but for edges that cannot all be taken.
        let wrong: Vec<_> = checked.diagnostics.iter().filter(|d| d.code != "never-runs").collect();
        prop_assert!(wrong.is_empty(), "{:#?}\n{}", wrong, text);
        if let Some(plan) = checked.plan {
            consistent(&plan)?;
            let restored = Plan::restore(&plan.stored(), &catalog()).unwrap();
            prop_assert_eq!((&restored.digest, &restored.blocks, &restored.order), (&plan.digest, &plan.blocks, &plan.order));
            prop_assert_eq!(plan.mermaid().matches("subgraph").count(), plan.dot().matches("subgraph").count());
        }
    }
}
