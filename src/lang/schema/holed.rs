//! A value of a workflow file as it is known before it is rendered: constants, and holes where templates stand.

use crate::base::Json;
use crate::expr::{Gives, Template};

/// One value, whole.
#[derive(Clone, Debug)]
pub struct Holed<'a> {
    /// The value itself, where there is no hole in it.
    pub constant: Option<&'a Json>,
    pub shape: Shape<'a>,
}

#[derive(Clone, Debug)]
pub enum Shape<'a> {
    /// A hole for any value: `"{{ expr }}"` and nothing else.
    Any,
    /// A hole for some text: a template within text.
    Text,
    /// A constant that is neither a list nor a mapping.
    Scalar,
    List(Vec<Holed<'a>>),
    Map(Vec<(&'a str, Holed<'a>)>),
}

impl<'a> Holed<'a> {
    /// `json` as `with:` holds it, with templates for strings.
    pub fn of(json: &'a Json) -> Self {
        let shape = match json {
            Json::String(text) => match Template::gives(text) {
                Gives::Itself => Shape::Scalar,
                Gives::Text => Shape::Text,
                Gives::Anything => Shape::Any,
            },
            Json::Array(items) => Shape::List(items.iter().map(Self::of).collect()),
            Json::Object(map) => Shape::Map(map.iter().map(|(key, value)| (key.as_str(), Self::of(value))).collect()),
            _ => Shape::Scalar,
        };
        let is_constant = match &shape {
            Shape::Any | Shape::Text => false,
            Shape::Scalar => true,
            Shape::List(items) => items.iter().all(|item| item.constant.is_some()),
            Shape::Map(entries) => entries.iter().all(|(_, value)| value.constant.is_some()),
        };
        Self { constant: is_constant.then_some(json), shape }
    }

    /// A constant without parts.
    pub(super) fn scalar(json: &'a Json) -> Self {
        Self { constant: Some(json), shape: Shape::Scalar }
    }

    /// Whether it may turn out to be `json`. Numbers are compared loosely: what is not said to be different is the same.
    pub(super) fn may_be(&self, json: &Json) -> bool {
        match (&self.shape, json) {
            (Shape::Any, _) | (Shape::Text, Json::String(_)) => true,
            (Shape::List(items), Json::Array(other)) => {
                items.len() == other.len() && items.iter().zip(other).all(|(item, other)| item.may_be(other))
            }
            (Shape::Map(entries), Json::Object(other)) => {
                entries.len() == other.len()
                    && entries.iter().all(|(key, value)| other.get(*key).is_some_and(|other| value.may_be(other)))
            }
            (Shape::Scalar, _) => self.constant.is_some_and(|own| own == json || own.is_number() && json.is_number()),
            _ => false,
        }
    }

    /// What a validator must see to judge how many parts it has, and of what names.
    pub(super) fn skeleton(&self) -> Option<Json> {
        match &self.shape {
            Shape::List(items) => Some(Json::Array(vec![Json::Null; items.len()])),
            Shape::Map(entries) => {
                Some(Json::Object(entries.iter().map(|(key, _)| (key.to_string(), Json::Null)).collect()))
            }
            _ => None,
        }
    }
}
