//! The comparisons that most conditions are, done without a program: `'?' in event.data.body`,
//! `steps.intent.score >= 2`.

use super::Context;
use super::code::is_path;
use super::tokens::{self, Kind, Token};
use crate::base::Json;

/// One comparison of two operands.
#[derive(Debug)]
pub(super) struct Comparison {
    left: Operand,
    operator: Operator,
    right: Operand,
}

#[derive(Debug)]
enum Operand {
    Text(Box<str>),
    Integer(i64),
    Path(Box<str>),
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    In,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An operand's value, where comparing it leaves no question.
#[derive(PartialEq)]
enum Known<'a> {
    Text(&'a str),
    Integer(i64),
}

impl Comparison {
    /// The comparison that `source` is; None if it is anything else.
    pub fn of(source: &str) -> Option<Self> {
        let words = tokens::all(source);
        // A word after a dot is a name whatever it says.
        let is_operator = |index: &usize| {
            *index > 0 && words[*index - 1].text(source) != "." && {
                words[*index].kind != Kind::Text && Operator::of(words[*index].text(source)).is_some()
            }
        };
        let at = (0..words.len()).find(is_operator)?;
        Some(Self {
            left: Operand::of(source, &words[..at])?,
            operator: Operator::of(words[at].text(source))?,
            right: Operand::of(source, &words[at + 1..])?,
        })
    }

    /// Does it hold? None where MiniJinja is to say: its rules for mixed values are not repeated here.
    pub fn holds(&self, context: &Context) -> Option<bool> {
        match (self.left.known(context)?, self.operator, self.right.known(context)?) {
            (Known::Text(part), Operator::In, Known::Text(whole)) => Some(whole.contains(part)),
            (Known::Text(left), Operator::Equal, Known::Text(right)) => Some(left == right),
            (Known::Text(left), Operator::Unequal, Known::Text(right)) => Some(left != right),
            (Known::Integer(left), operator, Known::Integer(right)) => match operator {
                Operator::In => None,
                Operator::Equal => Some(left == right),
                Operator::Unequal => Some(left != right),
                Operator::Less => Some(left < right),
                Operator::LessOrEqual => Some(left <= right),
                Operator::Greater => Some(left > right),
                Operator::GreaterOrEqual => Some(left >= right),
            },
            _ => None,
        }
    }
}

impl Operator {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "in" => Self::In,
            "==" => Self::Equal,
            "!=" => Self::Unequal,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }
}

impl Operand {
    fn of(source: &str, words: &[Token]) -> Option<Self> {
        let (first, last) = (words.first()?, words.last()?);
        let text = source.get(first.span.start..last.span.end)?;
        match (first.kind, words.len()) {
            // An escape may stand for another character.
            (Kind::Text, 1) if !text.contains('\\') => {
                let quote = text.chars().next()?;
                Some(Self::Text(text.strip_prefix(quote)?.strip_suffix(quote)?.into()))
            }
            (Kind::Number, 1) => {
                let value: i64 = text.parse().ok()?;
                // Not `007`, whatever that may be.
                (value.to_string() == text).then_some(Self::Integer(value))
            }
            (Kind::Word, _) if is_path(text) => Some(Self::Path(text.into())),
            _ => None,
        }
    }

    fn known<'a>(&'a self, context: &'a Context) -> Option<Known<'a>> {
        match self {
            Self::Text(text) => Some(Known::Text(text)),
            Self::Integer(value) => Some(Known::Integer(*value)),
            Self::Path(path) => match context.find(path)? {
                Json::String(text) => Some(Known::Text(text)),
                Json::Number(number) => number.as_i64().map(Known::Integer),
                _ => None,
            },
        }
    }
}
