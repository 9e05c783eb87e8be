//! The step against scripts, good and hostile: the bundled engine, called as the workflow engine calls steps.

use std::sync::Arc;

use serde_json::json;

use super::{ScriptEngine, ScriptStep};
use crate::base::limits::{PLUGIN_JSON, STEP_LOG_LINES};
use crate::base::{Json, RunId};
use crate::engine::ports::{Failure, LogLevel, LogLine, Outcome, Step, StepCall, StepError};
use crate::lang::catalog::SCOPE;
use crate::lang::{CodePlace, Workflow};
use crate::wasm::{Host, PluginsConfig, Services};

/// The engine is compiled once a test: so one test holds many scripts.
fn step() -> ScriptStep {
    ScriptStep::new(ScriptEngine::new(&Host::new(PluginsConfig::default(), Services::none())))
}

fn call(code: &str, input: Json, scope: Json) -> StepCall {
    StepCall {
        run: RunId::new(1_000, 7),
        workflow: Arc::new(Workflow::without_steps("shop")),
        step: "total".into(),
        items: Vec::new(),
        keys: crate::engine::ports::Keys::new(
            Arc::new(crate::store::memory::MemoryStore::default()),
            Arc::new(crate::engine::clock::SystemClock),
        ),
        attempt: 1,
        now: 1_700_000_000_123,
        began: 1_700_000_000_123,
        timeout_ms: 60_000,
        input: json!({"code": code, "input": input, SCOPE: scope}),
        log: Default::default(),
        heard: Vec::new(),
    }
}

async fn run(step: &ScriptStep, call: StepCall) -> Result<Json, Failure> {
    match step.run(call).await {
        Ok(Outcome::Done { port, output }) => {
            assert_eq!(&*port, "ok");
            Ok(output)
        }
        Err(StepError::Permanent(failure)) => Err(failure),
        other => panic!("{other:?}"),
    }
}

async fn output(step: &ScriptStep, code: &str) -> Json {
    let input = serde_json::from_str(r#"{"a": 1, "__proto__": {"x": 1}}"#).unwrap();
    let scope = json!({"event": {"data": {"body": "hi"}}, "steps": {"first": {"n": 2}}, "vars": {"rate": 3}});
    run(step, call(code, input, scope)).await.unwrap_or_else(|failure| panic!("{code}: {failure:?}"))
}

/// `code: message` of the failure.
async fn refusal(step: &ScriptStep, code: &str) -> String {
    match run(step, call(code, Json::Null, json!({}))).await {
        Err(failure) => format!("{}: {}", failure.code, failure.message),
        Ok(output) => panic!("{code}: {output}"),
    }
}

#[tokio::test]
async fn scripts_give_json() {
    let step = step();
    for (code, expected) in [
        ("return input.a + steps.first.n * vars.rate", json!(7)),
        ("return event.data.body.toUpperCase()", json!("HI")),
        ("", Json::Null),
        ("return { a: undefined, b: [undefined, , null], c: -0 }", json!({"a": null, "b": [null, null, null], "c": 0})),
        ("input.a = 5; return input.a", json!(5)),
        (
            "return [new Date(), Date.now(), new Date().getHours()]",
            json!(["2023-11-14T22:13:20.123Z", 1_700_000_000_123_u64, 22]),
        ),
        ("return [new Number(1), new String('a'), new Boolean(false)]", json!([1, "a", false])),
        ("return { toJSON() { return [this.x] }, x: 1 }", json!([1])),
        ("return [0.1 + 0.2, 1e21, 9007199254740991]", json!([0.30000000000000004, 1e21, 9_007_199_254_740_991_u64])),
        ("return 'ü😀\\ud800' + '\\udc00|'", json!("ü😀\u{10000}|")),
        ("return ['\\ud800', '\\udc00x', { '\\ud800': 1 }]", json!(["\u{fffd}", "\u{fffd}x", {"\u{fffd}": 1}])),
        ("return '\\0\\n\"\\\\\\u2028'", json!("\0\n\"\\\u{2028}")),
        ("const a = [3, 1, 2]; return a.toSorted().map(x => x ** 2)", json!([1, 4, 9])),
        ("return /(?<y>\\d{4})/.exec('in 2024').groups.y", json!("2024")),
        ("return 1 // the end", json!(1)),
        // Whatever a script does to its world is gone with it.
        ("Object.prototype.x = 1; Array.prototype.map = null; JSON.stringify = null; return [{}.x]", json!([1])),
        ("return [{}.x ?? 'clean', typeof [].map]", json!(["clean", "function"])),
        ("return [input.__proto__.x, ({}).x ?? 0, Object.keys(input)]", json!([1, 0, ["a", "__proto__"]])),
        ("return new Proxy([1, 2], {})", json!([1, 2])),
        (
            "return new Proxy({}, { ownKeys: () => ['a'], getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }), get: (t, k) => k === 'a' ? 1 : undefined })",
            json!({"a": 1}),
        ),
        (
            "return [typeof Promise, typeof eval, typeof setTimeout, typeof fetch, typeof require, typeof WebAssembly]",
            json!(["undefined", "undefined", "undefined", "undefined", "undefined", "undefined"]),
        ),
    ] {
        assert_eq!(output(&step, code).await, expected, "{code}");
    }
    assert_eq!(output(&step, "return input").await.to_string(), r#"{"a":1,"__proto__":{"x":1}}"#);

    let random = |call: StepCall| run(&step, call);
    let roll = || call("return [Math.random(), Math.random()]", Json::Null, json!({}));
    let first = random(roll()).await.unwrap();
    assert_ne!(first[0], first[1]);
    assert_eq!(random(StepCall { attempt: 2, ..roll() }).await.unwrap(), first);
    assert_ne!(random(StepCall { items: vec![1], ..roll() }).await.unwrap(), first);
}

#[tokio::test]
async fn what_scripts_do_wrong_is_said_in_one_line() {
    let step = step();
    for (code, expected) in [
        (
            "const a = 1\n  return a.b.c",
            "script.error: TypeError: cannot read property 'c' of undefined at line 2, column 10 of its code",
        ),
        (
            "const é = '😀'; throw new RangeError('bad\\nthing')",
            "script.error: RangeError: bad thing at line 1, column 26 of its code",
        ),
        ("throw 'text'", "script.error: the script threw \"text\" at line 1, column 7 of its code"),
        ("throw { a: [1] }", "script.error: the script threw {\"a\":[1]} at line 1, column 7 of its code"),
        ("throw undefined", "script.error: the script threw undefined at line 1, column 7 of its code"),
        (
            "fetch('https://a.example')",
            "script.error: ReferenceError: fetch is not defined at line 1, column 1 of its code (a script has no network: use an `http` step)",
        ),
        ("x = 1", "script.error: ReferenceError: x is not defined at line 1, column 1 of its code"),
        (
            "return new Function('return 1')()",
            "script.error: TypeError: eval is not supported at line 1, column 12 of its code",
        ),
        (
            "return (() => 1).constructor('return 1')",
            "script.error: TypeError: eval is not supported at line 1, column 18 of its code",
        ),
        (
            "const e = new Error('m'); e.stack = 'script:99:1'; throw e",
            "script.error: Error: m at line 1, column 15 of its code",
        ),
        ("Error.prepareStackTrace = () => { throw 1 }; throw new Error('m')", "script.error: Error: m"),
        (
            "class E extends Error { get message() { for (;;); } get name() { for (;;); } }\nthrow new E()",
            "script.error: Error at line 1, column 1 of its code",
        ),
        (
            "return { get a() { throw new Error('getter') } }",
            "script.error: Error: getter at line 1, column 30 of its code",
        ),
        (
            "return new Proxy({}, { ownKeys() { throw 1 } })",
            "script.error: the script threw 1 at line 1, column 42 of its code",
        ),
        (
            "const a = ;",
            "script.syntax: this is no JavaScript: unexpected token in expression: ';' at line 1, column 11 of its code",
        ),
        ("}); (function () { return 7", "script.syntax: this is no JavaScript: there is a `}` or a `)` too many"),
        (
            "if (1) {",
            "script.syntax: this is no JavaScript: the code ends too early or too late: a `}`, a `)` or a quote is missing, or there is one too many",
        ),
        ("return { a: [1, NaN] }", "script.bad_output: the returned value at `a[1]` is NaN, which JSON cannot hold"),
        ("return 1 / 0", "script.bad_output: the returned value is infinite, which JSON cannot hold"),
        (
            "return { 'odd key': () => 1 }",
            "script.bad_output: the returned value at `[\"odd key\"]` is a function; call it or leave it out",
        ),
        (
            "return [10n]",
            "script.bad_output: the returned value at `[0]` is a BigInt; return Number(…) or String(…) of it",
        ),
        ("const a = {}; a.b = { a }; return a", "script.bad_output: the returned value at `b.a` contains itself"),
        ("return Symbol('a')", "script.bad_output: the returned value is a symbol, which JSON cannot hold"),
        ("return new Map()", "script.bad_output: the returned value is a Map; return Object.fromEntries(…) of it"),
        ("return new Date(NaN)", "script.bad_output: the returned value is an invalid Date"),
        (
            "return new Uint8Array(2)",
            "script.bad_output: the returned value is of class Uint8Array, which JSON cannot hold",
        ),
        (
            "return (async () => 1)()",
            "script.bad_output: the returned value is a promise; a script has nothing to wait for, so do without `async`",
        ),
        (
            "(async () => { await 1 })(); return 1",
            "script.bad_output: it left work for later (an `async` function or a promise), which is never done: a script ends when it returns",
        ),
        (
            "(async () => { throw new Error('lost') })(); return 1",
            "script.error: Error: lost at line 1, column 26 of its code",
        ),
        (
            "let o = {}; const a = o; for (let i = 0; i < 120; i++) { o.a = {}; o = o.a } return a.a.a",
            "nests deeper than 100 levels",
        ),
    ] {
        let said = refusal(&step, code).await;
        assert!(said == expected || expected.starts_with("nests") && said.ends_with(expected), "{code}\n{said}");
    }
}

#[tokio::test]
async fn errors_point_at_the_line_of_the_file() {
    let step = step();
    let mut workflow = Workflow::without_steps("shop");
    workflow.code.insert("total".to_string(), CodePlace { line: 12, indent: 8 });
    let code = "function f() {\n  return input.nothing.x\n}\nreturn f()";
    let workflow = Arc::new(workflow);
    let of_file = StepCall { workflow: workflow.clone(), ..call(code, json!({}), json!({})) };
    let failure = run(&step, of_file).await.unwrap_err();
    assert_eq!(failure.message, "TypeError: cannot read property 'x' of undefined at 13:18");
    assert_eq!(
        **failure.details.as_ref().unwrap(),
        json!({"name": "TypeError", "message": "cannot read property 'x' of undefined", "lines_of": "file",
            "stack": [{"function": "f", "line": 13, "column": 18}, {"function": "", "line": 15, "column": 16}]})
    );
    // Where the engine counts other lines than the file has, they are the code's.
    let code = "const a = {};\u{2028}\nreturn a.b.c";
    let of_code = StepCall { workflow, ..call(code, json!({}), json!({})) };
    let failure = run(&step, of_code).await.unwrap_err();
    assert_eq!(failure.message, "TypeError: cannot read property 'c' of undefined at line 3, column 8 of its code");
}

#[tokio::test]
async fn hostile_scripts_end_and_harm_nobody() {
    let step = step();
    let mut wrong = Vec::new();
    for (code, expected) in [
        ("'x'.repeat(1e8)", "script.memory: "),
        ("const a = []; for (;;) a.push(new Array(1000).fill(a.length))", "script.memory: "),
        ("let s = 'x'; for (;;) s += s", "script.error: InternalError: string too long"),
        ("try { const a = []; for (;;) a.push({}) } catch { } const b = []; for (;;) b.push([])", "script.memory: "),
        ("return 'x'.repeat(2e6)", "script.too_large: the returned value has more than 1048576 bytes"),
        ("return '\\u0001'.repeat(9e5)", "script.too_large: "),
        ("return new Array(4e9)", "script.too_large: "),
        (
            "return new Proxy([], { get: (t, k) => k === 'length' ? 1e15 : k === 'toJSON' ? undefined : 1 })",
            "script.too_large: ",
        ),
        ("throw new Error('x'.repeat(1e7))", "script.error: Error: xxx"),
        ("throw 'x'.repeat(1e7)", "script.error: the script threw \"xxx"),
        ("const f = () => f() + 1; return f()", "script.error: RangeError: Maximum call stack"),
        ("const o = { get a() { return this.a } }; return o", "script.error: RangeError: Maximum call stack"),
        (
            "const o = { toString() { return `${this}` } }; return `${o}`",
            "script.error: RangeError: Maximum call stack",
        ),
        ("const p = {}; let q = p; for (let i = 0; i < 1e5; i++) q = new Proxy(q, {}); return q.x", "script.error: "),
        ("const o = { valueOf() { return o + 1 } }; return o + 1", "script.error: RangeError: Maximum call stack"),
        ("const f = () => [1].map(f); return f()", "script.error: RangeError: Maximum call stack"),
        ("const f = () => [2, 1].sort(f); return f()", "script.error: RangeError: Maximum call stack"),
        ("const f = () => 'a'.replace(/a/, f); return f()", "script.error: RangeError: Maximum call stack"),
        ("const f = () => JSON.parse('[1]', f); return f()", "script.error: RangeError: Maximum call stack"),
        ("const f = () => Reflect.apply(f, null, []); return f()", "script.error: RangeError: Maximum call stack"),
        ("class A { constructor() { new A() } } new A()", "script.error: RangeError: Maximum call stack"),
        ("function* g() { yield* g() } return [...g()]", "script.error: RangeError: Maximum call stack"),
        ("return JSON.parse('['.repeat(1e5))", "script."),
        ("return new RegExp('('.repeat(1e5))", "script."),
        ("let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a.flat(Infinity)", "script."),
        ("let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return String(a)", "script."),
        ("let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return structuredClone(a)", "script.error: "),
    ] {
        let said = refusal(&step, code).await;
        if !said.starts_with(expected) || said.len() > 5_000 {
            let said: String = said.chars().take(300).collect();
            wrong.push(format!("{code}\n   {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let nested = format!("return {}", "(".repeat(100_000));
    let said = refusal(&step, &nested).await;
    assert!(said.starts_with("script.syntax: ") || said.starts_with("script.stopped: "), "{said}");

    let large = "x".repeat(PLUGIN_JSON);
    let said = run(&step, call("return 1", json!(large), json!({}))).await.unwrap_err();
    assert_eq!(said.code, "script.too_large");

    for code in ["for (;;);", "for (;;) { try { null.x } catch { } }", "return /^(a+)+$/.test('a'.repeat(40) + '!')"] {
        let call = StepCall { timeout_ms: 60, ..call(code, Json::Null, json!({})) };
        let failure = run(&step, call).await.unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.message.as_str()),
            ("script.timeout", "the script took longer than 60 ms")
        );
    }
    // The next one runs as if nothing had been.
    assert_eq!(output(&step, "return 1").await, json!(1));
}

#[tokio::test]
async fn the_console_is_the_log_of_the_step() {
    let step = step();
    let lines = async |code: &str| {
        let call = call(code, json!({"a": 1}), json!({}));
        let log = call.log.clone();
        let _ = run(&step, call).await;
        log.take()
    };
    let line = |level, text: &str| LogLine { level, text: text.to_string() };
    let code = "console.log('hi', input, [1, 'b'], undefined, null, 2n, new Date(0))
        console.info(() => 1, new Error('e'), Symbol('s'), new Proxy({}, {}), /a/)
        console.debug({ get x() { throw 1 }, y: 'a\\u001b[31mb' })
        console.warn()
        const o = {}; o.o = o
        console.error(o)
        throw 1";
    assert_eq!(
        lines(code).await,
        [
            line(LogLevel::Info, "hi {\"a\":1} [1,\"b\"] undefined null 2 1970-01-01T00:00:00.000Z"),
            line(LogLevel::Info, "[function] Error: e [symbol] [proxy] {}"),
            line(LogLevel::Debug, "{\"x\":[getter],\"y\":\"a\\u001b[31mb\"}"),
            line(LogLevel::Warn, ""),
            line(LogLevel::Error, "{\"o\":[circular]}"),
        ]
    );
    let many = lines("for (let i = 0; i < 1e5; i++) console.log(i)").await;
    assert_eq!(many.len(), STEP_LOG_LINES + 1);
    let long = lines("console.log('ü'.repeat(1e6), new Array(1e6).fill('x'), '\\ud800')").await;
    assert!(long[0].text.len() <= 4100 && long[0].text.starts_with("üü"), "{}", long[0].text.len());
}

#[test]
fn the_checker_asks_the_engine() {
    let reader = ScriptEngine::new(&Host::new(PluginsConfig::default(), Services::none())).reader();
    for (code, expected) in [
        ("return input", Ok(())),
        ("for (;;);", Ok(())),
        ("const é = 1\nreturn é +* 2", Err((Some(24), "unexpected token in expression: '*'"))),
        (
            "return 1 }",
            Err((
                None,
                "the code ends too early or too late: a `}`, a `)` or a quote is missing, or there is one too many",
            )),
        ),
        ("let input = 1", Err((Some(10), "invalid redefinition of parameter name"))),
        ("with (input) { }", Err((Some(0), "invalid keyword: with"))),
    ] {
        let found = reader.read(code).map_err(|mistake| (mistake.at, mistake.message));
        assert_eq!(found, expected.map_err(|(at, message)| (at, message.to_string())), "{code}");
    }
}
