//! MiniJinja's own filters and functions whose work or result can be far larger than the expression: each call is
//! charged for what it is given and what it gives, because fuel counts instructions only.

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters, functions};

use super::value::{ROOT, Root};
use crate::base::limits;

/// The filters of this file.
pub(super) const NAMES: &[&str] = &[
    "lower",
    "upper",
    "title",
    "capitalize",
    "dictsort",
    "items",
    "reverse",
    "trim",
    "split",
    "lines",
    "round",
    "first",
    "last",
    "min",
    "max",
    "sort",
    "list",
    "string",
    "bool",
    "batch",
    "slice",
    "sum",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
    "map",
    "groupby",
    "unique",
    "chain",
    "zip",
    "pprint",
    "format",
    "join",
    "replace",
    "indent",
];

pub(super) fn install(env: &mut Environment<'static>) {
    macro_rules! guarded {
        ($($name:ident)*) => {$({
            let own = Value::from_function(filters::$name);
            env.add_filter(stringify!($name), move |state: &mut State, args: Rest<ValueOrKwargs>| {
                let args: Vec<Value> = args.0.into_iter().map(Value::from).collect();
                call(state, &own, stringify!($name), &args)
            });
        })*};
    }
    guarded!(lower upper title capitalize dictsort items reverse trim split lines round first last min max sort list
        string bool batch slice sum select reject selectattr rejectattr map groupby unique chain zip pprint format);
    env.add_filter("join", join);
    env.add_filter("replace", replace);
    env.add_filter("indent", indent);
}

fn call(state: &mut State, own: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let numbers = args.iter().skip(1).filter_map(Value::as_usize).max().unwrap_or(0);
    if matches!(name, "batch" | "slice") && numbers > limits::EXPRESSION_ITEMS {
        return Err(refused(format!("`{name}` makes at most {} items", limits::EXPRESSION_ITEMS)));
    }
    if name == "format" && args.first().and_then(Value::as_str).is_some_and(wide) {
        return Err(refused("a width in `format` has at most 3 digits and is written out".to_string()));
    }
    charge(state, args)?;
    let result = own.call(state, args)?;
    charge(state, std::slice::from_ref(&result))?;
    Ok(result)
}

/// A format text that asks for more padding than any message holds.
fn wide(format: &str) -> bool {
    let mut digits = 0;
    format.bytes().any(|byte| {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        digits > 3 || byte == b'*'
    })
}

pub(super) fn refused(why: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

/// Charges a filter for the size of `values`: an item costs 1, a text 1 for 64 bytes.
pub(super) fn charge(state: &State, values: &[Value]) -> Result<(), Error> {
    let work = values.iter().fold(values.len() as u64, |work, value| {
        work + match value.kind() {
            ValueKind::String => value.as_str().map_or(0, |text| text.len() as u64 / 64),
            _ => value.len().unwrap_or(0) as u64,
        }
    });
    spend(state, work)
}

/// Charges a filter for `work` units.
pub(super) fn spend(state: &State, work: u64) -> Result<(), Error> {
    let root = state.lookup(ROOT);
    let allowed = root.as_ref().and_then(|root| root.downcast_object_ref::<Root>()).is_none_or(|root| root.spend(work));
    if !allowed {
        return Err(refused(format!("its filters do more than the {} units of work allowed", limits::EXPRESSION_WORK)));
    }
    Ok(())
}

/// Fails if a filter's text has grown past what an expression may give.
pub(super) fn bounded(text: &str) -> Result<(), Error> {
    if text.len() > limits::EXPRESSION_OUTPUT {
        return Err(refused(format!("the text is larger than the {} bytes allowed", limits::EXPRESSION_OUTPUT)));
    }
    Ok(())
}

/// `range(n)`, `range(from, to)`, `range(from, to, step)`.
pub(super) fn range(lower: isize, upper: Option<isize>, step: Option<isize>) -> Result<Value, Error> {
    let range = functions::range(lower, upper, step)?;
    if range.len().is_none_or(|len| len > limits::EXPRESSION_ITEMS) {
        return Err(refused(format!("`range` gives at most {} numbers", limits::EXPRESSION_ITEMS)));
    }
    Ok(range)
}

/// The items' texts, with `separator` between them.
fn join(state: &mut State, value: &Value, separator: Option<&str>) -> Result<String, Error> {
    charge(state, std::slice::from_ref(value))?;
    let separator = separator.unwrap_or_default();
    let mut text = String::new();
    for (index, item) in value.try_iter()?.enumerate() {
        if item.is_undefined() {
            return Err(Error::new(ErrorKind::UndefinedError, format!("item {index} of what `join` is given")));
        }
        if index > 0 {
            text.push_str(separator);
        }
        super::value::write_text(&mut text, &item).map_err(refused)?;
        bounded(&text)?;
    }
    charge(state, &[Value::from(text.as_str())])?;
    Ok(text)
}

/// Every `from` of the text replaced by `to`.
fn replace(state: &mut State, text: &str, from: &str, to: &str) -> Result<String, Error> {
    let grown = text.matches(from).count().saturating_mul(to.len());
    charge(state, &[Value::from(text)])?;
    if grown > limits::EXPRESSION_OUTPUT {
        return Err(refused(format!("the text is larger than the {} bytes allowed", limits::EXPRESSION_OUTPUT)));
    }
    Ok(text.replace(from, to))
}

/// The text with every line but the first moved right by `width` spaces; `first` and `blank` take those lines too.
fn indent(state: &mut State, text: &str, width: Option<usize>, kwargs: Kwargs) -> Result<String, Error> {
    let width = match width {
        Some(width) => width,
        None => kwargs.get::<Option<usize>>("width")?.unwrap_or(4),
    };
    let first = kwargs.get::<Option<bool>>("first")?.unwrap_or(false);
    let blank = kwargs.get::<Option<bool>>("blank")?.unwrap_or(false);
    kwargs.assert_all_used()?;
    charge(state, &[Value::from(text)])?;
    if text.lines().count().saturating_mul(width) > limits::EXPRESSION_OUTPUT {
        return Err(refused(format!("the text is larger than the {} bytes allowed", limits::EXPRESSION_OUTPUT)));
    }
    let pad = " ".repeat(width);
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if (index > 0 || first) && (blank || !line.trim().is_empty()) {
            out.push_str(&pad);
        }
        out.push_str(line);
    }
    Ok(out)
}
