//! What expressions and templates give, refuse, and cost.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn scope() -> Scope {
    let mut scope = Scope {
        event: Arc::new(json!({
            "event": "message", "session": "support", "big": 9007199254740993i64, "u": u64::MAX, "f": 1.0,
            "data": {"from": "15551234567@c.us", "body": "Where is my <order> & \"invoice\"?", "tags": ["a", "b"],
                     "rows": [{"n": 1, "name": "x"}, {"n": 2, "name": "y"}], "nothing": null, "empty": ""}
        })),
        inputs: Arc::new(json!({"n": 3})),
        vars: Arc::new(json!({"oncall": "15550000000"})),
        run: Some(RunNames { id: RunId::new(0, 1), workflow: "w".into(), started_at: 0, attempt: 1 }),
        // 2026-03-29T00:30:00Z, a Sunday.
        now: 1_774_744_200_000,
        ..Scope::default()
    };
    scope.steps.insert("intent".into(), Arc::new(json!({"score": 2, "label": "urgent"})));
    scope.errors.insert("send".into(), Arc::new(json!({"code": "http.timeout", "message": "too late"})));
    scope
}

fn eval(source: &str) -> Result<Json, ExprError> {
    Expr::parse(source)?.eval(&scope())
}

fn render(text: &str) -> Result<Json, ExprError> {
    Template::compile(text)?.render(&Context::new(&scope()))
}

#[test]
fn values_keep_their_nature() {
    for (source, expected) in [
        ("event.data.rows", json!([{"n": 1, "name": "x"}, {"n": 2, "name": "y"}])),
        ("event.big", json!(9007199254740993i64)),
        ("event.u", json!(u64::MAX)),
        ("event.f", json!(1.0)),
        ("event.data.nothing", json!(null)),
        ("steps.intent.score >= 2 and errors.send.code == 'http.timeout'", json!(true)),
        ("1 + inputs.n", json!(4)),
        ("7 / 2", json!(3.5)),
        ("event.data.rows | map(attribute='name') | list", json!(["x", "y"])),
        ("event.data.rows | map(attribute='name') | join('-')", json!("x-y")),
        ("event.data.rows[0]", json!({"n": 1, "name": "x"})),
        ("event.data.rows[1:]", json!([{"n": 2, "name": "y"}])),
        ("event.data.tags[-1]", json!("b")),
        ("event.data.tags == ['a', 'b']", json!(true)),
        ("'a' in event.data.tags and 'from' in event.data", json!(true)),
        ("event.data.rows | sum(attribute='n')", json!(3)),
        ("event.data | items | first | first", json!("from")),
        ("{'a': [1, none], 'b': event.data.tags}", json!({"a": [1, null], "b": ["a", "b"]})),
        ("event.data.missing | default('none')", json!("none")),
        ("event.data.missing is defined", json!(false)),
        ("now()", json!(1_774_744_200_000i64)),
        ("now() | date('%Y-%m-%d %H:%M', 'Europe/Madrid')", json!("2026-03-29 01:30")),
        ("'(650) 555-1234' | chat_id('US')", json!("16505551234@c.us")),
        ("'+1 650 555 1234' | chat_id", json!("16505551234@c.us")),
        ("'120363012345678901@g.us' | chat_id", json!("120363012345678901@g.us")),
        ("6505551234 | phone('us')", json!("+16505551234")),
        ("'15551234567@c.us' | phone", json!("+15551234567")),
        ("'2026-03-29T01:30:00Z' | date('%H:%M', 'Europe/Madrid')", json!("03:30")),
        ("now() | relative_day('UTC')", json!("today")),
        ("(now() + 86400000) | relative_day('UTC')", json!("tomorrow")),
        ("(now() - 86400000) | relative_day('UTC')", json!("yesterday")),
        ("(now() + 3 * 86400000) | relative_day('UTC')", json!("Wednesday")),
        ("(now() - 3 * 86400000) | relative_day('UTC')", json!("2026-03-26")),
        ("now() | relative_day('Pacific/Honolulu')", json!("today")),
        ("'{\"a\": [1]}' | fromjson", json!({"a": [1]})),
        ("'a1b22' | regex_match('[0-9]{2}')", json!(true)),
        ("'a1b22' | regex_find('b([0-9]+)', 1)", json!("22")),
        ("'abc' | regex_find('x')", json!(null)),
        ("'a1b22' | regex_replace('[0-9]+', '<$0>')", json!("a<1>b<22>")),
        ("'abc' | hash", json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
        ("'%.2f' | format(2.5)", json!("2.50")),
        ("'a\nb' | indent(2)", json!("a\n  b")),
        ("range(3) | list", json!([0, 1, 2])),
    ] {
        assert_eq!(eval(source), Ok(expected), "{source}");
    }
}

#[test]
fn texts() {
    for (text, expected) in [
        ("{{ event.data.rows }}", json!([{"n": 1, "name": "x"}, {"n": 2, "name": "y"}])),
        ("{{ inputs.n }}", json!(3)),
        ("{{- inputs.n -}}", json!(3)),
        (" {{ inputs.n }}", json!(" 3")),
        ("n={{ inputs.n }}, f={{ event.f }}, t={{ true }}, z={{ none }}", json!("n=3, f=1.0, t=True, z=None")),
        ("{{ event.data.body }}!", json!("Where is my <order> & \"invoice\"?!")),
        ("rows: {{ event.data.rows }}", json!(r#"rows: [{"n":1,"name":"x"},{"n":2,"name":"y"}]"#)),
        ("{{ event.data.body | tojson }}", json!(r#""Where is my <order> & \"invoice\"?""#)),
        ("a {{ {'k': {'l': 1}} }} b", json!(r#"a {"k":{"l":1}} b"#)),
        ("a {{ '}}' }} b", json!("a }} b")),
        ("a  {{- 1 -}}  b\n", json!("a1b\n")),
        ("{# note #}x", json!("x")),
        ("{% for row in event.data.rows %}{{ loop.index }}:{{ row.name }} {% endfor %}\n", json!("1:x 2:y \n")),
        ("{% if inputs.n > 2 %}<many>{% else %}few{% endif %}", json!("<many>")),
        ("{% if true %}{{ event.data.tags }}{% endif %}", json!(r#"["a","b"]"#)),
        ("{% raw %}{{ x }}{% endraw %}", json!("{{ x }}")),
        ("plain }} text { }", json!("plain }} text { }")),
    ] {
        assert_eq!(render(text), Ok(expected), "{text}");
    }
}

#[test]
fn errors_name_the_expression_and_the_cause() {
    for (source, part) in [
        ("event.data.bodi", "`event.data.bodi`: it is undefined"),
        ("event.data.bodi.x", "`event.data.bodi.x`: undefined"),
        ("event.nope + 1", "`event.nope + 1`: tried to use + operator on unsupported types undefined and number"),
        ("now", "`now` is a function; call it: `now()`"),
        ("1 \\", "means nothing here"),
        ("1 🙂", "means nothing here"),
        ("1 2", "unexpected"),
        ("'a", "unexpected end of string"),
        ("1 +", "unexpected end of input"),
        ("a | nope", "there is no filter `nope`"),
        ("'x' | date('%Y')", "is no instant"),
        ("now() | date('%Y', 'Mars/Base')", "`Mars/Base` is no time zone"),
        ("now() | date('%Q%')", "is no date format"),
        ("'x' | regex_match('(')", "is no regular expression"),
        ("'{' | fromjson", "the text is no JSON"),
        ("1 / 0.0", "unable to calculate"),
        ("range(100000000)", "range"),
    ] {
        let error = eval(source).unwrap_err().message;
        assert!(error.contains(part), "{source}: {error}");
    }
    let error = render("a {{ event.x.y }}").unwrap_err().message;
    assert!(error.starts_with("`event.x.y`: undefined"), "{error}");
}

#[test]
fn nothing_grows_or_runs_without_bound() {
    for source in [
        "range(10000) | map('string') | map('replace', '', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') | join | replace('', 'yyyyyyyyyyyyyyyy')",
        "'%999999999d' | format(1)",
        "'%*d' | format(999999999, 1)",
        "[1] | batch(999999999, 0) | list",
        "'a\nb' | indent(99999999999)",
        "'x' * 50000000",
        "[0] * 90000000",
        "('x' * 2000000) | replace('x', 'yy')",
        "('x' * 1000000) | regex_replace('x', '$0$0$0')",
        "'a' | regex_match('(((((a{100}){100}){100}){100}){100})')",
    ] {
        assert!(eval(source).is_err(), "{source}");
    }
    let long = render("{% for a in range(9000) %}{{ 'x' * 1000 }}{% endfor %}").unwrap_err().message;
    assert!(long.ends_with("`: the text is larger than the 1048576 bytes allowed"), "{long}");
    for text in [
        "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}",
        "{% for a in range(10000) %}{{ range(10000) | sum }}{% endfor %}",
        "{% for a in range(99) %}{{ ('x' * 1000000) | regex_match('y') }}{% endfor %}",
        "{% set x = 'a' %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% include 'x' %}",
    ] {
        assert!(render(text).is_err(), "{text}");
    }
}

#[test]
fn item_and_output_are_there_when_the_scope_has_them() {
    let mut scope = scope();
    scope.items.push(Item { name: "row".into(), value: Arc::new(json!({"phone": "1"})), index: 7 });
    scope.output = Some(Arc::new(json!({"ok": true})));
    let expr = Expr::parse("[row.phone, index, output.ok]").unwrap();
    assert_eq!(expr.eval(&scope), Ok(json!(["1", 7, true])));
    assert_eq!(Expr::parse("row").unwrap().eval(&scope), Ok(json!({"phone": "1"})));
}

#[test]
fn trees_render_in_place_and_errors_name_the_place() {
    let mut errors = Vec::new();
    let json = json!({"a": ["{{ inputs.n }}", 2], "b": {"c": "x{{ inputs.n }}"}, "d": "plain"});
    let tree = Tree::compile(&json, &mut errors);
    assert!(errors.is_empty());
    assert_eq!(tree.render(&Context::new(&scope())), Ok(json!({"a": [3, 2], "b": {"c": "x3"}, "d": "plain"})));
    let tree = Tree::compile(&json!({"a": [1, {"b": "{{ event.no }}"}]}), &mut errors);
    let error = tree.render(&Context::new(&scope())).unwrap_err();
    assert_eq!(error.message, "a.1.b: `event.no`: it is undefined");
    Tree::compile(&json!({"a": "{{ 1 + }}", "b": ["{{"]}), &mut errors);
    let places: Vec<_> = errors.iter().map(|e| e.path.join(".")).collect();
    assert_eq!(places, ["a", "b.0"]);
}

#[test]
fn positions_are_those_of_the_whole_text() {
    let text = "hello {{ steps.x.y }} {% if vars.z %}{% endif %}";
    let template = Template::compile(text).unwrap();
    let words: Vec<_> = template.references().iter().map(|r| &text[r.span.clone()]).collect();
    assert_eq!(words, ["steps.x.y", "vars.z"]);
    let text = "{% for row in vars.rows if row.a > vars.b %}{{ row }}{{ loop.index }}{% endfor %}{{ row }}";
    let template = Template::compile(text).unwrap();
    let names: Vec<_> = template.references().iter().map(Reference::dotted).collect();
    assert_eq!(names, ["vars.rows", "vars.b", "row"]);
    assert!(Template::compile("{% for steps in vars.x %}{% endfor %}").is_err());
    let error = Template::compile("ab {{ 1 | nope }}").unwrap_err();
    assert_eq!(error.span, 10..14);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = eval(&text);
        let _ = render(&text);
    }

    #[test]
    fn no_mix_of_the_grammar_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "~", "*", "|", "join", "(", ")", "[", "]", "{", "}", ":", ",", "'",
        "\"", "\\", "event", ".data", ".rows", "1", "99999999999999999999", "0.5", " ", "for", "in", "if", "else",
        "endfor", "endif", "raw", "endraw", "is", "not", "é", "🙂", "\n", "\0", "range(9)", "//", "**", "%", "now()",
    ]), 0..24)) {
        let text = parts.concat();
        let _ = eval(&text);
        let _ = render(&text);
        let _ = render(&format!("{{{{ {text} }}}}"));
    }
}

#[test]
fn deep_nesting_and_long_chains_end_no_stack() {
    for n in [150, 499, 1_000, 10_000] {
        for text in [
            "1+".repeat(n) + "1",
            "not ".repeat(n) + "1",
            "-".repeat(n) + "1",
            "event".to_string() + &".a".repeat(n),
            "event".to_string() + &"[0]".repeat(n),
            "1".to_string() + &"|abs".repeat(n),
            "1 if 1 else ".repeat(n) + "1",
            "(".repeat(n) + "1" + &")".repeat(n),
            "[".repeat(n) + "1" + &"]".repeat(n),
            "1<".repeat(n) + "1",
            "1 and ".repeat(n) + "1",
            "1**".repeat(n) + "1",
            "1~".repeat(n) + "1",
            "1".to_string() + &" is odd".repeat(n),
        ] {
            let _ = eval(&text);
        }
        let _ = render(&("{% if 0 %}".to_string() + &"{% elif 0 %}x".repeat(n) + "{% endif %}"));
        let _ = render(&("{% if 1 %}".repeat(n) + &"{% endif %}".repeat(n)));
        let _ = render(&("{{ 1 }}".repeat(n)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// MiniJinja's own analysis finds nothing that ours does not.
    #[test]
    fn no_name_is_overlooked(parts in prop::collection::vec(prop::sample::select(vec![
        "steps.a", "vars.b", "event", "x", "y", ".c", "[0]", "[z]", "[u:v]", " | join(", " | map(attribute=", ")", "(", " is ",
        " is not ", "odd", "divisibleby ", "eq ", " not in ", " if ", " else ", " + ", "~", ", ", "{'k': ", "}", "[", "]", "1",
        "'s'", "not ", "-", " == ", " = ", "now()", "=", ".5", "1e5", " and ", ":", "r", "is", "e1", "0x1f",
    ]), 0..12)) {
        let text = parts.concat();
        if let Ok(expr) = Expr::compile(&text) {
            let program = env::shared().compile_expression(&text).unwrap();
            for name in program.undeclared_variables(false) {
                let known = expr.references().iter().any(|r| r.root == name);
                prop_assert!(known || references::KEYWORDS.contains(&&*name), "{} in {}", name, text);
            }
        }
    }
}
