//! What an expression demands of one name: the equalities without which it cannot be true.
//!
//! `incoming.data.from == event.data.from and incoming.data.body` cannot hold unless `data.from` of `incoming` is what
//! `event.data.from` is, which lets an event find those who wait for it without evaluating all their expressions. What is
//! not plainly so yields nothing: that costs an evaluation, while a wrong demand would lose an event.

use std::ops::Range;

use super::Expr;
use super::tokens::{self, Kind, Token};

impl Expr {
    /// Pairs of a path below `root` (`data.from`) and an expression without `root`, such that this expression is true only
    /// if the value at the path equals the other one's. Those that depend on the instant of evaluation are left out.
    pub fn demands(&self, root: &str) -> Vec<(String, Expr)> {
        let source = self.source();
        let words = tokens::all(source);
        let Some(conjuncts) = conjuncts(source, &words) else { return Vec::new() };
        conjuncts.into_iter().filter_map(|conjunct| demand(source, &words[conjunct], root)).collect()
    }
}

/// The depth in brackets of each token; None if they do not match.
fn depths(source: &str, words: &[Token]) -> Option<Vec<usize>> {
    let mut depth = 0usize;
    let mut depths = Vec::with_capacity(words.len());
    for word in words {
        let text = if word.kind == Kind::Mark { word.text(source) } else { "" };
        if matches!(text, ")" | "]" | "}") {
            depth = depth.checked_sub(1)?;
        }
        depths.push(depth);
        if matches!(text, "(" | "[" | "{") {
            depth += 1;
        }
    }
    (depth == 0).then_some(depths)
}

/// The operands of the outermost `and`s, which must all be true; None if the outermost operator is another one.
fn conjuncts(source: &str, words: &[Token]) -> Option<Vec<Range<usize>>> {
    let depths = depths(source, words)?;
    let mut conjuncts = Vec::new();
    let mut start = 0;
    for (index, word) in words.iter().enumerate() {
        // An attribute may be called like an operator.
        let attribute = index > 0 && words[index - 1].text(source) == ".";
        if depths[index] > 0 || word.kind == Kind::Text || attribute {
            continue;
        }
        match word.text(source) {
            "and" => {
                conjuncts.push(start..index);
                start = index + 1;
            }
            "or" | "if" | "else" | "," | ":" => return None,
            _ => {}
        }
    }
    conjuncts.push(start..words.len());
    Some(conjuncts)
}

/// The demand of a conjunct that is one equality.
fn demand(source: &str, words: &[Token], root: &str) -> Option<(String, Expr)> {
    let depths = depths(source, words)?;
    let mut equals = None;
    for (index, word) in words.iter().enumerate() {
        if depths[index] > 0 || word.kind == Kind::Text {
            continue;
        }
        match word.text(source) {
            "==" if equals.is_none() => equals = Some(index),
            "==" | "=" | "!=" | "<" | "<=" | ">" | ">=" | "!" | "in" | "not" | "is" => return None,
            _ => {}
        }
    }
    let (left, right) = words.split_at(equals?);
    let right = &right[1..];
    let (path, other) = match (path(source, left, root), path(source, right, root)) {
        (Some(path), None) => (path, right),
        (None, Some(path)) => (path, left),
        _ => return None,
    };
    // By the words and not by the references, so that a doubt counts as a use.
    let changes = |word: &Token| {
        let text = word.text(source);
        word.kind == Kind::Word && (text == root || matches!(text, "now" | "relative_day"))
    };
    if other.iter().any(changes) {
        return None;
    }
    let span = other.first()?.span.start..other.last()?.span.end;
    Some((path, Expr::compile(source.get(span)?).ok()?))
}

/// The path of `root.a.b`, when the tokens are nothing else.
fn path(source: &str, words: &[Token], root: &str) -> Option<String> {
    let (first, rest) = words.split_first()?;
    if first.kind != Kind::Word || first.text(source) != root || rest.is_empty() || rest.len() % 2 == 1 {
        return None;
    }
    let mut parts = Vec::new();
    for pair in rest.chunks(2) {
        if pair[0].text(source) != "." || pair[1].kind != Kind::Word {
            return None;
        }
        parts.push(pair[1].text(source));
    }
    Some(parts.join("."))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::expr::{Item, Scope};

    fn demands(source: &str) -> Vec<(String, String)> {
        let expr = Expr::parse(source).unwrap();
        expr.demands("incoming").into_iter().map(|(path, expr)| (path, expr.source().to_string())).collect()
    }

    #[test]
    fn only_what_must_be_equal_is_a_demand() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("incoming.data.from == event.data.from", &[("data.from", "event.data.from")]),
            ("event.data.from == incoming.data.from", &[("data.from", "event.data.from")]),
            (
                "incoming.a == 1 and incoming.b.c == 'x' ~ vars.y | upper and incoming.d",
                &[("a", "1"), ("b.c", "'x' ~ vars.y | upper")],
            ),
            ("incoming.a == (vars.x or vars.y)", &[("a", "(vars.x or vars.y)")]),
            ("incoming.a == {'k': [1, 2]}.k[0]", &[("a", "{'k': [1, 2]}.k[0]")]),
            ("not incoming.a and incoming.b == 'and'", &[("b", "'and'")]),
            ("incoming.and == 1", &[("and", "1")]),
            ("vars.or == incoming.a", &[("a", "vars.or")]),
            // Not all of it must hold.
            ("incoming.a == 1 or incoming.b == 2", &[]),
            ("incoming.a == 1 and incoming.b == 2 or true", &[]),
            ("incoming.a == 1 if vars.x else true", &[]),
            ("incoming.a == 1 if vars.x", &[]),
            ("not incoming.a == 1", &[]),
            ("not (incoming.a == 1)", &[]),
            // Not an equality of the two.
            ("incoming.a == 1 == true", &[]),
            ("1 < incoming.a == 1", &[]),
            ("incoming.a == 1 in [true]", &[]),
            ("incoming.a == vars.b is defined", &[]),
            ("incoming.a != 1", &[]),
            ("incoming.a in [1]", &[]),
            ("incoming == 1", &[]),
            ("incoming.a | lower == 'x'", &[]),
            ("incoming.a[0] == 1", &[]),
            ("incoming['a'] == 1", &[]),
            ("incoming.a.0 == 1", &[]),
            ("-incoming.a == 1", &[]),
            ("incoming.a + 1 == 1", &[]),
            ("(incoming.a == 1)", &[]),
            ("[incoming.a == 1]", &[]),
            // Not the same at another instant, or not without the event.
            ("incoming.a == incoming.b", &[]),
            ("incoming.a == [incoming.b]", &[]),
            ("incoming.a == now()", &[]),
            ("incoming.a == (event.t | relative_day('UTC'))", &[]),
        ];
        for (source, expected) in cases {
            let found = demands(source);
            let found: Vec<_> = found.iter().map(|(path, other)| (path.as_str(), other.as_str())).collect();
            assert_eq!(&found, expected, "{source}");
        }
    }

    /// Expressions of every form that could be mistaken for a demand.
    fn any_expression() -> impl Strategy<Value = String> {
        const VALUES: &[&str] = &[
            "incoming.a",
            "incoming.a",
            "incoming.b",
            "incoming.a.c",
            "incoming.and",
            "incoming.none",
            "item",
            "vars.x",
            "1",
            "'x'",
            "true",
            "none",
            "(incoming.a)",
            "incoming.a | string",
            "vars.x | default(1)",
            "[1][0]",
            "{'c': 1}.c",
            "'x' ~ ''",
            "2 - 1",
            "[incoming.b]",
            "-incoming.b",
            "now()",
        ];
        const COMPARES: &[&str] = &["==", "==", "==", "==", "!=", "<", ">=", "in", "not in"];
        let value = || prop::sample::select(VALUES);
        let compare = || prop::sample::select(COMPARES);
        let leaf = prop_oneof![
            6 => (value(), compare(), value()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            1 => (value(), compare(), value(), compare(), value()).prop_map(|(a, x, b, y, c)| format!("{a} {x} {b} {y} {c}")),
            1 => value().prop_map(|a| format!("{a} is defined")),
            1 => (value(), compare(), value()).prop_map(|(a, op, b)| format!("{a} is eq {a} {op} {b}")),
            1 => value().prop_map(str::to_string),
        ];
        leaf.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                4 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
                1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} or {b}")),
                1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("{a} if {b} else {c}")),
                1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} if {b}")),
                1 => inner.clone().prop_map(|a| format!("not {a}")),
                1 => inner.clone().prop_map(|a| format!("({a})")),
                1 => (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) == ({b})")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn what_is_demanded_holds_whenever_the_expression_does(
            source in any_expression(),
            a in prop::sample::select(vec![json!(1), json!("x"), json!(true), json!({"c": 1}), json!(null)]),
            b in prop::sample::select(vec![json!(1), json!("x"), json!(false)]),
        ) {
            // MiniJinja takes a word after a test for its argument, even `if`.
            let Ok(expr) = Expr::parse(&source) else { return Ok(()) };
            let scope = Scope {
                incoming: Some(Arc::new(json!({"a": a, "b": b, "and": 1}))),
                vars: Arc::new(json!({"x": 1})),
                items: vec![Item { name: "item".into(), value: Arc::new(json!("x")), index: 0 }],
                ..Scope::default()
            };
            if expr.holds(&scope) != Ok(true) {
                return Ok(());
            }
            for (path, other) in expr.demands("incoming") {
                let equal = Expr::parse(&format!("incoming.{path} == ({})", other.source())).unwrap();
                prop_assert_eq!(equal.holds(&scope), Ok(true), "{} demands {}", expr.source(), equal.source());
            }
        }
    }
}
