//! What is asked, before it takes a provider's form.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Number;

use super::tokens;
use crate::lang::schema::Schema;

#[derive(Clone, Debug)]
pub(super) struct Question {
    pub system: Option<String>,
    /// What was said before, the oldest first.
    pub turns: Vec<Turn>,
    pub prompt: String,
    pub temperature: Option<Number>,
    /// The longest answer, as the step says it.
    pub max_tokens: Option<u64>,
    /// What the answer must fit.
    pub schema: Option<Arc<Schema>>,
    /// The answer that did not, when it is asked for again.
    pub repair: Option<Repair>,
}

/// A question of before and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub user: String,
    pub assistant: String,
}

/// An answer, and what was wrong with it.
#[derive(Clone, Debug)]
pub(super) struct Repair {
    pub answer: String,
    pub misfits: String,
}

/// How a provider takes a question. Servers that call themselves compatible differ in this, and say so with a 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// The schema in the provider's own place for one; else as instructions.
    pub structured: bool,
    /// `max_completion_tokens` in place of `max_tokens`.
    pub completion_tokens: bool,
    /// Usage is asked for in streams.
    pub stream_usage: bool,
}

impl Default for Form {
    fn default() -> Self {
        Self { structured: true, completion_tokens: false, stream_usage: true }
    }
}

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Assistant,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

impl Question {
    /// The schema, if it has a place of its own in this form. Providers have one for mappings only.
    pub fn structured(&self, form: Form) -> Option<&Schema> {
        self.schema.as_deref().filter(|schema| form.structured && schema.json["type"] == "object")
    }

    /// How the model is to behave: the step's own words, and the schema where there is no other place for it.
    pub fn system(&self, form: Form) -> Option<Cow<'_, str>> {
        let instructed = self.schema.as_deref().filter(|_| self.structured(form).is_none());
        let Some(schema) = instructed else { return self.system.as_deref().map(Cow::Borrowed) };
        let before = self.system.as_deref().map(|system| format!("{system}\n\n")).unwrap_or_default();
        Some(Cow::Owned(format!(
            "{before}Answer with one JSON value and nothing else: no explanation and no code fences. It must fit this JSON Schema:\n{}",
            schema.json
        )))
    }

    /// Everything that is said, by turns: the user begins and ends.
    pub fn messages(&self) -> Vec<(Role, Cow<'_, str>)> {
        let mut messages = Vec::with_capacity(2 * self.turns.len() + 3);
        for turn in &self.turns {
            messages.push((Role::User, Cow::Borrowed(turn.user.as_str())));
            messages.push((Role::Assistant, Cow::Borrowed(turn.assistant.as_str())));
        }
        messages.push((Role::User, Cow::Borrowed(self.prompt.as_str())));
        if let Some(Repair { answer, misfits }) = &self.repair {
            let again = format!(
                "Your answer does not fit the JSON Schema:\n{misfits}\nAnswer again with the whole corrected JSON and nothing else."
            );
            messages.push((Role::Assistant, Cow::Borrowed(answer.as_str())));
            messages.push((Role::User, Cow::Owned(again)));
        }
        messages
    }

    /// About how many tokens it is.
    pub fn tokens(&self, form: Form) -> u64 {
        let schema = self.structured(form).map_or(0, |schema| tokens::estimate(&schema.json.to_string()));
        let system = self.system(form).map_or(0, |system| tokens::of_message(&system));
        schema + system + self.messages().iter().map(|(_, text)| tokens::of_message(text)).sum::<u64>()
    }
}
