//! `moltrun plugin`: projects that are written and never written over, components looked into and called, and bad input of
//! every kind with a clear line and its exit code. That the projects build is checked by `plugins/templates/check.sh`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use regex::Regex;
use serde_json::json;

use crate::support::{Folder, repository};

/// Nothing here goes anywhere.
fn folder() -> Folder {
    Folder::new(SocketAddr::from(([127, 0, 0, 1], 9)))
}

/// All files below `dir`, by their paths from there.
fn files(dir: &Path, from: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, from, found);
        } else {
            found.insert(path.strip_prefix(from).unwrap().to_str().unwrap().to_string());
        }
    }
}

/// What a project of each language has beside README.md and .gitignore, among other things.
const PROJECTS: [(&str, &[&str]); 5] = [
    (
        "rust",
        &[
            "Cargo.toml",
            "src/lib.rs",
            "src/greet.rs",
            "vendor/moltrun-step/Cargo.toml",
            "vendor/moltrun-step/wit/step.wit",
        ],
    ),
    ("js", &["package.json", "src/greet.js", "src/plugin.js", "test/greet.test.js", "wit/step.wit"]),
    ("python", &["pyproject.toml", "build.sh", "plugin.py", "steps/greet.py", "tests/test_greet.py", "wit/step.wit"]),
    ("go", &["go.mod", "build.sh", "plugin.go", "greet.go", "greet_test.go", "wasi-stub.wat", "wit/step.wit"]),
    ("c", &["Makefile", "src/greet.c", "src/moltrun.h", "test/greet_test.c", "wit/step.wit"]),
];

#[test]
fn a_new_project_has_its_files_and_its_name_and_is_never_written_over() {
    let folder = folder();
    for (lang, expected) in PROJECTS {
        let name = format!("my-{lang}");
        let made = folder.run(["plugin", "new", &name, "--lang", lang]).exits(0);
        assert!(made.stdout.contains(&format!("with the step {name}/greet")), "{made:?}");
        let dir = folder.path(&name);
        let mut found = BTreeSet::new();
        files(&dir, &dir, &mut found);
        for file in expected.iter().chain(&["README.md", ".gitignore"]) {
            assert!(found.contains(*file), "{lang} has no {file}: {found:#?}");
        }
        let mut named = 0;
        for file in &found {
            let text = std::fs::read_to_string(dir.join(file)).unwrap();
            assert!(!text.contains("plugin-name") && !text.contains("plugin_name"), "{lang}: {file}");
            named += usize::from(text.contains(&name));
        }
        assert!(named >= 2, "{lang}: {named} files say {name}");
        assert_eq!(std::fs::read_to_string(dir.join("README.md")).unwrap().lines().count(), 10, "{lang}");

        std::fs::write(dir.join("README.md"), "mine").unwrap();
        let again = folder.run(["plugin", "new", &name, "--lang", lang]).exits(2);
        assert!(again.stderr.contains("is there and not empty; nothing is overwritten"), "{again:?}");
        assert_eq!(std::fs::read_to_string(dir.join("README.md")).unwrap(), "mine");
    }
    std::fs::create_dir(folder.path("empty")).unwrap();
    folder.run(["plugin", "new", "other", "--lang", "c", "--dir", "empty"]).exits(0);
    assert!(folder.path("empty/Makefile").is_file());
}

#[test]
fn names_that_no_plugin_can_have_are_refused() {
    let folder = folder();
    for (name, reason) in [
        ("Upper", "`Upper` is no plugin name; one is [a-z][a-z0-9-]*"),
        ("a_b", "`a_b` is no plugin name"),
        ("../up", "`../up` is no plugin name"),
        ("", "`` is no plugin name"),
        ("http", "`http` is reserved for built-in steps"),
        ("a-", "not every language has names"),
        ("a--b", "not every language has names"),
    ] {
        let refused = folder.run(["plugin", "new", name, "--lang", "js"]).exits(2);
        assert!(refused.stderr.contains(reason), "{refused:?}");
    }
    folder.run(["plugin", "new", "fine", "--lang", "cobol"]).exits(2);
    let left = std::fs::read_dir(folder.path(".")).unwrap().count();
    assert_eq!(left, 2, "more than the configuration and the workflows");
}

#[test]
fn a_bundled_plugin_is_looked_into() {
    let folder = folder();
    let shown = folder.run(["plugin", "inspect", "keyword-score"]).exits(0).stdout;
    let stable = [
        (r"keyword-score \d+\.\d+\.\d+:", "keyword-score V:"),
        (r"[0-9a-f]{64}", "SHA"),
        (r"[\d.]+ (KiB|MiB)\n", "SIZE\n"),
        (r"loads in [\d.]+ \S+", "loads in TIME"),
    ];
    let shown =
        stable.iter().fold(shown, |text, (found, put)| Regex::new(found).unwrap().replace_all(&text, *put).into());
    assert_eq!(
        shown,
        "\
keyword-score V: keyword-score/score (transform)
  part of this moltrun, SIZE
  sha256 SHA
  loads in TIME without the cache
  a call: at most 64.0 MiB and 5.0 s

keyword-score/score  pure
  says which keywords a text holds, as whole words in any case
  input   { keywords: [string], text: string }
  output  { matched: [string], score: integer }
  ports   ok

asks for nothing
"
    );

    let whole = folder.run(["plugin", "inspect", "keyword-score", "--json"]).exits(0).json();
    let of = |key: &str| &whole[key];
    assert_eq!(
        (of("name"), of("loads"), of("world"), of("file")),
        (&json!("keyword-score"), &json!(true), &json!("transform"), &json!(null))
    );
    assert_eq!((of("asks"), of("granted_in_vain"), of("memory_bytes")), (&json!([]), &json!([]), &json!(64 << 20)));
    assert_eq!(whole["steps"][0]["input"]["properties"]["text"]["type"], "string");
    assert_eq!(whole["steps"][0]["ports"], json!(["ok"]));
    let sums = std::fs::read_to_string(repository("plugins/dist/SHA256SUMS")).unwrap();
    assert!(sums.contains(&format!("{}  keyword-score.wasm", whole["sha256"].as_str().unwrap())), "{whole:#}");
}

#[test]
fn a_file_is_looked_into_by_its_own_name_and_its_grants() {
    let folder = folder().configure(|config| {
        config["grants"] = json!({"mine": {"memory": "8MiB", "timeout": "50ms", "sha256": "0".repeat(64)}});
    });
    std::fs::copy(repository("plugins/dist/keyword-score.wasm"), folder.path("mine.wasm")).unwrap();
    let pinned = folder.run(["plugin", "inspect", "mine.wasm", "--json"]).exits(2).json();
    assert_eq!((&pinned["loads"], &pinned["name"]), (&json!(false), &json!("mine")));
    assert!(pinned["reason"].as_str().unwrap().contains("its grant pins"), "{pinned:#}");
    let sha256 = pinned["sha256"].as_str().unwrap();

    let folder = folder.configure(|config| config["grants"]["mine"]["sha256"] = json!(sha256));
    let found = folder.run(["plugin", "inspect", "./mine.wasm", "--json"]).exits(0).json();
    assert_eq!((&found["memory_bytes"], &found["timeout_ms"]), (&json!(8 << 20), &json!(50)));
    assert_eq!(found["steps"][0]["name"], "mine/score");
}

#[test]
fn a_call_gives_its_output_and_what_it_cost() {
    let folder = folder();
    let input = json!({"text": "My shop is down, urgent!", "keywords": ["urgent", "refund"]});
    folder.file("input.json", &input.to_string());
    let called = folder.run(["plugin", "call", "keyword-score", "score", "--input", "@input.json"]).exits(0);
    assert_eq!(called.json(), json!({"score": 1, "matched": ["urgent"]}));
    let cost = Regex::new(r"(?m)^port   ok\ntook   [\d.]+ (µs|ms), [\d.]+ (KiB|MiB) of memory, \d+ fuel$").unwrap();
    assert!(cost.is_match(&called.stderr), "{called:?}");

    let args = ["plugin", "call", "keyword-score", "keyword-score/score", "--json", "--times", "3", "--input"];
    let whole = |text: &str| folder.run(args.iter().copied().chain([text])).exits(0).json();
    let (once, again) = (whole(&input.to_string()), whole(&input.to_string()));
    assert_eq!((&once["step"], &once["port"]), (&json!("keyword-score/score"), &json!("ok")));
    assert_eq!((&once["output"]["score"], &once["writes"], &once["log"]), (&json!(1), &json!([]), &json!([])));
    assert!(once["took_us"].is_u64() && once["memory_bytes"].as_u64().unwrap() >= 65_536, "{once:#}");
    assert_eq!(once["fuel"], again["fuel"], "the same call takes the same fuel");
}

#[test]
fn what_cannot_be_called_or_looked_into_says_why() {
    let folder = folder();
    folder.file("text.wasm", "not WebAssembly");
    folder.file("empty.wasm", "");
    folder.file("module.wasm", "\0asm\u{1}\0\0\0");
    let good = r#"{"text": "a", "keywords": []}"#;
    let call = |plugin: &str, step: &str, input: &str| folder.run(["plugin", "call", plugin, step, "--input", input]);
    for (finished, code, reason) in [
        (call("keyword-scor", "score", good), 3, "there is no plugin `keyword-scor`; did you mean `keyword-score`?"),
        (call("no-such.wasm", "score", good), 3, "no-such.wasm: there is no such file"),
        (call("keyword-score", "scor", good), 3, "has no step `scor`; did you mean `score`?"),
        (call("keyword-score", "x", good), 3, "has no step `x`; it has score"),
        (call("keyword-score", "score", "{"), 2, "--input: not JSON: "),
        (call("keyword-score", "score", "@nowhere.json"), 2, "--input: nowhere.json: "),
        (call("keyword-score", "score", "[]"), 1, "failed plugin.bad_input: keyword-score/score: bad input"),
        (call("keyword-score", "score", "{\"text\": 1}"), 1, "failed plugin.bad_input: keyword-score/score: bad input"),
        (call("text.wasm", "score", good), 2, "text does not load: the file is not WebAssembly"),
        (call("module.wasm", "score", good), 2, "module does not load: the file is a core module, not a component"),
        (folder.run(["plugin", "inspect", "empty.wasm"]), 2, "empty does not load: the file is empty"),
        (folder.run(["plugin", "inspect", "nothing"]), 3, "there is no plugin `nothing`"),
        (folder.run(["plugin", "build", "workflows"]), 2, "workflows holds no project: none of Cargo.toml"),
        (folder.run(["plugin", "build", "nowhere"]), 2, "nowhere is no folder"),
        (folder.run(["plugin", "build", "--install", "--out", "x"]), 2, "cannot be used with"),
    ] {
        let finished = finished.exits(code);
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(said.contains(reason), "{reason}: {finished:?}");
    }
    let failed = folder.run(["plugin", "call", "keyword-score", "score", "--json"]).exits(1).json();
    assert_eq!((&failed["error"]["code"], &failed["error"]["kind"]), (&json!("plugin.bad_input"), &json!("permanent")));
}

#[test]
fn a_build_without_its_tools_says_what_to_install() {
    let folder = folder();
    folder.run(["plugin", "new", "greeter", "--lang", "go"]).exits(0);
    let mut command = folder.command(["plugin", "build", "greeter"]);
    let built = crate::support::folder::finish(command.env("PATH", folder.path("."))).exits(1);
    for line in [
        "sh is not on the PATH",
        "go is not on the PATH: install Go 1.24",
        "wasm-tools or jco is not on the PATH: cargo install",
    ] {
        assert!(built.stderr.contains(line), "{built:?}");
    }
}

#[test]
fn a_build_runs_what_the_project_says_and_installs_only_what_loads() {
    // All that these tests may count on is cargo; a machine that checks changes has it.
    if std::process::Command::new("make").arg("--version").output().is_err() {
        eprintln!("left out: there is no make");
        return;
    }
    let folder = folder();
    let dir = folder.path("mine");
    std::fs::create_dir(&dir).unwrap();
    let component = repository("plugins/dist/keyword-score.wasm");
    let makefile = |recipe: &str| {
        std::fs::write(dir.join("Makefile"), format!("mine.wasm: always\n\t@{recipe}\nalways:\n")).unwrap()
    };
    let build = || {
        let mut command = folder.command(["plugin", "build", "mine", "--install"]);
        for tool in ["WASM_CC", "WIT_BINDGEN", "COMPONENT_NEW"] {
            command.env(tool, "true");
        }
        crate::support::folder::finish(&mut command)
    };
    makefile("echo building; false");
    let failed = build().exits(1);
    assert!(failed.stderr.contains("building\n") && failed.stderr.contains("`make` failed"), "{failed:?}");
    assert_eq!(failed.stdout, "");
    makefile("echo no component > mine.wasm");
    let refused = build().exits(2);
    assert!(refused.stderr.contains("mine does not load: the file is not WebAssembly"), "{refused:?}");
    assert!(!folder.path("plugins").exists());
    makefile("true");
    std::fs::remove_file(dir.join("mine.wasm")).unwrap();
    assert!(build().exits(1).stderr.contains("the build went well and left no mine/mine.wasm"));
    makefile(&format!("cp {} mine.wasm", component.display()));
    let installed = build().exits(0);
    assert!(installed.stderr.contains("mine/score (transform)"), "{installed:?}");
    assert_eq!(Path::new(installed.stdout.trim()), folder.path("plugins/mine.wasm"));
    assert_eq!(std::fs::read(folder.path("plugins/mine.wasm")).unwrap(), std::fs::read(component).unwrap());
    folder.run(["plugin", "call", "mine", "score", "--input", r#"{"text": "a", "keywords": ["a"]}"#]).exits(0);
}
