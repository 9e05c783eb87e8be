//! What a plugin's author writes.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Context, Error};

/// What running a step twice would do. A plugin without the feature `connector` has nothing to act with: it is pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Computes, or only reads.
    Pure,
    /// Acts, but doing it again does no harm.
    Idempotent,
    /// Must not be repeated in silence: if an answer is lost, a person decides.
    AtMostOnce,
}

/// One step. The crate's front page has an example.
pub trait Step {
    /// `with:` of a workflow: a struct, closed against unknown keys. Its schema is derived; with `#[serde(default)]` or
    /// `Option` a key need not be there. Doc comments become descriptions, `#[schemars(...)]` bounds values.
    type Input: DeserializeOwned + JsonSchema;
    /// What `steps.<id>` is afterwards. Any shape; objects of it are closed.
    type Output: Serialize + JsonSchema;

    /// `[a-z][a-z0-9_-]*`, at most 64 characters; a workflow says `uses: <plugin>/<NAME>`.
    const NAME: &'static str;
    /// One line for people.
    const SUMMARY: &'static str;
    const EFFECT: Effect = Effect::Pure;
    /// Named exits besides `ok`: `[a-z][a-z0-9_]*`. `ok` and `error` exist anyway.
    const PORTS: &'static [&'static str] = &[];

    /// One attempt.
    fn run(input: Self::Input, context: &Context) -> Result<Exit<Self::Output>, Error>;
}

/// How an attempt ended well: an output, on a port. `Ok(output.into())` is `Ok(Exit::ok(output))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit<T> {
    /// None is `ok`.
    pub port: Option<&'static str>,
    pub output: T,
}

impl<T> Exit<T> {
    /// On the port `ok`.
    pub fn ok(output: T) -> Self {
        Self { port: None, output }
    }

    /// On `port`, one of the step's [`Step::PORTS`].
    pub fn on(port: &'static str, output: T) -> Self {
        Self { port: Some(port), output }
    }
}

impl<T> From<T> for Exit<T> {
    fn from(output: T) -> Self {
        Self::ok(output)
    }
}
