//! JSON as MiniJinja sees it: lazily, by reference; and MiniJinja's values back as JSON or text, bounded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use minijinja::value::{Enumerator, Object, ObjectExt, ObjectRepr, Value, ValueKind};
use serde_json::json;

use super::code::names;
use super::{Scope, env};
use crate::base::json::{JsonMap, text_len};
use crate::base::time::rfc3339;
use crate::base::{Json, limits};

/// A [`Scope`], ready for evaluation. Make one for all expressions over the same scope.
#[derive(Clone, Debug)]
pub struct Context(Arc<Root>);

impl Context {
    pub fn new(scope: &Scope) -> Self {
        Self::of(scope.clone())
    }

    /// Like [`Context::new`], of a scope that nobody else needs.
    pub fn of(scope: Scope) -> Self {
        Self(Arc::new(Root { scope, run: OnceLock::new(), work: AtomicU64::new(0) }))
    }

    pub(super) fn root(&self) -> Value {
        Value::from_dyn_object(self.0.clone())
    }

    /// What a path of names leads to, the first of them a root; None where it leads nowhere, or to something that is no
    /// JSON.
    pub(super) fn find(&self, path: &str) -> Option<&Json> {
        let mut path = names(path);
        let root = path.next()?;
        let start = match root {
            "index" => None,
            "steps" | "errors" if self.0.item(root).is_none() => self.0.by_id(root == "errors").get(path.next()?),
            _ => self.0.named(root),
        };
        path.try_fold(&**start?, |json, name| json.as_object()?.get(name))
    }
}

/// The object every name is looked up in.
#[derive(Debug)]
pub(super) struct Root {
    scope: Scope,
    /// `run`, once it was asked for.
    run: OnceLock<Arc<Json>>,
    /// What filters have spent, against [`limits::EXPRESSION_WORK`].
    work: AtomicU64,
}

/// The name filters find the root by. No expression can write it.
pub(super) const ROOT: &str = "$root";

impl Root {
    pub fn now(&self) -> i64 {
        self.scope.now
    }

    /// The item that is called `name`, the innermost if there are several.
    fn item(&self, name: &str) -> Option<&Arc<Json>> {
        let mut items = self.scope.items.iter().rev();
        items.find(|item| name == &*item.name).map(|item| &item.value)
    }

    fn by_id(&self, errors: bool) -> &BTreeMap<Arc<str>, Arc<Json>> {
        if errors { &self.scope.errors } else { &self.scope.steps }
    }

    /// What is JSON and known by a name of its own.
    fn named(&self, name: &str) -> Option<&Arc<Json>> {
        let scope = &self.scope;
        self.item(name).or_else(|| match name {
            "event" => Some(&scope.event),
            "inputs" => Some(&scope.inputs),
            "vars" => Some(&scope.vars),
            "run" => Some(self.run()),
            "output" => scope.output.as_ref(),
            "incoming" => scope.incoming.as_ref(),
            _ => None,
        })
    }

    fn run(&self) -> &Arc<Json> {
        self.run.get_or_init(|| {
            let names = self.scope.run.as_ref().map(|run| {
                json!({
                    "id": run.id,
                    "workflow": *run.workflow,
                    "started_at": rfc3339(run.started_at),
                    "attempt": run.attempt,
                })
            });
            Arc::new(names.unwrap_or_default())
        })
    }

    /// Spends `work`; false when the budget is gone.
    pub fn spend(&self, work: u64) -> bool {
        self.work.fetch_add(work, Ordering::Relaxed).saturating_add(work) <= limits::EXPRESSION_WORK
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if key == "index"
            && let Some(innermost) = self.scope.items.last()
        {
            return Some(Value::from(innermost.index));
        }
        if let Some(json) = self.named(key) {
            return Some(whole(json));
        }
        match key {
            "steps" => Some(Value::from_object(ById { root: self.clone(), errors: false })),
            "errors" => Some(Value::from_object(ById { root: self.clone(), errors: true })),
            "now" => Some(env::constant(self.scope.now)),
            ROOT => Some(Value::from_dyn_object(self.clone())),
            _ => None,
        }
    }
}

/// `steps` or `errors`.
#[derive(Debug)]
struct ById {
    root: Arc<Root>,
    errors: bool,
}

impl Object for ById {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.root.by_id(self.errors).get(key).map(whole)
    }
}

/// The whole of a shared JSON value.
pub(super) fn whole(json: &Arc<Json>) -> Value {
    shallow(json).unwrap_or_else(|| Value::from_object(View { json: json.clone(), path: Vec::new() }))
}

/// Scalars are converted, containers are not.
fn shallow(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(_) | Json::Object(_) => return None,
    })
}

/// An array or object inside a shared JSON value. It holds the way there instead of a reference, which would need
/// `unsafe`; the way is as short as the expression that leads to it.
#[derive(Debug)]
struct View {
    json: Arc<Json>,
    path: Vec<Hop>,
}

#[derive(Clone, Debug)]
enum Hop {
    Key(Arc<str>),
    Index(usize),
}

impl View {
    fn target(&self) -> &Json {
        let mut at = &*self.json;
        for hop in &self.path {
            at = match hop {
                Hop::Key(key) => &at[&**key],
                Hop::Index(index) => &at[*index],
            };
        }
        at
    }

    fn child(&self, json: &Json, hop: impl FnOnce() -> Hop) -> Value {
        shallow(json).unwrap_or_else(|| {
            let mut path = Vec::with_capacity(self.path.len() + 1);
            path.extend_from_slice(&self.path);
            path.push(hop());
            Value::from_object(View { json: self.json.clone(), path })
        })
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.target() {
            Json::Array(_) => ObjectRepr::Seq,
            _ => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.target() {
            Json::Array(items) => {
                let index = key.as_usize()?;
                Some(self.child(items.get(index)?, || Hop::Index(index)))
            }
            _ => self.get_value_by_str(key.as_str()?),
        }
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let Json::Object(map) = self.target() else { return None };
        Some(self.child(map.get(key)?, || Hop::Key(key.into())))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.target() {
            Json::Array(items) => Enumerator::Seq(items.len()),
            _ => self.mapped_key_value_enumerator(|view: &View| match view.target() {
                Json::Object(map) => Box::new(map.iter().map(move |(key, json)| {
                    (Value::from(key.as_str()), view.child(json, || Hop::Key(key.as_str().into())))
                })),
                _ => Box::new(std::iter::empty()),
            }),
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        match self.target() {
            Json::Array(items) => Some(items.len()),
            Json::Object(map) => Some(map.len()),
            _ => Some(0),
        }
    }
}

/// `value` as JSON, at most [`limits::EXPRESSION_OUTPUT`] bytes of it. The error says why not.
pub(super) fn to_json(value: &Value) -> Result<Json, String> {
    let mut left = limits::EXPRESSION_OUTPUT;
    convert(value, &mut left, 0)
}

/// Deeper than any value that came in as JSON; a list that is nested by an expression ends here.
const MAX_DEPTH: usize = 128;

fn too_large() -> String {
    format!("the result is larger than the {} bytes allowed", limits::EXPRESSION_OUTPUT)
}

fn spend(left: &mut usize, bytes: usize) -> Result<(), String> {
    *left = left.checked_sub(bytes).ok_or_else(too_large)?;
    Ok(())
}

fn convert(value: &Value, left: &mut usize, depth: usize) -> Result<Json, String> {
    if depth > MAX_DEPTH {
        return Err(format!("the result is nested deeper than the {MAX_DEPTH} levels allowed"));
    }
    if let Some(view) = value.downcast_object_ref::<View>() {
        let json = view.target();
        spend(left, text_len(json))?;
        return Ok(json.clone());
    }
    spend(left, 1)?;
    match value.kind() {
        ValueKind::None => Ok(Json::Null),
        ValueKind::Bool => Ok(Json::Bool(value.is_true())),
        ValueKind::Number => number(value),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            spend(left, text.len())?;
            Ok(Json::String(text.to_string()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter().map_err(|error| env::reason(&error))? {
                items.push(convert(&item, left, depth + 1)?);
            }
            Ok(Json::Array(items))
        }
        ValueKind::Map => {
            let mut map = JsonMap::new();
            for key in value.try_iter().map_err(|error| env::reason(&error))? {
                let item = value.get_item(&key).map_err(|error| env::reason(&error))?;
                let name = key.as_str().map_or_else(|| key.to_string(), str::to_string);
                spend(left, name.len())?;
                map.insert(name, convert(&item, left, depth + 1)?);
            }
            Ok(Json::Object(map))
        }
        ValueKind::Undefined => Err("it is undefined".to_string()),
        ValueKind::Bytes => Err("bytes are no JSON value".to_string()),
        ValueKind::Invalid => Err(value.to_string()),
        _ => Err("a function is no JSON value; call it with `()`".to_string()),
    }
}

fn number(value: &Value) -> Result<Json, String> {
    let number = if value.is_integer() {
        i64::try_from(value.clone())
            .map(serde_json::Number::from)
            .or_else(|_| u64::try_from(value.clone()).map(serde_json::Number::from))
            .ok()
    } else {
        f64::try_from(value.clone()).ok().and_then(serde_json::Number::from_f64)
    };
    number.map(Json::Number).ok_or_else(|| format!("{value} is no number that JSON can hold"))
}

/// Appends `value` as people read it: text as it is, lists and mappings as JSON, the rest in MiniJinja's form.
pub(super) fn write_text(out: &mut String, value: &Value) -> Result<(), String> {
    match value.kind() {
        ValueKind::String => out.push_str(value.as_str().unwrap_or_default()),
        ValueKind::None | ValueKind::Bool | ValueKind::Number => {
            use std::fmt::Write;
            // Writing to a `String` cannot fail.
            let _ = write!(out, "{value}");
        }
        _ => out.push_str(&to_json(value)?.to_string()),
    }
    if out.len() > limits::EXPRESSION_OUTPUT {
        return Err(too_large());
    }
    Ok(())
}

/// A copy of `json`; None if it is larger than a result may be.
pub(super) fn copied(json: &Json) -> Option<Json> {
    let bytes = match json {
        // One more than the text itself, as a result is counted.
        Json::String(text) => text.len() + 1,
        Json::Array(_) | Json::Object(_) => text_len(json),
        _ => 1,
    };
    (bytes <= limits::EXPRESSION_OUTPUT).then(|| json.clone())
}

/// Jinja's truth.
pub(super) fn holds(json: &Json) -> bool {
    match json {
        Json::Array(items) => !items.is_empty(),
        Json::Object(map) => !map.is_empty(),
        Json::String(text) => !text.is_empty(),
        scalar => shallow(scalar).is_some_and(|value| value.is_true()),
    }
}

/// [`write_text`] of JSON.
pub(super) fn write_json(out: &mut String, json: &Json) -> Result<(), String> {
    match json {
        Json::String(text) => {
            out.push_str(text);
            if out.len() > limits::EXPRESSION_OUTPUT { Err(too_large()) } else { Ok(()) }
        }
        Json::Array(_) | Json::Object(_) if text_len(json) > limits::EXPRESSION_OUTPUT => Err(too_large()),
        Json::Array(_) | Json::Object(_) => {
            out.push_str(&json.to_string());
            if out.len() > limits::EXPRESSION_OUTPUT { Err(too_large()) } else { Ok(()) }
        }
        scalar => shallow(scalar).map_or(Ok(()), |value| write_text(out, &value)),
    }
}
