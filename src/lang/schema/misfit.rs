//! What does not fit a schema, and where.

use crate::base::Json;

/// One mistake of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit<'s> {
    /// Keys and indexes from the value's root. Of [`What::Unknown`] and [`What::Name`] the last one is the key to blame.
    pub at: Vec<String>,
    pub what: What<'s>,
    /// What the schema says in words of the place.
    pub described: Option<&'s str>,
}

/// What is wrong at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum What<'s> {
    /// Nothing may stand there.
    Never,
    /// It has none of these JSON types.
    Type(Vec<&'s str>),
    /// It is none of these values.
    Value(Vec<&'s Json>),
    /// The mapping lacks this key.
    Missing(String),
    /// The mapping has a key that is none of these, and others it may not have.
    Unknown(Vec<&'s str>),
    /// The name of a key is none that the mapping may have.
    Name(Box<What<'s>>),
    /// It goes against this keyword with this argument.
    Limit(&'s str, &'s Json),
    /// It goes against `not`.
    Not,
    /// It fits several schemas of which it must fit one.
    Several,
    /// It fits none of several schemas; their titles, where they have some.
    Forms(Vec<&'s str>),
    /// In the words of the validator.
    Said(String),
}
