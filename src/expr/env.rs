//! The one MiniJinja environment of the process: strict, fuelled, without escaping, without what is not deterministic.

use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::{SyntaxError, filters, guard, value};
use crate::base::limits;

/// The environment of all bare expressions. Templates with statements clone it (a few reference counts) and add
/// themselves.
pub(super) fn shared() -> &'static Environment<'static> {
    static SHARED: OnceLock<Environment<'static>> = OnceLock::new();
    SHARED.get_or_init(build)
}

fn build() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(limits::EXPRESSION_FUEL));
    // Errors would carry a copy of the whole scope.
    env.set_debug(false);
    // Messages and prompts are plain text: `<` stays `<`.
    env.set_auto_escape_callback(|_| AutoEscape::None);
    // Two are enough for `if` in `for`; macros, which could recurse, are refused by the segments.
    env.set_recursion_limit(32);
    env.set_formatter(|out, _, shown| {
        let mut text = String::new();
        value::write_text(&mut text, shown).map_err(|why| Error::new(ErrorKind::InvalidOperation, why))?;
        out.write_str(&text)?;
        Ok(())
    });
    // A message keeps the line end its author wrote.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        env.set_syntax(syntax);
    }
    for name in ["debug", "namespace"] {
        env.remove_global(name);
    }
    env.add_function("range", guard::range);
    guard::install(&mut env);
    filters::install(&mut env);
    env
}

/// Refuses a text too long to be bounded by what it is made of.
pub(super) fn check_length(source: &str) -> Result<(), SyntaxError> {
    if source.len() > limits::EXPRESSION_SOURCE {
        return Err(SyntaxError::new(
            format!("it is {} bytes long, more than the {} allowed", source.len(), limits::EXPRESSION_SOURCE),
            0..source.len(),
        ));
    }
    Ok(())
}

/// The error of a text that MiniJinja does not parse.
pub(super) fn syntax_error(error: &Error, source: &str) -> SyntaxError {
    let end = source.len();
    let span = error.range().filter(|span| span.start <= span.end && span.end <= end);
    let rest = span.as_ref().and_then(|span| source.get(span.start..)).unwrap_or_default();
    let compares = rest.starts_with('=') && !rest.starts_with("==");
    let error = SyntaxError::new(reason(error), span.unwrap_or(0..end));
    SyntaxError { help: compares.then(|| "write `==` to compare".to_string()), ..error }
}

/// The error's own words, without MiniJinja's file and line.
pub(super) fn reason(error: &Error) -> String {
    let mut text = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => {
            format!("it takes more than the {} instructions allowed", limits::EXPRESSION_FUEL)
        }
        // Only our own writer fails, and says why.
        (ErrorKind::WriteFailure, _) if std::error::Error::source(error).is_some() => String::new(),
        (ErrorKind::SyntaxError | ErrorKind::InvalidOperation, Some(detail)) => detail.to_string(),
        (ErrorKind::UndefinedError, Some(detail)) => format!("undefined: {detail}"),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = if text.is_empty() { cause.to_string() } else { format!("{text}: {cause}") };
        source = cause.source();
    }
    text
}

/// Enough of a source text to recognise it.
pub(super) fn shown(source: &str) -> String {
    const CHARS: usize = 120;
    let mut text: String = source.chars().take(CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if source.chars().nth(CHARS).is_some() {
        text.push('…');
    }
    text.trim().to_string()
}

/// Is there a filter (or test) of this name?
pub(super) fn is_filter(name: &str) -> bool {
    filter_names().contains(&name)
}

pub(super) fn is_test(name: &str) -> bool {
    TESTS.contains(&name)
}

/// Every filter an expression may use, sorted.
pub(super) fn filter_names() -> &'static [&'static str] {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names: Vec<_> = UNGUARDED.iter().chain(guard::NAMES).chain(filters::NAMES).copied().collect();
        names.sort_unstable();
        names
    })
}

/// MiniJinja's own filters that do constant work, or work that their argument's size already bounds.
const UNGUARDED: &[&str] = &["safe", "escape", "e", "length", "count", "default", "d", "abs", "int", "float", "attr"];

/// MiniJinja's own tests.
pub(super) const TESTS: &[&str] = &[
    "undefined",
    "defined",
    "none",
    "safe",
    "escaped",
    "boolean",
    "odd",
    "even",
    "divisibleby",
    "number",
    "integer",
    "int",
    "float",
    "string",
    "sequence",
    "iterable",
    "mapping",
    "startingwith",
    "endingwith",
    "lower",
    "upper",
    "sameas",
    "eq",
    "equalto",
    "ne",
    "lt",
    "lessthan",
    "le",
    "gt",
    "greaterthan",
    "ge",
    "in",
    "true",
    "false",
    "filter",
    "test",
];

/// A value for `now()`.
pub(super) fn constant(at: i64) -> Value {
    Value::from_function(move || at)
}
