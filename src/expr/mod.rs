//! Expressions and templates: the MiniJinja environment, the names in scope, static analysis of references.
//!
//! An [`Expr`] is a bare expression (`if:`, `when:`, switch cases). A [`Template`] is text with `{{ … }}` in it; a
//! [`Tree`] is JSON whose strings may be templates. All three are compiled once and evaluated many times against a
//! [`Context`], the lazy form of a [`Scope`]: nothing of an event or an output is converted before an expression
//! touches it.
//!
//! Every evaluation is bounded: instructions by fuel, filters by a budget of work, results by their size. What is
//! *absent*: ambient time (`now()` is the run's logical time), randomness, I/O, and names that are looked up by a
//! computed key (so that [`References`] are complete).

mod env;
mod filters;
mod guard;
mod references;
mod regexes;
mod segments;
mod template;
mod tokens;
mod tree;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use minijinja::Expression;

use crate::base::{Json, Millis};

pub use references::{Reference, References};
pub use template::Template;
pub use tree::{Tree, TreeError};
pub use value::Context;

/// The names an expression may use, by value.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub event: Arc<Json>,
    /// Outputs of upstream steps that succeeded, by id.
    pub steps: BTreeMap<Arc<str>, Arc<Json>>,
    /// `{code, message}` of upstream steps that failed, by id.
    pub errors: BTreeMap<Arc<str>, Arc<Json>>,
    pub inputs: Arc<Json>,
    pub vars: Arc<Json>,
    /// The `for_each` item: its name (`as`), value and index.
    pub item: Option<Item>,
    /// The step's own output, in `collect` only.
    pub output: Option<Arc<Json>>,
    /// `run`: `{id, workflow, started_at, attempt}`.
    pub run: Arc<Json>,
    /// What `now()` gives.
    pub now: Millis,
}

#[derive(Clone, Debug)]
pub struct Item {
    pub name: Arc<str>,
    pub value: Arc<Json>,
    pub index: u32,
}

/// An expression or template that does not parse or cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    pub message: String,
}

impl ExprError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// The same error, naming the field it came from: `with.text: …`.
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { message: format!("{place}: {}", self.message) }
    }
}

/// What is wrong with a text that does not parse, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    /// What to do, where there is something to say.
    pub help: Option<String>,
    /// Bytes of the text.
    pub span: Range<usize>,
}

impl SyntaxError {
    fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), help: None, span }
    }

    /// The same error of a text that starts `offset` bytes later in a larger one.
    fn shifted(mut self, offset: usize) -> Self {
        self.span = self.span.start + offset..self.span.end + offset;
        self
    }
}

impl From<SyntaxError> for ExprError {
    fn from(error: SyntaxError) -> Self {
        match error.help {
            Some(help) => ExprError::new(format!("{}; {help}", error.message)),
            None => ExprError::new(error.message),
        }
    }
}

/// A bare expression, compiled. Cloning is cheap.
#[derive(Clone)]
pub struct Expr {
    inner: Arc<Compiled>,
}

struct Compiled {
    source: String,
    code: Expression<'static, 'static>,
    references: References,
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.inner.source).finish()
    }
}

/// Functions every expression may call. `now()` gives the run's logical time in milliseconds.
pub const FUNCTIONS: &[&str] = &["now", "range", "dict"];

/// Does `name` mean something in some expression? Neither an item of `for_each` nor a variable of `{% for %}` may hide it.
pub fn is_reserved(name: &str) -> bool {
    const ROOTS: &[&str] = &["event", "steps", "errors", "inputs", "vars", "run", "index", "output", "loop"];
    ROOTS.contains(&name) || FUNCTIONS.contains(&name) || references::KEYWORDS.contains(&name)
}

impl Expr {
    /// Compiles `source`.
    pub fn parse(source: &str) -> Result<Self, ExprError> {
        Ok(Self::compile(source)?)
    }

    /// Compiles `source`; an error says where in it.
    pub fn compile(source: &str) -> Result<Self, SyntaxError> {
        env::check_length(source)?;
        let references = References::of_expression(source)?;
        let code = env::shared()
            .compile_expression_owned(source.to_string())
            .map_err(|error| env::syntax_error(&error, source))?;
        Ok(Self { inner: Arc::new(Compiled { source: source.to_string(), code, references }) })
    }

    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// Every name it uses.
    pub fn references(&self) -> &References {
        &self.inner.references
    }

    pub fn eval(&self, scope: &Scope) -> Result<Json, ExprError> {
        self.eval_in(&Context::new(scope))
    }

    /// Like [`Expr::eval`], for several expressions over one scope.
    pub fn eval_in(&self, context: &Context) -> Result<Json, ExprError> {
        let value = self.value(context)?;
        value::to_json(&value).map_err(|why| self.error(why))
    }

    /// By Jinja's truth: false, 0, "", [], {} and null are false.
    pub fn holds(&self, scope: &Scope) -> Result<bool, ExprError> {
        self.holds_in(&Context::new(scope))
    }

    /// Like [`Expr::holds`], for several expressions over one scope.
    pub fn holds_in(&self, context: &Context) -> Result<bool, ExprError> {
        Ok(self.value(context)?.is_true())
    }

    fn value(&self, context: &Context) -> Result<minijinja::Value, ExprError> {
        let value = self.inner.code.eval(context.root()).map_err(|error| self.error(env::reason(&error)))?;
        if value.is_undefined() {
            return Err(self.error("it is undefined"));
        }
        Ok(value)
    }

    fn error(&self, why: impl fmt::Display) -> ExprError {
        ExprError::new(format!("`{}`: {why}", env::shown(&self.inner.source)))
    }
}

#[cfg(test)]
mod tests;
