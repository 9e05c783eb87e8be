//! Text with `{{ … }}` in it.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use minijinja::Environment;

use super::code::Code;
use super::references::References;
use super::segments::{self, Segment};
use super::tokens::{self, Kind, Token};
use super::{Context, ExprError, SyntaxError, env, is_reserved};
use crate::base::{Json, limits};

/// A compiled text. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Template {
    inner: Arc<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    form: Form,
    references: References,
}

#[derive(Debug)]
enum Form {
    /// Exactly one `{{ expr }}`: the value keeps its type.
    Typed(Code),
    /// Literal text and expressions in turn.
    Pieces(Box<[Piece]>),
    Statements(Statements),
}

#[derive(Debug)]
enum Piece {
    Literal(Box<str>),
    Expression(Code),
}

/// A text with statements, known to compile.
#[derive(Debug)]
struct Statements {
    source: Box<str>,
    /// Owns this one template; made when it is first rendered.
    env: OnceLock<Box<Environment<'static>>>,
}

/// What a text of a workflow gives when it is rendered, as far as its form says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// Nothing to evaluate: the text as it stands.
    Itself,
    /// A text that nobody knows yet.
    Text,
    /// Exactly one `{{ expr }}`: a value of any kind. Also a template that does not parse, of which nothing is known.
    Anything,
}

/// The name a template with statements has in its own environment.
const NAME: &str = "text";

/// Statements a template may hold. The rest of Jinja's (macros, includes, assignments) could grow text without bound or
/// reach other templates.
const STATEMENTS: &[&str] = &["if", "elif", "else", "endif", "for", "endfor", "raw", "endraw"];

/// Room for the text of most messages, so that it is not moved while it grows.
const RENDERED_BYTES: usize = 128;

/// How deep `{% for %}` may nest: a table of rows and cells needs two.
const LOOP_DEPTH: usize = 4;

impl Template {
    /// Does `text` hold anything to evaluate?
    pub fn is_one(text: &str) -> bool {
        text.contains("{{") || text.contains("{%") || text.contains("{#")
    }

    /// What `text` gives. Nothing is evaluated.
    pub fn gives(text: &str) -> Gives {
        if !Self::is_one(text) {
            return Gives::Itself;
        }
        match segments::cut(text) {
            Ok(segments) if typed(text, &segments).is_none() && Self::compile(text).is_ok() => Gives::Text,
            _ => Gives::Anything,
        }
    }

    /// Compiles `text`; an error says where in it.
    pub fn compile(text: &str) -> Result<Self, SyntaxError> {
        env::check_length(text)?;
        let segments = segments::cut(text)?;
        let mut references = References::default();
        analyse(text, &segments, &mut references)?;
        let form = if let Some(span) = typed(text, &segments) {
            Form::Typed(expression(text, span)?)
        } else if segments.iter().any(|segment| matches!(segment, Segment::Tag(_))) {
            Form::Statements(Statements::compile(text)?)
        } else {
            let pieces = segments.into_iter().map(|segment| match segment {
                Segment::Literal(span) => Ok(Piece::Literal(text[span].into())),
                Segment::Expression(span) | Segment::Tag(span) => Ok(Piece::Expression(expression(text, span)?)),
            });
            Form::Pieces(pieces.collect::<Result<Vec<_>, SyntaxError>>()?.into())
        };
        Ok(Self { inner: Arc::new(Compiled { form, references: references.settled() }) })
    }

    /// Every name it uses, with positions in the text.
    pub fn references(&self) -> &References {
        &self.inner.references
    }

    /// The value of exactly one `{{ expr }}`, else text.
    pub fn render(&self, context: &Context) -> Result<Json, ExprError> {
        match &self.inner.form {
            Form::Typed(code) => code.eval(context),
            Form::Pieces(pieces) => {
                let mut out = String::with_capacity(RENDERED_BYTES);
                for piece in pieces {
                    match piece {
                        Piece::Literal(text) => out.push_str(text),
                        Piece::Expression(code) => code.write(&mut out, context)?,
                    }
                }
                Ok(Json::String(out))
            }
            Form::Statements(statements) => statements.render(context).map(Json::String),
        }
    }
}

impl Statements {
    /// Checks that `text` compiles.
    fn compile(text: &str) -> Result<Self, SyntaxError> {
        env::shared().template_from_str(text).map_err(|error| env::syntax_error(&error, text))?;
        Ok(Self { source: text.into(), env: OnceLock::new() })
    }

    fn render(&self, context: &Context) -> Result<String, ExprError> {
        let fail = |error: minijinja::Error| {
            ExprError::new(format!("`{}`: {}", env::shown(&self.source), env::reason(&error)))
        };
        let env = match self.env.get() {
            Some(env) => env,
            None => {
                let mut env = env::shared().clone();
                env.add_template_owned(NAME, self.source.to_string()).map_err(fail)?;
                self.env.get_or_init(|| Box::new(env))
            }
        };
        let mut out = Bounded(Vec::new());
        let template = env.get_template(NAME).map_err(fail)?;
        template.render_captured_to(context.root(), &mut out).map_err(fail)?;
        Ok(String::from_utf8_lossy(&out.0).into_owned())
    }
}

/// The inside of the expression that is the whole of `text`, if one is.
fn typed(text: &str, segments: &[Segment]) -> Option<Range<usize>> {
    match segments {
        [Segment::Expression(span)] if text.len() == span.len() + delimiters(text) => Some(span.clone()),
        _ => None,
    }
}

/// The bytes of the delimiters of a text that is one `{{ expr }}`, with signs.
fn delimiters(text: &str) -> usize {
    let open = if text.starts_with("{{-") || text.starts_with("{{+") { 3 } else { 2 };
    let close = if text.ends_with("-}}") || text.ends_with("+}}") { 3 } else { 2 };
    open + close
}

/// What is between `{{` and `}}`; its names are known already.
fn expression(text: &str, span: Range<usize>) -> Result<Code, SyntaxError> {
    let start = span.start;
    let source = &text[span.clone()];
    if source.trim().is_empty() {
        return Err(SyntaxError::new("`{{ }}` holds no expression", start.saturating_sub(2)..span.end + 2));
    }
    // Trimmed, so that messages show the expression alone.
    let lead = source.len() - source.trim_start().len();
    Code::compile(source.trim()).map_err(|error| error.shifted(start + lead))
}

/// Collects the names of all segments and refuses statements that are not for messages.
fn analyse(text: &str, segments: &[Segment], found: &mut References) -> Result<(), SyntaxError> {
    let mut locals: Vec<String> = Vec::new();
    // For each open `for` how many locals there were before it; None for an `if`.
    let mut blocks: Vec<Option<usize>> = Vec::new();
    let mut tags = 0usize;
    for segment in segments {
        let (Segment::Expression(span) | Segment::Tag(span)) = segment else { continue };
        let inside = &text[span.clone()];
        let source = inside.trim();
        let start = span.start + inside.len() - inside.trim_start().len();
        let span = start..start + source.len();
        let mut words = tokens::all(source);
        let mut targets = Vec::new();
        if matches!(segment, Segment::Tag(_)) {
            tags += 1;
            if tags > limits::EXPRESSION_STATEMENTS {
                let message = format!("it has more than the {} statements allowed", limits::EXPRESSION_STATEMENTS);
                return Err(SyntaxError::new(message, span));
            }
            let word = words.first().map_or("", |word| word.text(source));
            if !STATEMENTS.contains(&word) {
                let message = format!("`{{% {} %}}` is not available", env::shown(word));
                let help = Some("templates know `{% if %}`, `{% for %}` and `{% raw %}`".to_string());
                return Err(SyntaxError { message, help, span });
            }
            words.remove(0);
            match word {
                "for" => {
                    targets = loop_targets(source, &mut words, &span)?;
                    blocks.push(Some(locals.len()));
                    if blocks.iter().flatten().count() > LOOP_DEPTH {
                        let message = format!("`{{% for %}}` is nested deeper than the {LOOP_DEPTH} levels allowed");
                        return Err(SyntaxError::new(message, span));
                    }
                }
                "if" => blocks.push(None),
                // The `else` of a loop runs when there was nothing to loop over.
                "else" => locals.truncate(blocks.last().copied().flatten().unwrap_or(locals.len())),
                "endfor" | "endif" => {
                    locals.truncate(blocks.pop().flatten().unwrap_or(locals.len()));
                }
                _ => {}
            }
        }
        // What a loop runs over is looked up outside of it; its `if` is inside.
        let filter = words.iter().position(|word| !targets.is_empty() && word.text(source) == "if");
        let (outside, within) = words.split_at(filter.unwrap_or(words.len()));
        found.walk(source, outside, start, &locals)?;
        locals.extend(targets);
        found.walk(source, within, start, &locals)?;
    }
    Ok(())
}

/// The names `{% for a, b in … %}` binds; `words` keeps what comes after `in`.
fn loop_targets(source: &str, words: &mut Vec<Token>, span: &Range<usize>) -> Result<Vec<String>, SyntaxError> {
    if words.iter().any(|word| word.kind == Kind::Word && word.text(source) == "recursive") {
        return Err(SyntaxError::new("`recursive` loops are not available", span.clone()));
    }
    let before = words.iter().take_while(|word| word.text(source) != "in").count();
    let mut targets = vec!["loop".to_string()];
    for word in words.drain(..before).filter(|word| word.kind == Kind::Word) {
        let name = word.text(source);
        if is_reserved(name) {
            let message = format!("the loop variable `{name}` hides what expressions know by that name");
            return Err(SyntaxError::new(message, word.span).shifted(span.start));
        }
        targets.push(name.to_string());
    }
    Ok(targets)
}

/// Output that ends at the bound.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > limits::EXPRESSION_OUTPUT {
            let why = format!("the text is larger than the {} bytes allowed", limits::EXPRESSION_OUTPUT);
            return Err(std::io::Error::other(why));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::expr::Scope;

    const WORDS: &[&str] = &[
        "{{",
        "}}",
        "{{-",
        "-}}",
        "{{+",
        "+}}",
        "{{ event.a }}",
        "{{- 'x}}' -}}",
        "{# note #}",
        "{#- note -#}",
        "{#",
        "#}",
        " ",
        "\n",
        "\n\n",
        "a",
        "'",
        "\"",
        "}",
        "{",
        "{{ {'a': {'b': 1}} }}",
        "\\",
        "-",
        "🙂",
        "{{ steps.x.y[0:vars.n] }}",
        "{{ run.id | default('x') }}",
        "\r\n",
        "%}",
        "~",
        "+",
    ];
    const STATEMENTS: &[&str] = &[
        "{% if event.a %}",
        "{% elif vars.b == 1 %}",
        "{% else %}",
        "{% endif %}",
        "{%- if inputs.c -%}",
        "{% endfor %}",
        "{% for a in event.rows %}",
        "{% for b, c in event.rows | items if b > run.x %}",
        "{% for d in d %}",
        "{{ a }}",
        "{{ b + c }}",
        "{{ d }}",
        "{{ loop.index }}",
        "{% raw %}",
        "{% endraw %}",
        "{{ e is defined }}",
        "x",
        " ",
        "\n",
        "{%- raw -%}",
        "{%- endraw -%}",
        "{{ now() }}",
        "{# {{ no }} #}",
        "{% endfor -%}",
    ];

    fn context() -> Context {
        let event = json!({"a": 1, "rows": [1, 2]});
        Context::new(&Scope { event: Arc::new(event), ..Scope::default() })
    }

    /// MiniJinja's own reading of a whole text.
    fn own(text: &str) -> Result<Template, SyntaxError> {
        let form = Form::Statements(Statements::compile(text)?);
        Ok(Template { inner: Arc::new(Compiled { form, references: References::default() }) })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn pieces_give_what_minijinja_gives(words in prop::collection::vec(prop::sample::select(WORDS), 0..8)) {
            let text = words.concat();
            if let Ok(template) = Template::compile(&text) {
                let (ours, theirs) = (template.render(&context()), own(&text).map(|own| own.render(&context())));
                if let Ok(Ok(theirs)) = theirs {
                    let ours = ours.map(|ours| match ours {
                        Json::String(ours) => Json::String(ours),
                        other => Json::String(if other.is_number() { other.to_string() } else { theirs.as_str().unwrap_or("").to_string() }),
                    });
                    prop_assert_eq!(ours, Ok(theirs), "{:?}", text);
                } else {
                    prop_assert!(ours.is_err(), "{:?}", text);
                }
            }
        }

        #[test]
        fn no_name_is_overlooked(words in prop::collection::vec(prop::sample::select(STATEMENTS), 0..10)) {
            let text = words.concat();
            if let Ok(template) = Template::compile(&text)
                && matches!(template.inner.form, Form::Statements(_))
            {
                let references = template.references();
                let template = env::shared().template_from_str(&text).unwrap();
                for name in template.undeclared_variables(false) {
                    let known = references.iter().any(|reference| reference.root == name);
                    prop_assert!(known, "{} in {:?}", name, text);
                }
            }
        }
    }
}
