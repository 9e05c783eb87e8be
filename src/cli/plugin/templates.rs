//! The projects that `plugin new` writes, from `plugins/templates`, the guest crate and `wit`. In paths and texts the words
//! `plugin-name` and `plugin_name` stand for the plugin's name, so that a template is a project itself.
//!
//! Files whose own names would mean something where they lie (`Cargo.toml`, `.gitignore`) have others there.

use super::lang::Lang;

/// Where a file goes, and what it holds.
type File = (&'static str, &'static str);

/// All files of a project in `lang`.
pub fn files(lang: Lang) -> impl Iterator<Item = File> {
    let (own, interface) = match lang {
        // The crate has the interface in it.
        Lang::Rust => (RUST, SDK),
        Lang::Js => (JS, WIT),
        Lang::Python => (PYTHON, WIT),
        Lang::Go => (GO, WIT),
        Lang::C => (C, WIT),
    };
    own.iter().chain(interface).copied()
}

/// `text` for the plugin `name`.
pub fn named(text: &str, name: &str) -> String {
    text.replace("plugin-name", name).replace("plugin_name", &name.replace('-', "_"))
}

const RUST: &[File] = &[
    ("Cargo.toml", include_str!("../../../plugins/templates/rust/Cargo.toml.in")),
    ("README.md", include_str!("../../../plugins/templates/rust/README.md")),
    (".gitignore", include_str!("../../../plugins/templates/rust/gitignore")),
    ("src/greet.rs", include_str!("../../../plugins/templates/rust/src/greet.rs")),
    ("src/lib.rs", include_str!("../../../plugins/templates/rust/src/lib.rs")),
];

const JS: &[File] = &[
    ("README.md", include_str!("../../../plugins/templates/js/README.md")),
    (".gitignore", include_str!("../../../plugins/templates/js/gitignore")),
    ("package.json", include_str!("../../../plugins/templates/js/package.json")),
    ("src/failure.js", include_str!("../../../plugins/templates/js/src/failure.js")),
    ("src/greet.js", include_str!("../../../plugins/templates/js/src/greet.js")),
    ("src/plugin.js", include_str!("../../../plugins/templates/js/src/plugin.js")),
    ("test/greet.test.js", include_str!("../../../plugins/templates/js/test/greet.test.js")),
];

const PYTHON: &[File] = &[
    ("README.md", include_str!("../../../plugins/templates/python/README.md")),
    ("build.sh", include_str!("../../../plugins/templates/python/build.sh")),
    (".gitignore", include_str!("../../../plugins/templates/python/gitignore")),
    ("plugin.py", include_str!("../../../plugins/templates/python/plugin.py")),
    ("pyproject.toml", include_str!("../../../plugins/templates/python/pyproject.toml")),
    ("steps/__init__.py", include_str!("../../../plugins/templates/python/steps/__init__.py")),
    ("steps/greet.py", include_str!("../../../plugins/templates/python/steps/greet.py")),
    ("steps/step.py", include_str!("../../../plugins/templates/python/steps/step.py")),
    ("tests/__init__.py", include_str!("../../../plugins/templates/python/tests/__init__.py")),
    ("tests/test_greet.py", include_str!("../../../plugins/templates/python/tests/test_greet.py")),
];

const GO: &[File] = &[
    ("README.md", include_str!("../../../plugins/templates/go/README.md")),
    ("build.sh", include_str!("../../../plugins/templates/go/build.sh")),
    (".gitignore", include_str!("../../../plugins/templates/go/gitignore")),
    ("go.mod", include_str!("../../../plugins/templates/go/go.mod.in")),
    ("greet.go", include_str!("../../../plugins/templates/go/greet.go")),
    ("greet_test.go", include_str!("../../../plugins/templates/go/greet_test.go")),
    ("moltrun/guest.go", include_str!("../../../plugins/templates/go/moltrun/guest.go")),
    ("moltrun/step.go", include_str!("../../../plugins/templates/go/moltrun/step.go")),
    ("plugin.go", include_str!("../../../plugins/templates/go/plugin.go")),
    ("wasi-stub.wat", include_str!("../../../plugins/templates/go/wasi-stub.wat")),
];

const C: &[File] = &[
    ("Makefile", include_str!("../../../plugins/templates/c/Makefile")),
    ("README.md", include_str!("../../../plugins/templates/c/README.md")),
    (".gitignore", include_str!("../../../plugins/templates/c/gitignore")),
    ("src/greet.c", include_str!("../../../plugins/templates/c/src/greet.c")),
    ("src/guest.c", include_str!("../../../plugins/templates/c/src/guest.c")),
    ("src/moltrun.c", include_str!("../../../plugins/templates/c/src/moltrun.c")),
    ("src/moltrun.h", include_str!("../../../plugins/templates/c/src/moltrun.h")),
    ("src/plugin.c", include_str!("../../../plugins/templates/c/src/plugin.c")),
    ("test/greet_test.c", include_str!("../../../plugins/templates/c/test/greet_test.c")),
];

const WIT: &[File] = &[
    ("wit/deps/README.md", include_str!("../../../wit/deps/README.md")),
    ("wit/deps/clocks/monotonic-clock.wit", include_str!("../../../wit/deps/clocks/monotonic-clock.wit")),
    ("wit/deps/clocks/wall-clock.wit", include_str!("../../../wit/deps/clocks/wall-clock.wit")),
    ("wit/deps/http/handler.wit", include_str!("../../../wit/deps/http/handler.wit")),
    ("wit/deps/http/types.wit", include_str!("../../../wit/deps/http/types.wit")),
    ("wit/deps/io/error.wit", include_str!("../../../wit/deps/io/error.wit")),
    ("wit/deps/io/poll.wit", include_str!("../../../wit/deps/io/poll.wit")),
    ("wit/deps/io/streams.wit", include_str!("../../../wit/deps/io/streams.wit")),
    ("wit/deps/random/random.wit", include_str!("../../../wit/deps/random/random.wit")),
    ("wit/step.wit", include_str!("../../../wit/step.wit")),
];

/// The crate `moltrun-step`.
const SDK: &[File] = &[
    ("vendor/moltrun-step/Cargo.toml", include_str!("../../../plugins/sdk/Cargo.toml")),
    ("vendor/moltrun-step/README.md", include_str!("../../../plugins/sdk/README.md")),
    ("vendor/moltrun-step/src/context.rs", include_str!("../../../plugins/sdk/src/context.rs")),
    ("vendor/moltrun-step/src/error.rs", include_str!("../../../plugins/sdk/src/error.rs")),
    ("vendor/moltrun-step/src/guest.rs", include_str!("../../../plugins/sdk/src/guest.rs")),
    ("vendor/moltrun-step/src/http/error.rs", include_str!("../../../plugins/sdk/src/http/error.rs")),
    ("vendor/moltrun-step/src/http/mod.rs", include_str!("../../../plugins/sdk/src/http/mod.rs")),
    ("vendor/moltrun-step/src/http/request.rs", include_str!("../../../plugins/sdk/src/http/request.rs")),
    ("vendor/moltrun-step/src/http/response.rs", include_str!("../../../plugins/sdk/src/http/response.rs")),
    ("vendor/moltrun-step/src/http/retry_after.rs", include_str!("../../../plugins/sdk/src/http/retry_after.rs")),
    ("vendor/moltrun-step/src/http/send.rs", include_str!("../../../plugins/sdk/src/http/send.rs")),
    ("vendor/moltrun-step/src/lib.rs", include_str!("../../../plugins/sdk/src/lib.rs")),
    ("vendor/moltrun-step/src/log.rs", include_str!("../../../plugins/sdk/src/log.rs")),
    ("vendor/moltrun-step/src/plugin.rs", include_str!("../../../plugins/sdk/src/plugin.rs")),
    ("vendor/moltrun-step/src/schema.rs", include_str!("../../../plugins/sdk/src/schema.rs")),
    ("vendor/moltrun-step/src/secrets.rs", include_str!("../../../plugins/sdk/src/secrets.rs")),
    ("vendor/moltrun-step/src/state.rs", include_str!("../../../plugins/sdk/src/state.rs")),
    ("vendor/moltrun-step/src/step.rs", include_str!("../../../plugins/sdk/src/step.rs")),
    ("vendor/moltrun-step/src/test.rs", include_str!("../../../plugins/sdk/src/test.rs")),
    ("vendor/moltrun-step/src/test/far_side.rs", include_str!("../../../plugins/sdk/src/test/far_side.rs")),
    ("vendor/moltrun-step/wit/deps/README.md", include_str!("../../../plugins/sdk/wit/deps/README.md")),
    (
        "vendor/moltrun-step/wit/deps/clocks/monotonic-clock.wit",
        include_str!("../../../plugins/sdk/wit/deps/clocks/monotonic-clock.wit"),
    ),
    (
        "vendor/moltrun-step/wit/deps/clocks/wall-clock.wit",
        include_str!("../../../plugins/sdk/wit/deps/clocks/wall-clock.wit"),
    ),
    ("vendor/moltrun-step/wit/deps/http/handler.wit", include_str!("../../../plugins/sdk/wit/deps/http/handler.wit")),
    ("vendor/moltrun-step/wit/deps/http/types.wit", include_str!("../../../plugins/sdk/wit/deps/http/types.wit")),
    ("vendor/moltrun-step/wit/deps/io/error.wit", include_str!("../../../plugins/sdk/wit/deps/io/error.wit")),
    ("vendor/moltrun-step/wit/deps/io/poll.wit", include_str!("../../../plugins/sdk/wit/deps/io/poll.wit")),
    ("vendor/moltrun-step/wit/deps/io/streams.wit", include_str!("../../../plugins/sdk/wit/deps/io/streams.wit")),
    ("vendor/moltrun-step/wit/deps/random/random.wit", include_str!("../../../plugins/sdk/wit/deps/random/random.wit")),
    ("vendor/moltrun-step/wit/step.wit", include_str!("../../../plugins/sdk/wit/step.wit")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The files below `folder`, by their paths from there.
    fn below(folder: &Path, from: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, from, found);
            } else {
                found.insert(path.strip_prefix(from).unwrap().to_str().unwrap().to_string());
            }
        }
    }

    fn listed(files: &[File], prefix: &str) -> BTreeSet<String> {
        let stored = |path: &str| match path {
            ".gitignore" => "gitignore".to_string(),
            "Cargo.toml" | "go.mod" if prefix.is_empty() => format!("{path}.in"),
            _ => path.to_string(),
        };
        files.iter().map(|(path, _)| stored(path.strip_prefix(prefix).unwrap())).collect()
    }

    #[test]
    fn no_file_is_forgotten() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (files, prefix, folder) in [
            (RUST, "", "plugins/templates/rust"),
            (JS, "", "plugins/templates/js"),
            (PYTHON, "", "plugins/templates/python"),
            (GO, "", "plugins/templates/go"),
            (C, "", "plugins/templates/c"),
            (WIT, "wit/", "wit"),
            (SDK, "vendor/moltrun-step/", "plugins/sdk"),
        ] {
            let (mut found, folder) = (BTreeSet::new(), root.join(folder));
            below(&folder, &folder, &mut found);
            // They hold the crate against files of this repository.
            found.retain(|path| !path.starts_with("tests/") || prefix.is_empty());
            assert_eq!(listed(files, prefix), found, "{}", folder.display());
        }
    }

    #[test]
    fn names_are_put_in_both_ways() {
        assert_eq!(named("plugin-name = plugin_name", "a-b"), "a-b = a_b");
    }
}
