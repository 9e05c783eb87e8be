//! What the checker says of a workflow that uses it.

use std::path::Path;

use crate::base::json::JsonMap;
use crate::lang::{Catalog, Source};
use crate::plan::check;

/// `code line:column message` of each mistake.
fn mistakes(with: &str) -> Vec<String> {
    let text = format!("steps:\n  - id: a\n    uses: ai.prompt\n    with:\n      prompt: x\n{with}\n");
    let mut catalog = Catalog::default();
    catalog.insert(super::super::spec());
    let found = check(&Source { path: "t.yaml".into(), text }, Path::new("."), &catalog, &JsonMap::new()).diagnostics;
    found.iter().map(|one| format!("{} {}:{} {}", one.code, one.line, one.column, one.message)).collect()
}

#[test]
fn a_broken_schema_and_a_misspelt_key_are_found_where_they_stand() {
    let good = "      output: {type: object, properties: {a: {type: string}}}\n      history: {key: k, turns: '{{ event.n }}', ttl: 7d}";
    assert_eq!(mistakes(good), [""; 0]);
    for (with, expected) in [
        ("      output: {type: object, properties: {a: {type: strin}}}", "bad-schema 6:53"),
        ("      output: {type: array, items: {$ref: 'https://x.example/s'}}", "bad-schema 6:15"),
        ("      output: 7", "bad-schema 6:15"),
        ("      history: {key: k, turn: 3}", "unknown-key 6:25"),
        ("      history: {turns: 3}", "missing-key 6:7"),
        ("      history: {key: k, ttl: long}", "bad-duration 6:30"),
        ("      history: [k]", "wrong-type 6:16"),
    ] {
        let found = mistakes(with);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{with}: {found:?}");
    }
}
