//! The programs that a build needs, and what to do where one is missing.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use super::lang::Lang;

/// Programs of which one is enough, and how to come by it.
struct Tool {
    any_of: &'static [&'static str],
    /// An environment variable that names another one: then none of these is needed.
    or_variable: Option<&'static str>,
    install: &'static str,
}

const fn tool(any_of: &'static [&'static str], install: &'static str) -> Tool {
    Tool { any_of, or_variable: None, install }
}

const COMPONENTS: &str = "cargo install wasm-tools, or npm install -g @bytecodealliance/jco@1.17";

/// The target that Rust projects are built for, unless `CARGO_BUILD_TARGET` names another.
pub const RUST_TARGET: &str = "wasm32-wasip2";

pub const CARGO_TARGET: &str = "CARGO_BUILD_TARGET";

fn needed(lang: Lang) -> &'static [Tool] {
    const RUST: &[Tool] = &[tool(&["cargo"], "install Rust with rustup")];
    const JS: &[Tool] = &[tool(&["npm"], "install Node with npm")];
    const PYTHON: &[Tool] = &[
        tool(&["sh"], "the build is a shell script; run it where there is a shell"),
        tool(&["componentize-py"], "pip install componentize-py==0.25.1"),
    ];
    const GO: &[Tool] = &[
        tool(&["sh"], "the build is a shell script; run it where there is a shell"),
        tool(&["go"], "install Go 1.24 or later"),
        tool(&["wasm-tools", "jco"], COMPONENTS),
    ];
    const C: &[Tool] = &[
        tool(&["make"], "install make"),
        Tool {
            any_of: &["zig"],
            or_variable: Some("WASM_CC"),
            install: "pip install ziglang and set WASM_CC=\"python3 -m ziglang cc\", or WASM_CC to a clang with wasi-libc",
        },
        Tool {
            any_of: &["wit-bindgen"],
            or_variable: Some("WIT_BINDGEN"),
            install: "cargo install wit-bindgen-cli --version 0.61.1",
        },
        Tool { any_of: &["wasm-tools", "jco"], or_variable: Some("COMPONENT_NEW"), install: COMPONENTS },
    ];
    match lang {
        Lang::Rust => RUST,
        Lang::Js => JS,
        Lang::Python => PYTHON,
        Lang::Go => GO,
        Lang::C => C,
    }
}

/// One line for each program that is missing.
pub fn missing(lang: Lang) -> Vec<String> {
    let there = |tool: &&Tool| {
        tool.or_variable.is_some_and(|name| env::var_os(name).is_some())
            || tool.any_of.iter().any(|name| is_there(name))
    };
    let mut lines: Vec<String> = needed(lang)
        .iter()
        .filter(|tool| !there(tool))
        .map(|tool| format!("{} is not on the PATH: {}", tool.any_of.join(" or "), tool.install))
        .collect();
    if lang == Lang::Rust && lines.is_empty() && env::var_os(CARGO_TARGET).is_none() && lacks_rust_target() {
        lines.push(format!("Rust has no library for {RUST_TARGET}: rustup target add {RUST_TARGET}"));
    }
    lines
}

fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(format!("{program}{}", env::consts::EXE_SUFFIX)).is_file())
}

/// Only if the compiler says so itself; whatever else is wrong, cargo will say.
fn lacks_rust_target() -> bool {
    let asked = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", RUST_TARGET])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    asked.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout);
        output.status.success() && !Path::new(folder.trim()).exists()
    })
}
