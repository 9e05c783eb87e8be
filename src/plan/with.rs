//! `with:`, compiled field by field.

use crate::base::json::{JsonMap, bounded};
use crate::base::{Json, limits};
use crate::expr::{Context, Expr, ExprError, Scope, Tree};

/// `with:`, compiled.
#[derive(Clone, Debug, Default)]
pub struct With {
    pub(super) fields: Vec<(String, Field)>,
}

/// How one field becomes what the step sees.
#[derive(Clone, Debug)]
pub(super) enum Field {
    Tree(Tree),
    /// `true` or `false`.
    Condition(Expr),
    /// The first name whose expression is true, or null. Those after it are not evaluated.
    Conditions(Vec<(String, Expr)>),
}

impl With {
    /// The object the step sees. An error names the field: `with.text: …`.
    pub fn render(&self, scope: &Scope) -> Result<Json, ExprError> {
        self.render_in(&Context::new(scope))
    }

    /// Like [`With::render`], when the scope serves other expressions too.
    pub fn render_in(&self, context: &Context) -> Result<Json, ExprError> {
        let mut map = JsonMap::with_capacity(self.fields.len());
        for (name, field) in &self.fields {
            map.insert(name.clone(), field.render(context).map_err(|error| error.at(format_args!("with.{name}")))?);
        }
        bounded("`with`, rendered,", Json::Object(map), limits::EXPRESSION_OUTPUT)
            .map_err(|error| ExprError { message: error.to_string() })
    }
}

impl Field {
    fn render(&self, context: &Context) -> Result<Json, ExprError> {
        match self {
            Field::Tree(tree) => tree.render(context),
            Field::Condition(expr) => expr.holds_in(context).map(Json::Bool),
            Field::Conditions(cases) => {
                for (name, expr) in cases {
                    if expr.holds_in(context).map_err(|error| error.at(name))? {
                        return Ok(Json::String(name.clone()));
                    }
                }
                Ok(Json::Null)
            }
        }
    }
}
