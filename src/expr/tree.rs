//! JSON whose strings may be templates.

use super::{Context, ExprError, Reference, SyntaxError, Template};
use crate::base::Json;
use crate::base::json::JsonMap;

/// A compiled JSON value.
#[derive(Clone, Debug)]
pub enum Tree {
    /// Nothing to evaluate.
    Constant(Json),
    Template(Template),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// A string of the tree that does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeError {
    /// Keys and indexes from the tree's root to the string.
    pub path: Vec<String>,
    pub error: SyntaxError,
}

impl Tree {
    /// Compiles every string of `json`; all that do not parse are in `errors`, and stand as constants.
    pub fn compile(json: &Json, errors: &mut Vec<TreeError>) -> Self {
        let mut path = Vec::new();
        Self::build(json, &mut path, errors)
    }

    fn build(json: &Json, path: &mut Vec<String>, errors: &mut Vec<TreeError>) -> Self {
        match json {
            Json::String(text) if Template::is_one(text) => match Template::compile(text) {
                Ok(template) => Tree::Template(template),
                Err(error) => {
                    errors.push(TreeError { path: path.clone(), error });
                    Tree::Constant(json.clone())
                }
            },
            Json::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    path.push(index.to_string());
                    list.push(Self::build(item, path, errors));
                    path.pop();
                }
                if list.iter().all(Tree::is_constant) { Tree::Constant(json.clone()) } else { Tree::List(list) }
            }
            Json::Object(map) => {
                let mut entries = Vec::with_capacity(map.len());
                for (key, item) in map {
                    path.push(key.clone());
                    entries.push((key.clone(), Self::build(item, path, errors)));
                    path.pop();
                }
                let constant = entries.iter().all(|(_, tree)| tree.is_constant());
                if constant { Tree::Constant(json.clone()) } else { Tree::Map(entries) }
            }
            _ => Tree::Constant(json.clone()),
        }
    }

    pub fn is_constant(&self) -> bool {
        matches!(self, Tree::Constant(_))
    }

    /// The value, with every template rendered. An error names the place: `[2].name: …`.
    pub fn render(&self, context: &Context) -> Result<Json, ExprError> {
        match self {
            Tree::Constant(json) => Ok(json.clone()),
            Tree::Template(template) => template.render(context),
            Tree::List(items) => {
                let values = items.iter().enumerate();
                let values =
                    values.map(|(index, tree)| tree.render(context).map_err(|error| below(error, tree, index)));
                Ok(Json::Array(values.collect::<Result<_, _>>()?))
            }
            Tree::Map(entries) => {
                let mut map = JsonMap::with_capacity(entries.len());
                for (key, tree) in entries {
                    map.insert(key.clone(), tree.render(context).map_err(|error| below(error, tree, key))?);
                }
                Ok(Json::Object(map))
            }
        }
    }

    /// Calls `visit` with the path of every template's string and each of its references.
    pub fn references(&self, visit: &mut dyn FnMut(&[String], &Reference)) {
        self.walk(&mut Vec::new(), visit);
    }

    fn walk(&self, path: &mut Vec<String>, visit: &mut dyn FnMut(&[String], &Reference)) {
        match self {
            Tree::Constant(_) => {}
            Tree::Template(template) => template.references().iter().for_each(|reference| visit(path, reference)),
            Tree::List(items) => {
                for (index, tree) in items.iter().enumerate() {
                    path.push(index.to_string());
                    tree.walk(path, visit);
                    path.pop();
                }
            }
            Tree::Map(entries) => {
                for (key, tree) in entries {
                    path.push(key.clone());
                    tree.walk(path, visit);
                    path.pop();
                }
            }
        }
    }
}

/// `c: …` of the place `b` becomes `b.c: …`.
fn below(error: ExprError, tree: &Tree, place: impl std::fmt::Display) -> ExprError {
    match tree {
        Tree::List(_) | Tree::Map(_) => ExprError { message: format!("{place}.{}", error.message) },
        _ => error.at(place),
    }
}
