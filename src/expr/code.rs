//! What one expression does: a path that is followed in the JSON itself, a plain comparison, or a program of MiniJinja.
//!
//! A program takes a hundred times the memory of its source, and most workflows are at rest most of the time: it is
//! compiled to see that it can be, dropped, and compiled again when it is first evaluated.

use std::fmt;
use std::sync::OnceLock;

use minijinja::{Expression, Value};

use super::comparison::Comparison;
use super::{Context, ExprError, SyntaxError, env, references, value};
use crate::base::Json;

/// One expression, known to compile.
pub(super) struct Code {
    source: Box<str>,
    form: Form,
    program: OnceLock<Box<Expression<'static, 'static>>>,
}

/// What can be done without the program. Where it comes to nothing, the program says why.
#[derive(Debug)]
enum Form {
    /// Nothing but names and dots: `steps.intent.score`.
    Path,
    Comparison(Box<Comparison>),
    Other,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Code").field(&self.source).finish()
    }
}

impl Code {
    /// Checks that `source`, whose names are known, compiles.
    pub fn compile(source: &str) -> Result<Self, SyntaxError> {
        let form = if is_path(source) {
            Form::Path
        } else {
            env::shared().compile_expression(source).map_err(|error| env::syntax_error(&error, source))?;
            Comparison::of(source).map_or(Form::Other, |comparison| Form::Comparison(Box::new(comparison)))
        };
        Ok(Self { source: source.into(), form, program: OnceLock::new() })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn eval(&self, context: &Context) -> Result<Json, ExprError> {
        // What is too large is for the program, which says so.
        if let Some(json) = self.found(context).and_then(value::copied) {
            return Ok(json);
        }
        if let Some(holds) = self.decided(context) {
            return Ok(Json::Bool(holds));
        }
        let value = self.value(context)?;
        value::to_json(&value).map_err(|why| self.error(why))
    }

    /// By Jinja's truth.
    pub fn holds(&self, context: &Context) -> Result<bool, ExprError> {
        match self.found(context).map(value::holds).or_else(|| self.decided(context)) {
            Some(holds) => Ok(holds),
            None => Ok(self.value(context)?.is_true()),
        }
    }

    /// Appends the value as people read it.
    pub fn write(&self, out: &mut String, context: &Context) -> Result<(), ExprError> {
        let written = match self.found(context) {
            Some(json) => value::write_json(out, json),
            None => value::write_text(out, &self.value(context)?),
        };
        written.map_err(|why| self.error(why))
    }

    /// Where a path leads. None also where it leads nowhere: MiniJinja has the words for that.
    fn found<'c>(&self, context: &'c Context) -> Option<&'c Json> {
        matches!(self.form, Form::Path).then(|| context.find(&self.source)).flatten()
    }

    fn decided(&self, context: &Context) -> Option<bool> {
        let Form::Comparison(comparison) = &self.form else { return None };
        comparison.holds(context)
    }

    fn value(&self, context: &Context) -> Result<Value, ExprError> {
        let value = self.program()?.eval(context.root()).map_err(|error| self.error(env::reason(&error)))?;
        if value.is_undefined() {
            return Err(self.error("it is undefined"));
        }
        Ok(value)
    }

    fn program(&self) -> Result<&Expression<'static, 'static>, ExprError> {
        if let Some(program) = self.program.get() {
            return Ok(program);
        }
        let source = self.source.to_string();
        let program =
            env::shared().compile_expression_owned(source).map_err(|error| self.error(env::reason(&error)))?;
        Ok(self.program.get_or_init(|| Box::new(program)))
    }

    fn error(&self, why: impl fmt::Display) -> ExprError {
        ExprError::new(format!("`{}`: {why}", env::shown(&self.source)))
    }
}

/// Is `source` nothing but names and dots, the first of them no keyword?
pub(super) fn is_path(source: &str) -> bool {
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    // A keyword is no name at the front; after a dot it is one.
    names(source).all(is_name) && names(source).next().is_some_and(|root| !references::KEYWORDS.contains(&root))
}

/// The names of a path.
pub(super) fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').map(str::trim_ascii)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::base::RunId;
    use crate::base::json::JsonMap;
    use crate::expr::{Item, RunNames, Scope};

    const ROOTS: &[&str] = &[
        "event", "steps", "errors", "inputs", "vars", "run", "item", "index", "output", "incoming", "loop", "self",
        "not", "true", "None", "nobody", "super", "caller",
    ];
    const NAMES: &[&str] = &["a", "b", "id", "is", "not", "true", "None", "in", "if", "_", "length", "items"];

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            (-3i32..3).prop_map(|whole| json!(f64::from(whole))),
            prop::sample::select(vec!["", "text", "<é> \"\\\n", "0"]).prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let name = prop::sample::select(NAMES).prop_map(str::to_string);
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
                4 => prop::collection::vec((name, inner), 0..8).prop_map(|all| Json::Object(all.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn a_path_gives_what_its_program_gives(
            root in prop::sample::select(ROOTS),
            names in prop::collection::vec(prop::sample::select(NAMES), 0..4),
            dot in prop::sample::select(vec![".", " . ", ".\n"]),
            json in any_json(),
            in_loop in any::<bool>(),
        ) {
            let words: Vec<&str> = std::iter::once(root).chain(names).collect();
            let source = words.join(dot);
            let Ok(path) = Code::compile(&source) else { return Ok(()) };
            let program = Code { form: Form::Other, ..Code::compile(&source).unwrap() };
            prop_assert!(env::shared().compile_expression(&source).is_ok(), "{source}");
            let shared = Arc::new(json.clone());
            let mut scope = Scope {
                event: shared.clone(),
                inputs: shared.clone(),
                vars: Arc::new(Json::Object(JsonMap::new())),
                run: Some(RunNames { id: RunId::new(5, 7), workflow: "w".into(), started_at: 9, attempt: 2 }),
                output: in_loop.then(|| shared.clone()),
                incoming: (!in_loop).then(|| shared.clone()),
                ..Scope::default()
            };
            if in_loop {
                scope.items.push(Item { name: "item".into(), value: shared.clone(), index: 3 });
            }
            scope.steps.insert("a".into(), shared.clone());
            scope.errors.insert("b".into(), shared);
            let context = Context::new(&scope);
            prop_assert_eq!(path.eval(&context), program.eval(&context), "{}", source);
            prop_assert_eq!(path.holds(&context), program.holds(&context), "{}", source);
            let written = |code: &Code| {
                let mut out = "> ".to_string();
                code.write(&mut out, &context).map(|()| out)
            };
            prop_assert_eq!(written(&path), written(&program), "{}", source);
        }
    }

    const OPERANDS: &[&str] = &[
        "'a'",
        "\"\"",
        "'a\\n'",
        "'in'",
        "0",
        "2",
        "007",
        "1_0",
        "-1",
        "1.0",
        "true",
        "none",
        "event.a",
        "event.b",
        "event.in",
        "event.c.a",
        "event",
        "steps.x",
        "'",
        "[1]",
    ];
    const OPERATORS: &[&str] = &["==", "!=", "<", "<=", ">", ">=", "in", "not in", "=", "and", "is", "+", "|", "~"];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn a_comparison_gives_what_its_program_gives(
            left in prop::sample::select(OPERANDS),
            operator in prop::sample::select(OPERATORS),
            right in prop::sample::select(OPERANDS),
            rest in prop::sample::select(vec!["", "", "", " == 2", " and true", " | length", ".a"]),
            a in any_json(),
            b in any_json(),
            like in prop::sample::select(vec![json!(2), json!("a"), json!("text a"), json!(-1), json!(2.0), json!("")]),
        ) {
            let source = format!("{left} {operator} {right}{rest}");
            let Ok(code) = Code::compile(&source) else { return Ok(()) };
            let program = Code { form: Form::Other, ..Code::compile(&source).unwrap() };
            let event = Arc::new(json!({"a": a, "b": like, "in": like, "c": {"a": b}}));
            let context = Context::of(Scope { event, ..Scope::default() });
            prop_assert_eq!(code.eval(&context), program.eval(&context), "{}", source);
            prop_assert_eq!(code.holds(&context), program.holds(&context), "{}", source);
        }
    }

    #[test]
    fn what_most_conditions_are_needs_no_program() {
        for source in ["'?' in event.data.body", "event.type == 'x'", "steps.intent.score >= 2", "event.in != \"\""] {
            assert!(matches!(Code::compile(source).unwrap().form, Form::Comparison(_)), "{source}");
        }
    }

    #[test]
    fn a_path_to_what_is_too_large_says_so() {
        let large = "x".repeat(crate::base::limits::EXPRESSION_OUTPUT);
        let event = Arc::new(json!({"text": large.clone(), "list": [large]}));
        let context = Context::of(Scope { event, ..Scope::default() });
        for source in ["event.text", "event.list", "event"] {
            let path = Code::compile(source).unwrap();
            let program = Code { form: Form::Other, ..Code::compile(source).unwrap() };
            assert_eq!(path.eval(&context), program.eval(&context));
            let written = |code: &Code| code.write(&mut "> ".to_string(), &context);
            assert_eq!(written(&path), written(&program));
            assert!(written(&path).is_err());
        }
    }
}
