//! Scripts in whole workflow files: what they are handed, what is wrong with them and where.

use std::sync::Arc;

use serde_json::json;

use super::super::samples;
use super::*;
use crate::base::json::JsonMap;
use crate::base::{Effect, limits};
use crate::expr::Scope;
use crate::lang::catalog::{Field, Fields, Ports, ScriptMistake, ScriptReader, StepSpec};
use crate::lang::{Diagnostic, Source};
use crate::plan::{Checked, Plan, check};

fn catalog() -> Catalog {
    let field = |name, kind, required| Field { name, kind, required, summary: "" };
    let mut catalog = samples::catalog();
    catalog.insert(StepSpec {
        name: "script".to_string(),
        summary: String::new(),
        effect: Effect::Pure,
        ports: Ports::Fixed(vec!["ok".to_string()]),
        fields: Fields::Known(vec![field("code", FieldKind::Script, true), field("input", FieldKind::Any, false)]),
        output: None,
        timeout_ms: limits::STEP_TIMEOUT_MS,
    });
    // Whatever holds a `?!` is no script.
    catalog.scripts = Some(ScriptReader::new(|code| match code.find("?!") {
        Some(at) => Err(ScriptMistake { message: "unexpected token".to_string(), at: Some(at) }),
        None => Ok(()),
    }));
    catalog
}

fn checked(text: &str) -> Checked {
    let source = Source { path: "shop.yaml".to_string(), text: text.to_string() };
    check(&source, std::path::Path::new("/w"), &catalog(), &JsonMap::new())
}

fn plan(text: &str) -> Arc<Plan> {
    let checked = checked(text);
    checked.plan.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics))
}

/// A workflow around the code of its last step.
fn workflow(code: &str) -> String {
    let indented: String = code.lines().map(|line| format!("        {line}\n")).collect();
    format!(
        "name: shop\nvars: {{ rate: 2, two: 3 }}\ninputs: {{ who: {{ type: string, default: a }} }}\nsteps:
  - {{ id: first, uses: set, with: {{ n: 1 }} }}
  - {{ id: second, uses: set, with: {{ n: 2 }} }}
  - id: total
    uses: script
    with:
      code: |
{indented}  - {{ id: last, uses: set }}\n"
    )
}

const CODE_LINE: usize = 11;

fn step<'p>(plan: &'p Plan, id: &str) -> &'p crate::plan::PlanStep {
    plan.steps.iter().find(|step| &*step.id == id).unwrap()
}

/// What the script is handed besides its input.
fn handed(code: &str) -> Json {
    let plan = plan(&workflow(code));
    let mut scope = Scope { event: json!({"data": 1}).into(), vars: plan.vars.clone(), ..Scope::default() };
    scope.steps.insert("first".into(), json!({"n": 1}).into());
    step(&plan, "total").with.render(&scope).unwrap()[crate::lang::catalog::SCOPE].clone()
}

#[test]
fn a_script_is_handed_what_it_names() {
    for (code, expected) in [
        ("return 1", json!({})),
        ("return event.data", json!({"event": {"data": 1}})),
        ("return vars.rate * vars['two']", json!({"vars": {"rate": 2, "two": 3}})),
        ("return vars", json!({"vars": {"rate": 2, "two": 3}})),
        ("return steps.first.n", json!({"steps": {"first": {"n": 1}}})),
        ("// steps.last\nreturn steps?.second?.n", json!({"steps": {"second": null}})),
        ("return steps[event.x]", json!({"event": {"data": 1}, "steps": {"first": {"n": 1}, "second": null}})),
        ("return input.map((event) => event.x)", json!({"event": {"data": 1}})),
        ("const big = input.filter(event => event.n); return { big, from: event.data }", json!({"event": {"data": 1}})),
        ("const { rate = vars.rate } = input", json!({"vars": {"rate": 2, "two": 3}})),
        ("const f = (x, r = vars.rate) => x * r", json!({"vars": {"rate": 2, "two": 3}})),
        ("const f = (x, n = steps.first.n) => x * n", json!({"steps": {"first": {"n": 1}, "second": null}})),
        ("const { event: kind } = input; return event.data", json!({"event": {"data": 1}})),
        ("let n = 1; return n++ / vars.rate // per day", json!({"vars": {"rate": 2}})),
        ("return input.of / steps.first.n // share", json!({"steps": {"first": {"n": 1}}})),
        ("if (input) /['\"]/.test(input) ? steps.first.n : 0", json!({"steps": {"first": {"n": 1}}})),
        ("return vars.hasOwnProperty('rate')", json!({"vars": {"rate": 2, "two": 3}})),
        ("return '{{ not.a.template }}'", json!({})),
    ] {
        assert_eq!(handed(code), expected, "{code}");
    }
}

#[test]
fn names_of_its_own_are_no_mistakes() {
    for code in [
        "let total = 0, index; return index",
        "let i, item; return item",
        "const {a} = input, {item} = a; return item",
        "class Job { run() {} }",
        "return { run() {}, get index() {} }",
        "class Job { index = 0; #steps = {}; a() { return this.#index + this.#steps.a } }",
        "function* run() {} return run",
        "return input.map((vars) => vars.anything)",
    ] {
        assert_eq!(said(&checked(&workflow(code)).diagnostics), [""; 0], "{code}");
    }
}

#[test]
fn what_a_script_reads_it_depends_on() {
    let plan = plan(&workflow("return steps.first.n"));
    assert_eq!(step(&plan, "total").reads, [0]);
}

fn said(found: &[Diagnostic]) -> Vec<String> {
    found.iter().map(|one| format!("{}:{} {}", one.line - CODE_LINE, one.column, one.message)).collect()
}

#[test]
fn mistakes_are_shown_where_they_stand() {
    for (code, expected) in [
        ("\n  return steps.frist.n", "1:18 there is no step `frist`"),
        ("return steps.last", "0:16 the step `last` is not upstream of `total`"),
        ("return steps.total", "0:16 the step `total` cannot read its own output"),
        ("const é = '🙂'; return vars.rat", "0:31 there is no variable `rat`"),
        ("return inputs.who", "0:16 a script does not know `inputs`"),
        ("return item", "0:16 a script does not know `item`"),
        ("return\n await event", "1:10 `await` means nothing here"),
        ("import a from 'b'", "0:9 `import` means nothing here"),
        ("const a = 1\nreturn a ?! 2", "1:18 this is no JavaScript: unexpected token"),
    ] {
        let found = checked(&workflow(code)).diagnostics;
        assert_eq!(said(&found), [expected], "{code}");
    }
}

#[test]
fn mistakes_say_what_to_do() {
    let help = |code: &str| checked(&workflow(code)).diagnostics[0].help.clone().unwrap();
    assert_eq!(help("return steps.frist"), "did you mean `first`?");
    assert_eq!(help("return run.id"), "pass it: `input: { run: '{{ run }}' }`, and read `input.run` in the code");
    assert_eq!(help("return await 1"), "a script has nothing to wait for: it ends when it returns");
}

#[test]
fn code_is_a_text_and_no_template() {
    for (code, expected) in [
        ("'{{ vars.code }}'", "the code of a script is JavaScript as it stands here, not a template"),
        ("[a]", "expected JavaScript, found a list"),
        ("", "`script` needs `with.code`"),
    ] {
        let text = format!("steps:\n  - {{ id: a, uses: script, with: {{ code: {code} }} }}\n");
        let messages: Vec<_> = checked(&text).diagnostics.into_iter().map(|one| one.message).collect();
        assert_eq!(messages, [expected], "{code}");
    }
}

#[test]
fn the_items_around_are_passed() {
    let text = "steps:
  - id: each
    uses: script
    for_each: { in: \"[1, 2]\", as: guest }
    with: { code: 'return guest + input.n', input: { n: '{{ guest }}' } }
";
    let found = checked(text).diagnostics;
    assert_eq!(found.len(), 1);
    let help = "pass it: `input: { guest: '{{ guest }}' }`, and read `input.guest` in the code";
    assert_eq!(found[0].help.as_deref(), Some(help));
    let plan = plan(&text.replace("guest + ", ""));
    assert_eq!(plan.workflow.code["each"], CodePlace { line: 5, indent: 19 });
}

#[test]
fn places_outlive_the_store_and_are_not_the_plan() {
    let text = workflow("return 1");
    let one = plan(&text);
    let moved = plan(&text.replacen("steps:", "# a comment\nsteps:", 1));
    assert_eq!(one.digest, moved.digest);
    assert_eq!(one.workflow.code["total"], CodePlace { line: 11, indent: 8 });
    assert_eq!(moved.workflow.code["total"].line, 12);
    let restored = Plan::restore(&moved.stored(), &catalog()).unwrap();
    assert_eq!(restored.digest, one.digest);
    assert_eq!(restored.workflow.code, moved.workflow.code);
    let bare = plan("steps:\n  - { id: a, uses: set }\n");
    assert!(bare.stored().get("code").is_none());
}
