//! Expressions and templates: the MiniJinja environment, the names in scope, static analysis of references.
//!
//! An [`Expr`] is a bare expression (`if:`, `when:`, switch cases). A [`Template`] is text with `{{ … }}` in it; a
//! [`Tree`] is JSON whose strings may be templates. All three are checked once, compiled when they are first evaluated (a
//! folder of workflows is mostly at rest, and code is far larger than its source), and evaluated many times against a
//! [`Context`], the lazy form of a [`Scope`]: nothing of an event or an output is converted before an expression
//! touches it.
//!
//! Every evaluation is bounded: instructions by fuel, filters by a budget of work, results by their size. What is
//! *absent*: ambient time (`now()` is the run's logical time), randomness, I/O, and names that are looked up by a
//! computed key (so that [`References`] are complete).

mod code;
mod comparison;
mod demands;
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

use crate::base::{Json, Millis, RunId};
use code::Code;

pub use references::{Beyond, Part, Reference, References};
pub use template::{Gives, Template};
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
    /// The items of the `for_each` steps around, the outermost first; `index` is the innermost one's.
    pub items: Vec<Item>,
    /// The event that arrived, in the `when` of a `wait_for` only.
    pub incoming: Option<Arc<Json>>,
    /// The step's own output, in `collect` only.
    pub output: Option<Arc<Json>>,
    pub run: Option<RunNames>,
    /// What `now()` gives.
    pub now: Millis,
}

/// What `run` is made of; the JSON `{id, workflow, started_at, attempt}` is built only where an expression asks for it.
#[derive(Clone, Debug)]
pub struct RunNames {
    pub id: RunId,
    pub workflow: Arc<str>,
    /// Milliseconds since 1970; expressions see RFC 3339.
    pub started_at: Millis,
    pub attempt: u32,
}

/// One item: its name (`as`), value and index.
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
    code: Code,
    references: References,
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.source()).finish()
    }
}

/// Functions every expression may call. `now()` gives the run's logical time in milliseconds.
pub const FUNCTIONS: &[&str] = &["now", "range", "dict"];

/// Does `name` mean something in some expression? Neither an item of `for_each` nor a variable of `{% for %}` may hide it.
pub fn is_reserved(name: &str) -> bool {
    const ROOTS: &[&str] =
        &["event", "steps", "errors", "inputs", "vars", "run", "index", "output", "incoming", "loop"];
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
        Ok(Self { inner: Arc::new(Compiled { code: Code::compile(source)?, references: references.settled() }) })
    }

    pub fn source(&self) -> &str {
        self.inner.code.source()
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
        self.inner.code.eval(context)
    }

    /// By Jinja's truth: false, 0, "", [], {} and null are false.
    pub fn holds(&self, scope: &Scope) -> Result<bool, ExprError> {
        self.holds_in(&Context::new(scope))
    }

    /// Like [`Expr::holds`], for several expressions over one scope.
    pub fn holds_in(&self, context: &Context) -> Result<bool, ExprError> {
        self.inner.code.holds(context)
    }
}

#[cfg(test)]
mod tests;
