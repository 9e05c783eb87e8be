//! Rules of the house that no compiler knows, checked on every file of the repository: the order of the layers, short files,
//! no ambient time, no panics on bad input, nothing unfinished, docs on every module, a test for every example.
//!
//! `src/lib.rs` tells why these rules are worth having; `tidy/rules.rs` says exactly what they are. The tests below the
//! first one plant a violation of each rule, so that a rule which stops working is noticed.

#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use std::path::Path;

use rules::{File, Finding};

/// Folders and files that are read. What is not here is generated, binary, or not ours.
const ROOTS: [&str; 9] = ["src", "tests", "workflows", "plugins", "wit", "docs", "benches", ".ci", "README.md"];

/// Endings of the files that are read; a file without one is a script.
const ENDINGS: [&str; 13] = ["rs", "yaml", "yml", "csv", "md", "toml", "wit", "sh", "js", "html", "css", "sql", "json"];

#[test]
fn the_house_is_tidy() {
    let mut files = Vec::new();
    for root in ROOTS {
        collect(Path::new(env!("CARGO_MANIFEST_DIR")), root, &mut files);
    }
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the files were not found");
    let findings = rules::all(&files);
    let report: String = findings
        .iter()
        .map(|Finding { file, line, what, advice }| format!("{file}:{line}: {what}\n    {advice}\n"))
        .collect();
    assert!(findings.is_empty(), "{} findings\n\n{report}", findings.len());
}

fn collect(root: &Path, path: &str, files: &mut Vec<File>) {
    let full = root.join(path);
    if full.is_dir() {
        let mut names: Vec<String> =
            full.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        for name in names.iter().filter(|name| !["target", "dist", "node_modules"].contains(&name.as_str())) {
            collect(root, &format!("{path}/{name}"), files);
        }
        return;
    }
    let ending = full.extension().map(|ending| ending.to_string_lossy().into_owned());
    if full.is_file() && ending.is_none_or(|ending| ENDINGS.contains(&ending.as_str())) {
        let text = String::from_utf8_lossy(&std::fs::read(&full).unwrap()).into_owned();
        files.push(File { path: path.to_string(), text });
    }
}

/// What the rules find in one file whose module docs are given, as `line: what`.
fn found_in(path: &str, code: &str) -> Vec<String> {
    let file = File { path: path.to_string(), text: format!("//! Docs.\n{code}") };
    rules::all(&[file]).into_iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
}

#[test]
fn a_layer_that_looks_ahead_is_found() {
    for (path, code, what) in [
        ("src/expr/mod.rs", "use crate::plan::Plan;", "2: `expr` may not use `plan`"),
        (
            "src/base/id.rs",
            "use crate::{base::Json,\n  engine::{ports, clock::SystemClock}};",
            "3: `base` may not use `engine`",
        ),
        ("src/engine/run/mod.rs", "fn f() { crate::store::open() }", "2: `engine` may not use `store`"),
        ("src/engine/run/mod.rs", "use super::super::store::Store;", "2: `engine` may not use `store`"),
        ("src/store/mod.rs", "use crate::steps::Registry;", "2: `store` may not use `steps`"),
        ("src/net.rs", "pub(crate) use crate::moltflow as api;", "2: `net` may not use `moltflow`"),
        ("src/cli/run.rs", "use crate::Store;", "2: `crate::Store` names no layer"),
        ("src/helpers.rs", "", "1: `helpers` is no layer"),
    ] {
        assert!(found_in(path, code).contains(&what.to_string()), "{path}: {code}: {:?}", found_in(path, code));
    }
}

#[test]
fn looking_back_comments_texts_and_tests_are_free() {
    for (path, code) in [
        ("src/plan/mod.rs", "use crate::{base::{Effect, Json}, lang::Workflow};"),
        ("src/plan/graph.rs", "use super::Plan;\nuse crate::plan::Edge;"),
        ("src/engine/run/mod.rs", "use super::ports; use super::super::engine::clock;"),
        ("src/base/id.rs", "// use crate::engine;\n/* crate::engine /* nested */ crate::store */"),
        (
            "src/base/id.rs",
            r##"const A: &str = "crate::store"; const B: &str = r#"a " crate::store"#; const C: char = '"';"##,
        ),
        ("src/base/id.rs", "#[cfg(test)]\nmod tests { use crate::store::Memory; fn f() { x.unwrap() } }"),
        ("src/base/id.rs", "#[cfg(test)]\nuse crate::store::Memory;"),
        ("src/base/id.rs", "fn f<'a>(x: &'a str) { crate::ensure!(x == \"a\") }"),
        ("src/app.rs", "use crate::{engine, store, server, config};"),
        ("src/main.rs", "use moltrun::cli;"),
    ] {
        assert_eq!(found_in(path, code), Vec::<String>::new(), "{path}: {code}");
    }
}

#[test]
fn a_file_of_a_test_module_is_test_code() {
    let file = |path: &str, code: &str| File { path: path.to_string(), text: format!("//! Docs.\n{code}") };
    let helpers = "fn f() { crate::store::open().unwrap() }";
    for (parent, child) in
        [("src/plan/mod.rs", "src/plan/fakes.rs"), ("src/plan/graph.rs", "src/plan/graph/fakes/deep.rs")]
    {
        let findings = rules::all(&[file(parent, "#[cfg(test)]\nmod fakes;"), file(child, helpers)]);
        assert_eq!(findings, [], "{child}");
        let findings = rules::all(&[file(parent, "mod fakes;"), file(child, helpers)]);
        assert_eq!(findings.len(), 2, "{child}: {findings:?}");
    }
}

#[test]
fn ambient_time_and_randomness_are_found() {
    for code in [
        "fn f() { std::time::SystemTime::now(); }",
        "fn f() { Instant::now(); }",
        "use tokio::{sync, time::{self, Duration}};",
        "async fn f() { tokio::time::timeout(d, x).await; }",
        "fn f() { std::thread::sleep(d); }",
        "fn f() { rand::random::<u64>(); }",
        "use std::hash::{BuildHasher, RandomState};",
        "fn f() { jiff::Zoned::now(); }",
    ] {
        assert!(!found_in("src/net/client.rs", code).is_empty(), "{code}");
        let clock = found_in("src/engine/clock.rs", code);
        assert_eq!(clock, Vec::<String>::new(), "{code}");
    }
    for code in ["use std::time::{Duration, SystemTime, UNIX_EPOCH};", "fn f() { clock.now(); clock.sleep_until(at); }"]
    {
        assert_eq!(found_in("src/net/client.rs", code), Vec::<String>::new(), "{code}");
    }
}

#[test]
fn tests_may_measure_but_not_sleep() {
    let measures = "async fn f() { std::time::Instant::now(); tokio::time::timeout(d, x).await; x.unwrap(); }";
    assert_eq!(found_in("tests/it/kill.rs", measures), Vec::<String>::new());
    let sleeps = "async fn f() {\n tokio::time::sleep(d).await; }";
    assert_eq!(found_in("tests/it/kill.rs", sleeps), ["3: `tokio::time::sleep` is ambient"]);
    let in_a_unit_test = "#[cfg(test)]\nmod tests { use std::thread; fn f() { thread::sleep(d) } }";
    assert_eq!(found_in("src/net/client.rs", in_a_unit_test), ["3: `thread::sleep` is ambient"]);
}

#[test]
fn panics_without_a_proof_are_found() {
    for code in [
        "fn f() { x.unwrap(); }",
        "fn f() { x\n.expect(\"works\"); }",
        "fn f() { x.expect(&message); }",
        "fn f() { panic!(\"no\"); }",
        "fn f() { unreachable!(); }",
        concat!("fn f() { to", "do!() }"),
        "fn f() { dbg!(x); }",
    ] {
        assert_eq!(found_in("src/net/client.rs", code).len(), 1, "{code}");
    }
    for code in [
        "fn f() { x.unwrap_or_default(); unwrap(); }",
        "fn f() { x.expect(\"a slice of 16 is an array of 16\"); }",
        "fn f() { unreachable!(\"the loop ends by its break alone\"); }",
        "/// `x.unwrap()`\nfn f() { panic != todo }",
    ] {
        assert_eq!(found_in("src/net/client.rs", code), Vec::<String>::new(), "{code}");
    }
}

#[test]
fn printing_outside_its_file_is_found() {
    for name in ["print", "println", "eprint", "eprintln"] {
        let code = format!("fn f() {{ std::{name}!(\"a\"); }}");
        assert_eq!(found_in("src/cli/run.rs", &code), [format!("2: `{name}!` outside src/cli/out.rs")]);
        assert_eq!(found_in("src/main.rs", &code).len(), 1);
        for free in ["src/cli/out.rs", "tests/it/kill.rs"] {
            assert_eq!(found_in(free, &code), Vec::<String>::new(), "{free}");
        }
    }
    assert_eq!(found_in("src/cli/run.rs", "fn print() -> bool { print() != eprintln }"), Vec::<String>::new());
}

#[test]
fn unsafe_code_outside_its_corner_is_found() {
    let code = "fn f() { unsafe { g() } }";
    assert_eq!(found_in("src/net/client.rs", code), ["2: `unsafe` outside its one corner"]);
    assert_eq!(found_in("src/wasm/cache.rs", code), Vec::<String>::new());
}

#[test]
fn long_unfinished_and_undocumented_files_are_found() {
    assert_eq!(found_in("src/net/client.rs", &"\n".repeat(799)), Vec::<String>::new());
    assert_eq!(found_in("src/net/client.rs", &"\n".repeat(800)), ["801: 801 lines, more than 800"]);
    assert_eq!(found_in("src/net/client.rs", concat!("// TO", "DO: later")).len(), 1);
    assert_eq!(found_in("workflows/a.md", concat!("see /wo", "rk/main")).len(), 2);

    let bare = File { path: "src/net/client.rs".to_string(), text: "#![deny(warnings)]\n\nfn f() {}\n".to_string() };
    assert_eq!(rules::all(&[bare])[0].what, "no module docs");
}

#[test]
fn an_example_without_a_test_is_found() {
    let file = |path: &str, text: &str| File { path: path.to_string(), text: text.to_string() };
    let example = || file("workflows/new.yaml", "name: new\n");
    assert_eq!(rules::all(&[example()])[0].what, "no test names `new.yaml`");
    let test = file("tests/it/examples.rs", "//! Docs.\nconst FILE: &str = \"new.yaml\";\n");
    assert_eq!(rules::all(&[example(), test]), []);
}
