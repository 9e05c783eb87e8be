//! The YAML reader: what it gives, what it refuses, and that nothing hostile hurts it.

use serde_json::json;

use super::yaml::{parse, read};
use super::{Diagnostics, Source};
use crate::base::limits;

fn source(text: impl Into<String>) -> Source {
    Source { path: "x.yaml".to_string(), text: text.into() }
}

#[test]
fn values() {
    for (text, expected) in [
        ("", json!(null)),
        ("# only a note\n", json!(null)),
        (
            "a: 1\nb: [x, 'y', \"z\\n\"]\nc: { d: ~, e: true }",
            json!({"a": 1, "b": ["x", "y", "z\n"], "c": {"d": null, "e": true}}),
        ),
        ("a:\n- 1\n- b: 2\n  c: 3", json!({"a": [1, {"b": 2, "c": 3}]})),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y\n", json!({"a": "x\ny\n", "b": "x y"})),
        ("\u{feff}a: 1\r\nb: 2\r\n", json!({"a": 1, "b": 2})),
        (
            "a: yes\nb: 2026-03-29\nc: 15551234567@c.us\nd: '5'\ne: !!str 5",
            json!({"a": "yes", "b": "2026-03-29", "c": "15551234567@c.us", "d": "5", "e": "5"}),
        ),
        ("a: &x { b: 1 }\nc: *x\nd: [*x, *x]", json!({"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}, {"b": 1}]})),
        ("200: x\n'a b': y", json!({"200": "x", "a b": "y"})),
        ("---\na: 1\n...\n", json!({"a": 1})),
    ] {
        let (node, found) = parse(&source(text));
        assert!(found.is_empty(), "{text}: {found:?}");
        assert_eq!(node.unwrap().to_json(), expected, "{text}");
    }
}

#[test]
fn refusals() {
    let mut wrong = Vec::new();
    for (text, code, at) in [
        ("a: 1\n---\nb: 2", "yaml-documents", "2:1"),
        ("a: 1\na: 2", "duplicate-key", "2:1"),
        ("a: &x {b: 1}\nc: { <<: *x }", "yaml-merge", "2:6"),
        ("{a: 1}: 2", "yaml-key", "1:1"),
        ("a: !!binary x", "yaml-tag", "1:4"),
        ("a: !x [1]", "yaml-tag", "1:4"),
        ("a: *b", "yaml-alias", "1:4"),
        ("a: &b [*b]", "yaml-alias", "1:8"),
        ("a: 007", "yaml-number", "1:4"),
        ("a: .inf", "yaml-number", "1:4"),
        ("a: 123456789012345678901234567890", "yaml-number", "1:4"),
        ("a: \u{0}", "yaml-syntax", "1:4"),
        ("a: [1, 2", "yaml-syntax", "1:4"),
        ("a: 'x", "yaml-syntax", "1:4"),
        ("%YAML 1.1\n---\na: 1", "yaml-syntax", "1:1"),
        ("a: b: c", "yaml-syntax", "1:5"),
    ] {
        let (_, found) = parse(&source(text));
        let first = found.first().map(|d| (d.code, format!("{}:{}", d.line, d.column)));
        if first != Some((code, at.to_string())) {
            wrong.push((text, code, at, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn spans_cover_what_is_written() {
    let text = "é: &a 'x'\nlist:\n  - k: v  # note\n    l: [1, 2]\n  - *a\nempty:\nlast: |\n  t\n";
    let source = source(text);
    let mut found = Diagnostics::new(&source);
    let node = read(&mut found).unwrap();
    let written = |path: &[&str]| super::Spans::new(node.clone()).value(path);
    assert_eq!(&text[written(&["é"])], "'x'");
    assert_eq!(&text[written(&["list", "0"])], "k: v  # note\n    l: [1, 2]");
    assert_eq!(&text[written(&["list", "0", "l"])], "[1, 2]");
    assert_eq!(&text[written(&["list", "1"])], "*a");
    assert_eq!(&text[written(&["empty"])], "empty");
    assert_eq!(&text[super::Spans::new(node.clone()).key(&["list", "0", "l"])], "l");
}

#[test]
fn hostile_files_are_refused_quickly() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let refs = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
    }
    let mut wide = format!("a: &a '{}'\nb: [", "x".repeat(500_000));
    wide.push_str(&vec!["*a"; 10_000].join(", "));
    wide.push(']');
    let mut deep = String::from("a0: &a0 [x]\n");
    for level in 1..200 {
        deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    let indented: String = (0..700).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    let many = limits::SOURCE_FILE;
    let mut wrong = Vec::new();
    for (text, code) in [
        (bomb, "yaml-too-large"),
        (wide, "yaml-too-large"),
        (deep, "yaml-too-deep"),
        (indented, "yaml-too-deep"),
        ("[".repeat(many), "yaml-too-deep"),
        ("{a: ".repeat(many / 4), "yaml-too-deep"),
        ("- ".repeat(many / 2), "yaml-too-deep"),
        ("? ".repeat(many / 2), "yaml-key"),
        ("x".repeat(many + 1), "file-too-large"),
        ("a: 1\n".repeat(10_000), "duplicate-key"),
        ("- \n".repeat(many / 3), "yaml-too-large"),
        (format!("{}: 1", "k".repeat(many - 10)), "yaml-syntax"),
    ] {
        let (_, found) = parse(&source(text.as_str()));
        if !found.iter().any(|d| d.code == code) {
            wrong.push((text[..20].to_string(), code, found.first().cloned()));
        }
        assert!(found.len() <= limits::DIAGNOSTICS);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn long_harmless_files_are_read() {
    for text in [
        "!".repeat(10_000),
        "&".repeat(10_000),
        "'".repeat(9_999),
        "#".repeat(1 << 20),
        "\n".repeat(1 << 20),
        "\"\\".repeat(10_000),
        "a: |\n".to_string() + &" x\n".repeat(300_000),
    ] {
        let _ = parse(&source(text));
    }
}
